"""What a run shows while it runs, on standard error.

Four ways, chosen by `--progress`:

live    a line per finished cell, and below them the one that runs, elapsed time and an estimate
plain   a line per cell; for logs
quiet   nothing but notices
jsonl   a JSON object per event; for programs
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from types import TracebackType
from typing import Literal, Protocol, Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ..records import Record
from ..runs.estimate import TimeLeft, duration
from ..runs.plan import Plan, PlannedCell
from ..runs.runner import Observer, Outcome

Mode = Literal["auto", "live", "plain", "quiet", "jsonl"]
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

    def ended(self, outcome: Outcome, number: int, total: int) -> None:
        """A cell has ended."""

    def noticed(self, message: str) -> None:
        """Print a notice."""
        print(f"note: {message}", file=sys.stderr, flush=True)


class Plain(Quiet):
    """A line per cell."""

    def ended(self, outcome: Outcome, number: int, total: int) -> None:
        """Print the cell's line."""
        self._left.ended(outcome)
        print(f"{_line(outcome, number, total)}{self._left.text()}", file=sys.stderr, flush=True)


class JsonLines(Quiet):
    """A JSON object per event."""

    def started(self, planned: PlannedCell, number: int, total: int) -> None:
        """Say which cell begins."""
        self._say("started", cell=planned.cell.model_dump(), number=number, total=total)

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

    def ended(self, outcome: Outcome, number: int, total: int) -> None:
        """Move the cell to the finished ones."""
        self._done, self._total = number, total
        self._running.pop(outcome.record.cell.name, None)
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
            table.add_row(escape(name), f"{now - since:.0f}s")
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
