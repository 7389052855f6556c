"""Places in a decoder at which vectors can be written in features: embedding, attention outputs, MLP outputs, residual streams.

Marks et al. 2024 call them submodules. In the order in which a pass reaches them: `embed`, then of every layer `attn_0`, `mlp_0`
and `resid_0`, the stream behind the layer. TransformerLens calls the same vectors `blocks.0.hook_resid_pre` (or `hook_embed`),
`blocks.0.hook_attn_out`, `blocks.0.hook_mlp_out` and `blocks.0.hook_resid_post`.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from ..errors import UsageError
from ..graph.config import DecoderConfig

Part = Literal["embed", "attn", "mlp", "resid"]

_NAME = re.compile(r"(attn|mlp|resid)_(\d+)")
_HOOK = re.compile(r"blocks\.(\d+)\.hook_(attn_out|mlp_out|resid_post|resid_pre)")
_HOOK_OF: dict[Part, str] = {"attn": "attn_out", "mlp": "mlp_out", "resid": "resid_post"}


class Place(NamedTuple):
    """One place; `layer` of the embedding is -1, so that layer + 1 is where a pass goes on behind it.

    >>> str(Place("resid", 2)), Place("resid", 2).hook, Place("embed", -1).hook
    ('resid_2', 'blocks.2.hook_resid_post', 'blocks.0.hook_resid_pre')
    """

    part: Part
    layer: int

    def __str__(self) -> str:
        return "embed" if self.part == "embed" else f"{self.part}_{self.layer}"

    @property
    def hook(self) -> str:
        """TransformerLens' name of it."""
        return "blocks.0.hook_resid_pre" if self.part == "embed" else f"blocks.{self.layer}.hook_{_HOOK_OF[self.part]}"

    @property
    def is_stream(self) -> bool:
        """Whether it is the residual stream itself and no addition to it."""
        return self.part in ("embed", "resid")


def all_places(config: DecoderConfig) -> tuple[Place, ...]:
    """Every place of a decoder, in the order in which a pass reaches them.

    >>> from mechboard.ground_truth.mini import model
    >>> [str(place) for place in all_places(model.load().config)][:5]
    ['embed', 'attn_0', 'mlp_0', 'resid_0', 'attn_1']
    """
    parts: tuple[Part, ...] = ("attn", "mlp", "resid") if config.has_mlp else ("attn", "resid")
    return (Place("embed", -1), *(Place(part, layer) for layer in range(config.n_layers) for part in parts))


def named(name: str) -> Place:
    """The place of a name, ours or TransformerLens'.

    >>> named("mlp_1") == named("blocks.1.hook_mlp_out"), named("hook_embed") == named("blocks.0.hook_resid_pre")
    (True, True)

    Raises:
        UsageError: it names no place.
    """
    if name in ("embed", "hook_embed"):
        return Place("embed", -1)
    if found := _NAME.fullmatch(name):
        return Place(found[1], int(found[2]))  # type: ignore[arg-type]
    if found := _HOOK.fullmatch(name):
        layer, hook = int(found[1]), found[2]
        if hook == "resid_pre":  # the stream that enters a layer is the one behind the layer before
            return Place("resid", layer - 1) if layer else Place("embed", -1)
        return Place(next(part for part, ours in _HOOK_OF.items() if ours == hook), layer)
    raise UsageError(
        f"{name!r} is no place of a dictionary; valid: embed, attn_0, mlp_0, resid_0 and so on, or blocks.0.hook_attn_out, "
        "hook_mlp_out, hook_resid_post."
    )
