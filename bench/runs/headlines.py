"""Methods x tasks in small: what a cell's headline is in a few characters, for the terminal and for notebooks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ..records import Record
    from .plan import Unplanned

Tone = Literal["value", "bad", "quiet"]


@dataclass(frozen=True)
class Entry:
    """One cell of the table; `detail` is the longer story."""

    text: str = ""
    tone: Tone = "quiet"
    detail: str = ""


@dataclass(frozen=True)
class Row:
    """One task: its headline without the truth that it is against, and an entry for each label."""

    task: str
    headline: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Grid:
    """The table; `references` are labels that stand there for orientation."""

    labels: tuple[str, ...]
    references: frozenset[str]
    rows: tuple[Row, ...]


def grid(records: Sequence[Record], unplanned: Iterable[Unplanned] = ()) -> Grid:
    """The table of these records; the mean where a cell has several seeds. Tasks stand in their first records' order."""
    cells: dict[str, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    several = _of_several_versions(records)
    for record in records:
        cell = record.cell
        task = f"{cell.task}@v{cell.task_version}" if cell.task in several else cell.task
        cells[task][cell.label].append(record)
    missing: dict[str, dict[str, Entry]] = defaultdict(dict)
    for pair in unplanned:
        missing[pair.task][pair.label] = Entry(pair.status, "quiet", pair.reason)
    tasks = dict.fromkeys([*cells, *missing])
    labels = tuple(sorted({label for table in (cells, missing) for row in table.values() for label in row}))
    rows = []
    for task in tasks:
        row, apart = cells.get(task, {}), missing.get(task, {})
        headline = next((r.headline for found in row.values() for r in found if r.headline), "")
        entries = tuple(_entry(row[label]) if label in row else apart.get(label, Entry()) for label in labels)
        rows.append(Row(task, headline.partition("[")[0], entries))
    return Grid(labels, frozenset(r.cell.label for r in records if r.method.reference), tuple(rows))


def _of_several_versions(records: Sequence[Record]) -> set[str]:
    versions = defaultdict(set)
    for record in records:
        versions[record.cell.task].add(record.cell.task_version)
    return {task for task, found in versions.items() if len(found) > 1}


def _entry(records: list[Record]) -> Entry:
    bad = [r for r in records if r.status != "done"]
    if bad:
        first = bad[0]
        text = f"{first.status} {len(bad)}/{len(records)}" if len(records) > 1 else str(first.status)
        said = f"{first.error.type}: {first.error.message}" if first.error else ""
        return Entry(text, "quiet" if first.status == "unsupported" else "bad", said)
    measures = [m for r in records if (m := r.headline_measure) is not None]
    values = [m.value for m in measures if m.value is not None]
    if not values or len(values) < len(records):
        return Entry("no value", "quiet", next((m.note for m in measures if m.note), ""))
    spread = f"mean of {len(values)}, {min(values):.3f} to {max(values):.3f}" if len(values) > 1 else measures[0].of
    return Entry(f"{fmean(values):.3f}", "value", spread)
