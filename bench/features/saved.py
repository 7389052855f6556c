"""What sae_lens saves, as an autoencoder: `cfg.json` beside `sae_weights.safetensors`.

The common architectures are read by their tensors' names, so that sae_lens, which takes seconds to import, is not needed for them:

    standard    W_enc b_enc W_dec b_dec                     ReLU
    topk        the same                                    the k largest, ReLU; abstopk: by magnitude
    jumprelu    the same, threshold                         ReLU above the threshold; trained BatchTopK dictionaries are saved so
    gated       W_enc b_gate r_mag b_mag W_dec b_dec        ReLU behind a gate

Older versions kept everything at the top level of `cfg.json`, called top-k an activation of the standard one, and left the architecture out.
All is computed in float32. `expected_average_only_in` is a matter of training: sae_lens folds it into the weights when it saves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor

from ..errors import UsageError
from .autoencoder import Activation, Autoencoder, Gated, JumpRelu, Normalise, Relu, TopK
from .places import Place, named

__all__ = ["Settings", "autoencoder"]

_TENSORS = {
    "standard": ("W_enc", "b_enc", "W_dec", "b_dec"),
    "topk": ("W_enc", "b_enc", "W_dec", "b_dec"),
    "abstopk": ("W_enc", "b_enc", "W_dec", "b_dec"),
    "jumprelu": ("W_enc", "b_enc", "W_dec", "b_dec", "threshold"),
    "gated": ("W_enc", "b_gate", "r_mag", "b_mag", "W_dec", "b_dec"),
}
_UNUSED = ("scaling_factor",)  # ones, written by versions that might have fine-tuned it
_NORMALISE: dict[object, Normalise] = {
    None: "none",
    False: "none",
    True: "none",
    "none": "none",
    "expected_average_only_in": "none",
    "layer_norm": "layer_norm",
    "constant_norm_rescale": "constant_norm_rescale",
}


@dataclass(frozen=True)
class Settings:
    """What `cfg.json` says, whatever version wrote it."""

    architecture: str
    place: Place
    d_in: int
    n_features: int
    centred: bool
    normalise: object
    k: int | None
    rescaled: bool

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Settings:
        """Of a configuration.

        Raises:
            UsageError: it is of a transcoder, its hook is no place, or something that is needed is not said.
        """
        about = {**config, **(config.get("metadata") or {})}
        architecture = str(config.get("architecture") or "standard")
        activation = config.get("activation_fn", config.get("activation_fn_str"))
        k = config.get("k", (config.get("activation_fn_kwargs") or {}).get("k"))
        if architecture == "standard" and activation == "topk":
            architecture = "topk"
        if "transcoder" in architecture or "d_out" in config:
            raise UsageError(
                "a transcoder reads at one place and writes at another, so it is no dictionary of a place; valid: autoencoders."
            )
        hook = about.get("hook_name", about.get("hook_point"))
        missing = [
            name
            for name, value in (("d_in", config.get("d_in")), ("d_sae", config.get("d_sae")), ("hook_name", hook),
                                ("k", k if architecture in ("topk", "abstopk") else 0))
            if value is None
        ]  # fmt: skip
        if missing:
            raise UsageError(f"its cfg.json does not say {', '.join(missing)}; add what is missing, or save it again.")
        if config.get("reshape_activations") == "hook_z" or about.get("hook_head_index") is not None:
            raise UsageError(
                "it is for vectors of single heads, and heads are no place of a dictionary; valid: attention outputs."
            )
        if config.get("normalize_activations") == "covariance_whitening":
            raise UsageError(
                "its vectors are whitened by a matrix that is not saved with it; fold it into the weights, as sae_lens' trainer does."
            )
        return cls(
            architecture, named(str(hook)), int(config["d_in"]), int(config["d_sae"]),
            bool(config.get("apply_b_dec_to_input", True)), config.get("normalize_activations"),
            None if k is None else int(k), bool(config.get("rescale_acts_by_decoder_norm", False)),
        )  # fmt: skip

    @property
    def is_ours(self) -> bool:
        """Whether it is read without sae_lens."""
        return self.architecture in _TENSORS and self.normalise in _NORMALISE

    @property
    def undone(self) -> Normalise:
        """What its decoder undoes, a different thing for every vector."""
        return _NORMALISE.get(self.normalise, "none")

    def check(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Compare names and shapes of its tensors with what the configuration says.

        Raises:
            UsageError: one is missing, unknown, or of another shape.
        """
        expected = {name: self._shape(name) for name in _TENSORS[self.architecture]}
        for name, shape in expected.items():
            if name not in shapes:
                raise UsageError(
                    f"its weights lack {name}, which the architecture {self.architecture!r} has; valid: {', '.join(expected)}."
                )
            if shapes[name] != shape:
                raise UsageError(f"{name} has the shape {list(shapes[name])} and its cfg.json says {list(shape)}.")
        unknown = sorted(shapes.keys() - expected.keys() - set(_UNUSED))
        if unknown:
            raise UsageError(
                f"its weights hold {', '.join(unknown)}, which the architecture {self.architecture!r} has not; valid: {', '.join(expected)}."
            )

    def _shape(self, name: str) -> tuple[int, ...]:
        matrices = {"W_enc": (self.d_in, self.n_features), "W_dec": (self.n_features, self.d_in), "b_dec": (self.d_in,)}
        return matrices.get(name, (self.n_features,))


def autoencoder(settings: Settings, tensors: Mapping[str, Tensor]) -> Autoencoder:
    """The autoencoder of a configuration and its weights.

    Raises:
        UsageError: a tensor is missing, unknown, of another shape, or not finite.
    """
    settings.check({name: tuple(value.shape) for name, value in tensors.items()})
    weights = {name: value.detach().float() for name, value in tensors.items()}
    for name, value in weights.items():
        if not bool(value.isfinite().all()):
            raise UsageError(f"{name} holds values that are not finite; save the dictionary again from sound weights.")
    if "scaling_factor" in weights and not bool((weights["scaling_factor"] == 1).all()):
        raise UsageError("its weights hold a fine-tuned scaling_factor, which is not read; multiply it into W_dec.")
    encoder, decoder, bias = weights["W_enc"], weights["W_dec"], weights.get("b_enc")
    if settings.rescaled and settings.architecture in ("topk", "abstopk"):
        # features are chosen as if the decoder had rows of length one
        lengths = decoder.norm(dim=1).clamp_min(1e-8)
        encoder, decoder = encoder * lengths, decoder / lengths[:, None]
        bias = None if bias is None else bias * lengths
    return Autoencoder(
        encoder, bias, decoder, weights["b_dec"], _activation(settings, weights),
        centred=settings.centred, normalise=_NORMALISE[settings.normalise],
    )  # fmt: skip


def _activation(settings: Settings, weights: Mapping[str, Tensor]) -> Activation:
    match settings.architecture:
        case "topk" | "abstopk":
            return TopK(cast(int, settings.k), magnitude=settings.architecture == "abstopk")
        case "jumprelu":
            return JumpRelu(weights["threshold"])
        case "gated":
            return Gated(weights["b_gate"], weights["r_mag"].exp(), weights["b_mag"])
    return Relu()
