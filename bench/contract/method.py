"""A method: a function of a problem, a random generator and its parameters, made known by the decorator `method`.

It returns a solution of its problem's kind, or declines: `raise Unsupported("needs an MLP; this model has none")`.
Registered by an entry point of the group `mechboard.methods`, value `module:attribute`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from ..errors import PluginError

if TYPE_CHECKING:
    from torch import Generator

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""What methods, tasks and adapters may be called: names are parts of paths and labels."""


@dataclass(frozen=True)
class NoParameters:
    """Parameters of a method that has none."""


MethodFunction = Callable[[Any, "Generator", Any], Any]


@dataclass(frozen=True, kw_only=True)
class Method:
    """A method as the harness sees it: a function and what it declares about itself.

    `sees` lists what it may see beyond the problem, in its kind's words. A `reference` stands in tables for
    orientation and is never ranked; a method that sees anything beyond the problem always is one.
    A method that declares itself deterministic runs one seed.
    """

    name: str
    kinds: frozenset[str]
    sees: frozenset[str]
    deterministic: bool
    reference: bool
    summary: str
    citation: Mapping[str, str]
    function: MethodFunction
    parameters: type[Any]

    def __call__(self, problem: Any, generator: Generator, parameters: Any = None) -> Any:
        """Solve a problem; `parameters` defaults to the method's own defaults."""
        return self.function(problem, generator, self.parameters() if parameters is None else parameters)

    @property
    def defaults(self) -> Mapping[str, Any]:
        """Default of every parameter."""
        return {f.name: f.default for f in fields(self.parameters)}


def method(
    *,
    name: str,
    kinds: tuple[str, ...],
    deterministic: bool,
    sees: tuple[str, ...] = (),
    reference: bool = False,
    citation: Mapping[str, str] | None = None,
) -> Callable[[MethodFunction], Method]:
    """Declare a function `f(problem, generator, parameters)` as a method.

    `parameters` is annotated with a frozen dataclass in which every field has a default, or with `NoParameters`.
    The first line of the function's module docstring is the method's summary, or of its own where it stands in a
    notebook; `citation` holds BibTeX fields.

    Raises:
        PluginError: the declaration breaks the contract.
    """

    def declare(function: MethodFunction) -> Method:
        _check(name, kinds)
        return Method(
            name=name,
            kinds=frozenset(kinds),
            sees=frozenset(sees),
            deterministic=deterministic,
            reference=reference or bool(sees),
            summary=_summary(function),
            citation=dict(citation or {}),
            function=function,
            parameters=_parameters_of(name, function),
        )

    return declare


def _check(name: str, kinds: tuple[str, ...]) -> None:
    if not NAME.fullmatch(name):
        raise PluginError(f"A method is called {name!r}; valid: letters, digits, '.', '_' and '-', such as my-method.")
    if type(kinds) is not tuple or not kinds or not all(NAME.fullmatch(kind) for kind in kinds):
        raise PluginError(f"Method {name!r} declares kinds {kinds!r}; valid: a tuple of names, such as ('circuit',).")


def _summary(function: MethodFunction) -> str:
    module = inspect.getmodule(function)
    in_session = module is None or module.__name__ == "__main__"
    text = (None if in_session else inspect.getdoc(module)) or inspect.getdoc(function) or ""
    return text.partition("\n")[0]


def _parameters_of(name: str, function: MethodFunction) -> type[Any]:
    arguments = list(inspect.signature(function).parameters.values())
    if len(arguments) != 3:
        raise PluginError(f"Method {name!r} takes {len(arguments)} arguments; valid: (problem, generator, parameters).")
    annotation: Any = arguments[2].annotation
    if isinstance(annotation, str):
        annotation = inspect.unwrap(function).__globals__.get(annotation)
    if not (isinstance(annotation, type) and is_dataclass(annotation)) or any(
        f.default is MISSING for f in fields(annotation)
    ):
        raise PluginError(
            f"Method {name!r} annotates its parameters with {arguments[2].annotation!r}; valid: a frozen dataclass "
            "at module level with a default for every field, or mechboard.protocols.NoParameters."
        )
    for f in fields(annotation):
        if isinstance(f.default, float) and not isfinite(f.default):
            raise PluginError(f"Method {name!r} has the default {f.name}={f.default}; valid: a finite number.")
    return annotation
