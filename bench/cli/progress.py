"""What a run shows while it runs, on standard error.

Four ways, chosen by `--progress`:

live    a line per finished cell, and below them those that run, how far they have come, elapsed time and an estimate
plain   a line per cell, and now and then one of a cell that takes long; for logs
quiet   nothing but notices
jsonl   a JSON object per event; for programs
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from dataclasses import asdict
from types import TracebackType
from typing import Literal, Protocol, Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ..records import Record
from ..runs.estimate import Reached, TimeLeft, duration
from ..runs.plan import Plan, PlannedCell
from ..runs.runner import Observer, Outcome

Mode = Literal["auto", "live", "plain", "quiet", "jsonl"]
# Seconds: a cell that will take this long has lines of its own in a log, the first as soon as that is known, then one by
# each tenth of the work, but no two closer and no two farther from each other than this.
_LONG, _AT_MOST_EVERY, _AT_LEAST_EVERY = 20.0, 30.0, 300.0
_TENTH = 0.1
_EVENT_EVERY = 5.0
_STYLES = {"done": "green", "cached": "dim", "rescored": "cyan"}


class Progress(Observer, Protocol):
    """An observer that holds the terminal while a run lasts."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def make_progress(mode: Mode, plan: Plan, *, jobs: int = 1) -> Progress:
    """The progress of this mode; `auto` is live on a terminal and plain elsewhere."""
    if mode == "auto":
        mode = "live" if Console(stderr=True).is_terminal else "plain"
    kinds: dict[str, type[Quiet]] = {"live": LiveTable, "plain": Plain, "quiet": Quiet, "jsonl": JsonLines}
    return kinds[mode](TimeLeft(plan.cells, jobs))


class Quiet:
    """Notices only; the base of the others."""

    def __init__(self, left: TimeLeft) -> None:
        self._left = left

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def started(self, planned: PlannedCell, number: int, total: int) -> None:
        """A cell begins."""

    def reached(self, planned: PlannedCell, reached: Reached) -> None:
        """A cell has come so far."""

    def ended(self, outcome: Outcome, number: int, total: int) -> None:
        """A cell has ended."""

    def noticed(self, message: str) -> None:
        """Print a notice."""
        print(f"note: {message}", file=sys.stderr, flush=True)


class Plain(Quiet):
    """A line per cell, and some of those that take long."""

    def __init__(self, left: TimeLeft) -> None:
        super().__init__(left)
        self._told: dict[str, tuple[float, Reached]] = {}  # when, and what, by the cell's name

    def reached(self, planned: PlannedCell, reached: Reached) -> None:
        """Print how far a long cell is: the estimate at once, later by tenths or every few minutes."""
        name, now = planned.cell.name, time.monotonic()
        if (reached.expected or 0.0) >= _LONG and self._is_news(name, reached, now):
            self._told[name] = now, reached
            print(f"{name}: {reached.text()}", file=sys.stderr, flush=True)

    def _is_news(self, name: str, reached: Reached, now: float) -> bool:
        if name not in self._told:
            return True
        when, before = self._told[name]
        enough = reached.doing != before.doing or abs(reached.step.share - before.step.share) >= _TENTH
        return now - when >= (_AT_MOST_EVERY if enough else _AT_LEAST_EVERY)

    def ended(self, outcome: Outcome, number: int, total: int) -> None:
        """Print the cell's line."""
        self._left.ended(outcome)
        self._told.pop(outcome.record.cell.name, None)
        print(f"{_line(outcome, number, total)}{self._left.text()}", file=sys.stderr, flush=True)


class JsonLines(Quiet):
    """A JSON object per event."""

    def __init__(self, left: TimeLeft) -> None:
        super().__init__(left)
        self._due: dict[str, float] = {}  # when a cell under way may be told of again, by its name

    def started(self, planned: PlannedCell, number: int, total: int) -> None:
        """Say which cell begins."""
        self._say("started", cell=planned.cell.model_dump(), number=number, total=total)

    def reached(self, planned: PlannedCell, reached: Reached) -> None:
        """Say how far it has come, every few seconds."""
        now = time.monotonic()
        if now < self._due.get(planned.cell.name, 0.0):
            return
        self._due[planned.cell.name] = now + _EVENT_EVERY
        left = None if reached.left is None else round(reached.left, 3)
        self._say("reached", cell=planned.cell.model_dump(), doing=reached.doing, **asdict(reached.step), left=left)

    def ended(self, outcome: Outcome, number: int, total: int) -> None:
        """Say what became of it."""
        measure, record = outcome.record.headline_measure, outcome.record
        self._say(
            "ended",
            cell=record.cell.model_dump(),
            number=number,
            total=total,
            status=outcome.status,
            headline=record.headline,
            value=measure.value if measure else None,
            error=record.error.message if record.error else None,
            seconds=round(outcome.seconds, 3),
        )

    def noticed(self, message: str) -> None:
        """Say a notice."""
        self._say("note", message=message)

    @staticmethod
    def _say(event: str, **content: object) -> None:
        print(json.dumps({"event": event} | content, allow_nan=False), file=sys.stderr, flush=True)


class LiveTable(Quiet):
    """A line per finished cell, and a part below that is redrawn."""

    def __init__(self, left: TimeLeft) -> None:
        super().__init__(left)
        self._console = Console(stderr=True, highlight=False)
        self._running: dict[str, float] = {}
        self._reached: dict[str, str] = {}
        self._total = self._done = 0
        self._begun = time.perf_counter()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        live = Live(console=self._console, get_renderable=self._draw, refresh_per_second=4, transient=True)
        self._stack.enter_context(live)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def started(self, planned: PlannedCell, number: int, total: int) -> None:
        """Show which cell runs."""
        self._total = total
        self._running[planned.cell.name] = time.perf_counter()

    def reached(self, planned: PlannedCell, reached: Reached) -> None:
        """Show how far it has come."""
        self._left.reached(planned, reached)
        self._reached[planned.cell.name] = f": {reached.text()}"

    def ended(self, outcome: Outcome, number: int, total: int) -> None:
        """Move the cell to the finished ones."""
        self._done, self._total = number, total
        self._running.pop(outcome.record.cell.name, None)
        self._reached.pop(outcome.record.cell.name, None)
        self._left.ended(outcome)
        self._console.print(
            Text(_line(outcome, number, total), style=_STYLES.get(outcome.status, "red")), soft_wrap=True
        )

    def noticed(self, message: str) -> None:
        """Print a notice above the table."""
        self._console.print(f"[yellow]note:[/] {escape(message)}", soft_wrap=True)

    def _draw(self) -> RenderableType:
        now = time.perf_counter()
        table = Table(box=None, show_header=False, pad_edge=False)
        for name, since in self._running.items():
            table.add_row(escape(f"{name}{self._reached.get(name, '')}"), duration(now - since))
        elapsed = duration(now - self._begun)
        table.add_row(f"{self._done}/{self._total} cells, {elapsed}{self._left.text()}", "", style="dim")
        return table


def _line(outcome: Outcome, number: int, total: int) -> str:
    count = f"[{number:>{len(str(total))}}/{total}]"
    return (
        f"{count} {outcome.status:<8} {outcome.record.cell.name}  {result_text(outcome.record)}  {outcome.seconds:.1f}s"
    )


def result_text(record: Record) -> str:
    """A cell's headline and notes, or its error in one line."""
    if record.error is not None:
        return f"{record.error.type}: {record.error.message}".partition("\n")[0]
    measure = record.headline_measure
    if measure is None or measure.value is None:
        return measure.note if measure else ""
    return "; ".join([f"{record.headline} {measure.value:.3f}", *record.notes])
