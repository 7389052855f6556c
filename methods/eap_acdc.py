"""EAP and then ACDC: EAP prunes the edges with the smallest estimates at once, greedy pruning goes through the rest.

For an EAP threshold e, a share of the largest |score|, and an ACDC threshold t, in units of the whole behaviour B:

    start = { u -> v : |EAP(u -> v)| >= e max |EAP| }
    circuit(e, t) = greedy pruning of `start` with t B, edges outside of it ablated from the beginning (see `acdc`)

Both thresholds run over a grid. No single circuit is the answer, so the score of an edge, by which it ranks, is

    score(u -> v) = share of the grid's circuits that keep u -> v

and the circuits themselves, with both thresholds of each, stand beside the scores.
EAP estimates the drop of the task's own metric always; `metric` is what ACDC looks at, and `order` its order of heads.

Cost: EAP's three passes, then for each EAP threshold a sweep of ACDC over the edges that it leaves.
Limits: an edge that EAP underestimates never comes back; the score depends on the grid.

Source: Syed, Rager, Conmy 2023, "Attribution patching outperforms automated circuit discovery", figure 8.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator

from mechboard.graph.circuit_means import CircuitMeans
from mechboard.graph.pruning import prune, visiting_order
from mechboard.protocols import CircuitProblem, Circuits, EdgeScores, method, progress

from ._thresholds import check_order, check_range, log_spaced, whole_behaviour
from .eap import eap


@dataclass(frozen=True)
class Parameters:
    """`eap_thresholds` and `thresholds`: how many of each, from `eap_highest` to `eap_lowest` and from `highest` to `lowest`."""

    metric: str = "task"
    order: str = "descending"
    eap_thresholds: int = 6
    eap_lowest: float = 1e-3
    eap_highest: float = 0.3
    thresholds: int = 8
    lowest: float = 1e-3
    highest: float = 0.3

    def __post_init__(self) -> None:
        check_order(self.metric, self.order)
        check_range(self.thresholds, self.lowest, self.highest)
        check_range(self.eap_thresholds, self.eap_lowest, self.eap_highest, prefix="eap_")


@method(
    name="eap-acdc",
    kinds=("circuit",),
    deterministic=True,
    citation={
        "author": "Syed, Aaquib and Rager, Can and Conmy, Arthur",
        "title": "Attribution Patching Outperforms Automated Circuit Discovery",
        "year": "2023",
        "eprint": "2310.10348",
    },
)
def eap_acdc(problem: CircuitProblem, generator: Generator, parameters: Parameters) -> EdgeScores:
    """Prune by EAP, then greedily, at every pair of thresholds."""
    strength = eap(problem, generator).scores.abs().cpu()
    means = CircuitMeans(problem.measured_by(parameters.metric))
    unit, order = whole_behaviour(means), visiting_order(problem.graph, parameters.order)
    shares = log_spaced(parameters.eap_highest, parameters.eap_lowest, parameters.eap_thresholds)
    thresholds = log_spaced(parameters.highest, parameters.lowest, parameters.thresholds)
    in_units = [t * unit for t in thresholds]
    found = []
    for number, share in enumerate(shares):

        def told(n: int, of: int, number: int = number) -> None:
            progress(number * of + n, len(shares) * of, "decisions")

        found.append(prune(means, in_units, order, start=strength >= share * strength.max(), told=told))
    kept = torch.cat(found)
    settings = {
        "eap threshold": tuple(share for share in shares for _ in thresholds),
        "acdc threshold": thresholds * len(shares),
    }
    return EdgeScores(kept.float().mean(0), Circuits(kept=kept, settings=settings))
