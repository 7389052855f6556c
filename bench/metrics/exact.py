"""Scores beside exact effects: how well a line through them fits, and what happens on the way where they differ most.

    agreement:      effect = slope x score + rest over edges, R² = r², by least squares
    interpolation:  drop of the metric when one edge carries (1 - t) clean + t ablated, t from 0 to 1;
                    a first-order estimate is the straight line from 0 to its score

An effect is the exact drop when the edge alone is ablated. Where a task has measured them, those are taken; else they
are measured here on the discovery prompts: all of them on a small graph, on a large one those of the strongest edges.

Source: Syed et al. 2023, figures 3 (R² .27 and slope .531 for EAP on docstring) and 4 and 9 (edges on which EAP is furthest off).
Cost: three forwards and five for each of three edges that are interpolated; where effects are measured here, three more
and at most one per edge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple
from weakref import ref

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..graph import metric_values, record_outputs, run_patched, single_edge_drops
from ..graph.problem import CircuitProblem, Truth
from .correlation import correlation
from .ranking import ranking

_ALL_UP_TO = 3000
_STRONGEST = 12
_WORST = 3
_SHARES = (0.2, 0.4, 0.6, 0.8)
_SHOWN = 120


class Effects(NamedTuple):
    """Exact effects of some edges, and who measured them."""

    edges: Int[Tensor, " measured"]
    drops: Float[Tensor, " measured"]
    measured: str


class Fit(NamedTuple):
    """Least squares of effects on scores; None where all scores are equal. `shown` are edges worth drawing."""

    r2: float | None
    slope: float | None
    intercept: float | None
    shown: list[int]


class Path(NamedTuple):
    """One edge: the drop at each share of the way to its ablated value."""

    edge: int
    shares: tuple[float, ...]
    drops: tuple[float, ...]


def effects_for(problem: CircuitProblem, scores: Float[Tensor, " edges"], truths: Sequence[Truth]) -> Effects:
    """Exact effects with which scores can be compared: of all edges, or on a large graph of the strongest."""
    everything = torch.arange(problem.graph.n_edges)
    if truths and truths[0].effects is not None:
        return Effects(everything, truths[0].effects.double(), "as the task measured them")
    if problem.graph.n_edges <= _ALL_UP_TO:
        return Effects(everything, _measured_once(problem), "on the discovery prompts")
    strongest = ranking(scores, signed=False)[:_STRONGEST]
    drops = _drops(problem, strongest.tolist(), (1.0,))[:, 0]
    return Effects(strongest, drops, f"of the {_STRONGEST} strongest edges, on the discovery prompts")


def fit(scores: Float[Tensor, " edges"], effects: Effects) -> Fit:
    """How effects follow from scores; an edge without a score counts as zero.

    >>> effects = Effects(torch.arange(3), torch.tensor([1.0, 0.0, -1.0], dtype=torch.float64), "")
    >>> fit(torch.tensor([2.0, 0.0, -2.0]), effects)
    Fit(r2=1.0, slope=0.5, intercept=0.0, shown=[0, 1, 2])
    """
    given = scores.nan_to_num(0.0).double()[effects.edges]
    r = correlation(given, effects.drops)
    centred = given - given.mean()
    slope = None if r is None else float(centred @ effects.drops / (centred @ centred))
    intercept = None if slope is None else float(effects.drops.mean() - slope * given.mean())
    return Fit(None if r is None else r * r, slope, intercept, _worth_drawing(given, effects))


def _worth_drawing(given: Tensor, effects: Effects) -> list[int]:
    """All edges if they are few; else the strongest by score and by effect, and a stride through the rest."""
    n = len(given)
    if n <= _SHOWN:
        return sorted(effects.edges.tolist())
    far = torch.cat([values.abs().argsort(descending=True)[: _SHOWN // 3] for values in (given, effects.drops)])
    chosen = {*far.tolist(), *range(0, n, -(-3 * n // _SHOWN))}
    return sorted(effects.edges[sorted(chosen)].tolist())


def worst_paths(problem: CircuitProblem, scores: Float[Tensor, " edges"], effects: Effects) -> list[Path]:
    """The edges whose score is furthest from their effect, on the way from clean to ablated."""
    error = (scores.nan_to_num(0.0).double()[effects.edges] - effects.drops).abs()
    worst = effects.edges[error.argsort(descending=True, stable=True)[:_WORST]].tolist()
    shares = (*_SHARES, 1.0)
    found = _drops(problem, worst, shares).tolist()
    return [Path(edge, (0.0, *shares), (0.0, *drops)) for edge, drops in zip(worst, found, strict=True)]


@torch.no_grad()
def _drops(problem: CircuitProblem, edges: Sequence[int], shares: Sequence[float]) -> Float[Tensor, "edges shares"]:
    """Mean drop of the metric over discovery prompts when an edge alone goes each share of the way to its ablated value."""
    model, graph = problem.model, problem.graph
    alone = [graph.to_qkv(graph.dense(torch.arange(graph.n_edges) == edge)) for edge in edges]
    rows = [int(graph.edge_sources[edge]) for edge in edges]
    totals = torch.zeros(len(edges), len(shares), dtype=torch.float64)
    for pairs in problem.batches():
        clean, carried = model.embed(pairs.clean), problem.ablation.outputs(pairs)
        own = record_outputs(model, clean)
        unpatched = metric_values(model, model.resume(clean), problem.metric, pairs)
        for index, (row, patched) in enumerate(zip(rows, alone, strict=True)):
            ablated = carried[row].clone()
            for place, share in enumerate(shares):
                carried[row] = own[row] + share * (ablated - own[row])
                final = run_patched(model, clean, carried, patched)
                drop = unpatched - metric_values(model, final, problem.metric, pairs)
                totals[index, place] += drop.double().sum().cpu()
            carried[row] = ablated
    return totals / len(problem.pairs)


_latest: list[tuple[ref[CircuitProblem], Tensor]] = []


def _measured_once(problem: CircuitProblem) -> Float[Tensor, " edges"]:
    """Exact effects of all edges; of a problem on which several methods are scored in a row they are measured once."""
    if not _latest or _latest[0][0]() is not problem:
        drops = torch.stack(list(_summed_drops(problem))).sum(0) / len(problem.pairs)
        _latest[:] = [(ref(problem), drops)]
    return _latest[0][1]


@torch.no_grad()
def _summed_drops(problem: CircuitProblem) -> Iterator[Float[Tensor, " edges"]]:
    for pairs in problem.batches():
        ablated = problem.ablation.outputs(pairs)
        drops = single_edge_drops(problem.model, problem.graph, pairs, ablated, problem.metric)
        yield drops.double().sum(0).cpu()
