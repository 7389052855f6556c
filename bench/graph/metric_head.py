"""From the final residual stream to the metric: its value, its gradient, and whether that is zero."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from .decoder import Decoder
from .pairs import Metric, PromptPairs
from .span import Span

__all__ = ["MetricGradient", "metric_gradient", "metric_values"]


@torch.no_grad()
def metric_values(
    decoder: Decoder, final: Float[Tensor, "prompts position d_model"], metric: Metric, pairs: PromptPairs
) -> Float[Tensor, " prompts"]:
    """The metric of each prompt. Only the positions that it reads are unembedded.

    Args:
        decoder: the model.
        final: residual stream after the last layer.
        metric: what is measured on the logits.
        pairs: the prompts that `final` is of, with the metric's positions and targets.

    Example:
        >>> from mechboard.ground_truth.mini import model
        >>> decoder, tokens = model.load(), torch.tensor([[0, 7, 3], [0, 5, 9]])
        >>> pairs = PromptPairs(tokens, tokens, torch.tensor([3, 3]), torch.tensor([[2], [2]]), {})
        >>> final = decoder.resume(decoder.embed(tokens))
        >>> values = metric_values(decoder, final, lambda logits, pairs: logits[:, 0].amax(1), pairs)
        >>> torch.allclose(values, decoder(tokens)[:, 2].amax(1))
        True
    """
    return metric(decoder.unembed(pairs.read(final)), pairs)


class MetricGradient:
    """Gradients of a metric at final residual streams, and whether over all prompts they were anything but rounding.

    At an extremum, such as that of KL divergence at the clean run, a computed gradient is not zero: it is what rounding of
    the logits gives, and scores made of it are noise. It tells itself apart by changing altogether when the logits move by a
    little more than their rounding. A small gradient, of a saturated probability, changes by a small part of itself.

    Args:
        decoder: the model.
        metric: what is measured on the logits.

    Example:
        >>> from mechboard.ground_truth.mini import model
        >>> decoder, tokens = model.load(), torch.tensor([[0, 7, 3]])
        >>> pairs = PromptPairs(tokens, tokens, torch.tensor([3]), torch.tensor([[2]]), {})
        >>> final = decoder.resume(decoder.embed(tokens))
        >>> gradient = MetricGradient(decoder, lambda logits, pairs: -(logits - logits.detach()).square().sum((1, 2)))
        >>> _ = gradient.at(final, pairs)
        >>> gradient.vanishes
        True
    """

    def __init__(self, decoder: Decoder, metric: Metric) -> None:
        self._decoder = decoder
        self._metric = metric
        self._size = self._change = 0.0

    def at(
        self, final: Float[Tensor, "prompts position d_model"], pairs: PromptPairs, span: Span | None = None
    ) -> Float[Tensor, "prompts position d_model"]:
        """Gradient of the *sum* of the prompts' metrics at the final residual stream.

        Args:
            final: residual stream after the last layer.
            pairs: the prompts that `final` is of, with the metric's positions and targets.
            span: the positions that `final` is of, if not all.
        """
        span = Span.whole() if span is None else span
        at_read = span.at_read(final, pairs).detach().requires_grad_()  # [prompts, read, d_model]
        with torch.enable_grad():
            logits = self._decoder.unembed(at_read)
        at_logits = self._at_logits(logits, pairs)
        change = self._at_logits(_moved(logits), pairs) - at_logits
        # In double precision, where the square of a small number is one too.
        self._size += float(at_logits.double().square().sum())
        self._change += float(change.double().square().sum())
        (gradient,) = torch.autograd.grad(logits, at_read, at_logits)
        return span.spread(gradient, final, pairs)

    @property
    def vanishes(self) -> bool:
        """Whether the gradients so far are zero up to rounding."""
        return self._size <= (_MARGIN**2) * self._change

    def _at_logits(self, logits: Tensor, pairs: PromptPairs) -> Tensor:
        leaf = logits.detach().requires_grad_()
        with torch.enable_grad():
            total = self._metric(leaf, pairs).sum()
        if not total.requires_grad:  # made of comparisons, such as an accuracy
            return torch.zeros_like(leaf)
        (gradient,) = torch.autograd.grad(total, leaf)
        return gradient


_ROUNDING = 64
"""Steps of the precision of the largest logit by which two runs of one prompt may well differ."""
_MARGIN = 10
"""How many times a gradient must exceed its own change to count."""


def _moved(logits: Tensor) -> Tensor:
    """Logits up or down by their rounding, always the same way."""
    generator = torch.Generator(logits.device).manual_seed(0)
    signs = torch.randint(2, logits.shape, generator=generator, device=logits.device, dtype=logits.dtype) * 2 - 1
    return logits.detach() + signs * (_ROUNDING * torch.finfo(logits.dtype).eps * logits.detach().abs().max())


def metric_gradient(
    decoder: Decoder, final: Float[Tensor, "prompts position d_model"], metric: Metric, pairs: PromptPairs
) -> Float[Tensor, "prompts position d_model"]:
    """Gradient of the *sum* of the prompts' metrics at the final residual stream.

    Args:
        decoder: the model.
        final: residual stream after the last layer.
        metric: what is measured on the logits.
        pairs: the prompts that `final` is of, with the metric's positions and targets.

    Example:
        >>> from mechboard.ground_truth.mini import model
        >>> decoder, tokens = model.load(), torch.tensor([[0, 7, 3]])
        >>> pairs = PromptPairs(tokens, tokens, torch.tensor([3]), torch.tensor([[2]]), {})
        >>> final = decoder.resume(decoder.embed(tokens))
        >>> gradient = metric_gradient(decoder, final, lambda logits, pairs: logits[:, 0, 0], pairs)
        >>> gradient[0].any(dim=-1)  # a position that is not read has no influence from here on
        tensor([False, False,  True])
    """
    return MetricGradient(decoder, metric).at(final, pairs)
