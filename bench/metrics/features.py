"""Every measure of scores of feature nodes: what circuits of the strongest keep, what they carry, how linear the effects are.

The definitions are in the modules beside this one: `node_circuits.py`, `carried.py`, `linearity.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from ..contract.progress import progress
from ..contract.scores import Curve, Measure
from ..features.problem import FeatureProblem, FeatureScores
from ..features.truth import FeatureTruth
from .carried import carried
from .feature_examination import FeatureExamination
from .feature_measures import DEFINITIONS
from .linearity import Compared, compared, overall
from .node_circuits import SETS, Examined, NodeCurve

NEURONS = "neurons"


class FeatureEvaluation(NamedTuple):
    """What scoring found: measures, curves, those of each set of nodes, and estimates beside exact effects by basis."""

    measures: dict[str, Measure]
    curves: dict[str, Curve]
    sets: dict[str, NodeCurve]
    linear: dict[str, list[Compared]]
    notes: tuple[str, ...]


def evaluate_nodes(
    problem: FeatureProblem,
    solution: FeatureScores,
    held_out: FeatureExamination,
    truths: Sequence[FeatureTruth],
    chance: Mapping[str, float] = MappingProxyType({}),
) -> FeatureEvaluation:
    """Every measure, the headline first. Cost: a forward per circuit, and those of `linearity.py`.

    Args:
        problem: what the method was given.
        solution: its scores, checked.
        held_out: evaluation prompts and scope.
        truths: features whose variables are known, the headline's first.
        chance: what random scores have on this task, for measures whose chance is the task's.
    """
    examined = Examined(problem, held_out)
    of = {SETS[0] if not problem.is_of_neurons else NEURONS: (problem, solution.scores)}
    if solution.neurons is not None:
        of[NEURONS] = (problem.neurons, solution.neurons)
    measures, curves, sets = _faithfulness(examined, solution, held_out, chance)
    for truth in truths:
        found = carried(solution.scores, problem.nodes, truth)
        size = f"{found.n_true} / {found.n_all:,} features that carry a variable"
        measures[f"auc[{truth.name}]"] = DEFINITIONS.make("auc", found.auc, of=size)
        prevalence = found.n_true / found.n_all
        measures[f"average-precision[{truth.name}]"] = DEFINITIONS.make(
            "average-precision", found.average_precision, chance=prevalence, of=size
        )
    linear = {}
    for index, (basis, (asked, scores)) in enumerate(of.items()):
        linear[basis] = compared(asked, scores)
        name = "linearity" if index == 0 else f"linearity[{basis}]"
        n = sum(len(part.nodes) for part in linear[basis])
        measures[name] = DEFINITIONS.make("linearity", overall(linear[basis]), of=f"{n:,} nodes")
    told = ~solution.scores.isnan()
    measures["coverage"] = DEFINITIONS.make("coverage", float(told.float().mean()), of=f"{len(told):,} nodes")
    measures |= {
        "metric-model": DEFINITIONS.make("metric-model", examined.anchors.model, of=f"{len(held_out.pairs)} prompts"),
        "metric-empty": DEFINITIONS.make("metric-empty", examined.anchors.empty, of=f"{len(held_out.pairs)} prompts"),
    }
    return FeatureEvaluation(measures, curves, sets, linear, _notes(problem, solution))


def _faithfulness(
    examined: Examined, solution: FeatureScores, held_out: FeatureExamination, chance: Mapping[str, float]
) -> tuple[dict[str, Measure], dict[str, Curve], dict[str, NodeCurve]]:
    """Both areas of every set, the headline's first."""
    problem = examined.problem
    if not examined.anchors.valid:
        note = "invalid-anchor: the ablation moves the metric by less than 5 %, so faithfulness has no meaning"
        nothing = {
            name: DEFINITIONS.make(name, None, chance=chance.get(name), note=note)
            for name in ("faithfulness", "completeness")
        }
        return nothing, {}, {}
    sets: dict[str, NodeCurve] = {}
    names = SETS if examined.nodes.errors else (NEURONS,)
    total = len(names) + (solution.neurons is not None)
    for name in names:
        sets[name] = examined.curve(examined.scores(solution.scores), SETS[0] if name == NEURONS else name)
        progress(len(sets), total, "sets of nodes")
    if solution.neurons is not None:
        neurons = Examined(problem.neurons, held_out)
        sets[NEURONS] = neurons.curve(neurons.scores(solution.neurons))
    measures: dict[str, Measure] = {}
    curves: dict[str, Curve] = {}
    n_all = len(examined.nodes)
    for index, (name, curve) in enumerate(sets.items()):
        bracket = "" if index == 0 else f"[{name}]"
        of = f"{len(curve.counts)} circuits of 1 to {curve.counts[-1]:,} nodes"
        for kind, value in zip(("faithfulness", "completeness"), curve.area(n_all), strict=True):
            measures[kind + bracket] = DEFINITIONS.make(kind, value, chance=chance.get(kind + bracket), of=of)
        measures[f"nodes-for-half{bracket}"] = DEFINITIONS.make(
            "nodes-for-half", curve.half, note="" if curve.half else "no circuit keeps half of the behaviour"
        )
        for kind, y in (("faithfulness", curve.faithfulness), ("completeness", curve.complement)):
            curves[kind + bracket] = Curve(
                x=tuple(map(float, curve.counts)),
                y=y,
                x_label="nodes",
                y_label="faithfulness" if kind == "faithfulness" else "faithfulness of the complement",
                title=f"{kind.capitalize()} by number of nodes" + (f", {name}" if bracket else ""),
                log_x=True,
            )
    ordered = sorted(
        measures, key=lambda name: (name.partition("[")[0] != "faithfulness", name.partition("[")[0] != "completeness")
    )
    return {name: measures[name] for name in ordered}, curves, sets


def _notes(problem: FeatureProblem, solution: FeatureScores) -> tuple[str, ...]:
    told = solution.scores.nan_to_num(0.0)
    if bool((told == told[0]).all()):
        return (f"every score is {float(told[0]):g}: the method tells no node from another",)
    silent = solution.neurons is None and not problem.is_of_neurons
    return ("the method says nothing of neurons",) if silent else ()
