"""The same weights as a TransformerLens `TransformerBridge`, for methods written with hooks.

Works on TransformerLens 3.9 and 4.x; HookedTransformer is not used, since 4.x has removed it.

Passes are counted where both versions send them: a forward when the Hugging Face model underneath is called,
a backward when a gradient enters the blocks of one such pass. A block that is called by itself is part of no
pass that could be counted, so it makes the cost unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mechboard.graph.cost import Cost, current
from mechboard.graph.decoder import Decoder
from mechboard.graph.export import to_huggingface

__all__ = ["to_bridge"]


def to_bridge(decoder: Decoder) -> Any:
    """A TransformerBridge over the decoder's weights, without any weight processing.

    Args:
        decoder: the model; the bridge has a copy of its weights, in its precision and on its device.

    Raises:
        ModelError: the decoder fits no Hugging Face architecture.
    """
    # A private module, and the only way on 3.9 and 4.x alike to wrap a model that has no tokenizer.
    from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_from_module

    model = to_huggingface(decoder)
    # Bridges read attention patterns, which only the eager implementation exposes.
    model.set_attn_implementation("eager")
    bridge = build_bridge_from_module(model, architecture=type(model).__name__, hf_config=model.config, tokenizer=None)
    if decoder.config.norm == "none":
        # A bridge recomputes LayerNorm from its weight; an identity has none, so it must call the module.
        for module in bridge.modules():
            if hasattr(module, "use_native_layernorm_autograd"):
                module.use_native_layernorm_autograd = True
    _PassCounter().watch(model, list(bridge.blocks))
    return bridge


@dataclass
class _Pass:
    """One call of the model. `cost` is kept, since on a GPU gradients arrive in a thread that counts nothing."""

    cost: Cost
    sequences: int
    last_block: int = -1

    def gradient_at(self, block: int) -> None:
        """A backward runs from the last block down, so a block that is not below the one before begins another."""
        if block >= self.last_block:
            self.cost.backward_sequences += self.sequences
        self.last_block = block


class _PassCounter:
    """Counts the passes of one bridge."""

    def __init__(self) -> None:
        self._running: _Pass | None = None

    def watch(self, model: Any, blocks: list[Any]) -> None:
        """Count what goes through `model`, whose blocks these are."""
        model.register_forward_pre_hook(self._begin, with_kwargs=True)
        # Also after an exception, which is how a bridge stops at a layer.
        model.register_forward_hook(self._end, always_call=True)
        for index, block in enumerate(blocks):
            block.register_forward_hook(self._after(index))
            for part in block.modules():
                part.register_forward_pre_hook(self._enter)

    def _begin(self, model: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        tokens: Tensor = given[0] if given else named.get("input_ids", named.get("inputs_embeds"))  # type: ignore[assignment]
        self._running = _Pass(current(), len(tokens))
        self._running.cost.forward_sequences += len(tokens)

    def _end(self, *_: Any) -> None:
        self._running = None

    def _enter(self, *_: Any) -> None:
        if self._running is None:
            current().known = False

    def _after(self, index: int) -> Callable[..., None]:
        def watch_gradient(block: Any, given: Any, output: Any) -> None:
            stream: Any = output[0] if isinstance(output, tuple) else output
            if self._running is not None and stream.requires_grad:
                running = self._running
                stream.register_hook(lambda _: running.gradient_at(index))

        return watch_gradient
