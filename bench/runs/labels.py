"""Labels: how tables and records name a method with its parameters, and the same as what is typed to run it.

    eap                                   every parameter at its default
    eap-ig[rule=midpoint,steps=10]        with the parameters that differ, by name
    eap-ig[steps=10]@cut                  through an adapter, for tasks of another kind

A label says all of its parameters: what it leaves out is at its default.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from ..contract.kind import Adapter
from ..contract.method import Method
from ..errors import UsageError

_COMMA_OUTSIDE_BRACKETS = re.compile(r",(?![^\[]*\])")
# Names hold no `=`, so what stands in the brackets of a glob does not either.
_LABEL = re.compile(r"(?P<name>[^\[\]@]+)(?:\[(?P<settings>[^\[\]]*=[^\[\]]*)\])?(?:@(?P<adapter>[^\[\]@]+))?")


@dataclass(frozen=True)
class Selected:
    """A method to run with the parameters that were given for it.

    `typed` is the label by which it was selected, empty if it was its name; `adapter` is the one of the label.
    """

    method: Method
    passed: Mapping[str, Any] = field(default_factory=dict)
    typed: str = ""
    adapter: str | None = None

    @property
    def text(self) -> str:
        """What selects it."""
        return self.typed or self.method.name


@dataclass(frozen=True)
class Label:
    """A label that was typed: nothing of it has been looked up."""

    text: str
    name: str
    settings: Mapping[str, str]
    adapter: str | None


def split(given: str) -> Iterator[str]:
    """The parts of a comma list; commas in brackets belong to a label.

    >>> list(split("eap, eap-ig[rule=midpoint,steps=10]"))
    ['eap', 'eap-ig[rule=midpoint,steps=10]']
    """
    return (part.strip() for part in _COMMA_OUTSIDE_BRACKETS.split(given))


def parse_label(text: str) -> Label | None:
    """A label with brackets or adapter, None for names and globs.

    >>> parse_label("eap-ig[rule=midpoint,steps=10]").settings
    {'rule': 'midpoint', 'steps': '10'}
    >>> parse_label("eap*"), parse_label("eap[-_]*")
    (None, None)

    Raises:
        UsageError: what stands in the brackets is not `NAME=VALUE,...` with each name once.
    """
    found = _LABEL.fullmatch(text)
    if found is None or not (found["settings"] or found["adapter"]):
        return None
    settings: dict[str, str] = {}
    for setting in (found["settings"] or "").split(",") if found["settings"] else ():
        name, equals, value = (part.strip() for part in setting.partition("="))
        if not name or not equals or name in settings:
            raise UsageError(
                f"The label {text!r} was given; valid: METHOD[NAME=VALUE,...] with each name once, as tables print it."
            )
        settings[name] = value
    return Label(text, found["name"], settings, found["adapter"])


def label(method: Method, parameters: Any, adapter: Adapter[Any, Any] | None = None) -> str:
    """How tables name a method: `eap-ig[steps=10]`, with the parameters that differ from the default.

    An adapted method has the adapter's name behind an `@`: `eap-ig[steps=10]@cut`.
    """
    changed = _changed(method, parameters)
    return (f"{method.name}[{','.join(changed)}]" if changed else method.name) + _behind(adapter)


def slug(method: Method, parameters: Any, adapter: Adapter[Any, Any] | None = None) -> str:
    """The folder of a method's records: `eap-ig+steps=10`."""
    return "+".join([method.name, *_changed(method, parameters)]) + _behind(adapter)


def with_parameters(selected: Sequence[Selected], passed: Mapping[str, Mapping[str, Any]]) -> list[Selected]:
    """The same with parameters by name of method; a label keeps its own."""
    return [one if one.typed else Selected(one.method, passed.get(one.method.name, {})) for one in selected]


def _changed(method: Method, parameters: Any) -> list[str]:
    values = {f.name: getattr(parameters, f.name) for f in fields(parameters)}
    return [f"{name}={value}" for name, value in sorted(values.items()) if value != method.defaults[name]]


def _behind(adapter: Adapter[Any, Any] | None) -> str:
    return f"@{adapter.name}" if adapter else ""
