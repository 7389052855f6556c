"""Checks that every task must pass, and those that its kind adds (`Kind.task_trials`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch

from ..contract.scores import Evaluation
from ..contract.task import Instance, Task
from ..errors import PluginError
from ..kinds import kind
from ..reference import Reference
from ..runs import identity
from ..runs.plan import check_chance as check_stated
from ..runs.workers.cell import fingerprint
from .results import CheckFailed, NotAsked, Result, outcome

_SLOW_SECONDS = 60.0
_ROUNDING = 1e-6


class TaskTrial:
    """One task with two of its instances, and what two solutions score on the first; each made once, when asked for."""

    def __init__(self, task: Task) -> None:
        self.task, self.kind = task, kind(task.kind)
        self.trials = _trials(task.kind)

    @cached_property
    def instance(self) -> Instance[Any]:
        """The instance of data seed 0."""
        return self.task.load(0, "cpu")

    @cached_property
    def other(self) -> Instance[Any]:
        """The instance of data seed 1."""
        return self.task.load(1, "cpu")

    @cached_property
    def drawn(self) -> Evaluation | None:
        """What a solution scores that was drawn at random."""
        return self._score(self.trials.draw(self, torch.Generator().manual_seed(0)) if self.trials.draw else None)

    @cached_property
    def known(self) -> Evaluation | None:
        """What the known answer scores."""
        return self._score(self.trials.known(self) if self.trials.known else None)

    def _score(self, solution: Any) -> Evaluation | None:
        if solution is None:
            return None
        return self.kind.score(self.task, self.instance, self.kind.check(solution, self.instance.problem))


@dataclass(frozen=True)
class TaskTrials:
    """What a kind asks of its tasks.

    `draw` makes a solution at random, `known` the known answer as a solution (None if none is known). A check returns what it
    saw, or raises CheckFailed or NotAsked.
    """

    draw: Callable[[TaskTrial, torch.Generator], Any] | None = None
    known: Callable[[TaskTrial], Any] | None = None
    checks: Mapping[str, Callable[[TaskTrial], str]] = field(default_factory=dict)


def check_declaration(trial: TaskTrial) -> str:
    """The declaration says what a reader of the page must know."""
    task = trial.task
    if "\n" in task.summary:
        raise CheckFailed(
            "The summary has several lines; it stands in tables, so write one, and the rest as docstring."
        )
    if not task.description.strip():
        raise CheckFailed(
            "It has no description; write a docstring at the top of its module: behaviour, corruption, metric, truth."
        )
    return f"{task.kind}, {task.tier}, family {task.family}, version {task.version}"


def check_loading(trial: TaskTrial) -> str:
    """Two instances are made in no more than a minute each."""
    begun = time.perf_counter()
    assert trial.instance is not None
    first = time.perf_counter() - begun
    assert trial.other is not None
    second = time.perf_counter() - begun - first
    if max(first, second) > _SLOW_SECONDS:
        raise CheckFailed(
            f"load takes {max(first, second):.0f} s; valid: {_SLOW_SECONDS:.0f} s; measure what is slow once and store it."
        )
    return f"{first:.2f} s and {second:.2f} s"


def check_repeats(trial: TaskTrial) -> str:
    """The same data seed gives the same instance to the bit, another one another instance."""
    again = contents(trial.task.load(0, "cpu"))
    differs = [part for part, content in contents(trial.instance).items() if content != again[part]]
    if differs:
        raise CheckFailed(
            f"Data seed 0 gives another {' and '.join(differs)} the second time; draw from Random(f'{{name}}/{{data_seed}}') alone."
        )
    other = contents(trial.other)
    same = [part for part in ("problem", "held_out") if other[part] == again[part]]
    if same:
        raise CheckFailed(
            f"Data seed 1 gives the same {' and '.join(same)} as data seed 0; draw them from the data seed."
        )
    return "0 twice the same, 1 another"


def check_hashes(trial: TaskTrial) -> str:
    """What is hashed for identities is hashed the same each time, and loading does not change it."""
    before = _hashes(trial.task)
    assert trial.instance is not None
    if before != _hashes(trial.task):
        raise CheckFailed("asset_hashes() or truth_hashes() changes by itself; return the hash of each file's content.")
    return ", ".join(sorted({*before[0], *before[1]})) or "no files"


def check_finite(trial: TaskTrial) -> str:
    """Weights and prompts hold no NaN and no infinity."""
    tensors = list(trial.instance.problem.tensors())
    bad = sum(not bool(t.isfinite().all()) for t in tensors if t.is_floating_point())
    if bad:
        raise CheckFailed(
            f"{bad} of {len(tensors)} tensors of the problem hold NaN or infinity; mend weights or means."
        )
    return f"{len(tensors)} tensors"


def check_chance(trial: TaskTrial) -> str:
    """Chance that the task states is that of a measure whose chance is the task's own."""
    try:
        check_stated(trial.task)
    except PluginError as error:
        raise CheckFailed(str(error)) from error
    return ", ".join(trial.task.chance) or "none stated"


def check_known(trial: TaskTrial) -> str:
    """The known answer scores what the headline calls perfect."""
    if trial.known is None:
        raise NotAsked("no answer is known")
    headline = trial.known.headline
    measure = trial.known.measures[headline]
    if measure.oracle is None:
        raise NotAsked(f"{headline} has no oracle")
    if measure.value is None or abs(measure.value - measure.oracle) > _ROUNDING:
        raise CheckFailed(
            f"The known answer scores {measure.value} on {headline}, whose oracle is {measure.oracle:g}; "
            "the truth and the scoring do not fit each other."
        )
    return f"{headline} {measure.value:g}"


_GENERAL: dict[str, Callable[[TaskTrial], str]] = {
    "declaration": check_declaration,
    "loading": check_loading,
    "data seeds": check_repeats,
    "hashes": check_hashes,
    "finite": check_finite,
    "chance": check_chance,
    "known answer": check_known,
}


def contents(instance: Instance[Any]) -> dict[str, str]:
    """Hash of each part of an instance, to the bit."""
    return {
        "problem": fingerprint(instance.problem),
        "held_out": identity.digest(identity.describe(instance.held_out, set())),
        "truths": identity.digest(identity.describe(instance.truths, set())),
    }


def _hashes(task: Task) -> tuple[dict[str, str], dict[str, str]]:
    return dict(task.asset_hashes()), dict(task.truth_hashes())


def _trials(of: str) -> TaskTrials:
    where = kind(of).task_trials
    trials: TaskTrials = Reference(where).load() if where else TaskTrials()
    return trials


def _checks_of(task: Task) -> dict[str, Callable[[TaskTrial], str]]:
    return _GENERAL | dict(_trials(task.kind).checks)


def check_names(task: Task) -> list[str]:
    """Names of the checks of a task."""
    return list(_checks_of(task))


def checks(task: Task, names: Sequence[str]) -> Iterator[Result]:
    """The outcome of each named check, as it is made."""
    trial = TaskTrial(task)
    for name, check in _checks_of(task).items():
        if name in names:
            yield outcome(name, lambda check=check: check(trial))  # type: ignore[misc]
