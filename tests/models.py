"""Small random models of every family that the decoder knows, and problems on them."""

import torch

from mechboard.graph import Ablation, Decoder, DecoderConfig, PromptPairs
from mechboard.graph.weights import DecoderWeights, LayerWeights, NormWeights
from mechboard.ground_truth.trained.patched_model import PatchedTransformer
from mechboard.metrics.answers import logit_difference
from mechboard.protocols import CircuitProblem

FAMILIES = {
    "gpt2": {},
    "attention-only": {"d_mlp": 0},
    "no-norm": {"norm": "none", "activation": "relu"},
    "neox": {"parallel": True, "positions": "rotary", "rotary_dim": 4, "activation": "gelu"},
    "llama": {
        "norm": "rms",
        "positions": "rotary",
        "rotary_dim": 8,
        "gated": True,
        "activation": "silu",
        "n_kv_heads": 2,
    },
}
ARCHITECTURES = {"neox": "neox", "llama": "llama"}


def random_decoder(
    family: str, *, dtype=torch.float64, seed: int = 0, biased: bool | None = None, **changed
) -> Decoder:
    """A decoder of this family; `changed` are fields of its configuration, `biased` whether every bias is there."""
    generator = torch.Generator().manual_seed(seed)
    settings = {
        "n_layers": 3, "n_heads": 4, "n_kv_heads": 4, "d_model": 32, "d_head": 8, "d_mlp": 24, "d_vocab": 19,
        "d_vocab_out": 19, "n_ctx": 12, "norm": "layer", "norm_eps": 1e-5, "positions": "learned", "parallel": False,
        "gated": False, "activation": "gelu_new", "attention_scale": 8**-0.5,
    } | FAMILIES[family] | changed  # fmt: skip
    config = DecoderConfig(**settings)

    def draw(*shape, scale=0.25):
        return (torch.randn(*shape, generator=generator, dtype=torch.float64) * scale).to(dtype)

    def norm():
        if config.norm == "none":
            return NormWeights()
        offset = draw(config.d_model) if config.norm == "layer" else None
        return NormWeights(1 + draw(config.d_model), offset)

    if biased is None:
        biased = family != "llama"

    def layer():
        d, m = config.d_model, config.d_mlp
        attention = {
            name: draw(heads, d, 8)
            for name, heads in zip("qkv", (4, config.n_kv_heads, config.n_kv_heads), strict=True)
        }
        biases = {f"{name}_bias": draw(len(attention[name]), 8) for name in "qkv"} if biased else {}
        mlp = {}
        if m:
            mlp = {"mlp_norm": norm(), "mlp_in": draw(d, m), "mlp_out": draw(m, d)}
            if biased:
                mlp |= {"mlp_in_bias": draw(m), "mlp_out_bias": draw(d)}
            if config.gated:
                mlp["mlp_gate"] = draw(d, m)
                if biased:
                    mlp["mlp_gate_bias"] = draw(m)
        o_bias = draw(d) if biased else None
        return LayerWeights(attention_norm=norm(), **attention, **biases, o=draw(4, 8, d), o_bias=o_bias, **mlp)

    rotary = None
    if config.positions == "rotary":
        half = config.rotary_dim // 2
        rotary = (10_000.0 ** (-torch.arange(half, dtype=torch.float64) / half)).to(dtype)
    weights = DecoderWeights(
        token=draw(19, config.d_model, scale=1.0),
        position=draw(config.n_ctx, config.d_model) if config.positions == "learned" else None,
        layers=tuple(layer() for _ in range(config.n_layers)),
        final_norm=norm(),
        unembed=draw(config.d_model, 19),
        rotary_frequencies=rotary,
    )
    return Decoder(config, weights, architecture=ARCHITECTURES.get(family, "gpt2"))


def random_pairs(*, prompts: int = 5, length: int = 6, vocabulary: int = 19, seed: int = 1) -> PromptPairs:
    generator = torch.Generator().manual_seed(seed)
    clean, corrupt = (torch.randint(vocabulary, (prompts, length), generator=generator) for _ in range(2))
    answer = torch.randint(vocabulary, (prompts,), generator=generator)
    targets = {"answer": answer, "wrong": (answer + 1) % vocabulary}
    return PromptPairs(clean, corrupt, torch.full((prompts,), length), torch.full((prompts, 1), length - 1), targets)


def random_problem(
    family: str, *, ablation="resample", batch_size: int = 5, dtype=torch.float64, **changed
) -> CircuitProblem:
    decoder, pairs = random_decoder(family, dtype=dtype, **changed), random_pairs()
    return CircuitProblem(
        model=decoder,
        graph=decoder.graph,
        pairs=pairs,
        metric=logit_difference,
        ablation=Ablation(ablation, decoder, pairs),
        batch_size=batch_size,
    )


def patched_transformer(decoder: Decoder) -> PatchedTransformer:
    """Shipped weights in the model that trains circuits in."""
    model = PatchedTransformer(vocabulary=decoder.config.d_vocab, length=decoder.config.n_ctx)
    return model.take(decoder).eval()
