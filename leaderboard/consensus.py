"""What belongs to a task and not to an entrant: its kind, its headline, the anchors of its measures.

Every record states them, and a record may be a stranger's. So what most methods state counts, for everybody; of equally
many, what most records state. A record that states another kind or other anchors is left out, and named.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isclose
from typing import TypeVar

from mechboard import kinds
from mechboard.contract.scores import Direction, Measure
from mechboard.errors import BenchError
from mechboard.records import Record

_SAME = 1e-6
_T = TypeVar("_T", bound=Hashable)
_Place = tuple[str, int, str]


@dataclass(frozen=True)
class Anchors:
    """The scale of a measure; chance or oracle is None where it is not known."""

    direction: Direction
    chance: float | None
    oracle: float | None

    @classmethod
    def of(cls, measure: Measure) -> Anchors:
        """What a measure states."""
        return cls(measure.direction, measure.chance, measure.oracle)

    def deny(self, other: Anchors) -> str:
        """What another one states that cannot stand beside this; empty if nothing. Who states no anchor denies none."""
        if other.direction != self.direction:
            return f"{other.direction} is better, where most state {self.direction}"
        for name in ("chance", "oracle"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if None not in (mine, theirs) and not isclose(mine, theirs, rel_tol=_SAME, abs_tol=_SAME):
                return f"{name} {theirs:g}, where most state {mine:g}"
        return ""


def most_say(said: Iterable[tuple[str, _T]]) -> _T | None:
    """What most methods state, given pairs of method and statement; None if nobody states anything.

    Many seeds of one method are one voice.

    >>> most_say([("a", 1), ("a", 1), ("a", 1), ("b", 2), ("c", 2)])
    2
    """
    voices: dict[_T, list[str]] = defaultdict(list)
    for method, statement in said:
        voices[statement].append(method)
    return max(voices, key=lambda s: (len(set(voices[s])), len(voices[s]), repr(s)), default=None)


@dataclass(frozen=True)
class LeftOut:
    """A record that is not on the board, and why."""

    record: Record
    why: str

    def __str__(self) -> str:
        return f"{self.record.cell.name} is left out: {self.why}"


def agreed(records: Iterable[Record]) -> tuple[list[Record], list[LeftOut]]:
    """The records that agree on what belongs to their tasks, with the anchors that count; and those that do not."""
    known, strange = _split(_of_the_newest_versions(list(records)), _without_a_kind)
    kind_of = _kinds(known)
    same, other = _split(known, lambda r: _of_another_kind(r, kind_of[r.cell.task]))
    anchors = _anchors(same)
    kept, denied = _split(same, lambda r: _with_own_anchors(r, anchors))
    return [_anchored(r, anchors) for r in kept], [*strange, *other, *denied]


def _of_the_newest_versions(records: Sequence[Record]) -> list[Record]:
    newest: dict[str, int] = defaultdict(int)
    for record in records:
        newest[record.cell.task] = max(newest[record.cell.task], record.cell.task_version)
    return [r for r in records if r.cell.task_version == newest[r.cell.task]]


def _split(records: Iterable[Record], why: Callable[[Record], str]) -> tuple[list[Record], list[LeftOut]]:
    kept, left_out = [], []
    for record in records:
        if said := why(record):
            left_out.append(LeftOut(record, said))
        else:
            kept.append(record)
    return kept, left_out


def _kinds(records: Iterable[Record]) -> dict[str, str]:
    said: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for record in records:
        said[record.cell.task].append((record.cell.method, record.task.kind))
    return {task: most_say(pairs) or "" for task, pairs in said.items()}


def _without_a_kind(record: Record) -> str:
    try:
        kinds.kind(record.task.kind)
    except BenchError as error:
        return str(error)
    return ""


def _of_another_kind(record: Record, kind: str) -> str:
    given = record.task.kind
    return "" if given == kind else f"it states the kind {given!r} of its task, where most state {kind!r}"


def _places(record: Record) -> Iterator[tuple[_Place, Anchors]]:
    for name, measure in record.measures.items():
        yield (record.cell.task, record.cell.data_seed, name), Anchors.of(measure)


def _anchors(records: Iterable[Record]) -> dict[_Place, Anchors]:
    said: dict[_Place, list[tuple[str, Anchors]]] = defaultdict(list)
    for record in records:
        for place, anchors in _places(record):
            said[place].append((record.cell.method, anchors))
    return {place: found for place, pairs in said.items() if (found := most_say(pairs))}


def _with_own_anchors(record: Record, counting: Mapping[_Place, Anchors]) -> str:
    for place, anchors in _places(record):
        if said := counting[place].deny(anchors):
            return f"of {place[2]} it states {said}"
    return ""


def _anchored(record: Record, counting: Mapping[_Place, Anchors]) -> Record:
    """The record with the anchors that count, so that no later step has to ask whose they are."""
    changed = {
        place[2]: record.measures[place[2]].model_copy(update=vars(counting[place]))
        for place, anchors in _places(record)
        if anchors != counting[place]
    }
    return record.model_copy(update={"measures": record.measures | changed}) if changed else record
