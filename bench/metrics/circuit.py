"""How every circuit task scores edge scores: AUC against each truth, faithfulness, CMD, CPR, completeness.

The definitions are in the modules beside this one; here they meet the model. A task passes its problem, its
evaluation prompts and its truths.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mechboard.graph import PromptPairs, metric_values, run_patched
from mechboard.metrics.correlation import correlation
from mechboard.metrics.faithfulness import Anchors, areas, edge_counts, mib_counts, nested_circuits
from mechboard.metrics.ranking import ranking
from mechboard.metrics.roc import roc
from mechboard.protocols import CircuitProblem, Curve, Evaluation, FoundEdge, Measure, Truth

_SHOWN_WITHOUT_TRUTH = 30


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
    resolution: float = 0.0,
) -> Evaluation:
    """Every measure of one set of edge scores; the headline is AUC against the first truth, else CMD.

    Scores whose absolute value is at most `resolution` times the largest one count as zero, and so as tied.
    """
    scores = scores.detach().cpu()
    largest = scores.nan_to_num(0.0).abs().max()
    scores = torch.where(scores.abs() <= resolution * largest, torch.zeros_like(scores), scores)
    measures, curves = _faithfulness(problem, scores, pairs)
    for truth in truths:
        curve = roc(scores, truth.edges)
        of = f"{curve.n_true} / {curve.n_edges:,} edges"
        for suffix, value in (("", curve.trapezoid), ("-low", curve.pessimistic), ("-high", curve.optimistic)):
            measures[f"auc{suffix}[{truth.name}]"] = Measure(
                value=value, direction="higher", chance=0.5, oracle=1.0, of=of
            )
        if truth.effects is not None:
            measures[f"correlation[{truth.name}]"] = Measure(
                value=correlation(scores, truth.effects), direction="higher", chance=0.0, oracle=1.0,
                of=f"exact effects of {curve.n_edges:,} edges",
            )  # fmt: skip
        x, y = zip(*curve.points, strict=True)
        curves[f"roc[{truth.name}]"] = Curve(x=x, y=y, x_label="false positive rate", y_label="true positive rate")
    scored = int((~scores.isnan()).sum())
    measures["coverage"] = Measure(
        value=scored / len(scores), direction="higher", of=f"{scored} / {len(scores):,} edges"
    )
    return Evaluation(
        headline=f"auc[{truths[0].name}]" if truths else "cmd",
        measures=measures,
        curves=curves,
        circuit=found_circuit(problem, scores, truths[0].edges if truths else None),
    )


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
        "metric-model": Measure(value=model, direction="higher", of=f"{len(pairs)} prompts"),
        "metric-empty": Measure(value=empty, direction="lower", of=f"{len(pairs)} prompts"),
    }
    names = ("cmd", "cmd-mib", "cpr", "cpr-clipped", "completeness")
    if not anchors.valid:
        note = "invalid-anchor: the ablation moves the metric by less than 5 %, so faithfulness has no meaning"
        absent = {name: Measure(value=None, direction="lower", note=note) for name in names}
        return measures | absent, {}
    shares = [count / n_edges for count in counts]
    values = [anchors.faithfulness(m) for m in means]
    strong, complement, signed = (values[i * len(counts) : (i + 1) * len(counts)] for i in range(3))
    area, at_mib = areas(shares, strong), [i for i, count in enumerate(counts) if count in mib_counts(n_edges)]
    mib = areas([shares[i] for i in at_mib], [strong[i] for i in at_mib])
    of = f"{len(counts)} circuits of 1 to {n_edges:,} edges"
    measures["cmd"] = Measure(value=area.deviation, direction="lower", oracle=0.0, of=of)
    measures["cmd-mib"] = Measure(value=mib.deviation, direction="lower", oracle=0.0, of=f"{len(at_mib)} circuits")
    by_signed = areas(shares, signed)
    measures["cpr"] = Measure(value=by_signed.raw, direction="higher", of=of, note="unbounded; can be gamed")
    measures["cpr-clipped"] = Measure(value=by_signed.clipped, direction="higher", oracle=1.0, of=of)
    # areas() integrates |1 - f|; completeness is the area of |f| of the complement.
    rest = areas(shares, [1 - f for f in complement])
    measures["completeness"] = Measure(value=rest.deviation, direction="lower", oracle=0.0, of=of)
    curves = {}
    for name, y in (("faithfulness", strong), ("faithfulness-signed", signed), ("completeness", complement)):
        curves[name] = Curve(x=tuple(shares), y=tuple(y), x_label="share of edges", y_label="faithfulness")
    return measures, curves


def found_circuit(
    problem: CircuitProblem, scores: Tensor, known: Bool[Tensor, " edges"] | None
) -> tuple[FoundEdge, ...]:
    """The strongest edges, as many as the known circuit has, and the known edges that are not among them.

    An edge that scores zero or has no score is not found, however few others there are.
    """
    ranked = ranking(scores, signed=False).tolist()
    order = [i for i in ranked if scores[i].abs() > 0]
    size = min(int(known.sum()) if known is not None else _SHOWN_WITHOUT_TRUTH, len(order))
    found = set(order[:size])
    missed = [] if known is None else [i for i in ranked if bool(known[i]) and i not in found]
    return tuple(
        FoundEdge(
            name=problem.graph.edges[i],
            score=None if bool(scores[i].isnan()) else float(scores[i]),
            found=i in found,
            known=None if known is None else bool(known[i]),
        )
        for i in [*order[:size], *missed]
    )
