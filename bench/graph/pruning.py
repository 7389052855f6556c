"""Greedy pruning of edges: ACDC's search, for many thresholds at once.

From the full graph, edges are visited in an order in which every destination comes before all that can move it. An edge
is patched for good if and only if the metric then drops by less than the threshold, compared with the circuit so far:

    removed(u -> v)  iff  m(circuit) - m(circuit without u -> v) < threshold

`prune` finds exactly these circuits with less work:
- an edge into a node without a kept path to the logits changes nothing, so it is removed without a run;
- thresholds whose circuits are equal so far share every test, those that have split run side by side;
- several edges in a row are tested in one pass, each on the circuit that is expected of those before it; what was
  expected wrongly is tested again. A pass that a test was first made in says what is expected of it later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from ..errors import UsageError
from .circuit_means import CircuitMeans
from .graph import Graph
from .patched_inputs import Masks, Sites

__all__ = ["HeadOrder", "prune", "visiting_order"]

HeadOrder = Literal["descending", "ascending"]
_ELEMENTS_AT_ONCE = 1 << 21
_TESTS_AHEAD = 16


def visiting_order(graph: Graph, heads: str) -> Int[Tensor, " edges"]:
    """Edges by destination, from the logits back to layer 0, and for each destination from its last source to the first.

    Args:
        graph: whose edges.
        heads: order of heads within a layer, as destinations and as sources; of one head, v comes before k before q.

    Raises:
        UsageError: there is no such order of heads.
    """
    if heads not in get_args(HeadOrder):
        raise UsageError(f"Order {heads!r} was given; valid: {', '.join(get_args(HeadOrder))}.")

    def place(name: str) -> tuple[int, int, int, str]:
        """Later is larger."""
        node, _, part = name.partition("<")
        if node in ("input", "logits"):
            return (-1 if node == "input" else graph.n_layers, 0, 0, "")
        layer, _, head = node[1:].partition(".h")
        turn = int(head or 0) if heads == "descending" else -int(head or 0)
        return int(layer), int(node[0] == "m"), turn, {"v>": "2", "k>": "1", "q>": "0"}.get(part, "")

    by_name = {name: place(name) for name in (*graph.sources, *graph.destinations)}
    ends = [(by_name[name.partition("->")[2]], by_name[name.partition("->")[0]]) for name in graph.edges]
    return torch.tensor(sorted(range(graph.n_edges), key=ends.__getitem__, reverse=True))


@dataclass
class _Branch:
    """Thresholds whose circuits are equal so far: the circuit, its mean metric, and how many edges are decided.

    `ahead` is how many edges are worth a test in one pass.
    """

    thresholds: list[int]
    masks: Masks
    mean: float
    decided: int = 0
    ahead: int = 1


@dataclass
class _Window:
    """Tests of one branch in one pass: edges, circuits without them, and whether each is expected to be kept."""

    edges: list[int]
    tested: list[Masks]
    kept: list[bool]


class _Search:
    """The search for the circuits of all thresholds."""

    def __init__(self, means: CircuitMeans, thresholds: Sequence[float], order: list[int], start: Tensor) -> None:
        problem, full = means.problem, means.problem.model.graph
        self._means, self._thresholds, self._order, self._start = means, thresholds, order, start
        self._starts = start.tolist()
        self._sites = Sites(full)
        self._site = [self._sites.of_destination[columns[0]] for _, columns in means.places]
        self._node = _nodes(full)
        self._drops: dict[int, float] = {}
        length = int(problem.pairs.positions.max()) + 1
        self._per_run = min(len(problem.pairs), problem.batch_size) * length * problem.model.config.d_model

    def begin(self) -> _Branch:
        """All thresholds, which have one circuit before the first decision."""
        first = self._means.masks(self._start)
        return _Branch(list(range(len(self._thresholds))), first, self._means.of([first])[0])

    def _without(self, masks: Masks, edge: int) -> Masks:
        source, columns = self._means.places[edge]
        changed = list(masks)
        for column in columns:
            changed[column] |= 1 << source
        return tuple(changed)

    def _matters(self, edge: int, live: int) -> bool:
        """Whether a kept path leads from the edge's destination to the logits."""
        node = self._node[self._means.places[edge][1][0]]
        return node is None or bool(live >> node & 1)

    def skip(self, branch: _Branch) -> None:
        """Decide all that needs no test up to the next edge that does."""
        site, live = -1, 0
        while branch.decided < len(self._order):
            edge = self._order[branch.decided]
            if self._starts[edge]:
                if self._site[edge] != site:
                    site, live = self._site[edge], self._sites.reach(branch.masks).live
                if self._matters(edge, live):
                    return
                branch.masks = self._without(branch.masks, edge)
            branch.decided += 1

    def window(self, branch: _Branch, size: int) -> _Window:
        """The next edges to be tested, at one site, and on which circuits."""
        window, masks = _Window([], [], []), branch.masks
        site, live = self._site[self._order[branch.decided]], self._sites.reach(branch.masks).live
        for edge in self._order[branch.decided : branch.decided + min(size, branch.ahead)]:
            if self._site[edge] != site or not self._starts[edge] or not self._matters(edge, live):
                break
            drop = self._drops.get(edge, 0.0)
            keeping = sum(self._thresholds[i] <= drop for i in branch.thresholds)
            tested = self._without(masks, edge)
            window.edges.append(edge)
            window.tested.append(tested)
            window.kept.append(2 * keeping > len(branch.thresholds))
            masks = masks if window.kept[-1] else tested
            if 0 < keeping < len(branch.thresholds):
                break  # the branch is expected to split here
        return window

    def settle(self, branch: _Branch, window: _Window, means: Sequence[float]) -> list[_Branch]:
        """Decide what the tests tell; returns the branches that come of it."""
        self._expect(branch, window, means)
        done, first = [], branch.decided
        tests = zip(window.tested, window.kept, means, strict=True)
        for decided, (tested, kept, mean) in enumerate(tests, start=1):
            drop = branch.mean - mean
            keeping = [i for i in branch.thresholds if self._thresholds[i] <= drop]
            removing = [i for i in branch.thresholds if self._thresholds[i] > drop]
            keeper = _Branch(keeping, branch.masks, branch.mean, first + decided, decided)
            remover = _Branch(removing, tested, mean, first + decided, decided)
            branch, other = (keeper, remover) if kept else (remover, keeper)
            if other.thresholds:
                done.append(other)
            if not branch.thresholds:
                return done
        branch.ahead = 2 * len(window.tested)
        return [*done, branch]

    def _expect(self, branch: _Branch, window: _Window, means: Sequence[float]) -> None:
        before = branch.mean
        for edge, kept, mean in zip(window.edges, window.kept, means, strict=True):
            self._drops[edge] = before - mean
            before = before if kept else mean

    def unfinished(self, branch: _Branch) -> bool:
        """Whether edges are left to be decided."""
        return branch.decided < len(self._order)

    def kept(self, branch: _Branch) -> Bool[Tensor, " edges"]:
        """Edges of a branch's circuit."""
        return torch.tensor([not branch.masks[columns[0]] >> source & 1 for source, columns in self._means.places])

    def pass_over(self, branches: list[_Branch]) -> list[_Branch]:
        """One pass: the next tests of every branch, run together."""
        # Tests ahead fill a pass; where many branches do, those that turn out to be in vain are not worth it.
        size = max(1, min(_TESTS_AHEAD, _ELEMENTS_AT_ONCE // self._per_run) // len(branches))
        windows = [self.window(branch, size) for branch in branches]
        means = self._means.of([tested for window in windows for tested in window.tested])
        after: list[_Branch] = []
        for branch, window in zip(branches, windows, strict=True):
            here, means = means[: len(window.tested)], means[len(window.tested) :]
            after += self.settle(branch, window, here)
        return after


def prune(
    means: CircuitMeans,
    thresholds: Sequence[float],
    order: Int[Tensor, " edges"],
    *,
    start: Bool[Tensor, " edges"] | None = None,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> Bool[Tensor, "thresholds edges"]:
    """Edges that greedy pruning keeps at each threshold. Cost: at most one forward for each edge and distinct circuit.

    Args:
        means: the mean metric of circuits; edges are those of its problem's graph.
        thresholds: an edge stays if the metric drops by this much or more without it; in units of the metric.
        order: in which edges are visited; none may come before an edge that it could move the destination of.
        start: edges of the circuit that is pruned, all unless given.
        told: called with how many decisions are made, and of how many: edges x thresholds.

    Raises:
        UsageError: a threshold is not above zero, or the order is not one of all edges from the logits back.
    """
    graph = means.problem.graph
    if not all(threshold > 0 for threshold in thresholds):
        raise UsageError(
            f"Thresholds {list(thresholds)} were given; valid: numbers above zero, as without that edges "
            "that do nothing would stay."
        )
    _check_order(means, order)
    start = torch.ones(graph.n_edges, dtype=torch.bool) if start is None else start
    search = _Search(means, thresholds, order.tolist(), start)
    waiting, kept = [search.begin()], torch.zeros(len(thresholds), graph.n_edges, dtype=torch.bool)
    finished: list[_Branch] = []
    while waiting:
        for branch in waiting:
            search.skip(branch)
        finished += [branch for branch in waiting if not search.unfinished(branch)]
        waiting = [branch for branch in waiting if search.unfinished(branch)]
        told(
            sum(len(branch.thresholds) * branch.decided for branch in (*waiting, *finished)),
            len(thresholds) * graph.n_edges,
        )
        if waiting:
            now, later = waiting[: means.at_once], waiting[means.at_once :]
            waiting = [*search.pass_over(now), *later]
    for branch in finished:
        kept[branch.thresholds] = search.kept(branch)
    return kept


def _check_order(means: CircuitMeans, order: Tensor) -> None:
    sites, n_edges = Sites(means.problem.model.graph).of_destination, means.problem.graph.n_edges
    at = torch.tensor([sites[columns[0]] for _, columns in means.places])
    if not torch.equal(order.sort().values, torch.arange(n_edges)) or bool((at[order].diff() > 0).any()):
        raise UsageError(
            f"An order of {len(order)} edges was given for pruning; valid: each of the {n_edges} edges once, destinations from "
            "the logits back to layer 0, as `visiting_order` gives."
        )


def _nodes(graph: Graph) -> list[int | None]:
    """Source row of the node that each destination is an input of; None for the logits."""
    row = {name: index for index, name in enumerate(graph.sources)}
    return [row.get(name.partition("<")[0]) for name in graph.destinations]
