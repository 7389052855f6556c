"""What stands on a task's page: measures in tables that can be read, quoted figures beside our own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mechboard.contract.scores import Quoted
from mechboard.records import TaskInfo

from .board import Section
from .declared import Declared
from .families import BoardTask, Family
from .figures import Drawings, Rows, plots
from .twins import beside
from .weights import weights_of
from .words import shown

_FEW = 6


@dataclass(frozen=True)
class Column:
    """A measure in a table: its name, how it is headed, and an arrow that points the better way."""

    name: str
    heading: str
    arrow: str


@dataclass(frozen=True)
class MeasureTable:
    """Some measures of all methods; `against` is what their names share in brackets: a truth, or which of several it is measured of."""

    against: str
    heading: str
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Published:
    """A quoted figure, and what was measured here of the same method by the same measure, if anything was."""

    quoted: Quoted
    here: str


def of_task(section: Section, task: BoardTask, drawings: Drawings) -> dict[str, Any]:
    """Everything that the page of a task with records shows."""
    rows = task.ordered()
    first, others = plots(task, rows)
    return {
        "task": task, "info": task.info, "rows": rows, "family": _family(section, task),
        "weights": weights_of(record for _, group in rows for record in group.records),
        "main": _main(section, task, rows), "folded": _folded(task, rows), "plots": first, "other_plots": others,
        "galleries": drawings.galleries(task, rows), "besides": beside(section, task.name),
        "published": published(task.info, rows),
    }  # fmt: skip


def of_declared(section: Section, declared: Declared) -> dict[str, Any]:
    """Everything that the page of a task without records shows."""
    return {
        "task": declared, "info": declared.info, "family": None, "weights": (),
        "besides": beside(section, declared.name), "published": published(declared.info, ()),
    }  # fmt: skip


def _family(section: Section, task: BoardTask) -> Family | None:
    return next((f for f in section.families if task in f.tasks and len(f.tasks) > 1), None)


def _emitted(task: BoardTask, rows: Rows) -> list[str]:
    """Every measure in the order in which the scorer emitted them, the headline first."""
    names = dict.fromkeys(name for _, group in rows for name in group.first.measures)
    return sorted(names, key=lambda name: name != task.headline)


def _columns(task: BoardTask, rows: Rows, names: Iterable[str], against: str = "") -> tuple[Column, ...]:
    """What the truth is called is said once, by the table or by the page."""

    def column(name: str) -> Column:
        first = next(group.first.measures[name] for _, group in rows if name in group.first.measures)
        heading = name.removesuffix(f"[{against}]") if against else name.replace(f"[{task.name}:", "[")
        return Column(name, heading, "↑" if first.direction == "higher" else "↓")

    return tuple(map(column, names))


def _main(section: Section, task: BoardTask, rows: Rows) -> tuple[Column, ...]:
    """The headline, the section's first measure against every truth, its others against the first truth.

    Where that leaves out few, it leaves out none.
    """
    names = _emitted(task, rows)
    if len(names) > _FEW:
        first, *others = section.kind.shown
        kept = {task.headline, *map(task.named, others)}
        names = [name for name in names if name in kept or name.partition("[")[0] == first]
    return _columns(task, rows, names)


def _folded(task: BoardTask, rows: Rows) -> list[MeasureTable]:
    """All measures, against each truth and of each part in a table of its own, then those of none."""
    names = _emitted(task, rows)
    if len(names) <= _FEW:
        return []
    by_truth: dict[str, list[str]] = {}
    for name in names:
        by_truth.setdefault(name.partition("[")[2].removesuffix("]"), []).append(name)
    tables = [
        MeasureTable(against, _heading(task, against), _columns(task, rows, found, against))
        for against, found in by_truth.items()
    ]
    return sorted(tables, key=lambda table: not table.against)


def _heading(task: BoardTask, against: str) -> str:
    if any(truth.name == against for truth in task.info.truths):
        return f"Against {against}"
    return against.replace("-", " ").capitalize() if against else "Without a truth"


def published(info: TaskInfo, rows: Rows) -> list[Published]:
    """Quoted figures in the order of the task."""
    groups = dict(rows)

    def here(quoted: Quoted) -> str:
        group = groups.get(quoted.method)
        return "not measured" if group is None else shown(group.measure(quoted.measure))

    return [Published(quoted, here(quoted)) for quoted in info.quoted]
