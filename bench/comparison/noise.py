"""Tells noise from change: a paired interval over seeds, and when it may excuse a difference.

Both sides answer the same instances (data seeds) with the same seeds, so a cell is compared by its paired differences,
HEAD minus BASE. Instances are the same on both sides and are no noise: differences are averaged over the seeds of an
instance, then over instances, and only their spread *within* instances enters the interval (Student t, 95 %,
as many degrees of freedom as there are seeds to spare). With one instance this is the plain paired t interval.

A difference beyond the tolerance is inside the noise only if all of this holds; else the tolerance alone decides:

- BASE declares that the method draws. What a deterministic method changes, the code changed.
- There are at least 4 degrees of freedom: five seeds of one instance, or three of two. The interval of two seeds is
  thirteen standard errors wide to either side and would excuse anything; of one there is none.
- The interval contains zero.
- The difference is no larger than BASE's own spread between seeds makes likely for two sets of seeds (the same t
  interval, with BASE's spread in both places). Without this a HEAD that fails now and then widens the interval by its
  own failures, and so excuses them: 0.9 five times against 0.9, 0.9, 0.9, 0.0, 0.0 has an interval with zero in it.
  In simulation, five seeds of which half fail badly pass three times in four by the interval alone, and once in
  twelve with both.

So noise only excuses what could be BASE again with other draws. The price: of a method that is changed to draw other
numbers, 4 % of the measures (3 % at twenty seeds) are called worse for nothing; a tolerance is the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

Pairs = Mapping[int, Sequence[tuple[float, float]]]

_CONFIDENCE = 0.95
_ENOUGH = 4


@dataclass(frozen=True)
class Difference:
    """Means of both sides, HEAD minus BASE with its interval if seeds suffice for one, and whether noise explains it."""

    base: float
    head: float
    change: float
    interval: tuple[float, float] | None
    noise: bool
    pairs: int


def difference(pairs: Pairs, *, deterministic: bool) -> Difference:
    """Compare the (base, head) values of each instance's seeds.

    >>> difference({0: [(0.5, 0.4), (0.7, 0.6)]}, deterministic=False).interval is None
    True
    """
    base, head = (fmean(fmean(pair[side] for pair in seeds) for seeds in pairs.values()) for side in (0, 1))
    change = fmean(fmean(h - b for b, h in seeds) for seeds in pairs.values())
    interval, noise = None, False
    if not deterministic and _spare(pairs) >= _ENOUGH:
        half = _half_width([[h - b for b, h in seeds] for seeds in pairs.values()])
        likely = 2**0.5 * _half_width([[b for b, _ in seeds] for seeds in pairs.values()])
        interval = (change - half, change + half)
        noise = abs(change) <= min(half, likely)
    return Difference(base, head, change, interval, noise, sum(map(len, pairs.values())))


def _spare(pairs: Pairs) -> int:
    return sum(len(seeds) - 1 for seeds in pairs.values())


def _half_width(groups: Sequence[Sequence[float]]) -> float:
    """Half the t interval of the mean of group means, from the pooled spread within groups."""
    from scipy.stats import t

    freedom = sum(len(group) - 1 for group in groups)
    variance = sum((value - fmean(group)) ** 2 for group in groups for value in group) / freedom
    error: float = (variance * sum(1 / len(group) for group in groups)) ** 0.5 / len(groups)
    return float(t.ppf((1 + _CONFIDENCE) / 2, freedom)) * error
