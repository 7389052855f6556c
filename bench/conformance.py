"""Does a method keep the contract? A list of checks on small problems, for `bench check` and for pytest.

    from mechboard.conformance import conformance_test
    test_my_method = conformance_test("my-method")

gives a third party's test suite one test per check.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from mechboard.errors import InvalidSolution
from mechboard.graph import Graph
from mechboard.metrics.roc import roc
from mechboard.protocols import CircuitProblem, Method, Task
from mechboard.registry import Registry
from mechboard.workers.cell import validated

_TASK = "compiled-brackets"
_ROUNDING = 1e-4
_BETTER_THAN_CHANCE = 0.6
_SLOW_SECONDS = 60.0


class CheckFailed(AssertionError):
    """A method breaks the contract; the message says how and what to do."""


@dataclass(frozen=True)
class Result:
    """Outcome of one check: `passed`, `failed`, `error` or `not asked`."""

    check: str
    outcome: str
    detail: str


class Bench:
    """One method with a small problem whose circuit is known, and its answers, computed once."""

    def __init__(self, method: Method, task: Task) -> None:
        self.method = method
        self.problem = task.load(0, "cpu")
        self.truth = task.truths(self.problem)[0].edges
        if "truth" in method.sees:
            self.problem = replace(self.problem, truth=self.truth)
        self._first: Tensor | None = None

    def scores(self, problem: CircuitProblem | None = None, *, seed: int = 0) -> Tensor:
        """Validated scores of a problem (by default the small one)."""
        problem = problem or self.problem
        generator = torch.Generator().manual_seed(seed)
        return validated(self.method(problem, generator), problem)

    @property
    def first(self) -> Tensor:
        """Scores of the small problem with seed 0."""
        if self._first is None:
            self._first = self.scores()
        return self._first


def _fail(message: str) -> None:
    raise CheckFailed(message)


def check_metadata(bench: Bench) -> str:
    """The declaration is complete: summary, kinds, parameters with defaults in a frozen dataclass."""
    m = bench.method
    if not m.summary:
        _fail("The module has no docstring; its first line is the method's summary.")
    if not (is_dataclass(m.parameters) and m.parameters.__dataclass_params__.frozen):  # type: ignore[attr-defined]
        _fail(f"{m.parameters.__name__} is no frozen dataclass; write @dataclass(frozen=True).")
    return f"{', '.join(sorted(m.kinds))}; {len(fields(m.parameters))} parameters"


def check_shape_and_finiteness(bench: Bench) -> str:
    """One finite score or NaN for every edge."""
    try:
        scores = bench.first
    except InvalidSolution as error:
        raise CheckFailed(str(error)) from error
    return f"{int((~scores.isnan()).sum())} of {len(scores)} edges scored"


def check_determinism(bench: Bench) -> str:
    """The same seed gives the same scores; if declared deterministic, so does another seed."""
    if not torch.equal(bench.scores().nan_to_num(), bench.first.nan_to_num()):
        _fail("Two runs with the same seed differ; draw only from the generator that is passed in.")
    other = bench.scores(seed=1)
    same = torch.equal(other.nan_to_num(), bench.first.nan_to_num())
    if bench.method.deterministic and not same:
        _fail("It declares deterministic=True and another seed gives other scores; declare False.")
    return "deterministic, as declared" if bench.method.deterministic else "draws, and repeats with its seed"


def check_model_unchanged(bench: Bench) -> str:
    """The problem's model computes the same logits after the method as before, bit for bit."""
    pairs = bench.problem.pairs
    before, tokens = bench.problem.model(pairs.clean), pairs.clean.clone()
    bench.scores()
    if not torch.equal(bench.problem.model(pairs.clean), before) or not torch.equal(pairs.clean, tokens):
        _fail("The model or the prompts are not what they were; work on copies.")
    return "model and prompts are as before"


