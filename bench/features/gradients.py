"""The gradient of a metric at every place: at the clean run, or averaged on the way to what replaces it.

    integrated gradient at a place = 1/N sum_{k<N} grad m at x_clean + (k/N) (x_patch - x_clean)

the place alone moves, everything behind it is plain. Because decoders are affine, moving all features and errors of a place
from their clean to their patched values is moving its vector along this line, so that no dictionary is run on the way and one
gradient serves features, errors and neurons alike (`effects.py`).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..graph.cost import count
from ..graph.decoder import Decoder
from ..graph.pairs import Metric, PromptPairs
from .places import Place
from .stream import beside, resume_behind, walk


def gradients(
    decoder: Decoder, metric: Metric, pairs: PromptPairs
) -> dict[Place, Float[Tensor, "prompts position d_model"]]:
    """Gradient of the sum of the prompts' metrics at every place of the clean run. Cost: one forward, one backward.

    Example:
        >>> from mechboard.ground_truth.mini import model
        >>> decoder, tokens = model.load(), torch.tensor([[0, 7, 3]])
        >>> pairs = PromptPairs(tokens, tokens, torch.tensor([3]), torch.tensor([[2]]), {})
        >>> found = gradients(decoder, lambda logits, pairs: logits[:, 0, 0], pairs)
        >>> tuple(found[Place("resid", 3)].shape)
        (1, 3, 128)
    """
    stops: dict[Place, Tensor] = {}

    def keep(place: Place, value: Tensor) -> Tensor:
        stops[place] = value
        return value

    with torch.enable_grad():
        final = walk(decoder, decoder.embed(pairs.clean).requires_grad_(), keep)
        total = metric(decoder.unembed(pairs.read(final)), pairs).sum()
    count(backward=len(pairs))
    return dict(zip(stops, torch.autograd.grad(total, list(stops.values())), strict=True))


def integrated_gradient(
    decoder: Decoder,
    metric: Metric,
    pairs: PromptPairs,
    place: Place,
    recorded: dict[Place, Float[Tensor, "prompts position d_model"]],
    patch: Float[Tensor, "prompts position d_model"],
    *,
    steps: int,
    rows: int,
) -> Float[Tensor, "prompts position d_model"]:
    """Integrated gradient of the sum of the prompts' metrics at one place. Cost: `steps` forwards and backwards.

    Args:
        decoder: the model.
        metric: what is measured.
        pairs: the prompts.
        place: where.
        recorded: their clean run at every place, from `stream.record`.
        patch: what stands at the place at the end of the way.
        steps: points on the way, from the clean one on, the last one left out.
        rows: prompts times points that are run at a time, which bounds memory.
    """
    clean, stream = recorded[place], beside(recorded, place)
    total = torch.zeros_like(clean)
    at_once = max(1, rows // len(pairs))
    for first in range(0, steps, at_once):
        shares = torch.arange(first, min(steps, first + at_once), device=clean.device, dtype=clean.dtype) / steps
        way = torch.lerp(clean, patch, shares[:, None, None, None])  # [points, prompts, position, d_model]
        total += _gradient_at(decoder, metric, pairs, place, way, stream).sum(0)
    return total / steps


def _gradient_at(
    decoder: Decoder, metric: Metric, pairs: PromptPairs, place: Place, values: Tensor, stream: Tensor | None
) -> Float[Tensor, "runs prompts position d_model"]:
    runs = len(values)
    each = torch.arange(len(pairs), device=values.device).repeat(runs)
    repeated = pairs[each]
    leaf = values.detach().requires_grad_()
    beside_it = None if stream is None else stream.repeat(runs, 1, 1)
    with torch.enable_grad():
        final = resume_behind(decoder, place, leaf.flatten(0, 1), beside_it, repeated.positions)
        total = metric(decoder.unembed(final), repeated).sum()
    count(backward=len(repeated))
    (gradient,) = torch.autograd.grad(total, leaf)
    return gradient
