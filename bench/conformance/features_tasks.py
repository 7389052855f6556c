"""What is asked of features tasks beyond the general checks: prompts, dictionaries, truths, an ablation that matters."""

from __future__ import annotations

import torch

from ..features import Dictionary, FeatureScores
from ..features.stream import record
from ..metrics.carried import carried
from .prompts import check_pairs
from .results import CheckFailed, NotAsked
from .tasks import TaskTrial, TaskTrials

_DRAWS, _STANDARD_ERRORS = 200, 4.0
_ROUNDING = 1e-4
_VECTORS = 4


def check_prompts(trial: TaskTrial) -> str:
    """Discovery and held-out prompts are pairs that differ, of equal length, and no pair is in both."""
    return check_pairs(trial.instance.problem.pairs, trial.instance.held_out.pairs)


def check_dictionaries(trial: TaskTrial) -> str:
    """Features are finite, what they decode to is affine in them, and `pull` is the gradient of that."""
    problem = trial.instance.problem
    recorded = record(problem.model, problem.model.embed(problem.pairs.clean[:_VECTORS]))
    explained = []
    for place, dictionary in problem.dictionaries.items():
        x = recorded[place]
        features = dictionary.encode(x)
        if not bool(features.isfinite().all()):
            raise CheckFailed(f"Features of {place} hold infinities or NaN; are weights missing?")
        _check_affine(str(place), dictionary, x, features)
        rest = x - dictionary.decode(features, x)
        explained.append(1 - float(rest.square().sum() / x.square().sum()))
    return f"{len(explained)} places; {min(explained):.2f} to {max(explained):.2f} of the squared length of vectors explained"


def _check_affine(place: str, dictionary: Dictionary, x: torch.Tensor, features: torch.Tensor) -> None:
    generator = torch.Generator().manual_seed(0)
    gradient = torch.randn(x.shape, generator=generator).to(x)
    other = torch.randn(features.shape, generator=generator).to(x)
    moved = dictionary.decode(features + other, x) - dictionary.decode(features, x)
    written = dictionary.write(other, x)
    if not torch.allclose(moved, written, rtol=1e-3, atol=_ROUNDING * float(written.abs().max())):
        raise CheckFailed(f"The dictionary of {place} is not affine: decode(f + g) - decode(f) is not write(g).")
    along, pulled = (gradient * written).sum(), (dictionary.pull(gradient, x) * other).sum()
    if not torch.allclose(along, pulled, rtol=1e-3, atol=1e-3):
        raise CheckFailed(f"`pull` of {place} is not the gradient of what features write: {float(pulled):.4g} for {float(along):.4g}.")  # fmt: skip


def check_truths(trial: TaskTrial) -> str:
    """Every truth is some of the features that it speaks about, under a name of its own."""
    for truth in trial.instance.truths:
        n, of = int(truth.carries.sum()), int(truth.universe.sum())
        if not 0 < n < of:
            raise CheckFailed(f"{truth.name!r} calls {n} of {of} features true; valid: some of them and not all.")
        if not truth.name.startswith(f"{trial.task.name}:") or not truth.source.strip():
            raise CheckFailed(
                f"A truth is called {truth.name!r} and comes from {truth.source!r}; valid: '{trial.task.name}:...', "
                "and a sentence that says how it was found."
            )
    return ", ".join(f"{int(t.carries.sum())} of {int(t.universe.sum())}" for t in trial.instance.truths) or "none"


def check_anchor(trial: TaskTrial) -> str:
    """Setting all nodes in scope to their means moves the metric by 5 % or more, else faithfulness has no meaning."""
    assert trial.drawn is not None
    model, empty = (trial.drawn.measures[name].value for name in ("metric-model", "metric-empty"))
    if trial.drawn.measures["faithfulness"].value is None:
        raise CheckFailed(
            f"invalid-anchor: the metric is {model:.3g}, and {empty:.3g} with every node at its mean; corrupt what the "
            "behaviour depends on, or widen the scope."
        )
    return f"{model:.3g}, {empty:.3g} with every node at its mean"


def check_random(trial: TaskTrial) -> str:
    """Scores that are drawn at random find features that carry a used variable as often as chance says."""
    if not trial.instance.truths:
        raise NotAsked("it is not known what features carry")
    truth, nodes = trial.instance.truths[0], trial.instance.problem.nodes
    generator = torch.Generator().manual_seed(0)
    found = torch.tensor([carried(_drawn(trial, generator).scores, nodes, truth).auc for _ in range(_DRAWS)]).double()
    mean, error = float(found.mean()), float(found.std()) / _DRAWS**0.5
    if abs(mean - 0.5) > _STANDARD_ERRORS * error:
        raise CheckFailed(f"Random scores have AUC {mean:.3f} +- {error:.3f}, where chance is 0.5; mend the truth.")
    return f"AUC {mean:.3f}, spread {float(found.std()):.3f}"


def _drawn(trial: TaskTrial, generator: torch.Generator) -> FeatureScores:
    return FeatureScores(torch.randn(len(trial.instance.problem.nodes), generator=generator))


TRIALS = TaskTrials(
    draw=_drawn,
    checks={
        "prompts": check_prompts,
        "dictionaries": check_dictionaries,
        "truths": check_truths,
        "anchor": check_anchor,
        "random scores": check_random,
    },
)
