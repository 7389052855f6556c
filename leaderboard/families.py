"""Tasks with everyone's results on them, and families of tasks: what a column of a table is made of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

from mechboard.contract.measures import Definitions
from mechboard.leaderboard.consensus import most_say
from mechboard.leaderboard.groups import PASSES, Group
from mechboard.records import Record, TaskInfo


@dataclass(frozen=True)
class BoardTask:
    """A task and the groups of all methods on it, by label."""

    name: str
    groups: Mapping[str, Group]
    definitions: Definitions

    @cached_property
    def _voters(self) -> list[Record]:
        """Who has a say on the task: those who solved it, or everybody if nobody did."""
        everybody = [r for group in self.groups.values() for r in group.records]
        return [r for r in everybody if r.status == "done"] or everybody

    @cached_property
    def info(self) -> TaskInfo:
        """What most state about the task."""
        stated = most_say((r.cell.method, r.task.model_dump_json()) for r in self._voters)
        return next(r.task for r in self._voters if r.task.model_dump_json() == stated)

    @cached_property
    def headline(self) -> str | None:
        """The measure that most state as the headline."""
        return most_say((r.cell.method, r.headline) for r in self._voters)

    @cached_property
    def _names(self) -> dict[str, str]:
        return {}

    def named(self, short: str) -> str:
        """The task's own name of a measure: against its first truth, if the measure is one against truths."""
        if short == PASSES or not self.info.truths:
            return short
        if short not in self._names:
            own = f"{short}[{self.info.truths[0].name}]"
            said = most_say((r.cell.method, short if short in r.measures else own) for r in self._voters)
            self._names[short] = said or short
        return self._names[short]

    def has(self, short: str) -> bool:
        """Whether the task has values of a measure: at least half of those who solved it state it, and one has one.

        That is the task's, so that an entrant who leaves a measure out, or adds one, moves nobody else's overall score.
        """
        if short == PASSES:
            return any(g.passes is not None for g in self.groups.values())
        name = self.named(short)
        stated: dict[str, bool] = defaultdict(bool)
        for record in self._voters:
            stated[record.cell.method] |= name in record.measures
        found = [m for r in self._voters if (m := r.measures.get(name)) is not None]
        return 2 * sum(stated.values()) >= len(stated) and any(m.value is not None for m in found)

    def counts(self, short: str) -> bool:
        """Whether the measure has a scale here, so that it can enter an overall score."""
        if short == PASSES:
            return self.has(short)
        if not any(g.done for g in self.groups.values()):
            # Whoever tried has failed and counts as chance, if the kind knows where chance is.
            known = self.definitions.of(short)
            return known is not None and known.chance_of == "measure" and None not in (known.chance, known.oracle)
        stated = [m for r in self._voters if (m := r.measures.get(self.named(short))) is not None]
        return self.has(short) and all(None not in (m.chance, m.oracle) for m in stated)

    def score(self, label: str, short: str) -> float | None:
        """A method's score on the scale of the anchors (passes as they are); None if it has none."""
        group = self.groups.get(label)
        if group is None:
            return None
        return group.passes if short == PASSES else group.score(self.named(short))

    def ordered(self) -> list[tuple[str, Group]]:
        """Methods, best headline first, those without one last."""

        def order(row: tuple[str, Group]) -> tuple[bool, float, str]:
            measure = row[1].measure(self.headline) if self.headline else None
            if measure is None or measure.value is None:
                return True, 0.0, row[0]
            return False, -measure.value if measure.direction == "higher" else measure.value, row[0]

        return sorted(self.groups.items(), key=order)


@dataclass(frozen=True)
class Family:
    """Tasks that vary one idea. A mean over a family is one voice in an overall score."""

    name: str
    tasks: tuple[BoardTask, ...]

    def counts(self, short: str) -> bool:
        """Whether every task of it has a scale for the measure."""
        return all(task.counts(short) for task in self.tasks)

    def score(self, label: str, short: str) -> float | None:
        """Mean score over the tasks; None if one is missing."""
        scores = [task.score(label, short) for task in self.tasks]
        return None if None in scores else fmean(s for s in scores if s is not None)

    def groups(self, label: str) -> list[Group]:
        """What a method has on the tasks."""
        return [task.groups[label] for task in self.tasks if label in task.groups]


def in_families(tasks: Iterable[BoardTask]) -> list[Family]:
    """Tasks by family, families in the order of their first tasks, tasks by level where they have one."""
    found: dict[str, list[BoardTask]] = defaultdict(list)
    for task in tasks:
        found[task.info.family].append(task)
    return [Family(name, tuple(sorted(members, key=_level))) for name, members in found.items()]


def _level(task: BoardTask) -> float:
    return float("inf") if task.info.level is None else task.info.level
