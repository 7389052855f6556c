"""How every circuit task scores edge scores: detection of each truth, faithfulness, CMD, CPR, completeness.

The definitions are in the modules beside this one; here they meet the model. A task passes its problem, its
evaluation prompts, its truths and the chance of measures that depends on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..contract.progress import progress
from ..contract.scores import Curve, Evaluation, Measure
from ..errors import PluginError
from ..graph import Graph, PromptPairs
from ..graph.circuit_means import CircuitMeans
from ..graph.problem import CircuitProblem, Circuits, Truth
from .detection import detection
from .faithfulness import Anchors, areas, edge_counts, mib_counts, nested_circuits
from .measures import TASK_STATES_CHANCE, measure
from .ranking import ranking

_SHOWN_WITHOUT_TRUTH = 30
_OF_FAITHFULNESS = ("cmd", "cmd-mib", "completeness", "cpr-clipped", "cpr")


@torch.no_grad()
def circuit_metrics(
    problem: CircuitProblem, pairs: PromptPairs, circuits: Sequence[Bool[Tensor, " edges"]]
) -> list[float]:
    """Mean metric over `pairs` of each circuit: its edges kept, all others ablated."""
    means, n_prompts = CircuitMeans(replace(problem, pairs=pairs)), len(pairs)

    def told(done: int, total: int) -> None:
        progress(done // n_prompts, total // n_prompts, "circuits")

    return means.of_edges(torch.stack(list(circuits)), told)


def evaluate_edges(
    problem: CircuitProblem,
    scores: Float[Tensor, " edges"],
    pairs: PromptPairs,
    truths: Sequence[Truth],
    *,
    circuits: Circuits | None = None,
    chance: Mapping[str, float] = MappingProxyType({}),
) -> Evaluation:
    """Every measure of one set of edge scores, in the order in which they are shown, the headline first.

    The headline is AUC against the first truth, else CMD. `circuits` are those that the method keeps itself, if any.
    `chance` states what random scores have on this task, for measures whose chance is the task's.

    Raises:
        PluginError: `chance` names a measure whose chance is not the task's.
    """
    if wrong := [name for name in chance if name not in TASK_STATES_CHANCE]:
        raise PluginError(
            f"A task states the chance of {wrong[0]!r}; valid: {', '.join(TASK_STATES_CHANCE)}; the others have their own."
        )
    scores = scores.detach().cpu()
    measures: dict[str, Measure] = {}
    conventions: dict[str, Measure] = {}
    curves: dict[str, Curve] = {}
    for truth in truths:
        found = detection(problem.graph, scores, truth, circuits)
        measures, conventions, curves = (
            measures | found.measures,
            conventions | found.conventions,
            curves | found.curves,
        )
    areas_of, of_model, drawn = _faithfulness(problem, scores, pairs, chance)
    scored = int((~scores.isnan()).sum())
    coverage = measure("coverage", scored / len(scores), of=f"{scored} / {len(scores):,} edges")
    return Evaluation(
        headline=f"auc[{truths[0].name}]" if truths else "cmd",
        measures=measures | conventions | areas_of | {"coverage": coverage} | of_model,
        curves=drawn | curves,
        notes=_notes(scores),
    )


def _notes(scores: Tensor) -> tuple[str, ...]:
    """What a reader of the numbers must know of the scores."""
    told = scores.nan_to_num(0.0)
    if bool((told == told[0]).all()):
        return (f"every score is {float(told[0]):g}: the method tells no edge from another",)
    return ()


def _faithfulness(
    problem: CircuitProblem, scores: Tensor, pairs: PromptPairs, chance: Mapping[str, float]
) -> tuple[dict[str, Measure], dict[str, Measure], dict[str, Curve]]:
    """Areas over all sizes of circuits, the metric's means that they are measured by, and curves."""
    n_edges = problem.graph.n_edges
    counts = edge_counts(n_edges)
    by_strength = nested_circuits(ranking(scores, signed=False), counts)
    by_score = nested_circuits(ranking(scores, signed=True), counts)
    everything = torch.ones(n_edges, dtype=torch.bool)
    circuits = [everything, ~everything, *by_strength, *(~kept for kept in by_strength), *by_score]
    model, empty, *means = circuit_metrics(problem, pairs, circuits)
    anchors = Anchors(model, empty)
    of_model = {
        "metric-model": measure("metric-model", model, of=f"{len(pairs)} prompts"),
        "metric-empty": measure("metric-empty", empty, of=f"{len(pairs)} prompts"),
    }
    if not anchors.valid:
        note = "invalid-anchor: the ablation moves the metric by less than 5 %, so faithfulness has no meaning"
        nothing = {name: measure(name, None, chance=chance.get(name), note=note) for name in _OF_FAITHFULNESS}
        return nothing, of_model, {}
    shares = [count / n_edges for count in counts]
    values = [anchors.faithfulness(m) for m in means]
    strong, complement, signed = (values[i * len(counts) : (i + 1) * len(counts)] for i in range(3))
    area, by_signed = areas(shares, strong), areas(shares, signed)
    at_mib = [i for i, count in enumerate(counts) if count in mib_counts(n_edges)]
    mib = areas([shares[i] for i in at_mib], [strong[i] for i in at_mib])
    # areas() integrates |1 - f|; completeness is the area of |f| of the complement.
    rest = areas(shares, [1 - f for f in complement])
    of = f"{len(counts)} circuits of 1 to {n_edges:,} edges"
    measures = {
        "cmd": measure("cmd", area.deviation, chance=chance.get("cmd"), of=of),
        "cmd-mib": measure("cmd-mib", mib.deviation, of=f"{len(at_mib)} circuits"),
        "completeness": measure("completeness", rest.deviation, of=of),
        "cpr-clipped": measure("cpr-clipped", by_signed.clipped, of=of),
        "cpr": measure("cpr", by_signed.raw, of=of, note="unbounded; can be gamed"),
    }
    curves = {}
    for name, y, title in (
        ("faithfulness", strong, "Faithfulness by share of edges, strongest first"),
        ("faithfulness-signed", signed, "Faithfulness by share of edges, highest score first"),
        ("completeness", complement, "Faithfulness of the complement"),
    ):
        curves[name] = Curve(
            x=tuple(shares), y=tuple(y), x_label="share of edges", y_label="faithfulness", title=title, log_x=True
        )
    return measures, of_model, curves


