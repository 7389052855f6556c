"""The positions that the runs of a batch are computed at: behind what clean and corrupt prompts share, up to where they are read.

Until its first different token a corrupt prompt is its clean prompt, so there every node has the same output in both, and
in every mixture of the two: a difference of zero. Runs need of these positions only the keys and values that later ones
attend to, and those are computed once. At the other end nothing behind the last layer's attention has an effect but at the
positions that the metric reads.

    scores = sum over positions of (clean - ablated) . gradient      is unchanged: the terms left out are zero

Ablations other than `resample` replace the prefix too and have no shared one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .decoder import Decoder
from .layers import by_prompt
from .pairs import PromptPairs

__all__ = ["Span"]

_WORTH_SHARING = 0.25
"""Of the prompt. A pass over a few positions saves little, and rounds otherwise than one over all of them does."""

KeysValues = tuple[Float[Tensor, "batch start heads d_head"], Float[Tensor, "batch start heads d_head"]]


@dataclass(frozen=True)
class Span:
    """Positions from `start` on, for runs of the prompts of one batch.

    Args:
        start: how many positions are shared by clean and ablated runs, and left out.
        past: keys and values of these positions, for each layer; empty if there are none.
        read: positions that the metric reads, counted from `start`, if the last layer is computed at them alone.

    Example:
        >>> from mechboard.graph import record_outputs
        >>> from mechboard.ground_truth.mini import model
        >>> decoder, clean, corrupt = model.load(), torch.tensor([[0, 7, 3, 5]]), torch.tensor([[0, 7, 8, 5]])
        >>> pairs = PromptPairs(clean, corrupt, torch.tensor([4]), torch.tensor([[3]]), {})
        >>> span = Span.of(decoder, pairs)
        >>> span.start
        2
        >>> late, whole = record_outputs(decoder, span.embed(decoder, corrupt), span=span), decoder(corrupt)
        >>> torch.allclose(decoder.unembed(late.sum(0)[:, -1]), whole[:, -1], atol=1e-4)
        True
    """

    start: int
    past: tuple[KeysValues, ...]
    read: Int[Tensor, "batch read"] | None

    @classmethod
    def whole(cls) -> Span:
        """Every position, with nothing left out."""
        return cls(0, (), None)

    @classmethod
    def of(cls, decoder: Decoder, pairs: PromptPairs, *, shared: bool = True) -> Span:
        """The span of a batch; `shared` is False where the ablated run differs from the first position on.

        The pass over the shared positions is the first part of each run behind them, and counted there.
        """
        start = pairs.n_shared() if shared else 0
        if start < _WORTH_SHARING * pairs.clean.shape[1]:
            start = 0
        read = pairs.positions - start
        # Rows at positions that are read are copied, which pays where they are few.
        few = 2 * read.shape[1] <= pairs.clean.shape[1] - start
        past = _keys_and_values(decoder, decoder.embed(pairs.clean[:, :start])) if start else ()
        return cls(start, past, read if few else None)

    def embed(self, decoder: Decoder, tokens: Int[Tensor, "batch position"]) -> Float[Tensor, "batch late d_model"]:
        """The `input` node at the positions of the span; `tokens` are whole prompts."""
        return decoder.embed(tokens, self.start)

    def attend(
        self, decoder: Decoder, layer: int, q: Tensor, k: Tensor, v: Tensor
    ) -> Float[Tensor, "batch query heads d_head"]:
        """Attention of queries of the span, or of those that are read in the last layer, to prefix and span."""
        if self.past:
            before = self.past[layer]
            k, v = torch.cat([before[0], k], dim=1), torch.cat([before[1], v], dim=1)
        narrow = self.read_in(decoder, layer)
        return decoder.attend(q, k, v, None if narrow is None else narrow + self.start)

    def read_in(self, decoder: Decoder, layer: int) -> Int[Tensor, "batch read"] | None:
        """Where a layer's queries, MLP and all behind them are computed; None for everywhere in the span."""
        return self.read if layer == decoder.config.n_layers - 1 else None

    def at_read(
        self, final: Float[Tensor, "batch position d_model"], pairs: PromptPairs
    ) -> Float[Tensor, "batch read d_model"]:
        """Of the last stream of a run over the span, the rows that the metric reads."""
        return pairs.read(final, self.start) if self.read is None else final

    def spread(
        self, at_read: Float[Tensor, "batch read d_model"], final: Tensor, pairs: PromptPairs
    ) -> Float[Tensor, "batch position d_model"]:
        """Rows of what `at_read` gives back at their positions in a tensor like `final`, added where one is read twice."""
        if self.read is not None:
            return at_read
        return torch.zeros_like(final).index_put_(by_prompt(pairs.positions - self.start), at_read, accumulate=True)


@torch.no_grad()
def _keys_and_values(decoder: Decoder, x: Float[Tensor, "batch start d_model"]) -> tuple[KeysValues, ...]:
    past = []
    for layer in range(decoder.config.n_layers):
        q, k, v = decoder.read_heads(layer, x)
        past.append((k, v))
        if layer < decoder.config.n_layers - 1:
            x = decoder.after_heads(layer, x, decoder.write_heads(layer, decoder.attend(q, k, v)))
    return tuple(past)
