"""Scores beside exact effects: how good a linear estimate is, place by place, for features and for neurons.

    linearity = Pearson correlation over nodes of score(u) with m(clean) - m(clean | do(u = u_patch))

over the same nodes for every method: at each place those whose change moves the stream furthest, and as many spread evenly over the rest
that change at all. On discovery prompts.

Source: Marks et al. 2024, appendix C, on random nodes; those of a sparse dictionary are mostly off.
Cost: one forward, from its place on, per measured node and prompt on which it changes.
"""

from __future__ import annotations

from typing import NamedTuple
from weakref import ref

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..features.changes import change
from ..features.effects import runs
from ..features.exact import exact_effects
from ..features.places import Place
from ..features.problem import FeatureProblem
from .correlation import correlation

_FURTHEST = 8


class Compared(NamedTuple):
    """Nodes of one place: estimates and exact effects, with Pearson's r and the slope of a line through zero."""

    place: Place
    nodes: tuple[int, ...]
    estimates: tuple[float, ...]
    exact: tuple[float, ...]

    @property
    def r(self) -> float | None:
        """Correlation; None if all estimates or all effects are equal."""
        return correlation(torch.tensor(self.estimates), torch.tensor(self.exact))


def compared(problem: FeatureProblem, scores: Float[Tensor, " nodes"]) -> list[Compared]:
    """Scores of the measured nodes beside exact effects, by place."""
    measured, exact = _measured(problem)
    estimates = scores.nan_to_num(0.0)
    found: dict[Place, list[int]] = {place: [] for place in problem.nodes.places}
    for number in measured.tolist():
        found[problem.nodes[number].place].append(number)
    return [
        Compared(place, tuple(numbers), tuple(estimates[numbers].tolist()), tuple(exact[numbers].tolist()))
        for place, numbers in found.items()
        if numbers
    ]


def overall(parts: list[Compared]) -> float | None:
    """Correlation over the nodes of all places."""
    estimates, exact = ([value for part in parts for value in getattr(part, name)] for name in ("estimates", "exact"))
    return correlation(torch.tensor(estimates), torch.tensor(exact)) if estimates else None


_latest: dict[bool, tuple[ref[FeatureProblem], Tensor, Tensor]] = {}


def _measured(problem: FeatureProblem) -> tuple[Int[Tensor, " measured"], Float[Tensor, " nodes"]]:
    """Which nodes, and their exact effects; of a problem on which several methods are scored in a row measured once."""
    basis = problem.is_of_neurons
    if basis not in _latest or _latest[basis][0]() is not problem:
        chosen = _chosen(problem)
        _latest[basis] = (ref(problem), chosen, exact_effects(problem, chosen))
    return _latest[basis][1:]


def _chosen(problem: FeatureProblem) -> Int[Tensor, " measured"]:
    nodes = problem.nodes
    size = {place: torch.zeros(nodes.rows, nodes.width(place)) for place in nodes.places}
    batches = runs(problem)
    for place, dictionary in problem.dictionaries.items():
        for batch in batches:
            changed = change(dictionary, batch.clean[place], batch.patched(place))
            moved = [torch.zeros(changed.features.shape[1], dictionary.n_features)]
            length = torch.linalg.vector_norm(dictionary.decoder[changed.active], dim=1)
            moved[0][:, changed.active] = (changed.features.abs().sum(0) * length).float().cpu()
            if dictionary.errors:
                moved.append(torch.linalg.vector_norm(changed.error, dim=-1).sum(0)[:, None].float().cpu())
            at_positions = torch.cat(moved, 1)
            size[place] += at_positions if nodes.rows > 1 else at_positions.sum(0, keepdim=True)
    index = nodes.split(torch.arange(len(nodes)))
    parts = []
    for place, sizes in size.items():
        order = index[place].flatten()[sizes.flatten().argsort(descending=True, stable=True)]
        order = order[: int((sizes > 0).sum())]
        rest = order[_FURTHEST:]
        spread = torch.linspace(0, len(rest) - 1, min(_FURTHEST, len(rest))).round().long()
        parts.append(torch.cat([order[:_FURTHEST], rest[spread]]))
    return torch.cat(parts)
