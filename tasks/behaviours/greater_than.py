"""Greater than: "The war lasted from the year 1743 to the year 17" -> any two digits above 43.

Metric: P(later years) - P(the same or earlier years), of a softmax over the whole vocabulary. Corrupt: the first
year ends in 01, after which every year is later.

Source: Hanna, Liu, Variengien 2023; first and last years of a century are left out, as in Conmy et al. 2023.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from mechboard.metrics.answers import AnswerMetric, probability_difference
from mechboard.tasks.behaviours.examples import Example

_CORRUPT = "01"
_YEARS = tuple(f"{year:02d}" for year in range(100))


@dataclass(frozen=True)
class GreaterThan:
    """Templates have the slots event, century and start, and end in the century; `starts` are (century, year)."""

    templates: tuple[str, ...]
    events: tuple[str, ...]
    starts: tuple[tuple[str, int], ...]
    metric: AnswerMetric = probability_difference

    def draw(self, draw: Random) -> Example:
        """One pair of prompts."""
        template, event = draw.choice(self.templates), draw.choice(self.events)
        century, year = draw.choice(self.starts)
        clean, corrupt = (template.format(event=event, century=century, start=s) for s in (_YEARS[year], _CORRUPT))
        return Example(clean, corrupt, _YEARS[year + 1 :], _YEARS[: year + 1])
