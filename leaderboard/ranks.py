"""Ranks as ranges and intervals of means, over families of tasks (Student t, 95 %).

Families are few and differ, so an interval is that of a method on families like these, not of its noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from statistics import fmean, stdev

_CONFIDENCE = 0.95


def rank_ranges(scores: Mapping[str, Sequence[float]]) -> dict[str, tuple[int, int]]:
    """Best and worst rank of each entry, from paired differences.

    Two entries are told apart only if the interval of their differences excludes zero. With few families the intervals
    are rough; equal entries share a range.

    >>> rank_ranges({"a": [1.0, 1.0, 0.9], "b": [0.1, 0.2, 0.1], "c": [1.0, 0.9, 1.0]})
    {'a': (1, 2), 'b': (3, 3), 'c': (1, 2)}
    """
    names = list(scores)
    better = {n: sum(_separated(scores[o], scores[n]) for o in names if o != n) for n in names}
    worse = {n: sum(_separated(scores[n], scores[o]) for o in names if o != n) for n in names}
    return {n: (1 + better[n], len(names) - worse[n]) for n in names}


def half_width(values: Sequence[float]) -> float | None:
    """Half the interval of the mean; None for fewer than two values.

    >>> round(half_width([0.4, 0.5, 0.6]), 3)
    0.248
    """
    from scipy.stats import t

    if len(values) < 2:
        return None
    quantile = float(t.ppf((1 + _CONFIDENCE) / 2, len(values) - 1))
    return quantile * stdev(values) / sqrt(len(values))


def _separated(first: Sequence[float], second: Sequence[float]) -> bool:
    """Whether `first` is better than `second` beyond chance."""
    differences = [a - b for a, b in zip(first, second, strict=True)]
    half = half_width(differences)
    return half is not None and fmean(differences) > half
