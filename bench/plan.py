"""The plan of a run: methods x tasks x data seeds x seeds, and what cannot be crossed, with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mechboard.assets import locate
from mechboard.protocols import Method, Task
from mechboard.records import Cell
from mechboard.selection import label, make_parameters, slug


@dataclass(frozen=True)
class PlannedCell:
    """A cell with the objects that it needs."""

    cell: Cell
    method: Method
    parameters: Any
    task: Task


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
    """
    cells: list[PlannedCell] = []
    unplanned: list[Unplanned] = []
    parameters = {m.name: make_parameters(m, passed.get(m.name, {})) for m in methods}
    for task in tasks:
        absent = [asset.name for asset in task.assets if locate(asset) is None]
        if absent:
            reason = f"assets not here: bench pull {' '.join(absent)}"
            unplanned += [Unplanned(label(m, parameters[m.name]), task.name, "skipped", reason) for m in methods]
            continue
        crossed = []
        for m in methods:
            name = label(m, parameters[m.name])
            if task.kind not in m.kinds:
                reason = f"{m.name} answers {', '.join(sorted(m.kinds))} tasks, this is a {task.kind} task"
                unplanned.append(Unplanned(name, task.name, "unsupported", reason))
            elif "truth" in m.sees and not task.has_truth:
                unplanned.append(Unplanned(name, task.name, "unsupported", "no circuit is known for this task"))
            else:
                crossed.append(m)
        for data_seed in range(data_seeds):
            for m in crossed:
                for seed in range(1 if m.deterministic else seeds):
                    chosen = parameters[m.name]
                    cell = _cell(m, chosen, passed.get(m.name, {}), task, data_seed, seed)
                    cells.append(PlannedCell(cell, m, chosen, task))
    return Plan(tuple(cells), tuple(unplanned))


def _cell(m: Method, parameters: Any, passed: Mapping[str, Any], task: Task, data_seed: int, seed: int) -> Cell:
    return Cell(
        method=m.name,
        label=label(m, parameters),
        slug=slug(m, parameters),
        parameters=asdict(parameters),
        parameters_passed=dict(passed),
        task=task.name,
        task_version=task.version,
        data_seed=data_seed,
        seed=seed,
    )
