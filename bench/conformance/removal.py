"""What is asked of removal methods beyond the general checks: no edit leaks, and budgets are met."""

from __future__ import annotations

from ..edits import EdgeCuts, WeightChange
from .methods import Trial, Trials
from .results import CheckFailed


def check_frontier(trial: Trial) -> str:
    """The edits go from gentle to thorough: later ones change no less than earlier ones."""
    edit = trial.kind.unpack(trial.first)
    if isinstance(edit, WeightChange):
        return f"{len(edit.change)} weights at {len(edit.scales)} scales"
    assert isinstance(edit, EdgeCuts)
    sizes = edit.cut.sum(1).tolist()
    if sizes != sorted(sizes):
        raise CheckFailed(f"The cuts have {sizes} edges at rising budgets {trial.problem.budgets}; cut no fewer at a larger one.")  # fmt: skip
    return f"{sizes} edges at budgets {list(trial.problem.budgets)}"


TRIALS = Trials(task="backdoor-disjoint", checks={"frontier": check_frontier})
