"""What a page draws of records: curves that share axes in one plot, and exhibits, each drawn once for every page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from inspect import cleandoc

from mechboard.contract.scores import Curve, Exhibit
from mechboard.drawing.curves import curves_figure

from .families import BoardTask, Family
from .groups import Group

Rows = Sequence[tuple[str, Group]]
Draw = Callable[[str, str, Exhibit], str]
"""Markup of an exhibit of a label, by label and name."""

_OPEN = 3
_LARGE = 60_000


@dataclass(frozen=True)
class Gallery:
    """Everybody's own of one exhibit: the first few are `shown`, the `rest` is folded. `said` is what its type says it is."""

    name: str
    said: str
    shown: list[tuple[str, str]]
    rest: list[tuple[str, str]]


@dataclass
class Drawings:
    """Draws each exhibit once."""

    _drawn: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def galleries(self, task: BoardTask, rows: Rows) -> list[Gallery]:
        """One for each name of an exhibit; references, which calibrate the eye, come last."""
        found: dict[str, list[tuple[str, Exhibit]]] = {}
        for label, group in sorted(rows, key=lambda row: row[1].first.method.reference):
            for name, exhibit in group.first.exhibits.items():
                found.setdefault(name, []).append((label, exhibit))
        return _galleries(found, partial(self._one, task))

    def of_method(self, task: BoardTask, label: str, group: Group) -> list[tuple[str, str]]:
        """Name and drawing of what a method left on a task; an empty drawing where it is large and better seen there."""
        drawn = [(name, self._one(task, label, name, e)) for name, e in group.first.exhibits.items()]
        return [(name, markup if len(markup) < _LARGE else "") for name, markup in drawn]

    def _one(self, task: BoardTask, label: str, name: str, exhibit: Exhibit) -> str:
        key = (task.name, label, name)
        if key not in self._drawn:
            self._drawn[key] = _drawn(label, name, exhibit)
        return self._drawn[key]


def of_family(family: Family, labels: Sequence[str]) -> list[Gallery]:
    """What methods left on every task of a family, made one where its type can be; methods in the order of `labels`."""
    found: dict[str, list[tuple[str, Exhibit]]] = {}
    for label in labels:
        groups = {task.name: task.groups[label] for task in family.tasks if label in task.groups}
        names = dict.fromkeys(name for group in groups.values() for name in group.first.exhibits)
        for name in names if len(groups) == len(family.tasks) else ():
            lefts = {task: group.first.exhibits.get(name) for task, group in groups.items()}
            if (merged := _merged(lefts)) is not None:
                found.setdefault(name, []).append((label, merged))
    return _galleries(found, _drawn)


def _merged(lefts: Mapping[str, Exhibit | None]) -> Exhibit | None:
    there = {task: exhibit for task, exhibit in lefts.items() if exhibit is not None}
    if len(there) < len(lefts) or len({type(exhibit) for exhibit in there.values()}) > 1:
        return None
    return next(iter(there.values())).merged(there)


def _galleries(found: Mapping[str, Sequence[tuple[str, Exhibit]]], draw: Draw) -> list[Gallery]:
    return [_gallery(name, members, draw) for name, members in found.items()]


def _gallery(name: str, members: Sequence[tuple[str, Exhibit]], draw: Draw) -> Gallery:
    said = cleandoc(type(members[0][1]).__doc__ or "").partition("\n\n")[0]
    drawn = [(label, draw(label, name, exhibit)) for label, exhibit in members]
    return Gallery(name, said, drawn[:_OPEN], drawn[_OPEN:])


def _drawn(label: str, name: str, exhibit: Exhibit) -> str:
    return exhibit.draw(f"{name} of {label}")


def plots(task: BoardTask, rows: Rows) -> tuple[list[str], list[str]]:
    """One plot for each name of a curve: those against the first truth or none, and those against the others.

    Curves against one truth that have the same axes share a plot, each with what its name adds to the first's.
    """
    names = dict.fromkeys(name for _, group in rows for name in group.first.curves)
    merged: dict[tuple[object, ...], tuple[str, list[tuple[str, Curve]]]] = {}
    for name in names:
        for label, group in rows:
            if (curve := group.first.curves.get(name)) is None:
                continue
            first, lines = merged.setdefault(_axes(name, curve), (name, []))
            lines.append((label if name == first else f"{label} ({_added(name, first)})", curve))
    truths = [truth.name for truth in task.info.truths]
    later = {f"[{truth}]" for truth in truths[1:]}
    drawn: tuple[list[str], list[str]] = ([], [])
    for name, lines in merged.values():
        drawn["".join(name.partition("[")[1:]) in later].append(curves_figure(lines))
    return drawn


def _axes(name: str, curve: Curve) -> tuple[object, ...]:
    against = name.partition("[")[2]
    return (against, curve.x_label, curve.y_label, curve.log_x, curve.chance) if against else (name,)


def _added(name: str, first: str) -> str:
    short, base = name.partition("[")[0], first.partition("[")[0]
    return short.removeprefix(f"{base}-").replace("-", " ")
