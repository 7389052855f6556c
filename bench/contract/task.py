"""A task: a declaration, and `load`, which makes an instance of it. Scoring is the kind's.

A task is an object of a dataclass that derives from `Task`. Registered by an entry point of the group
`mechboard.tasks`, value `module:attribute`; suites in the group `mechboard.suites`.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..assets import locate
from ..errors import PluginError
from .method import NAME

if TYPE_CHECKING:
    from ..assets import Asset
    from .scores import Quoted

TIERS = ("embedded", "paper")

Problem = TypeVar("Problem")


@dataclass(frozen=True, kw_only=True)
class Instance(Generic[Problem]):
    """One instance of a task: the problem that methods get, and what is held back from them.

    `held_out` is what solutions are scored on, such as evaluation prompts. `truths` are the answers that are known,
    the headline's first; empty if none is.
    """

    problem: Problem
    held_out: Any
    truths: tuple[Any, ...] = ()

    def __repr__(self) -> str:
        return f"Instance({self.problem!r}, {len(self.truths)} truths)"


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """What a task declares. A concrete task adds what differs and `load`.

    Args:
        name: its name; instances and prompts may be drawn from it, so a renamed task is another one.
        version: raised whenever a number could change.
        kind: which question it asks, a name of the group `mechboard.kinds`.
        tier: `embedded` runs everywhere without a download, `paper` needs a model or data that must be fetched.
        summary: one line.
        family: tasks that vary one idea; overall scores average within a family first. The task alone if empty.
        level: place in a family of rising difficulty.
        ranked: whether it counts in any ranking; a unit test with a known answer need not.
        assets: what must be here before it runs.
        oracles: methods by which its truth was measured; they are references on it.
        chance: what random solutions score, for measures whose chance is the task's own: `cmd`, as `benchmarks/chance.py`
            measures it.
        twin: the task that asks the same of another model, such as the embedded one of a paper's task.
        quoted: published numbers that it is held against.
        citation: BibTeX fields.

    Raises:
        PluginError: a field is not what it must be.
    """

    name: str
    kind: str
    summary: str
    version: int = 1
    tier: str = "embedded"
    family: str = ""
    level: int | None = None
    ranked: bool = True
    assets: tuple[Asset, ...] = ()
    oracles: tuple[str, ...] = ()
    chance: Mapping[str, float] = field(default_factory=dict, hash=False)
    twin: str = ""
    quoted: tuple[Quoted, ...] = ()
    citation: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name, holds, valid in _valid(self):
            if not holds:
                said = f"Task {self.name!r} has {name} {getattr(self, name)!r}; valid: {valid}."
                raise PluginError(said)
        if not self.family:
            object.__setattr__(self, "family", self.name)

    @property
    def description(self) -> str:
        """The whole story: the docstring of the module that the task's class stands in, or its own in a notebook."""
        module = inspect.getmodule(type(self))
        in_session = module is None or module.__name__ == "__main__"
        return inspect.getdoc(type(self) if in_session else module) or ""

    def asset_hashes(self) -> Mapping[str, str]:
        """Content hash of every file that the problem is made from, by name."""
        return {}

    def truth_hashes(self) -> Mapping[str, str]:
        """Content hash of every file that the truths alone are made from, by name."""
        return {}

    def checkpoint_folders(self) -> tuple[Path, ...]:
        """Folders with files of the model and its tokenizer, which go with an edited copy of it: those of the assets."""
        return tuple(folder for asset in self.assets if (folder := locate(asset)) is not None)

    @abstractmethod
    def load(self, data_seed: int, device: str) -> Instance[Any]:
        """The instance of one data seed, drawn from that number alone, on a torch device."""


def _valid(task: Task) -> list[tuple[str, bool, str]]:
    """Name, whether it holds, and what would be valid, of every field."""

    def named(value: Any) -> bool:
        return isinstance(value, str) and NAME.fullmatch(value) is not None

    def texts(value: Any) -> bool:
        return isinstance(value, Mapping) and all(isinstance(part, str) for item in value.items() for part in item)

    def numbers(value: Any) -> bool:
        return isinstance(value, Mapping) and all(isinstance(v, int | float) and isfinite(v) for v in value.values())

    called = "letters, digits, '.', '_' and '-', such as my-task"
    return [
        ("name", named(task.name), called),
        ("kind", named(task.kind), "the name of a kind, such as 'circuit'"),
        ("summary", isinstance(task.summary, str) and bool(task.summary.strip()), "one line of text"),
        ("version", type(task.version) is int and task.version >= 1, "a whole number from 1 on"),
        ("tier", task.tier in TIERS, " or ".join(map(repr, TIERS))),
        ("family", task.family == "" or named(task.family), called),
        ("level", task.level is None or type(task.level) is int, "None, or a whole number"),
        ("ranked", isinstance(task.ranked, bool), "True or False"),
        ("assets", isinstance(task.assets, tuple), "a tuple of mechboard.assets.Asset"),
        ("oracles", isinstance(task.oracles, tuple) and all(map(named, task.oracles)), "a tuple of names of methods"),
        ("chance", numbers(task.chance), "a mapping from names of measures to finite numbers"),
        ("twin", task.twin == "" or (named(task.twin) and task.twin != task.name), "the name of another task"),
        ("quoted", isinstance(task.quoted, tuple), "a tuple of mechboard.protocols.Quoted"),
        ("citation", texts(task.citation), "a mapping from BibTeX fields to text"),
    ]


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A named, versioned list of tasks of one kind; an overall score needs every one of them.

    `apart` are tasks that are shown with it in a block of their own and enter no overall score, such as unit tests.
    """

    name: str
    version: int
    summary: str
    kind: str
    tasks: tuple[str, ...]
    apart: tuple[str, ...] = ()
