"""From what was typed to what will run: `all`, globs and comma lists; parameters, and those that a label says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from math import isfinite
from numbers import Integral, Real
from typing import Any

from ..contract.method import Method
from ..errors import UsageError, unknown
from .labels import Label, Selected


def select(
    what: str, given: str, names: Iterable[str], aliases: Mapping[str, Sequence[str]] | None = None
) -> list[str]:
    """Names that match a comma list of names and globs, in the order of the list; `all` is every name.

    >>> select("task", "ioi*,docstring", ["docstring", "ioi", "ioi-long"])
    ['ioi', 'ioi-long', 'docstring']

    Args:
        what: the noun for errors.
        given: what was typed.
        names: what exists.
        aliases: names that stand for several others (suites).

    Raises:
        SelectionError: a pattern matches nothing.
    """
    available = sorted(names)
    chosen: list[str] = []
    for pattern in (part.strip() for part in given.split(",")):
        if pattern == "all":
            matched: Sequence[str] = available
        elif aliases and pattern in aliases:
            matched = [name for name in aliases[pattern] if name in available]
        else:
            matched = [name for name in available if fnmatchcase(name, pattern)]
        if not matched:
            raise unknown(what, pattern, [*available, *(aliases or ()), "all"])
        chosen += [name for name in matched if name not in chosen]
    return chosen


def parse_parameters(given: Sequence[str], selected: Sequence[Selected]) -> dict[str, dict[str, Any]]:
    """`METHOD.NAME=VALUE` settings, per method that was selected by name, converted to the type of the default.

    Raises:
        UsageError: a setting is malformed, or names a method that is not selected or a parameter it lacks.
    """
    parsed: dict[str, dict[str, Any]] = {}
    for setting in given:
        target, equals, value = setting.partition("=")
        name, dot, parameter = target.rpartition(".")
        if not equals or not dot:
            raise UsageError(f"--param {setting!r} was given; valid: METHOD.NAME=VALUE, such as eap-ig.steps=10.")
        method = _by_name(name, selected)
        parsed.setdefault(name, {})[parameter] = _parse(f"--param {setting!r}", method, parameter, value)
    return parsed


def parameters_of(label: Label, method: Method) -> dict[str, Any]:
    """What a label says of a method's parameters, converted to the types of the defaults.

    Raises:
        UsageError: the method lacks a parameter, or a value is of another type.
    """
    said = f"The label {label.text!r}"
    return {name: _parse(said, method, name, value) for name, value in label.settings.items()}


def _by_name(name: str, selected: Sequence[Selected]) -> Method:
    """The method of this name for which parameters may be given, since no label says them."""
    methods = {one.method.name: one.method for one in selected if not one.typed}
    labels = [one.typed for one in selected if one.method.name == name]
    if name not in methods and labels:
        raise UsageError(
            f"Parameters of {name} were given, and it was selected by the label {labels[0]!r}, which says them all; "
            "write them into the label."
        )
    if name not in methods:
        raise unknown("selected method", name, methods)
    return methods[name]


def _parse(said: str, method: Method, parameter: str, value: str) -> Any:
    if parameter not in method.defaults:
        raise unknown(f"parameter of {method.name}", parameter, method.defaults)
    return _convert(said, value, method.defaults[parameter])


def _convert(said: str, value: str, default: Any) -> Any:
    if isinstance(default, bool):
        if value.lower() not in ("true", "false"):
            raise UsageError(f"{said} was given; valid values: true, false.")
        return value.lower() == "true"
    try:
        converted = type(default)(value)
        if isinstance(converted, float) and not isfinite(converted):
            raise ValueError
    except (TypeError, ValueError) as error:
        kind = type(default).__name__
        raise UsageError(f"{said} was given; valid: a value of type {kind}, finite.") from error
    return converted


def given_parameters(given: Mapping[str, Mapping[str, Any]], selected: Sequence[Selected]) -> dict[str, dict[str, Any]]:
    """Settings per method as values, `{"eap-ig": {"steps": 10}}`, held to the types of the defaults.

    Raises:
        UsageError: a value is of another type, or a method or parameter is not there.
    """
    checked: dict[str, dict[str, Any]] = {}
    for name, settings in given.items():
        defaults = _by_name(name, selected).defaults
        for parameter, value in settings.items():
            if parameter not in defaults:
                raise unknown(f"parameter of {name}", parameter, defaults)
            checked.setdefault(name, {})[parameter] = _like(f"{name}.{parameter}", value, defaults[parameter])
    return checked


def _like(setting: str, value: Any, default: Any) -> Any:
    """A value as the type of the default, so that 10 and numpy's 10 are one setting and one label."""
    said = UsageError(f"{setting} is {value!r}; valid: a value of type {type(default).__name__}, finite.")
    if isinstance(default, bool) or not isinstance(default, int | float):
        if default is not None and not isinstance(value, type(default)):
            raise said
        return value
    fits = isinstance(value, Integral) or (isinstance(value, Real) and isinstance(default, float))
    if isinstance(value, bool) or not fits or not isfinite(value):
        raise said
    return type(default)(value)


def make_parameters(method: Method, passed: Mapping[str, Any]) -> Any:
    """The method's parameters with these values.

    Raises:
        UsageError: the method refuses a value.
    """
    try:
        return method.parameters(**passed)
    except (TypeError, ValueError) as error:
        raise UsageError(f"Method {method.name!r} refuses {dict(passed)!r}: {error}") from error
