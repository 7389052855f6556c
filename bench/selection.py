"""From what was typed to what will run: `all`, globs and comma lists; parameters; labels and slugs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from fnmatch import fnmatchcase
from math import isfinite
from numbers import Integral, Real
from typing import Any

from mechboard.contract.kind import Adapter
from mechboard.contract.method import Method
from mechboard.errors import UsageError, unknown


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


def parse_parameters(given: Sequence[str], methods: Mapping[str, Method]) -> dict[str, dict[str, Any]]:
    """`METHOD.NAME=VALUE` settings, per method, converted to the type of the default.

    Raises:
        UsageError: a setting is malformed, or names a method that is not selected or a parameter it lacks.
    """
    parsed: dict[str, dict[str, Any]] = {}
    for setting in given:
        target, equals, value = setting.partition("=")
        name, dot, parameter = target.rpartition(".")
        if not equals or not dot:
            raise UsageError(f"--param {setting!r} was given; valid: METHOD.NAME=VALUE, such as eap-ig.steps=10.")
        if name not in methods:
            raise unknown("selected method", name, methods)
        defaults = methods[name].defaults
        if parameter not in defaults:
            raise unknown(f"parameter of {name}", parameter, defaults)
        parsed.setdefault(name, {})[parameter] = _convert(setting, value, defaults[parameter])
    return parsed


def _convert(setting: str, value: str, default: Any) -> Any:
    if isinstance(default, bool):
        if value.lower() not in ("true", "false"):
            raise UsageError(f"--param {setting!r} was given; valid values: true, false.")
        return value.lower() == "true"
    try:
        converted = type(default)(value)
        if isinstance(converted, float) and not isfinite(converted):
            raise ValueError
    except (TypeError, ValueError) as error:
        kind = type(default).__name__
        raise UsageError(f"--param {setting!r} was given; valid: a value of type {kind}, finite.") from error
    return converted


def given_parameters(
    given: Mapping[str, Mapping[str, Any]], methods: Mapping[str, Method]
) -> dict[str, dict[str, Any]]:
    """Settings per method as values, `{"eap-ig": {"steps": 10}}`, held to the types of the defaults.

    Raises:
        UsageError: a value is of another type, or a method or parameter is not there.
    """
    checked: dict[str, dict[str, Any]] = {}
    for name, settings in given.items():
        if name not in methods:
            raise unknown("selected method", name, methods)
        defaults = methods[name].defaults
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


def _changed(method: Method, parameters: Any) -> list[str]:
    values = {f.name: getattr(parameters, f.name) for f in fields(parameters)}
    return [f"{name}={value}" for name, value in sorted(values.items()) if value != method.defaults[name]]


def label(method: Method, parameters: Any, adapter: Adapter[Any, Any] | None = None) -> str:
    """How tables name a method: `eap-ig[steps=10]`, with the parameters that differ from the default.

    An adapted method has the adapter's name behind an `@`: `eap-ig[steps=10]@cut`.
    """
    changed = _changed(method, parameters)
    return (f"{method.name}[{','.join(changed)}]" if changed else method.name) + _behind(adapter)


def slug(method: Method, parameters: Any, adapter: Adapter[Any, Any] | None = None) -> str:
    """The folder of a method's records: `eap-ig+steps=10`."""
    return "+".join([method.name, *_changed(method, parameters)]) + _behind(adapter)


def _behind(adapter: Adapter[Any, Any] | None) -> str:
    return f"@{adapter.name}" if adapter else ""
