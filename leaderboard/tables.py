"""Tables of methods by families or tasks, by one measure: what stands in each cell, ready to be drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

from mechboard.contract.measures import Definition
from mechboard.leaderboard.board import Section
from mechboard.leaderboard.families import BoardTask, Family
from mechboard.leaderboard.groups import PASSES, Group
from mechboard.leaderboard.standings import Ranking, Standing
from mechboard.leaderboard.words import number, titled

Status = Literal["done", "failed", "unsupported", "missing", "none"]


@dataclass(frozen=True)
class Cell:
    """A method on a family or task. `instead` names the measure if it is not the table's."""

    status: Status
    text: str
    task: str = ""
    value: float | None = None
    score: float | None = None
    instead: str = ""
    about: str = ""
    notes: tuple[str, ...] = ()

    @property
    def shade(self) -> int | None:
        """The score in twentieths."""
        return None if self.score is None else round(min(max(self.score, 0.0), 1.0) * 20)


@dataclass(frozen=True)
class Table:
    """Rows are standings with a cell per column. `overall` heads the column of overall scores; without it there is none."""

    name: str
    measure: str
    title: str
    columns: tuple[Family, ...]
    rows: tuple[tuple[Standing, tuple[Cell, ...]], ...]
    heading: str = ""
    overall: str = ""
    ranked: bool = False


@dataclass(frozen=True)
class View:
    """What a section shows by one measure."""

    measure: str
    title: str
    lead: str
    ranking: Ranking
    tables: tuple[Table, ...]


@dataclass(frozen=True)
class Choices:
    """What a reader can filter by."""

    kinds: tuple[str, ...]
    methods: tuple[str, ...]
    tiers: tuple[str, ...]
    columns: tuple[str, ...]

    @classmethod
    def of(cls, sections: Sequence[Section]) -> Choices:
        """What is there to choose, each once."""
        columns = [c for section in sections for table in _view(section, PASSES).tables for c in table.columns]
        return cls(
            kinds=tuple(section.kind.name for section in sections),
            methods=tuple(sorted({g.method for section in sections for g in section.methods.values()})),
            tiers=tuple(sorted({task.info.tier for c in columns for task in c.tasks})),
            columns=tuple(dict.fromkeys(c.name for c in columns)),
        )


def views(section: Section) -> list[View]:
    """Every measure that a reader can choose, the one that is shown at first before the others."""
    return [_view(section, measure) for measure in section.measures]


def _view(section: Section, measure: str) -> View:
    found = section.rankings[measure]
    has_overall = section.suite is not None and (bool(found.counted) or not section.families)
    main = _table(section, measure, "", section.families, "families of tasks")
    if has_overall and measure == PASSES:
        main = replace(main, overall="Mean")
    elif has_overall:
        main = replace(main, overall="Overall", ranked=True)
    tables = [main]
    for name, tasks, heading in (
        ("apart", section.apart, "Tasks apart from the overall score"),
        ("outside", section.outside, "Tasks outside the suite"),
    ):
        if tasks:
            tables.append(_table(section, measure, name, _alone(tasks), heading))
    return View(measure, titled(measure), scale(section.kind.definitions.of(measure), measure), found, tuple(tables))


def _table(section: Section, measure: str, name: str, columns: Sequence[Family], heading: str) -> Table:
    return Table(
        name="-".join(filter(None, (section.kind.name, measure, name))),
        measure=measure,
        title=f"{titled(measure)}: methods by {heading[:1].lower()}{heading[1:]}",
        columns=tuple(columns),
        rows=_rows(section, measure, columns),
        heading=heading,
    )


def family_tables(section: Section, family: Family) -> list[Table]:
    """The tasks of a family as columns, by each measure."""
    columns = _alone(family.tasks)
    return [_table(section, measure, f"family-{family.name}", columns, titled(measure)) for measure in section.measures]


def _alone(tasks: Sequence[BoardTask]) -> tuple[Family, ...]:
    return tuple(Family(task.name, (task,)) for task in tasks)


def _rows(section: Section, measure: str, columns: Sequence[Family]) -> tuple[tuple[Standing, tuple[Cell, ...]], ...]:
    fallback = measure == section.measures[0]
    return tuple(
        (s, tuple(_cell(family, s.label, measure, fallback=fallback) for family in columns))
        for s in section.rankings[measure].standings
    )


def _cell(family: Family, label: str, measure: str, *, fallback: bool) -> Cell:
    groups = family.groups(label)
    if not groups:
        return Cell("missing", "not run")
    task = next(t for t in family.tasks if label in t.groups)
    without = [g for g in groups if g.failed] or [g for g in groups if g.unsupported]
    if without:
        status: Status = "failed" if without[0].failed else "unsupported"
        text = without[0].status
        if len(family.tasks) > 1:
            text = f"{text.partition(' ')[0]} on {len(without)}/{len(family.tasks)} tasks"
        return Cell(status, text, task.name, about=without[0].reason)
    if len(groups) < len(family.tasks):
        return Cell("missing", f"{len(groups)}/{len(family.tasks)} tasks", task.name)
    notes = tuple(dict.fromkeys(note for g in groups for note in g.notes))
    if len(family.tasks) > 1:
        return _mean(family, label, measure, notes)
    return _of_one(task, groups[0], measure, notes, fallback=fallback and not task.has(measure))


def _of_one(task: BoardTask, group: Group, measure: str, notes: tuple[str, ...], *, fallback: bool) -> Cell:
    """A task that lacks the measure shows its headline instead where `fallback` says so, named."""
    name = (task.headline if fallback else None) or task.named(measure)
    found = group.measure(name)
    instead = titled(name) if fallback and task.headline else ""
    if found is None or found.value is None:
        return Cell("none", "–", task.name, about=(found.note if found else "") or f"no {titled(measure)} here")
    about = f"{name}, {found.of}; {group.spread(name)}" if name != PASSES else found.of
    score = group.score(name) if name != PASSES else None
    return Cell("done", number(found.value, measure), task.name, found.value, score, instead, about, notes)


def _mean(family: Family, label: str, measure: str, notes: tuple[str, ...]) -> Cell:
    groups = [(task, task.groups[label]) for task in family.tasks]
    found = [(task.name, group.measure(task.named(measure))) for task, group in groups]
    values = [(name, m.value) for name, m in found if m is not None and m.value is not None]
    first = family.tasks[0].name
    if len(values) < len(found):
        return Cell("none", "–", first, about=f"no {titled(measure)} on every task of the family")
    mean = fmean(value for _, value in values)
    about = f"mean of {len(values)} tasks: " + ", ".join(f"{name} {number(v, measure)}" for name, v in values)
    score = None if measure == PASSES else family.score(label, measure)
    return Cell("done", number(mean, measure), first, mean, score, about=about, notes=notes)


def scale(known: Definition | None, measure: str) -> str:
    """Which way a measure is better and what its anchors are, as a sentence."""
    if measure == PASSES:
        return "Forwards plus twice the backwards, per prompt; fewer are cheaper, and nobody is ranked by them."
    if known is None:
        return ""
    anchors = [
        f"chance is the {known.chance_of}'s own"
        if known.chance_of != "measure"
        else ""
        if known.chance is None
        else f"{known.chance:g} is chance",
        "" if known.oracle is None else f"{known.oracle:g} is the oracle",
    ]
    said = "; ".join([f"{titled(measure)}: {known.direction} is better", *filter(None, anchors)])
    return f"{said}."
