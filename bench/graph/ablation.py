"""What an ablated edge carries: the source's output in a run where *everything* is ablated.

- `resample`: its output on the paired corrupt prompt;
- `mean`: its mean output at that position over the corrupt discovery prompts;
- `mean-global`: one mean per node, over prompts and positions of the corrupt discovery prompts;
- `zero`: zeros.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import UsageError
from .decoder import Decoder
from .pairs import PromptPairs
from .span import Span
from .trace import new_outputs, record_outputs

__all__ = ["Ablation", "AblationKind"]

AblationKind = Literal["resample", "mean", "mean-global", "zero"]


class Ablation:
    """One kind of ablation of one model; means come from the discovery prompts it is fitted to.

    Args:
        kind: what an ablated edge carries.
        decoder: the model.
        discovery: the prompts whose corrupt sides the means are taken over.
        batch_size: prompts at a time, which bounds memory and changes no mean beyond rounding.

    Example:
        >>> from mechboard.ground_truth.mini import model
        >>> decoder, clean, corrupt = model.load(), torch.tensor([[0, 7, 3]]), torch.tensor([[0, 8, 3]])
        >>> pairs = PromptPairs(clean, corrupt, torch.tensor([3]), torch.tensor([[2]]), {})
        >>> torch.equal(Ablation("resample", decoder, pairs).outputs(pairs)[0], decoder.embed(corrupt))
        True
        >>> bool(Ablation("zero", decoder, pairs).outputs(pairs).any())
        False
    """

    def __init__(self, kind: AblationKind, decoder: Decoder, discovery: PromptPairs, *, batch_size: int = 32) -> None:
        if kind not in get_args(AblationKind):
            raise UsageError(f"Ablation {kind!r} is unknown; valid: {', '.join(get_args(AblationKind))}.")
        self.kind: AblationKind = kind
        self._decoder = decoder
        self._means: Tensor | None = None
        if kind in ("mean", "mean-global"):
            self._means = self._position_means(discovery, batch_size, pooled=kind == "mean-global")

    def tensors(self) -> Iterator[Tensor]:
        """The means, if it has any."""
        if self._means is not None:
            yield self._means

    def _position_means(self, discovery: PromptPairs, batch_size: int, *, pooled: bool) -> Tensor:
        """[source, position, d_model]; positions beyond every prompt's end are left at zero.

        Equal values, summed and divided by their number, give that value up to rounding only. So what is averaged are
        differences from the mean so far, which begins as the value of the first prompt that reaches the position.
        """
        at = torch.arange(discovery.corrupt.shape[1], device=self._decoder.device)
        seen = torch.zeros(len(at), device=self._decoder.device, dtype=self._decoder.dtype)
        means = seen.new_zeros(self._decoder.graph.n_sources, len(at), self._decoder.config.d_model)
        for pairs in discovery.batches(batch_size):
            # [prompts, position]: where there is a token and no padding
            real = at < pairs.lengths[:, None]
            outputs = record_outputs(self._decoder, self._decoder.embed(pairs.corrupt))
            new = (seen == 0) & real.any(0)
            means = torch.where(new[:, None], outputs[:, real.int().argmax(0), at], means)
            seen += real.sum(0)
            outputs -= means[:, None]
            means += torch.einsum("nbsd,bs->nsd", outputs, real.to(outputs.dtype)) / seen.clamp(min=1)[:, None]
        if pooled:
            return ((means * seen[:, None]).sum(1) / seen.sum())[:, None, :].expand_as(means).contiguous()
        return means

    def everywhere(self) -> Float[Tensor, "sources 1 1 d_model"]:
        """What each source carries when ablated, where that is the same on every prompt and at every position.

        Raises:
            UsageError: it is not, as with `resample` and `mean`.
        """
        if self.kind == "zero":
            weights = self._decoder.weights.token
            return weights.new_zeros(self._decoder.graph.n_sources, 1, 1, self._decoder.config.d_model)
        if self.kind != "mean-global" or self._means is None:
            raise UsageError(f"Ablation {self.kind!r} depends on prompt or position; valid here: zero, mean-global.")
        return self._means[:, None, :1]

    def span(self, pairs: PromptPairs) -> Span:
        """Where clean and ablated runs of these prompts must be computed: behind what they share, which is run here."""
        return Span.of(self._decoder, pairs, shared=self.kind == "resample")

    @torch.no_grad()
    def outputs(
        self,
        pairs: PromptPairs,
        *,
        into: Float[Tensor, "sources prompts position d_model"] | None = None,
        span: Span | None = None,
    ) -> Float[Tensor, "sources prompts position d_model"]:
        """Ablated output of every source on these prompts, a tensor of its own. Cost of `resample`: one forward.

        Args:
            pairs: the prompts.
            into: a buffer to write into, for one that is made once.
            span: `self.span(pairs)`, to have the positions of this span only.

        Raises:
            UsageError: a prompt is longer than every discovery prompt, so that no mean per position exists there.
        """
        span = Span.whole() if span is None else span
        embedded = span.embed(self._decoder, pairs.corrupt)
        if self.kind == "resample":
            return record_outputs(self._decoder, embedded, into=into, span=span)
        outputs = new_outputs(self._decoder.graph, embedded) if into is None else into
        if self._means is None:
            return outputs.zero_()
        if self.kind == "mean-global":  # the same at every position, so also beyond the discovery prompts
            outputs[:] = self._means[:, None, :1]
            return outputs
        length = embedded.shape[1]
        if length > self._means.shape[1]:
            raise UsageError(
                f"Mean ablation needs a mean at each of {length} positions and the discovery prompts have "
                f"{self._means.shape[1]}; give longer discovery prompts or ablate by resample."
            )
        outputs[:] = self._means[:, None, :length]
        return outputs
