"""What a run shows in a notebook: one line that is redrawn, and notices. Elsewhere, what the command line shows."""

from __future__ import annotations

import sys
import time
from typing import Any

from ..cli.progress import Mode, Progress, Quiet, make_progress
from ..runs.estimate import Reached, TimeLeft, duration
from ..runs.plan import Plan, PlannedCell
from ..runs.runner import Outcome

__all__ = ["Mode", "watch"]


def watch(mode: Mode, plan: Plan, *, jobs: int) -> Progress:
    """The progress of this mode; `auto` is one line in a notebook and what the command line shows elsewhere."""
    if mode == "auto" and (display := _display()) is not None:
        return Line(TimeLeft(plan.cells, jobs), display, len(plan.cells))
    return make_progress(mode, plan, jobs=jobs)


def _display() -> Any:
    """A place in the notebook that can be written again, None where there is no kernel."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    return sys.modules["IPython.display"].display({"text/plain": ""}, raw=True, display_id=True)


class Line(Quiet):
    """One line: how many cells have ended, which one runs, how long it will take."""

    def __init__(self, left: TimeLeft, display: Any, total: int) -> None:
        super().__init__(left)
        self._display, self._total = display, total
        self._begun, self._ended, self._failed = time.perf_counter(), 0, 0

    def started(self, planned: PlannedCell, number: int, total: int) -> None:
        """Say which cell runs."""
        self._write(f"  {planned.cell.name}")

    def reached(self, planned: PlannedCell, reached: Reached) -> None:
        """Say how far it has come."""
        self._left.reached(planned, reached)
        self._write(f"  {planned.cell.name}: {reached.text()}")

    def ended(self, outcome: Outcome, number: int, total: int) -> None:
        """Count it."""
        self._left.ended(outcome)
        self._ended, self._failed = number, self._failed + outcome.failed
        self._write("")

    def _write(self, running: str) -> None:
        failed = f", {self._failed} failed" if self._failed else ""
        took = duration(time.perf_counter() - self._begun)
        text = f"{self._ended}/{self._total} cells{failed}, {took}{self._left.text()}{running}"
        self._display.update({"text/plain": text}, raw=True)
