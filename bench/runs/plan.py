"""The plan of a run: methods x tasks x data seeds x seeds, and what cannot be crossed, with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..assets import locate
from ..contract.kind import Adapter
from ..contract.method import Method
from ..contract.task import Task
from ..errors import PluginError
from ..kinds import kind
from ..records import Cell
from .labels import Selected, label, slug
from .selection import make_parameters


@dataclass(frozen=True)
class PlannedCell:
    """A cell with the objects that it needs; `adapter` if the method is of another kind than the task."""

    cell: Cell
    method: Method
    parameters: Any
    task: Task
    adapter: Adapter[Any, Any] | None = None


@dataclass(frozen=True)
class Unplanned:
    """A method and task that are not crossed, and why: `skipped` or `unsupported`."""

    label: str
    task: str
    status: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """Cells in the order in which they run, task by task, so that a problem is loaded once."""

    cells: tuple[PlannedCell, ...]
    unplanned: tuple[Unplanned, ...]


def make_plan(selected: Sequence[Selected], tasks: Sequence[Task], *, seeds: int, data_seeds: int) -> Plan:
    """Cross methods and tasks, each pair once by whatever it was selected.

    A deterministic method gets one seed, whatever `seeds` is.

    Raises:
        UsageError: a method refuses its parameters.
        PluginError: a task states the chance of a measure whose chance is not the task's.
    """
    cells: dict[str, PlannedCell] = {}
    unplanned: dict[tuple[str, str], Unplanned] = {}
    chosen = [(one, make_parameters(one.method, one.passed)) for one in selected]

    def leave_out(one: Selected, parameters: Any, task: Task, status: str, reason: str) -> None:
        said = label(one.method, parameters) + (f"@{one.adapter}" if one.adapter else "")
        unplanned.setdefault((said, task.name), Unplanned(said, task.name, status, reason))

    for task in tasks:
        check_chance(task)
        absent = [asset.name for asset in task.assets if locate(asset) is None]
        crossed: list[tuple[Selected, Any, Adapter[Any, Any] | None]] = []
        for one, parameters in chosen:
            ways = _ways(one, task)
            if absent:
                reason = f"assets not here: bench pull {' '.join(absent)}"
                leave_out(one, parameters, task, "skipped", reason)
            elif not ways:
                leave_out(one, parameters, task, "unsupported", _no_way(one, task))
            else:
                crossed += [(one, parameters, adapter) for adapter in ways]
        for data_seed in range(data_seeds):
            for one, parameters, adapter in crossed:
                for seed in range(1 if one.method.deterministic else seeds):
                    cell = _cell(one, parameters, adapter, task, data_seed, seed)
                    cells.setdefault(cell.name, PlannedCell(cell, one.method, parameters, task, adapter))
    return Plan(tuple(cells.values()), tuple(unplanned.values()))


def check_chance(task: Task) -> None:
    """See that a task states chance only where chance is the task's own.

    Raises:
        PluginError: it states that of another measure.
    """
    stated = {n for n, known in kind(task.kind).definitions.table.items() if known.chance_of == "task"}
    if wrong := sorted(set(task.chance) - stated):
        raise PluginError(
            f"Task {task.name!r} states the chance of {wrong[0]!r}; valid: {', '.join(sorted(stated)) or 'none'}; the "
            "others have their own."
        )


def _ways(one: Selected, task: Task) -> list[Adapter[Any, Any] | None]:
    """How a method answers a task: by itself (None), else through each adapter that leads there, or the one of a label."""
    if task.kind in one.method.kinds:
        return [] if one.adapter else [None]
    leading = [adapter for adapter in kind(task.kind).adapters if adapter.inner.name in one.method.kinds]
    return [adapter for adapter in leading if one.adapter in (None, adapter.name)]


def _no_way(one: Selected, task: Task) -> str:
    kinds = ", ".join(sorted(one.method.kinds))
    through = f" and not through {one.adapter!r}" if one.adapter else ""
    return f"{one.method.name} answers {kinds} tasks{through}, this is a {task.kind} task"


def _cell(
    one: Selected, parameters: Any, adapter: Adapter[Any, Any] | None, task: Task, data_seed: int, seed: int
) -> Cell:
    return Cell(
        method=one.method.name,
        label=label(one.method, parameters, adapter),
        slug=slug(one.method, parameters, adapter),
        parameters=asdict(parameters),
        parameters_passed=dict(one.passed),
        adapter=adapter.name if adapter else None,
        task=task.name,
        task_version=task.version,
        data_seed=data_seed,
        seed=seed,
    )
