"""ACDC: greedy pruning, edge by edge from the logits back, each removed unless the metric drops by a threshold without it.

From the full graph, for one threshold t, in units of the whole behaviour B = |m(model) - m(everything ablated)|:

    for each destination v from the logits back to layer 0, for each source u of v from the last to the first:
        remove u -> v  iff  m(circuit) - m(circuit without u -> v) < t B

A removed edge carries u's ablated output from then on. One threshold gives one circuit, and `thresholds` of them, at equal
ratios from `highest` to `lowest`, the points of a ROC. The score of an edge, by which it ranks, is the largest threshold at
which it survives, 0 if it survives none:

    score(u -> v) = max { t : u -> v is in the circuit of t }

`metric` is the task's own or `kl`, the divergence from the clean model's answers. `order` is that of heads within a layer.
The search is greedy and depends on it: with another order "All Circuits Lead to Rome" found circuits that share little.

Thresholds in the papers are in units of the metric: the same t B for 21 of them from 1e-4 to 1 (logit difference of IOI, where
B is near 4) or 31 from 1e-6 to 1 (KL). In units of B one default serves metrics of any scale.

Cost: three forwards, then at most one forward per edge and distinct circuit; thresholds with equal circuits so far share it,
and edges without a kept path to the logits need none.
Limits: greedy. Of two edges that can stand in for each other the one that is visited first goes; an edge against the
behaviour always goes under the task's own metric.

Source: Conmy et al. 2023, "Towards automated circuit discovery for mechanistic interpretability"; order: "All Circuits Lead
to Rome" (arXiv 2605.12671).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator

from mechboard.graph.circuit_means import CircuitMeans
from mechboard.graph.pruning import prune, visiting_order
from mechboard.protocols import CircuitProblem, Circuits, EdgeScores, method, progress

from ._thresholds import check_order, check_range, log_spaced, whole_behaviour


@dataclass(frozen=True)
class Parameters:
    """`metric`: task or kl; `order` of heads in a layer: descending or ascending; `thresholds`: how many, from `highest` to `lowest`."""

    metric: str = "task"
    order: str = "descending"
    thresholds: int = 20
    lowest: float = 1e-4
    highest: float = 1.0

    def __post_init__(self) -> None:
        check_order(self.metric, self.order)
        check_range(self.thresholds, self.lowest, self.highest)


@method(
    name="acdc",
    kinds=("circuit",),
    deterministic=True,
    citation={
        "author": "Conmy, Arthur and Mavor-Parker, Augustine N. and Lynch, Aengus and Heimersheim, Stefan"
        " and Garriga-Alonso, Adri{\\`a}",
        "title": "Towards Automated Circuit Discovery for Mechanistic Interpretability",
        "year": "2023",
        "eprint": "2304.14997",
    },
)
def acdc(problem: CircuitProblem, generator: Generator, parameters: Parameters) -> EdgeScores:
    """Prune at every threshold and score each edge by the largest that it survives."""
    means = CircuitMeans(problem.measured_by(parameters.metric))
    thresholds = log_spaced(parameters.highest, parameters.lowest, parameters.thresholds)
    unit = whole_behaviour(means)
    order = visiting_order(problem.graph, parameters.order)
    kept = prune(means, [t * unit for t in thresholds], order, told=lambda n, of: progress(n, of, "decisions"))
    scores = (kept * torch.tensor(thresholds)[:, None]).amax(0)
    return EdgeScores(scores, Circuits(kept=kept, settings={"threshold": thresholds}))
