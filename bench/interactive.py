"""Code that has no file: a function or class in a cell of a notebook, and what of other cells it names.

Where code has a file, `closure` follows the imports of its module. A cell has none, so here the names are followed: the
globals that a function loads are looked up, and what is a function or class of the session is read in its turn. So a
method is another one when a helper or a constant in another cell has changed.
"""

from __future__ import annotations

import dis
import hashlib
import inspect
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from tokenize import TokenError
from types import CodeType, FunctionType, ModuleType
from typing import Any

from mechboard.closure import source_file, tree_hash
from mechboard.contract.method import Method


@dataclass
class Named:
    """What a piece of code rests on: sources of the session, modules that have a file, and plain values by name."""

    source: set[tuple[str, str]] = field(default_factory=set)
    modules: set[str] = field(default_factory=set)
    values: dict[str, Any] = field(default_factory=dict)


def in_session(module: str) -> bool:
    """Whether a module is the session itself, and no file, package or extension."""
    return getattr(sys.modules.get(module), "__spec__", None) is None and source_file(module) is None


def named_by(start: FunctionType | type) -> Named:
    """Everything of the session that a function or class rests on, itself included."""
    found, waiting, seen = Named(), [("", start)], set[int]()
    while waiting:
        name, item = waiting.pop()
        item = _bare(item)
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, ModuleType):
            found.modules.add(item.__name__)
        elif isinstance(item, FunctionType):
            if source_file(item.__module__) is not None:
                found.modules.add(item.__module__)
                continue
            found.source.add((item.__qualname__, _own(item)))
            waiting += [*_loaded(item), *_annotated(item), *_enclosed(item)]
        elif isinstance(item, type):
            if in_session(item.__module__):
                waiting += [("", base) for base in item.__bases__]
                waiting += _attributes(item)
            else:
                found.modules.add(item.__module__)
        elif _is_plain(item):
            found.values[name] = item
        elif isinstance(item, tuple | list | set | frozenset | dict):
            inside = item.items() if isinstance(item, dict) else enumerate(item)
            waiting += [(f"{name}[{key}]", part) for key, part in inside]
        else:
            waiting.append((name, type(item)))
    return found


def _is_plain(item: Any) -> bool:
    """Numbers, text, tensors and containers of these: what can be told by its value."""
    if isinstance(item, tuple | list | set | frozenset):
        return all(map(_is_plain, item))
    if isinstance(item, dict):
        return all(map(_is_plain, item.values()))
    return item is None or isinstance(item, str | int | float) or hasattr(item, "detach")


def _bare(item: Any) -> Any:
    """A function without what is wrapped around it."""
    if isinstance(item, Method):
        item = item.function
    if isinstance(item, property):
        item = item.fget
    if isinstance(item, staticmethod | classmethod):
        item = item.__func__
    return inspect.unwrap(item) if callable(item) and not isinstance(item, type) else item


def _own(function: FunctionType) -> str:
    """A function's source as a syntax tree; its code where the source is not known."""
    try:
        return tree_hash(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError, TokenError):
        return hashlib.sha256(repr(_code(function.__code__)).encode()).hexdigest()


def _code(code: CodeType) -> Any:
    constants = [_code(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return [code.co_code.hex(), code.co_names, constants]


def _loaded(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Globals that a function, or one inside it, loads."""
    waiting = [function.__code__]
    while waiting:
        code = waiting.pop()
        waiting += [c for c in code.co_consts if isinstance(c, CodeType)]
        for instruction in dis.get_instructions(code):
            if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME") and instruction.argval in function.__globals__:
                yield instruction.argval, function.__globals__[instruction.argval]


def _annotated(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Classes in annotations, such as the parameters of a method."""
    for annotation in function.__annotations__.values():
        named = function.__globals__.get(annotation) if isinstance(annotation, str) else annotation
        if isinstance(named, type):
            yield "", named


def _enclosed(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """What a function closes over."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # a name that is bound later
            continue


def _attributes(owner: type) -> Iterator[tuple[str, Any]]:
    """Functions and values of a class; what `dataclass` wrote follows from the fields."""
    for name, item in vars(owner).items():
        bare = _bare(item)
        if isinstance(bare, FunctionType):
            if bare.__code__.co_filename != "<string>":
                yield name, bare
        elif not name.startswith("__"):
            yield f"{owner.__qualname__}.{name}", item
