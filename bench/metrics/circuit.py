"""How every circuit task scores edge scores: AUC against each truth, faithfulness, CMD, CPR, completeness.

The definitions are in the modules beside this one; here they meet the model. A task passes its problem, its
evaluation prompts and its truths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mechboard.contract.scores import Curve, Measure
from mechboard.graph import Graph, PromptPairs, metric_values, run_patched
from mechboard.graph.problem import CircuitProblem, Truth
from mechboard.metrics.correlation import correlation
from mechboard.metrics.faithfulness import Anchors, areas, edge_counts, mib_counts, nested_circuits
from mechboard.metrics.measures import measure
from mechboard.metrics.ranking import ranking
from mechboard.metrics.roc import roc

_SHOWN_WITHOUT_TRUTH = 30
_OF_FAITHFULNESS = ("cmd", "cmd-mib", "cpr", "cpr-clipped", "completeness")


@torch.no_grad()
def circuit_metrics(
    problem: CircuitProblem, pairs: PromptPairs, circuits: Sequence[Bool[Tensor, " edges"]]
) -> list[float]:
    """Mean metric over `pairs` of each circuit: its edges kept, all others ablated."""
    sums = torch.zeros(len(circuits), dtype=torch.float64)
    patched = [problem.graph.to_qkv(problem.graph.dense(~kept)) for kept in circuits]
    for batch in pairs.batches(problem.batch_size):
        clean, ablated = problem.model.embed(batch.clean), problem.ablation.outputs(batch)
        for index, edges in enumerate(patched):
            final = run_patched(problem.model, clean, ablated, edges)
            sums[index] += metric_values(problem.model, final, problem.metric, batch).double().sum().cpu()
    return (sums / len(pairs)).tolist()


def evaluate_edges(
    problem: CircuitProblem,
    scores: Float[Tensor, " edges"],
    pairs: PromptPairs,
    truths: Sequence[Truth],
    *,
    chance: Mapping[str, float],
) -> tuple[dict[str, Measure], dict[str, Curve], tuple[str, ...]]:
    """Measures, curves and notes of one set of edge scores on held-out prompts; `chance` is the task's own, by measure."""
    measures, curves = _faithfulness(problem, scores, pairs)
    for truth in truths:
        curve = roc(scores, truth.edges)
        of = f"{curve.n_true} / {curve.n_edges:,} edges"
        for suffix, value in (("", curve.trapezoid), ("-low", curve.pessimistic), ("-high", curve.optimistic)):
            name = f"auc{suffix}[{truth.name}]"
            measures[name] = measure(name, value, of=of)
        if truth.effects is not None:
            name, r = f"correlation[{truth.name}]", correlation(scores, truth.effects)
            note = "all scores or all effects are equal" if r is None else ""
            measures[name] = measure(name, r, of=f"exact effects of {curve.n_edges:,} edges", note=note)
        x, y = zip(*curve.points, strict=True)
        curves[f"roc[{truth.name}]"] = Curve(
            x=x,
            y=y,
            x_label="false positive rate",
            y_label="true positive rate",
            title=f"ROC against {truth.name}",
            chance=(0.0, 1.0),
        )
    scored = int((~scores.isnan()).sum())
    measures["coverage"] = measure("coverage", scored / len(scores), of=f"{scored} / {len(scores):,} edges")
    return measures, curves, _notes(scores)


def _notes(scores: Tensor) -> tuple[str, ...]:
    """What a reader of the numbers must know of the scores."""
    told = scores.nan_to_num(0.0)
    if bool((told == told[0]).all()):
        return (f"every score is {float(told[0]):g}: the method tells no edge from another",)
    return ()


def _faithfulness(
    problem: CircuitProblem, scores: Tensor, pairs: PromptPairs
) -> tuple[dict[str, Measure], dict[str, Curve]]:
    n_edges = problem.graph.n_edges
    counts = edge_counts(n_edges)
    by_strength = nested_circuits(ranking(scores, signed=False), counts)
    by_score = nested_circuits(ranking(scores, signed=True), counts)
    everything = torch.ones(n_edges, dtype=torch.bool)
    circuits = [everything, ~everything, *by_strength, *(~kept for kept in by_strength), *by_score]
    model, empty, *means = circuit_metrics(problem, pairs, circuits)
    anchors = Anchors(model, empty)
    measures = {
        "metric-model": measure("metric-model", model, of=f"{len(pairs)} prompts"),
        "metric-empty": measure("metric-empty", empty, of=f"{len(pairs)} prompts"),
    }
    if not anchors.valid:
        note = "invalid-anchor: the ablation moves the metric by less than 5 %, so faithfulness has no meaning"
        return measures | {name: measure(name, None, note=note) for name in _OF_FAITHFULNESS}, {}
    shares = [count / n_edges for count in counts]
    values = [anchors.faithfulness(m) for m in means]
    strong, complement, signed = (values[i * len(counts) : (i + 1) * len(counts)] for i in range(3))
    area, at_mib = areas(shares, strong), [i for i, count in enumerate(counts) if count in mib_counts(n_edges)]
    mib = areas([shares[i] for i in at_mib], [strong[i] for i in at_mib])
    of = f"{len(counts)} circuits of 1 to {n_edges:,} edges"
    measures["cmd"] = measure("cmd", area.deviation, of=of)
    measures["cmd-mib"] = measure("cmd-mib", mib.deviation, of=f"{len(at_mib)} circuits")
    by_signed = areas(shares, signed)
    measures["cpr"] = measure("cpr", by_signed.raw, of=of, note="unbounded; can be gamed")
    measures["cpr-clipped"] = measure("cpr-clipped", by_signed.clipped, of=of)
    # areas() integrates |1 - f|; completeness is the area of |f| of the complement.
    rest = areas(shares, [1 - f for f in complement])
    measures["completeness"] = measure("completeness", rest.deviation, of=of)
    curves = {}
    for name, y, title in (
        ("faithfulness", strong, "Faithfulness by share of edges, strongest first"),
        ("faithfulness-signed", signed, "Faithfulness by share of edges, highest score first"),
        ("completeness", complement, "Faithfulness of the complement"),
    ):
        curves[name] = Curve(
            x=tuple(shares), y=tuple(y), x_label="share of edges", y_label="faithfulness", title=title, log_x=True
        )
    return measures, curves


def found_circuit(
    problem: CircuitProblem, scores: Float[Tensor, " edges"], known: Bool[Tensor, " edges"] | None
) -> list[tuple[str, float | None, bool, bool | None]]:
    """Name, score, found and known of the strongest edges, as many as are known, and of the known ones that are missed.

    An edge that scores zero or has no score is not found, however few others there are.
    """
    ranked = ranking(scores, signed=False).tolist()
    order = [i for i in ranked if scores[i].abs() > 0]
    size = min(int(known.sum()) if known is not None else _SHOWN_WITHOUT_TRUTH, len(order))
    found = set(order[:size])
    missed = [] if known is None else [i for i in ranked if bool(known[i]) and i not in found]
    return [
        (
            problem.graph.edges[i],
            _opinion(scores[i]),
            i in found,
            None if known is None else bool(known[i]),
        )
        for i in [*order[:size], *missed]
    ]


def strongest_edges(graph: Graph, scores: Float[Tensor, " edges"], top: int) -> list[tuple[str, float | None]]:
    """Names and scores of the `top` strongest edges; NaN, no opinion, is None."""
    return [(graph.edges[i], _opinion(scores[i])) for i in ranking(scores, signed=False).tolist()[:top]]


def _opinion(score: Tensor) -> float | None:
    return None if bool(score.isnan()) else float(score)
