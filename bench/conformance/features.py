"""What is asked of features methods beyond the general checks: batches, summed positions, neurons, sign."""

from __future__ import annotations

from dataclasses import replace

import torch

from ..errors import InvalidSolution
from ..features import exact_effects
from ..metrics.correlation import correlation
from .methods import Trial, Trials
from .results import CheckFailed

_ROUNDING = 1e-3
_AGREES = 0.3
_FEW = 8


def check_batch_size(trial: Trial) -> str:
    """Scores do not depend on the batch size."""
    first = trial.kind.unpack(trial.first).scores.nan_to_num()
    small = trial.kind.unpack(trial.solve(replace(trial.problem, batch_size=7))).scores.nan_to_num()
    difference, largest = float((small - first).abs().max()), float(first.abs().max())
    if difference > _ROUNDING * max(largest, 1e-12):
        raise CheckFailed(
            f"Batches of 7 change a score by {difference:.2g}; sum over prompts and divide by their number once."
        )
    return f"largest difference {difference:.1g}"


def check_summed(trial: Trial) -> str:
    """Nodes without positions are scored too."""
    problem = replace(trial.problem, by_position=False, truth=None)
    if trial.problem.truth is not None:
        problem = replace(problem, truth=torch.arange(len(problem.nodes.summed)) == 0)
    try:
        trial.solve(problem)
    except (InvalidSolution, RuntimeError, IndexError) as error:
        raise CheckFailed(f"{error} Sum over positions where problem.by_position is False.") from error
    return f"{len(problem.nodes):,} nodes"


def check_neurons(trial: Trial) -> str:
    """A problem of neurons, which has no errors, is answered too."""
    # Every neuron changes on every prompt, so a few prompts are work enough for a method that patches each alone.
    problem = replace(trial.problem.neurons, pairs=trial.problem.pairs[:_FEW])
    if trial.problem.truth is not None:
        problem = replace(problem, truth=torch.arange(len(problem.nodes.summed)) == 0)
    try:
        trial.solve(problem)
    except (InvalidSolution, RuntimeError, IndexError) as error:
        raise CheckFailed(f"{error} Places in problem.nodes.errors have an error node, others have none.") from error
    return f"{len(problem.nodes):,} neurons"


def check_sign(trial: Trial) -> str:
    """Scores go with exact effects: a positive score supports the behaviour."""
    scores = trial.kind.unpack(trial.first).scores.nan_to_num()
    strongest = scores.abs().argsort(descending=True)[:50]
    r = correlation(scores[strongest], exact_effects(trial.problem, strongest)[strongest])
    if r is None or r < _AGREES:
        raise CheckFailed(
            f"Of the 50 strongest nodes scores and exact effects correlate by {r if r is None else round(r, 2)}; a score is the "
            "metric's *drop* when the node is ablated, so is its sign turned?"
        )
    return f"correlation with exact effects {r:.3f}"


TRIALS = Trials(
    task="agreement-simple-features-mini",
    checks={
        "batch size": check_batch_size,
        "summed positions": check_summed,
        "neurons": check_neurons,
        "sign": check_sign,
    },
    not_for_references=frozenset({"sign"}),
)
