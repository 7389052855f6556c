"""Does a plugin keep the contract? Checks on small problems, for `bench check` and for a third party's pytest.

    from mechboard.conformance import conformance_test, task_conformance_test
    test_my_method = conformance_test("my-method")
    test_my_task = task_conformance_test("my-task")

gives a test suite one test per check.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from mechboard.conformance import methods, tasks
from mechboard.conformance.results import CheckFailed, NotAsked, Result
from mechboard.contract.method import Method
from mechboard.contract.task import Task
from mechboard.registry import Registry

__all__ = [
    "CheckFailed", "NotAsked", "Result", "check_names", "checks", "conformance_test", "run_checks", "task_conformance_test",
]  # fmt: skip


def check_names(subject: Method | Task) -> list[str]:
    """Names of the checks of a method or task, in their order."""
    return methods.check_names(subject) if isinstance(subject, Method) else tasks.check_names(subject)


def checks(subject: Method | Task, names: Sequence[str], registry: Registry | None = None) -> Iterator[Result]:
    """The outcome of each named check, as it is made; what the subject raises is an error of that check."""
    if isinstance(subject, Method):
        return methods.checks(subject, names, registry)
    return tasks.checks(subject, names)


def run_checks(subject: Method | Task, registry: Registry | None = None) -> list[Result]:
    """Every check on one method or task."""
    return list(checks(subject, check_names(subject), registry))


def conformance_test(name: str) -> Any:
    """A pytest test of one installed method, with one case per check."""
    return _test("method", name)


def task_conformance_test(name: str) -> Any:
    """A pytest test of one installed task, with one case per check."""
    return _test("task", name)


def _test(what: str, name: str) -> Any:
    import pytest

    @pytest.mark.parametrize("check", check_names(Registry().load(what, name)))
    def test(check: str) -> None:
        made = _results(what, name)[check]
        assert made.good, made.detail

    return test


@cache
def _results(what: str, name: str) -> dict[str, Result]:
    """Results of what is installed under a name, made once in a process."""
    registry = Registry()
    return {result.check: result for result in run_checks(registry.load(what, name), registry)}
