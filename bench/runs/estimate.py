"""How long a run will still take, from the cells of it that have ended."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .plan import PlannedCell
    from .runner import Outcome

_KEPT = "cached"
_WORTH_SAYING = 1.0  # seconds


class TimeLeft:
    """Expects of a cell what cells of its method and task took, else those of its task, else all that ran so far."""

    def __init__(self, cells: Sequence[PlannedCell], jobs: int) -> None:
        self._waiting = Counter((p.cell.task, p.cell.label) for p in cells)
        self._jobs = jobs
        self._took: dict[tuple[str, ...], list[float]] = defaultdict(list)

    def ended(self, outcome: Outcome) -> None:
        """Take a cell off; what was kept says nothing about the others."""
        cell = outcome.record.cell
        self._waiting[cell.task, cell.label] -= 1
        if outcome.status != _KEPT:
            for key in ((cell.task, cell.label), (cell.task,), ()):
                self._took[key].append(outcome.seconds)

    def seconds(self) -> float | None:
        """Expected seconds, None before the first cell has run."""
        if not self._took:
            return None
        expected = (
            count * fmean(next(self._took[key] for key in ((task, label), (task,), ()) if key in self._took))
            for (task, label), count in self._waiting.items()
        )
        return sum(expected) / self._jobs

    def text(self) -> str:
        """`, about 4m 10s left`, or nothing if there is nothing to say."""
        seconds = self.seconds()
        return f", about {duration(seconds)} left" if seconds is not None and seconds > _WORTH_SAYING else ""


def duration(seconds: float) -> str:
    """Seconds for people.

    >>> duration(59.6), duration(3700)
    ('1m 00s', '1h 01m')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02d}m" if hours else f"{minutes}m {rest:02d}s" if minutes else f"{rest}s"
