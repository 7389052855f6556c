"""How long a run will still take: from the cells of it that have ended, and from what those under way say."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from ..contract.progress import Step

if TYPE_CHECKING:
    from .plan import PlannedCell
    from .runner import Outcome
    from .workers.cell import Doing

_KEPT = "cached"
_WORTH_SAYING = 1.0  # seconds
# What a stage does before its first step counts as its work only where that step is a good part of it.
_GOOD_PART = 0.02


class TimeLeft:
    """Expects of a cell what cells of its method and task took, else those of its task, else all that ran so far."""

    def __init__(self, cells: Sequence[PlannedCell], jobs: int) -> None:
        self._waiting = Counter((p.cell.task, p.cell.label) for p in cells)
        self._jobs = jobs
        self._took: dict[tuple[str, ...], list[float]] = defaultdict(list)
        self._under_way: dict[str, tuple[tuple[str, str], float]] = {}  # what it is and seconds left, by name

    def reached(self, planned: PlannedCell, reached: Reached) -> None:
        """Expect of a cell under way what it says itself."""
        cell = planned.cell
        if reached.left is not None:
            self._under_way[cell.name] = (cell.task, cell.label), reached.left

    def ended(self, outcome: Outcome) -> None:
        """Take a cell off; what was kept says nothing about the others."""
        cell = outcome.record.cell
        self._waiting[cell.task, cell.label] -= 1
        self._under_way.pop(cell.name, None)
        if outcome.status != _KEPT:
            for key in ((cell.task, cell.label), (cell.task,), ()):
                self._took[key].append(outcome.seconds)

    def seconds(self) -> float | None:
        """Expected seconds, None while nothing is known of some cell."""
        told = Counter(key for key, _ in self._under_way.values())
        unknown = self._waiting - told
        if (unknown and not self._took) or not (self._took or told):
            return None
        expected = (
            count * fmean(next(self._took[key] for key in ((task, label), (task,), ()) if key in self._took))
            for (task, label), count in unknown.items()
        )
        return (sum(expected) + sum(left for _, left in self._under_way.values())) / self._jobs

    def text(self) -> str:
        """`, about 4m 10s left`, or nothing if there is nothing to say."""
        seconds = self.seconds()
        return f", about {duration(seconds)} left" if seconds is not None and seconds > _WORTH_SAYING else ""


@dataclass(frozen=True)
class Reached:
    """How far a cell under way has come. `left` are the seconds that what it is `doing` will take, where that is known."""

    doing: Doing
    step: Step
    left: float | None

    @property
    def expected(self) -> float | None:
        """Seconds that it will have taken in all."""
        return None if self.left is None else self.step.seconds + self.left

    def text(self) -> str:
        """`1,200 of 32,491 edges, about 41m 00s left`."""
        scoring = "scoring, " if self.doing == "scoring" else ""
        left = f", about {duration(self.left)} left" if self.left is not None and self.left > _WORTH_SAYING else ""
        return f"{scoring}{self.step.done:,} of {self.step.total:,} {self.step.unit}{left}"


class Pace:
    """How fast one cell goes, from its steps. A stage of the work lasts as long as its unit and total are the same."""

    def __init__(self) -> None:
        self._first: Step | None = None
        self._doing: Doing = "solving"
        self._begun, self._last = 0.0, 0.0  # seconds of the method at which the stage began, at its last step

    def reached(self, doing: Doing, step: Step) -> Reached | None:
        """How far it has come, None within the first second of a stage, when nothing can be told yet."""
        first = self._first
        if first is None or not self._goes_on(first, doing, step):
            self._begun = self._last if doing == self._doing else 0.0
            self._first = first = step
            self._doing = doing
        self._last = step.seconds
        if step.seconds - self._begun < _WORTH_SAYING:
            return None
        return Reached(doing, step, self._left(first, step))

    def _goes_on(self, first: Step, doing: Doing, step: Step) -> bool:
        same = (doing, step.unit, step.total) == (self._doing, first.unit, first.total)
        return same and step.share >= first.share and step.seconds >= first.seconds

    def _left(self, first: Step, step: Step) -> float | None:
        since, done = step.seconds - first.seconds, step.share - first.share
        if done <= 0 or since < _WORTH_SAYING:
            since, done = step.seconds - self._begun, step.share
            if done < _GOOD_PART:
                return None
        return since / done * (1 - step.share)


def duration(seconds: float) -> str:
    """Seconds for people.

    >>> duration(59.6), duration(3700)
    ('1m 00s', '1h 01m')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02d}m" if hours else f"{minutes}m {rest:02d}s" if minutes else f"{rest}s"
