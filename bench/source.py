"""What a plugin's source says about it, read without running it: its summary, and the literal keywords of its declaration.

    task = MiniTask(name="ioi-mini", summary="...")     what is written here
    class MiniTask(Task): kind: str = "circuit"         and what its class has by default, bases first

A class is found as a reader would find it: in the same file, or through the imports of that file.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any


def described(value: str) -> dict[str, Any]:
    """What is known of the `attribute` of a `module`, given as `module:attribute`.

    Raises:
        ImportError: there is no such module; or OSError, SyntaxError or ValueError where it cannot be read.
    """
    module, _, attribute = value.partition(":")
    tree = _tree(module)
    found: dict[str, Any] = {"summary": (ast.get_docstring(tree) or "").partition("\n")[0]}
    for call in _declarations(tree, attribute):
        found |= _defaults(module, call.func)
        for keyword in call.keywords:
            if keyword.arg and (literal := _literal(keyword.value)) is not _UNKNOWN:
                found[keyword.arg] = literal
    return found


_UNKNOWN = object()


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        return _UNKNOWN


@lru_cache(maxsize=256)
def _tree(module: str) -> ast.Module:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ImportError(module)
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))


def _declarations(tree: ast.Module, attribute: str) -> Iterator[ast.Call]:
    """Calls that make the attribute: what it is assigned, or what decorates it."""
    for node in tree.body:
        calls: list[ast.expr] = []
        if isinstance(node, ast.FunctionDef) and node.name == attribute:
            calls = node.decorator_list
        elif isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == attribute for t in node.targets):
            calls = [node.value]
        yield from (call for call in calls if isinstance(call, ast.Call))


def _defaults(module: str, name: ast.expr) -> dict[str, Any]:
    """Literal defaults of the fields of a class; none where the name is no class that can be found."""
    try:
        found = _find_class(module, ast.unparse(name), frozenset())
    except (OSError, SyntaxError, ImportError, ValueError):
        return {}
    if found is None:
        return {}
    home, definition = found
    fields: dict[str, Any] = {}
    for base in reversed(definition.bases):
        fields |= _defaults(home, base.value if isinstance(base, ast.Subscript) else base)
    for node in definition.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            literal = _literal(node.value)
            fields.pop(node.target.id, None)  # a default that is no literal hides that of the base
            if literal is not _UNKNOWN:
                fields[node.target.id] = literal
    return fields


def _find_class(module: str, name: str, seen: frozenset[tuple[str, str]]) -> tuple[str, ast.ClassDef] | None:
    """The module that defines a class which `module` calls `name`, and its definition."""
    if (module, name) in seen:
        return None
    seen |= {(module, name)}
    first, _, rest = name.partition(".")
    for node in _tree(module).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return module, node
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == first:
                    origin = _absolute(module, node)
                    return _find_class(f"{origin}.{alias.name}" if rest else origin, rest or alias.name, seen)
        if isinstance(node, ast.Import):
            for alias in node.names:
                called = alias.asname or alias.name
                if name.startswith(f"{called}."):
                    return _find_class(alias.name, name.removeprefix(f"{called}."), seen)
    return None


def _absolute(module: str, node: ast.ImportFrom) -> str:
    """The module that a `from ... import` names."""
    if not node.level:
        return node.module or ""
    spec = importlib.util.find_spec(module)
    is_package = spec is not None and spec.submodule_search_locations is not None
    parts = module.split(".")
    above = parts[: len(parts) - node.level + is_package]
    return ".".join([*above, *([node.module] if node.module else [])])
