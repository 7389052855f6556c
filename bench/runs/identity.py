"""The two identities of a cell, from which it follows what must run again and what need not.

    solution   = method, all parameters, adapter, task, source that they rest on, content of the problem's files,
                 data seed, seed
    evaluation = solution + source that scoring rests on + content of the truth's files + stated chance

Both are hashes whose formula is versioned. Source is the import closure within mechboard or the plugin's own
distribution, as syntax trees (`closure.py`). Library versions, hardware and time are never part of them, and neither
identity needs a problem to be loaded.

What a task *is* follows from its fields: plain values enter as they are, functions and classes by the source of their
modules. Fields that only describe it (summary, citation, ...) do not enter, nor do private ones, which are caches.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any

from ..contract.kind import Adapter
from ..contract.method import Method
from ..contract.task import Instance, Task
from ..kinds import kind
from .closure import closure, source_file
from .interactive import in_session, named_by

FORMULA = 3

# fmt: off
_DESCRIBING = frozenset({
    "summary", "description", "citation", "kind", "tier", "family", "level", "ranked", "oracles", "assets", "chance",
    "twin", "quoted",
})
# fmt: on
_IN_WORDS = frozenset({"source"})  # what a truth says of itself


def digest(value: Any) -> str:
    """A short hash of anything that JSON can hold, with the version of the formula in front."""
    text = json.dumps(value, sort_keys=True, default=str)
    return f"{FORMULA}:{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def solution_id(
    method: Method,
    parameters: Mapping[str, Any],
    task: Task,
    assets: Mapping[str, str],
    data_seed: int,
    seed: int,
    *,
    adapter: Adapter[Any, Any] | None = None,
) -> str:
    """Identity of what a method returns for a problem."""
    function = inspect.unwrap(method.function)
    of_method: set[str] = set()
    of_task: set[str] = set()
    of_adapter: set[str] = set()
    adapted = None
    if adapter is not None:
        parts = [adapter.name, adapter.inner.name, describe([adapter.down, adapter.up], of_adapter)]
        adapted = [parts, *(closure(module) for module in sorted(of_adapter))]
    return digest(
        {
            "method": [method.name, describe(function, of_method)],
            "adapter": adapted,
            "parameters": dict(parameters),
            "task": [task.name, task.version, describe(task, of_task, leave_out=_DESCRIBING)],
            "source": [closure(function.__module__, of_method), closure(type(task).__module__, of_task)],
            "files": dict(assets),
            "data seed": data_seed,
            "seed": seed,
        }
    )


def evaluation_id(solution: str, task: Task) -> str:
    """Identity of a scored solution."""
    scorer = closure(type(kind(task.kind)).__module__)
    return digest([solution, scorer, dict(task.truth_hashes()), dict(task.chance)])


def scorer_id(task: Task, instance: Instance[Any]) -> str:
    """What a number means: the definitions of the measures and the truths. Numbers compare where it is the same."""
    home = type(kind(task.kind)).__module__
    source = {
        name: found
        for name, found in closure(home).items()
        if name.startswith("mechboard.metrics.") or not name.startswith("mechboard.")
    }
    truths = describe(instance.truths, set(), leave_out=_IN_WORDS)
    return digest({"measures": source, "truths": truths, "chance": dict(task.chance)})


def describe(value: Any, roots: set[str], *, leave_out: frozenset[str] = frozenset()) -> Any:
    """What a value is, as JSON can hold it; modules that its code lives in are added to `roots`."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Path | ModuleType):
        return None  # where a file lies says nothing; what it holds is among the hashes of the task's files
    if isinstance(value, Mapping):
        return {str(key): describe(item, roots) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [describe(item, roots, leave_out=leave_out) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(json.dumps(describe(item, roots), sort_keys=True) for item in value)
    if isinstance(value, partial):
        return [describe(part, roots) for part in (value.func, value.args, value.keywords)]
    if isinstance(value, MethodType):
        return [value.__func__.__qualname__, describe(value.__self__, roots)]
    if isinstance(value, FunctionType):
        return _function(value, roots)
    if isinstance(value, type):
        return _class(value, roots)
    held = {
        name: describe(item, roots)
        for name, item in sorted(_state(value).items())
        if not name.startswith("_") and name not in leave_out
    }
    return [_class(type(value), roots), held]


def _state(value: Any) -> dict[str, Any]:
    if hasattr(value, "numpy"):  # a tensor
        return {"content": hashlib.sha256(value.detach().cpu().numpy().tobytes()).hexdigest()}
    return dict(getattr(value, "__dict__", {}))


def _function(function: FunctionType, roots: set[str]) -> Any:
    """A function by its module's source and what it closes over; by what it names where there is no file."""
    cells = [describe(_content(cell), roots) for cell in function.__closure__ or ()]
    if source_file(function.__module__) is not None:
        return [_name(function, roots), *cells]
    return [function.__qualname__, _in_session(function, roots), *cells]


def _class(value: type, roots: set[str]) -> Any:
    name = _name(value, roots)
    return [name, _in_session(value, roots)] if in_session(value.__module__) else name


def _in_session(code: FunctionType | type, roots: set[str]) -> Any:
    """What code without a file rests on; modules among it are added to `roots`."""
    found = named_by(code)
    roots |= found.modules
    return [sorted(found.source), describe(found.values, roots)]


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that is bound later
        return None


def _name(value: Any, roots: set[str]) -> str:
    roots.add(value.__module__)
    return f"{value.__module__}.{value.__qualname__}"
