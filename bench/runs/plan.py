"""The plan of a run: methods x tasks x data seeds x seeds, and what cannot be crossed, with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..assets import locate
from ..contract.kind import Adapter
from ..contract.method import Method
from ..contract.task import Task
from ..errors import PluginError
from ..kinds import kind
from ..records import Cell
from .selection import label, make_parameters, slug


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


def make_plan(
    methods: Sequence[Method],
    tasks: Sequence[Task],
    *,
    passed: Mapping[str, Mapping[str, Any]],
    seeds: int,
    data_seeds: int,
) -> Plan:
    """Cross methods and tasks. A deterministic method gets one seed, whatever `seeds` is.

    Raises:
        UsageError: a method refuses its parameters.
        PluginError: a task states the chance of a measure whose chance is not the task's.
    """
    cells: list[PlannedCell] = []
    unplanned: list[Unplanned] = []
    parameters = {m.name: make_parameters(m, passed.get(m.name, {})) for m in methods}
    for task in tasks:
        check_chance(task)
        absent = [asset.name for asset in task.assets if locate(asset) is None]
        if absent:
            reason = f"assets not here: bench pull {' '.join(absent)}"
            unplanned += [Unplanned(label(m, parameters[m.name]), task.name, "skipped", reason) for m in methods]
            continue
        crossed: list[tuple[Method, Adapter[Any, Any] | None]] = []
        for m in methods:
            ways = _ways(m, task)
            crossed += [(m, adapter) for adapter in ways]
            if not ways:
                reason = f"{m.name} answers {', '.join(sorted(m.kinds))} tasks, this is a {task.kind} task"
                unplanned.append(Unplanned(label(m, parameters[m.name]), task.name, "unsupported", reason))
        for data_seed in range(data_seeds):
            for m, adapter in crossed:
                for seed in range(1 if m.deterministic else seeds):
                    chosen = parameters[m.name]
                    cell = _cell(m, chosen, passed.get(m.name, {}), adapter, task, data_seed, seed)
                    cells.append(PlannedCell(cell, m, chosen, task, adapter))
    return Plan(tuple(cells), tuple(unplanned))


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


def _ways(m: Method, task: Task) -> list[Adapter[Any, Any] | None]:
    """How a method answers a task: by itself (None), else through each adapter that leads there."""
    if task.kind in m.kinds:
        return [None]
    return [adapter for adapter in kind(task.kind).adapters if adapter.inner.name in m.kinds]


def _cell(
    m: Method,
    parameters: Any,
    passed: Mapping[str, Any],
    adapter: Adapter[Any, Any] | None,
    task: Task,
    data_seed: int,
    seed: int,
) -> Cell:
    return Cell(
        method=m.name,
        label=label(m, parameters, adapter),
        slug=slug(m, parameters, adapter),
        parameters=asdict(parameters),
        parameters_passed=dict(passed),
        adapter=adapter.name if adapter else None,
        task=task.name,
        task_version=task.version,
        data_seed=data_seed,
        seed=seed,
    )
