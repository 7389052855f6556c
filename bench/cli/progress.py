"""What a run shows while it runs: a line per cell on standard error, and a live line below on a terminal."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Self

from mechboard.plan import PlannedCell
from mechboard.records import Record
from mechboard.runner import Outcome
from rich.console import Console
from rich.markup import escape
from rich.status import Status

_STYLES = {"done": "green", "cached": "dim", "rescored": "cyan"}


class Progress:
    """Observes a run for a terminal, or for a log when there is none."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._status: Status | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._status = self._stack.enter_context(self._console.status("starting"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def started(self, planned: PlannedCell, number: int, total: int) -> None:
        """Show which cell runs."""
        if self._status is not None:
            self._status.update(escape(f"{number}/{total}  {planned.cell.name}"))

    def ended(self, outcome: Outcome, number: int, total: int) -> None:
        """Print the cell's line."""
        style = _STYLES.get(outcome.status, "red")
        what = result_text(outcome.record)
        name = escape(outcome.record.cell.name)
        count = escape(f"[{number:>{len(str(total))}}/{total}]")
        status = f"[{style}]{outcome.status:<8}[/]"
        self._console.print(f"{count} {status} {name}  {escape(what)}  {outcome.seconds:.1f}s")

    def noticed(self, message: str) -> None:
        """Print a notice."""
        self._console.print(f"[yellow]note:[/] {escape(message)}")


def result_text(record: Record) -> str:
    """A cell's headline, or its error in one line."""
    if record.error is not None:
        return f"{record.error.type}: {record.error.message}".partition("\n")[0]
    measure = record.headline_measure
    if measure is None or measure.value is None:
        return measure.note if measure else ""
    return f"{record.headline} {measure.value:.3f}"
