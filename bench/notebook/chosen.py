"""What was given for methods or tasks: names, globs, labels, comma lists, suites, objects, and lists of these."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..contract.method import Method
from ..contract.task import Suite, Task
from ..errors import PluginError, UsageError
from ..plugins.registry import Registry
from ..runs.labels import Selected
from ..runs.session import pick, pick_methods

Given = str | Method | Task | Suite | Sequence[str | Method | Task | Suite]

_TYPES: dict[str, Any] = {"method": Method, "task": Task}
_HOW = {
    "method": "a name, or a function under @mechboard.protocols.method(...)",
    "task": "a name, or an object of a class that derives from mechboard.protocols.Task",
}


@dataclass(frozen=True)
class Chosen:
    """Selected methods or tasks, each once, with what names them; `strangers` are those that no other process finds."""

    names: tuple[str, ...]
    objects: tuple[Any, ...]
    strangers: tuple[str, ...]


def chosen(registry: Registry, what: str, given: Given, notices: list[str]) -> Chosen:
    """What was given, as objects: methods with the parameters of their labels.

    Raises:
        SelectionError: a name or glob matches nothing.
        UsageError: something is neither a name nor a method or task, nothing was given, or two share a name.
        PluginError: what was asked for by name is broken.
    """
    found: dict[str, Any] = {}
    by_name: dict[str, Any] = {}
    strangers: list[str] = []
    for part in _parts(given):
        if isinstance(part, Suite) and what == "task":
            part = part.name
        if isinstance(part, str):
            objects = _picked(registry, what, part, notices)
        elif isinstance(part, _TYPES[what]):
            objects = [(part.name, part, Selected(part) if what == "method" else part)]
            if not _is_installed(registry, what, part):
                strangers.append(part.name)
        else:
            raise UsageError(f"{_short(part)} was given as a {what}; valid: {_HOW[what]}, or a list of these.")
        for text, one, selected in objects:
            if by_name.setdefault(one.name, one) is not one:
                raise UsageError(
                    f"Two {what}s are called {one.name!r}, and a record could not tell them apart; rename yours."
                )
            found.setdefault(text, selected)
    if not found:
        raise UsageError(f"No {what} was given; valid: {_HOW[what]}, or 'all'.")
    return Chosen(tuple(found), tuple(found.values()), tuple(strangers))


def _picked(registry: Registry, what: str, given: str, notices: list[str]) -> list[tuple[str, Any, Any]]:
    """Of what a text selects: how it is called, the method or task itself, and as what it is run."""
    if what == "method":
        return [(one.text, one.method, one) for one in pick_methods(registry, given, notices)]
    return [(one.name, one, one) for one in pick(registry, what, given, notices)]


def _parts(given: Given) -> Iterable[Any]:
    return given if isinstance(given, list | tuple | set | frozenset) else [given]


def _is_installed(registry: Registry, what: str, one: Any) -> bool:
    """Whether an object is what its name stands for, so that other processes find it by that name."""
    try:
        return one.name in registry.plugins(what) and registry.load(what, one.name) is one
    except PluginError:
        return False


def _short(value: object) -> str:
    text = f"The function {value.__name__!r}" if callable(value) and hasattr(value, "__name__") else repr(value)
    return text if len(text) < 80 else f"{text[:77]}..."
