"""mechboard: a benchmark and leaderboard for mechanistic-interpretability methods.

    results = mechboard.run("eap,random", "trained-ioi")    # methods x tasks
    instance = mechboard.load("ioi-mini")                   # one problem to play with
    published = mechboard.read("results/reference")         # records of a folder

Importing this package imports neither torch nor pandas; that comes with what needs it. The graph engine is in
`mechboard.graph`, the plugin contract in `mechboard.protocols`.
"""

from __future__ import annotations

# An editable install makes `bench` importable too. A method declared by `bench.protocols` would be of another class than
# the registry's, and no method to it.
if __name__ != "mechboard":
    raise ImportError("This folder is the package `mechboard`; import it by that name.")

from typing import TYPE_CHECKING

from mechboard.errors import BenchError

if TYPE_CHECKING:
    from mechboard.notebook.load import load, read
    from mechboard.notebook.results import Results
    from mechboard.notebook.run import run
    from mechboard.records import Record

__version__ = "0.1.0"
__all__ = ["BenchError", "Record", "Results", "__version__", "load", "read", "run"]

_WHERE = {
    "Record": "mechboard.records",
    "Results": "mechboard.notebook.results",
    "load": "mechboard.notebook.load",
    "read": "mechboard.notebook.load",
    "run": "mechboard.notebook.run",
}


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module 'mechboard' has no attribute {name!r}")
    from importlib import import_module

    found: object = getattr(import_module(_WHERE[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE})
