"""The two identities of a cell, from which it follows what must run again and what need not.

    solution   = method, all parameters, source of the method and of the graph engine,
                 task with version and source, content of its assets, data seed, seed
    evaluation = solution + scorer;   scorer = source of `mechboard.metrics` + content of the truths

Both are hashes whose formula is versioned. Library versions, hardware and time are never part of them.
The source of a method is its own file and the files beside it whose names begin with an underscore,
if it is part of a package.
The source of a task is the file of its class, with its folder if the class lives in a package of its own.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import mechboard
from mechboard.hashing import sha256
from mechboard.protocols import Method, Task, Truth

FORMULA = 1


def digest(value: Any) -> str:
    """A short hash of anything that JSON can hold, with the version of the formula in front."""
    text = json.dumps(value, sort_keys=True, default=str)
    return f"{FORMULA}:{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def files_digest(paths: Iterable[Path]) -> str:
    """Hash of files' names and contents, independent of where the folder is."""
    described = sorted((p.name, sha256(p)) for p in paths)
    return digest(described)


def _folder(name: str) -> list[Path]:
    return sorted((Path(mechboard.__file__).parent / name).glob("*.py"))


def _method_files(method: Method) -> list[Path]:
    source = inspect.getsourcefile(method.function)
    if source is None:
        return []
    path = Path(source)
    if "." not in method.function.__module__:  # a module of its own: what lies beside it is not its own
        return [path]
    return [path, *(p for p in path.parent.glob("_*.py") if not p.name.startswith("__") and p != path)]


def _task_files(task: Task) -> list[Path]:
    source = inspect.getsourcefile(type(task))
    if source is None:
        return []
    path = Path(source)
    return sorted(path.parent.glob("*.py")) if path.parent.name != "tasks" else [path]


def solution_id(
    method: Method, parameters: Mapping[str, Any], task: Task, assets: Mapping[str, str], data_seed: int, seed: int
) -> str:
    """Identity of what a method returns for a problem."""
    return digest(
        {
            "method": method.name,
            "parameters": dict(parameters),
            "method source": files_digest(_method_files(method)),
            "graph source": files_digest(_folder("graph")),
            "task": [task.name, task.version, files_digest(_task_files(task))],
            "assets": dict(assets),
            "data seed": data_seed,
            "seed": seed,
        }
    )


def scorer_id(truths: Iterable[Truth]) -> str:
    """Identity of what scores a solution."""
    content = [
        [t.name, t.edges.nonzero().flatten().tolist(), *([] if t.effects is None else [t.effects.tolist()])]
        for t in truths
    ]
    return digest({"metrics source": files_digest(_folder("metrics")), "truths": content})


def evaluation_id(solution: str, scorer: str) -> str:
    """Identity of a scored solution."""
    return digest([solution, scorer])
