"""A task beside its twin, which asks the same of another model: the same measures of the same methods in one table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mechboard.records import TaskInfo

from .board import Section
from .declared import Declared
from .families import BoardTask
from .groups import PASSES
from .weights import weights_of
from .words import number


@dataclass(frozen=True)
class Side:
    """One of the two: its name, on what its numbers rest, and its results if it has any."""

    name: str
    rests: str
    info: TaskInfo
    task: BoardTask | None

    def value(self, label: str, measure: str) -> str:
        """What a method has by a measure."""
        group = self.task.groups.get(label) if self.task else None
        if self.task is None or group is None:
            return "not run"
        found = group.measure(self.task.named(measure))
        if found is not None and found.value is not None:
            return number(found.value)
        return "–" if group.status == "done" else group.status


@dataclass(frozen=True)
class Beside:
    """A task, its twin, the measures that either has and all methods on either."""

    sides: tuple[Side, Side]
    measures: tuple[str, ...]
    labels: tuple[str, ...]

    @property
    def measured(self) -> tuple[Side, ...]:
        """Those with results."""
        return tuple(side for side in self.sides if side.task)


def beside(section: Section, name: str) -> list[Beside]:
    """Every pair that a task is in, itself first: with the twin that it names, and with those that name it."""
    mine = _side(section, name)
    return [_beside(section, mine, other) for twin in _twins(section, name) if (other := _side(section, twin)) and mine]


def _twins(section: Section, name: str) -> Iterator[str]:
    said = {task.name: task.info.twin for task in section.ordered} | {d.name: d.info.twin for d in section.awaiting}
    if said.get(name):
        yield said[name]
    yield from (other for other, twin in said.items() if twin == name and other != said.get(name))


def _side(section: Section, name: str) -> Side | None:
    if task := section.tasks.get(name):
        return Side(name, rests(task), task.info, task)
    declared = next((d for d in section.awaiting if d.name == name), None)
    return Side(name, f"awaits {declared.awaits}", declared.info, None) if declared else None


def rests(task: BoardTask | Declared) -> str:
    """On what the numbers of a task rest, in a few words."""
    if isinstance(task, Declared):
        return f"awaits {task.awaits}"
    if not any(group.done for group in task.groups.values()):
        return "no results yet"
    found = weights_of(record for group in task.groups.values() for record in group.records)
    if found:
        return found[0].tag if len(found) == 1 else f"{found[0].tag}, in part"
    return "embedded model" if task.info.tier == "embedded" else "weights not stated"


def _beside(section: Section, mine: Side, other: Side) -> Beside:
    tasks = [side.task for side in (mine, other) if side.task]
    shown = tuple(m for m in section.measures if m != PASSES and any(task.has(m) for task in tasks))
    labels = dict.fromkeys(label for task in tasks for label, _ in task.ordered())
    return Beside((mine, other), shown, tuple(labels))
