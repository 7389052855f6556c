"""From records to what the pages show: a section per kind, in it families of tasks, standings by each measure.

Nothing here knows a kind by name: which measures a reader can choose among, the kind says.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mechboard import kinds
from mechboard.contract.kind import Kind
from mechboard.contract.task import Suite
from mechboard.errors import UsageError
from mechboard.records import Record

from .consensus import agreed
from .declared import Declared
from .families import BoardTask, Family, in_families
from .groups import PASSES, Group
from .standings import Ranking, ranking


@dataclass(frozen=True)
class Section:
    """All results on tasks of one kind. Without a suite there is no overall score; `awaiting` are tasks without results."""

    kind: Kind[Any, Any]
    suite: Suite | None
    tasks: dict[str, BoardTask]
    awaiting: tuple[Declared, ...] = ()

    @cached_property
    def measures(self) -> tuple[str, ...]:
        """What a reader can choose among: the kind's first, which is shown at first, and those of which there are values."""
        first, *others = self.kind.shown
        return (first, *(m for m in others if any(task.has(m) for task in self.tasks.values())), PASSES)

    @cached_property
    def families(self) -> list[Family]:
        """Families of the suite's tasks, of all tasks without a suite."""
        names = self.suite.tasks if self.suite else sorted(self.tasks)
        return in_families(self.tasks[name] for name in names if name in self.tasks)

    @cached_property
    def apart(self) -> list[BoardTask]:
        """Tasks that the suite shows in a block of their own."""
        return [self.tasks[name] for name in (self.suite.apart if self.suite else ()) if name in self.tasks]

    @cached_property
    def outside(self) -> list[BoardTask]:
        """Tasks of which the suite knows nothing."""
        if self.suite is None:
            return []
        known = {*self.suite.tasks, *self.suite.apart}
        return [task for name, task in sorted(self.tasks.items()) if name not in known]

    @cached_property
    def ordered(self) -> list[BoardTask]:
        """Every task, in the order in which pages show them."""
        return [*(task for family in self.families for task in family.tasks), *self.apart, *self.outside]

    @cached_property
    def methods(self) -> dict[str, Group]:
        """The first group of each method, by label."""
        found: dict[str, Group] = {}
        for task in self.ordered:
            for label, group in task.groups.items():
                found.setdefault(label, group)
        return dict(sorted(found.items()))

    @cached_property
    def rankings(self) -> dict[str, Ranking]:
        """Standings by each measure."""
        found: dict[str, Ranking] = {}
        families = self.families if self.suite else []
        absent = sum(name not in self.tasks for name in self.suite.tasks) if self.suite else 0
        for measure in self.measures:
            before = [s.label for s in found[self.measures[0]].standings] if found else []
            found[measure] = ranking(measure, families, self.methods, absent=absent, before=before)
        return found

    @property
    def ranking(self) -> Ranking:
        """Standings by the measure that is shown at first."""
        return self.rankings[self.measures[0]]

    def of_method(self, label: str) -> list[tuple[BoardTask, Group]]:
        """Tasks of one method."""
        return [(task, task.groups[label]) for task in self.ordered if label in task.groups]

    def cost_and_quality(self) -> list[tuple[str, float, float]]:
        """Label, mean passes per prompt and overall score, for methods that have both."""
        cost = {s.label: s.score for s in self.rankings[PASSES].standings}
        scored = ((s.label, cost[s.label], s.score) for s in self.ranking.standings)
        return [(label, passes, score) for label, passes, score in scored if passes is not None and score is not None]

    @property
    def of_unknown_cost(self) -> list[str]:
        """Labels of methods with an overall score whose passes are not known: nothing tells whether they are cheap."""
        drawn = {label for label, _, _ in self.cost_and_quality()}
        return [s.label for s in self.ranking.standings if s.score is not None and s.label not in drawn]


@dataclass(frozen=True)
class Board:
    """Everything the pages show. `records` are those that stand on it or once did, as they were given."""

    sections: tuple[Section, ...]
    records: tuple[Record, ...]
    left_out: tuple[str, ...]

    @classmethod
    def of(
        cls,
        records: Iterable[Record],
        suites: Iterable[Suite],
        unreadable: Sequence[str] = (),
        declared: Iterable[Declared] = (),
    ) -> Board:
        """Group records by kind, task and method; of a task only the newest version that anyone was run on counts.

        A declared task of which there are records is told by these alone.

        Raises:
            UsageError: two suites are of one kind.
        """
        by_kind = _by_kind(suites)
        given = sorted(records, key=lambda r: (r.cell.label, r.cell.task, r.cell.data_seed, r.cell.seed))
        kept, refused = agreed(given)
        found: dict[str, dict[str, dict[str, list[Record]]]] = defaultdict(
            lambda: defaultdict(lambda: defaultdict(list))
        )
        for record in kept:
            found[record.task.kind][record.cell.task][record.cell.label].append(record)
        awaiting: dict[str, list[Declared]] = defaultdict(list)
        with_records = {record.cell.task for record in kept}
        for task in sorted(declared, key=lambda d: d.name):
            if task.name not in with_records:
                awaiting[task.info.kind].append(task)
        there = found.keys() | awaiting.keys()
        names = [*(name for name in by_kind if name in there), *sorted(there - by_kind.keys())]
        sections = tuple(_section(name, by_kind.get(name), found[name], awaiting[name]) for name in names)
        gone = {id(left.record) for left in refused}
        return cls(sections, tuple(r for r in given if id(r) not in gone), (*unreadable, *map(str, refused)))


def _by_kind(suites: Iterable[Suite]) -> dict[str, Suite]:
    found: dict[str, Suite] = {}
    for suite in suites:
        other = found.setdefault(suite.kind, suite)
        if other is not suite:
            raise UsageError(
                f"The suites {other.name!r} and {suite.name!r} are both of the kind {suite.kind!r}; valid: one suite "
                "of each kind, since a section has one overall score."
            )
    return found


def _section(
    name: str, suite: Suite | None, found: dict[str, dict[str, list[Record]]], awaiting: list[Declared]
) -> Section:
    kind = kinds.kind(name)
    tasks = {
        task: BoardTask(task, {label: Group(tuple(rs)) for label, rs in methods.items()}, kind.definitions)
        for task, methods in found.items()
    }
    return Section(kind, suite, tasks, tuple(awaiting))
