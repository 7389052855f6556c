"""Which source a piece of code rests on: the modules that it imports, and theirs, each hashed as a syntax tree.

    closure("mechboard.methods.eap") -> {"mechboard.methods.eap": hash, "mechboard.graph.trace": hash, ...}

Only modules of mechboard and of the root's own distribution belong to it; libraries do not, since identities must not
depend on their versions. A module enters when it is imported anywhere in the source, also inside a function; imports
for type checkers do not count. Docstrings, comments and layout are not part of a syntax tree as it is hashed here.
Nothing is imported to find out, except the packages around a module.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from importlib.machinery import ModuleSpec
from importlib.metadata import packages_distributions
from pathlib import Path

_OURS = "mechboard"


def closure(home: str, others: Iterable[str] = ()) -> dict[str, str]:
    """Hash of every module that `home` and the others rest on, themselves included, by name.

    What is neither of mechboard nor of `home`'s own distribution is left out, and so is what has no source file (an
    interactive session).
    """
    found: dict[str, str] = {}
    siblings = _siblings(home)
    waiting = [home, *(name for name in others if _belongs(name, siblings))]
    while waiting:
        name = waiting.pop()
        path = source_file(name)
        if name in found or path is None or name == _OURS:  # the top package holds nothing but the version
            continue
        found[name], imported = _read(path, path.stat().st_mtime_ns, name)
        waiting += [other for other in imported if other not in found and _belongs(other, siblings)]
    return found


def tree_hash(source: str) -> str:
    """Hash of Python source as a syntax tree, without docstrings, comments and layout.

    >>> tree_hash("def f(x): return  2*x  # twice") == tree_hash("def f(x): return 2 * x")
    True
    >>> tree_hash("x = 1") == tree_hash("x = 2")
    False
    """
    return _hash(ast.parse(source))


def source_file(module: str) -> Path | None:
    """The file of a module, None if it has none or is none."""
    # What is imported is asked first: a loose file that was imported under the same name may lie elsewhere by now.
    spec = sys.modules[module].__spec__ if module in sys.modules else _search(module)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin)


@cache
def _search(module: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return None


@lru_cache(maxsize=1024)
def _read(path: Path, modified: int, module: str) -> tuple[str, tuple[str, ...]]:
    """Hash of a module's tree, and the names it imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    return _hash(tree), tuple(dict.fromkeys(_imports(tree, package)))


def _hash(tree: ast.AST) -> str:
    text: list[str] = []
    _write(tree, text)
    return hashlib.sha256("".join(text).encode()).hexdigest()


def _write(value: object, into: list[str]) -> None:
    """The tree as text. Our own writing, because that of `ast.dump` changes between versions of Python."""
    if isinstance(value, ast.AST):
        into.append(f"{type(value).__name__}(")
        for name in value._fields:
            part = getattr(value, name, None)
            if part is None or part == [] or name in ("ctx", "kind", "type_comment"):
                continue
            into.append(f"{name}=")
            _write(part, into)
        into.append(")")
    elif isinstance(value, list):
        into.append("[")
        for item in value:
            if not _is_text_alone(item):
                _write(item, into)
        into.append("]")
    else:
        into.append(f"{value!r};")


def _is_text_alone(node: object) -> bool:
    """Whether a statement is a docstring or another string that nothing reads."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _imports(node: ast.AST, package: str) -> Iterator[str]:
    """Names of everything imported below a node: modules, and attributes that may be modules."""
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        children: Iterable[ast.AST] = node.orelse
    else:
        children = ast.iter_child_nodes(node)
    for child in children:
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            above = package.rsplit(".", child.level - 1)[0] if child.level else ""
            module = ".".join(part for part in (above, child.module) if part)
            yield module
            yield from (f"{module}.{alias.name}" for alias in child.names)
        else:
            yield from _imports(child, package)


def _belongs(name: str, siblings: frozenset[str] | Path) -> bool:
    top = name.partition(".")[0]
    if top == _OURS:
        return True
    if isinstance(siblings, frozenset):
        return top in siblings
    path = source_file(top)
    # An environment often lies in the folder of the project that it serves.
    return path is not None and siblings in path.parents and "site-packages" not in path.parts


def _siblings(root: str) -> frozenset[str] | Path:
    """What else is a root's own: the top-level names of its distribution or, for a loose file, what lies beside it.

    Beside a notebook lies what is in the working directory.
    """
    top = root.partition(".")[0]
    if top == _OURS:
        return frozenset()
    if top == "__main__" and source_file(top) is None:
        return Path.cwd()
    owners = set(_distributions().get(top, ()))
    path = source_file(root)
    if owners or path is None:
        return frozenset(name for name, others in _distributions().items() if owners & set(others))
    return path.parent


@cache
def _distributions() -> dict[str, list[str]]:
    return {name: list(owners) for name, owners in packages_distributions().items()}