def check_batch_size(bench: Bench) -> str:
    """Scores do not depend on the batch size."""
    small = bench.scores(replace(bench.problem, batch_size=7)).nan_to_num()
    difference = float((small - bench.first.nan_to_num()).abs().max())
    largest = float(bench.first.nan_to_num().abs().max())
    if difference > _ROUNDING * max(largest, 1e-12):
        _fail(f"Batches of 7 change a score by {difference:.2g}; sum over prompts and divide by their number once.")
    return f"largest difference {difference:.1g}"


def check_head_level(bench: Bench) -> str:
    """A graph whose edges end in heads, not in q, k and v, is answered too."""
    graph = Graph.of(bench.problem.model.config, level="head")
    problem = replace(bench.problem, graph=graph, truth=None)
    if bench.problem.truth is not None:
        problem = replace(
            problem, truth=torch.zeros(graph.n_edges, dtype=torch.bool).index_fill(0, torch.tensor([0]), True)
        )
    try:
        bench.scores(problem)
    except (InvalidSolution, RuntimeError, IndexError) as error:
        raise CheckFailed(
            f"{error} Sum q/k/v scores with problem.graph.sum_qkv(...) before problem.graph.flat(...)."
        ) from error
    return f"{graph.n_edges} edges"


def check_orientation(bench: Bench) -> str:
    """Edges of a known circuit score higher than others: in size, and with sign."""
    auc = roc(bench.first, bench.truth).trapezoid
    if auc < _BETTER_THAN_CHANCE:
        _fail(f"AUC {auc:.2f} on {_TASK}, where chance is 0.5; are source and destination exchanged?")
    signed_auc = roc(bench.first, bench.truth, signed=True).trapezoid
    if signed_auc < 0.5:
        _fail(
            f"Signed AUC {signed_auc:.2f}: supporting edges score negative; a score is the metric's *drop* under ablation."
        )
    return f"AUC {auc:.3f}, signed {signed_auc:.3f}"


def check_time(bench: Bench) -> str:
    """A problem of some 400 edges and 64 short prompts takes no more than a minute on a CPU."""
    begun = time.perf_counter()
    bench.scores()
    seconds = time.perf_counter() - begun
    if seconds > _SLOW_SECONDS:
        _fail(f"{seconds:.0f} s for a problem of {bench.problem.graph.n_edges} edges; valid: {_SLOW_SECONDS:.0f} s.")
    return f"{seconds:.2f} s"


CHECKS: dict[str, Callable[[Bench], str]] = {
    "metadata": check_metadata,
    "shape and finiteness": check_shape_and_finiteness,
    "determinism": check_determinism,
    "model unchanged": check_model_unchanged,
    "batch size": check_batch_size,
    "head level": check_head_level,
    "sign and orientation": check_orientation,
    "time": check_time,
}
_NOT_FOR_REFERENCES = frozenset({"sign and orientation"})


def run_checks(method: Method, registry: Registry | None = None) -> list[Result]:
    """Every check on one method; a method that raises fails the check that it raised in, with its error."""
    return list(checks(method, list(CHECKS), registry))


def checks(method: Method, names: Sequence[str], registry: Registry | None = None) -> Iterator[Result]:
    """The outcome of each named check, as it is made."""
    bench = Bench(method, (registry or Registry()).load("task", _TASK))
    for name in names:
        if name in _NOT_FOR_REFERENCES and method.reference:
            yield Result(name, "not asked", "a reference method")
            continue
        try:
            yield Result(name, "passed", CHECKS[name](bench))
        except CheckFailed as error:
            yield Result(name, "failed", str(error))
        except (Exception, SystemExit) as error:
            yield Result(name, "error", f"{type(error).__name__}: {error}")


def conformance_test(name: str) -> Any:
    """A pytest test of one installed method, with one case per check."""
    import pytest

    @pytest.mark.parametrize("check", list(CHECKS))
    def test(check: str) -> None:
        outcome = {r.check: r for r in run_checks_once(name)}[check]
        assert outcome.outcome in ("passed", "not asked"), outcome.detail

    return test


_cache: dict[str, list[Result]] = {}


def run_checks_once(name: str) -> list[Result]:
    """Results of an installed method, computed once in a process."""
    if name not in _cache:
        registry = Registry()
        _cache[name] = run_checks(registry.load("method", name), registry)
    return _cache[name]
