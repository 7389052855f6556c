"""Checks that every method must pass, and those that its kinds add (`Kind.trials`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch

from ..contract.kind import Kind
from ..contract.method import Method
from ..contract.task import Task
from ..errors import InvalidSolution
from ..kinds import kind
from ..plugins.registry import Registry
from ..reference import Reference
from ..runs.workers.cell import fingerprint, show
from .results import CheckFailed, Result, outcome

_SLOW_SECONDS = 60.0

Packed = Mapping[str, torch.Tensor]


class Trial:
    """One method with a small problem of a kind, and its answer, computed once."""

    def __init__(self, method: Method, asked: Kind[Any, Any], task: Task) -> None:
        self.method, self.kind, self.task = method, asked, task
        self.instance = task.load(0, "cpu")
        self.problem = show(task, self.instance, method.sees)
        self._first: Packed | None = None

    def solve(self, problem: Any = None, *, seed: int = 0) -> Packed:
        """The checked and packed answer to a problem (by default the small one)."""
        problem = problem or self.problem
        generator = torch.Generator().manual_seed(seed)
        return self.kind.pack(self.kind.check(self.method(problem, generator), problem))

    @property
    def first(self) -> Packed:
        """The answer to the small problem with seed 0."""
        if self._first is None:
            self._first = self.solve()
        return self._first


@dataclass(frozen=True)
class Trials:
    """What a kind asks of its methods: the small task, and checks by name.

    A check returns what it saw, or raises CheckFailed. Those of `not_for_references` are about being right.
    """

    task: str
    checks: Mapping[str, Callable[[Trial], str]]
    not_for_references: frozenset[str] = frozenset()


def check_metadata(trial: Trial) -> str:
    """The declaration is complete: summary, kinds, parameters with defaults in a frozen dataclass."""
    m = trial.method
    if not m.summary:
        raise CheckFailed("The module has no docstring; its first line is the method's summary.")
    if not (is_dataclass(m.parameters) and m.parameters.__dataclass_params__.frozen):  # type: ignore[attr-defined]
        raise CheckFailed(f"{m.parameters.__name__} is no frozen dataclass; write @dataclass(frozen=True).")
    return f"{', '.join(sorted(m.kinds))}; {len(fields(m.parameters))} parameters"


def check_solution(trial: Trial) -> str:
    """The answer can be scored."""
    try:
        packed = trial.first
    except InvalidSolution as error:
        raise CheckFailed(str(error)) from error
    return ", ".join(f"{name} {'x'.join(map(str, tensor.shape))}" for name, tensor in packed.items())


def check_determinism(trial: Trial) -> str:
    """The same seed gives the same answer; if declared deterministic, so does another seed."""
    if not same(trial.solve(), trial.first):
        raise CheckFailed("Two runs with the same seed differ; draw only from the generator that is passed in.")
    if trial.method.deterministic and not same(trial.solve(seed=1), trial.first):
        raise CheckFailed("It declares deterministic=True and another seed gives another answer; declare False.")
    return "deterministic, as declared" if trial.method.deterministic else "draws, and repeats with its seed"


def check_model_unchanged(trial: Trial) -> str:
    """Weights and prompts are after the method what they were before, bit for bit."""
    before = fingerprint(trial.problem)
    trial.solve()
    if fingerprint(trial.problem) != before:
        raise CheckFailed("The model or the prompts are not what they were; work on copies.")
    return "model and prompts are as before"


def check_time(trial: Trial) -> str:
    """A small problem takes no more than a minute on a CPU."""
    begun = time.perf_counter()
    trial.solve()
    seconds = time.perf_counter() - begun
    if seconds > _SLOW_SECONDS:
        raise CheckFailed(f"{seconds:.0f} s for {trial.task.name}; valid: {_SLOW_SECONDS:.0f} s.")
    return f"{seconds:.2f} s"


def same(first: Packed, second: Packed) -> bool:
    """Whether two answers are equal to the bit, NaN equal to NaN."""
    return first.keys() == second.keys() and all(
        torch.equal(first[name].nan_to_num(), second[name].nan_to_num()) for name in first
    )


_GENERAL: dict[str, Callable[[Trial], str]] = {
    "metadata": check_metadata,
    "solution": check_solution,
    "determinism": check_determinism,
    "model unchanged": check_model_unchanged,
    "time": check_time,
}


def check_names(method: Method) -> list[str]:
    """Names of the checks of a method: `batch size`, or `circuit: batch size` if it answers several kinds."""
    return [name for name, _, _ in _checks_of(method)]


def _checks_of(method: Method) -> Iterator[tuple[str, str, str]]:
    """Name, kind and name within the kind of every check."""
    for of in sorted(method.kinds):
        for check in [*_GENERAL, *_trials(of).checks]:
            yield (f"{of}: {check}" if len(method.kinds) > 1 else check), of, check


def _trials(of: str) -> Trials:
    loaded: Trials = Reference(kind(of).trials).load()
    return loaded


def checks(method: Method, names: Sequence[str], registry: Registry | None = None) -> Iterator[Result]:
    """The outcome of each named check, as it is made."""
    registry = registry or Registry()
    open_trials: dict[str, Trial] = {}
    for name, of, check in _checks_of(method):
        if name not in names:
            continue
        trials = _trials(of)
        if check in trials.not_for_references and method.reference:
            yield Result(name, "not asked", "a reference method")
            continue

        def made(of: str = of, check: str = check, trials: Trials = trials) -> str:
            if of not in open_trials:
                open_trials[of] = Trial(method, kind(of), registry.load("task", trials.task))
            return (_GENERAL | dict(trials.checks))[check](open_trials[of])

        yield outcome(name, made)