class Found(NamedTuple):
    """An edge of the found or of the known circuit; no score is no opinion, `known` is None where no circuit is known."""

    name: str
    score: float | None
    found: bool
    known: bool | None


def found_circuit(graph: Graph, scores: Float[Tensor, " edges"], truth: Truth | None) -> list[Found]:
    """The strongest edges, as many as the known circuit has, and the known edges that are not among them.

    An edge that scores zero or has no score is not found, however few others there are; what a truth does not speak
    about is neither known nor false.
    """
    ranked = ranking(scores, signed=False).tolist()
    order = [i for i in ranked if scores[i].abs() > 0]
    size = min(_SHOWN_WITHOUT_TRUTH if truth is None else int(truth.edges.sum()), len(order))
    found = set(order[:size])
    missed = [] if truth is None else [i for i in ranked if bool(truth.edges[i]) and i not in found]

    def known(edge: int) -> bool | None:
        silent = truth is None or (truth.universe is not None and not bool(truth.universe[edge]))
        return None if silent or truth is None else bool(truth.edges[edge])

    return [Found(graph.edges[i], _opinion(scores[i]), i in found, known(i)) for i in [*order[:size], *missed]]


def strongest_edges(graph: Graph, scores: Float[Tensor, " edges"], top: int) -> list[tuple[str, float | None]]:
    """Names and scores of the `top` strongest edges; NaN, no opinion, is None."""
    return [(graph.edges[i], _opinion(scores[i])) for i in ranking(scores, signed=False).tolist()[:top]]


def _opinion(score: Tensor) -> float | None:
    return None if bool(score.isnan()) else float(score)
