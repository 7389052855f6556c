"""What is asked of circuit tasks beyond the general checks: prompts, truths, an ablation that matters, exactness."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..graph import PromptPairs, single_edge_drops
from ..graph.problem import CircuitProblem, EdgeScores, Truth
from ..metrics.correlation import correlation
from ..metrics.roc import roc
from .prompts import check_pairs
from .results import CheckFailed, NotAsked
from .tasks import TaskTrial, TaskTrials

_EXACT = "activation-patching"
_DRAWS, _STANDARD_ERRORS = 200, 4.0
_CORRELATION, _AUC = 0.9, 0.95
_CLEARLY = 2.0  # an edge contradicts a threshold if it lies beyond twice or below half of it, by three standard errors


def check_prompts(trial: TaskTrial) -> str:
    """Discovery and held-out prompts are pairs that differ, of equal length, and no pair is in both."""
    discovery, held_out = trial.instance.problem.pairs, trial.instance.held_out
    if not isinstance(held_out, PromptPairs):
        raise CheckFailed(f"held_out is a {type(held_out).__name__}; valid: mechboard.graph.PromptPairs.")
    return check_pairs(discovery, held_out)


def check_truths(trial: TaskTrial) -> str:
    """Every truth is a part of the graph: neither nothing nor all, under a name of its own."""
    graph, truths = trial.instance.problem.graph, trial.instance.truths
    for truth in truths:
        n = int(truth.edges.sum())
        if len(truth.edges) != graph.n_edges or truth.edges.dtype != torch.bool or not 0 < n < graph.n_edges:
            raise CheckFailed(
                f"{truth.name!r} holds {n} of {len(truth.edges)} edges ({truth.edges.dtype}); valid: a mask of "
                f"{graph.n_edges} edges, neither empty nor all, such as graph.edge_mask(names)."
            )
        if not truth.name.startswith(f"{trial.task.name}:") or not truth.source.strip():
            raise CheckFailed(
                f"A truth is called {truth.name!r} and comes from {truth.source!r}; valid: '{trial.task.name}:...', "
                "and a sentence that says how it was found."
            )
    if len({truth.name for truth in truths}) < len(truths):
        raise CheckFailed("Two truths have one name; their measures could not be told apart.")
    return ", ".join(f"{int(t.edges.sum())} of {graph.n_edges}" for t in truths) or f"none; {graph.n_edges} edges"


def check_anchor(trial: TaskTrial) -> str:
    """Ablating everything moves the metric by 5 % or more, else faithfulness has no meaning."""
    assert trial.drawn is not None
    model, empty = (trial.drawn.measures[name].value for name in ("metric-model", "metric-empty"))
    if trial.drawn.measures["cmd"].value is None:
        raise CheckFailed(
            f"invalid-anchor: the metric is {model:.3g}, and {empty:.3g} with every edge ablated; corrupt what the "
            "behaviour depends on, or ablate otherwise."
        )
    return f"{model:.3g}, {empty:.3g} without any edge"


def check_random(trial: TaskTrial) -> str:
    """Scores that are drawn at random find the circuit as often as chance says."""
    truth = _first(trial)
    generator = torch.Generator().manual_seed(0)
    found = torch.tensor(
        [roc(_drawn(trial, generator).scores, truth.edges).trapezoid for _ in range(_DRAWS)], dtype=torch.float64
    )
    mean, error = float(found.mean()), float(found.std()) / _DRAWS**0.5
    if abs(mean - 0.5) > _STANDARD_ERRORS * error:
        raise CheckFailed(f"Random scores have AUC {mean:.3f} +- {error:.3f}, where chance is 0.5; mend the truth.")
    return f"AUC {mean:.3f}, spread {float(found.std()):.3f}"


def check_exact(trial: TaskTrial) -> str:
    """A truth that claims to be exact is what patching each edge alone finds on the discovery prompts."""
    claimed = [t for t in trial.instance.truths if t.effects is not None]
    if _EXACT in trial.task.oracles and not claimed:
        claimed = list(trial.instance.truths[:1])
    if not claimed:
        raise NotAsked("no truth states effects, and activation-patching is no oracle of it")
    mean, error = exact_effects(trial.instance.problem)
    return "; ".join(_agreement(truth, mean, error) for truth in claimed)


def _agreement(truth: Truth, mean: Tensor, error: Tensor) -> str:
    auc = roc(mean, truth.edges).trapezoid
    if auc < _AUC:
        raise CheckFailed(
            f"{truth.name} is not what exact patching finds: AUC {auc:.3f}, valid: {_AUC} or more; measure it again."
        )
    if truth.effects is None:
        return f"{truth.name}: AUC {auc:.3f}"
    r = correlation(mean, truth.effects)
    if r is None or r < _CORRELATION:
        raise CheckFailed(
            f"The effects of {truth.name} correlate {r} with exact patching; valid: {_CORRELATION} or more; mind the "
            "sign (the metric's drop) and the order of graph.edges."
        )
    stated = truth.effects.abs()
    outside, inside = float(stated[~truth.edges].max()), float(stated[truth.edges].min())
    if outside > inside:
        raise CheckFailed(
            f"{truth.name} leaves out an edge of effect {outside:.3g} and holds one of {inside:.3g}; a set of exact "
            "edges is all from a threshold on."
        )
    against = _contradictions(truth, mean.abs(), error, (outside + inside) / 2)
    if against:
        raise CheckFailed(f"{against} edges of {truth.name} stand clearly on the wrong side of it; measure it again.")
    return f"{truth.name}: correlation {r:.3f}, AUC {auc:.3f}, no edge clearly on the wrong side"


def _contradictions(truth: Truth, strength: Tensor, error: Tensor, threshold: float) -> int:
    """Edges whose exact effect contradicts the set, beyond what prompts and threshold leave undecided."""
    too_weak = truth.edges & (strength + 3 * error < threshold / _CLEARLY)
    too_strong = ~truth.edges & (strength - 3 * error > threshold * _CLEARLY)
    return int((too_weak | too_strong).sum())


def exact_effects(problem: CircuitProblem) -> tuple[Float[Tensor, " edges"], Float[Tensor, " edges"]]:
    """Mean drop of the metric when each edge alone is patched, and its standard error over the discovery prompts."""
    drops = []
    for pairs in problem.batches():
        ablated = problem.ablation.outputs(pairs)
        drops.append(single_edge_drops(problem.model, problem.graph, pairs, ablated, problem.metric))
    each = torch.cat(drops)
    return each.mean(0), each.std(0) / len(each) ** 0.5


def _first(trial: TaskTrial) -> Truth:
    if not trial.instance.truths:
        raise NotAsked("no circuit is known")
    truth: Truth = trial.instance.truths[0]
    return truth


def _drawn(trial: TaskTrial, generator: torch.Generator) -> EdgeScores:
    return EdgeScores(torch.randn(trial.instance.problem.graph.n_edges, generator=generator))


def _known(trial: TaskTrial) -> EdgeScores | None:
    return EdgeScores(trial.instance.truths[0].edges.float()) if trial.instance.truths else None


TRIALS = TaskTrials(
    draw=_drawn,
    known=_known,
    checks={
        "prompts": check_prompts,
        "truths": check_truths,
        "anchor": check_anchor,
        "random scores": check_random,
        "exact truth": check_exact,
    },
)
