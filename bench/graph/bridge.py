"""The same weights as a TransformerLens `TransformerBridge`, for methods written with hooks.

Works on TransformerLens 3.9 and 4.x; HookedTransformer is not used, since 4.x has removed it.
"""

from __future__ import annotations

from typing import Any

from mechboard.graph.decoder import Decoder
from mechboard.graph.export import to_huggingface

_ARCHITECTURES = {"gpt2": "GPT2LMHeadModel", "neox": "GPTNeoXForCausalLM", "llama": "LlamaForCausalLM"}


def to_bridge(decoder: Decoder) -> Any:
    """A TransformerBridge over the decoder's weights, without any weight processing.

    Raises:
        ModelError: the decoder fits no Hugging Face architecture.
    """
    # A private module, and the only way on 3.9 and 4.x alike to wrap a model that has no tokenizer.
    from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_from_module

    model = to_huggingface(decoder)
    # Bridges read attention patterns, which only the eager implementation exposes.
    model.set_attn_implementation("eager")
    bridge = build_bridge_from_module(
        model, architecture=_ARCHITECTURES[decoder.architecture], hf_config=model.config, tokenizer=None
    )
    if decoder.config.norm == "none":
        # A bridge recomputes LayerNorm from its weight; an identity has none, so it must call the module.
        for module in bridge.modules():
            if hasattr(module, "use_native_layernorm_autograd"):
                module.use_native_layernorm_autograd = True
    return bridge
