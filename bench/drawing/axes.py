"""Axes of a plot: where a value stands, its ticks, grid and labels. Every picture with axes is drawn on these.

A record is a stranger's file: what lies outside an axis stands at its border, and no finite number, however large, small
or alone, leaves a place without a value.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log, log10

Ticks = tuple[tuple[str, float], ...]

_TICKS = 5


@dataclass(frozen=True)
class Axis:
    """From which to which value an axis runs, its name and its ticks (text, value)."""

    low: float
    high: float
    label: str
    ticks: Ticks
    log: bool = False

    def share(self, value: float) -> float:
        """Where a value stands, from 0 to 1.

        >>> [Axis(1.0, 100.0, "", (), log=True).share(x) for x in (-5.0, 10.0, 1e300)]
        [0.0, 0.5, 1.0]
        >>> Axis(-1e308, 1e308, "", ()).share(0.0)
        0.5
        """
        if self.log:
            if value <= self.low or self.low >= self.high:
                return 0.0 if value <= self.low else 1.0
            return min((log(value) - log(self.low)) / (log(self.high) - log(self.low)), 1.0)
        # Halved, so that the distance between two finite numbers is finite.
        whole = self.high / 2 - self.low / 2
        return min(max((value / 2 - self.low / 2) / whole, 0.0), 1.0) if whole > 0 else 0.5

    @classmethod
    def around(cls, values: Iterable[float], label: str, *, beside: float = 0.05) -> Axis:
        """A linear axis that holds all values and zero, with some room beside them."""
        found = [0.0, *values]
        low, high = min(found), max(found)
        if low == high:
            low, high = -1.0, 1.0
        room = (high / 2 - low / 2) * 2 * beside if abs(high) < 1e300 and abs(low) < 1e300 else 0.0
        low, high = low - room, high + room
        return cls(low, high, label, round_ticks(low, high))

    @classmethod
    def of_shares(cls, label: str) -> Axis:
        """From 0 to 1."""
        return cls(0.0, 1.0, label, tuple((f"{t:g}", t) for t in (0.0, 0.25, 0.5, 0.75, 1.0)))

    @classmethod
    def of_counts(cls, largest: int, label: str) -> Axis:
        """Logarithmic, from below 1, so that a single one has a height."""
        powers = (
            [10.0**power for power in range(ceil(log10(max(largest, 2))) + 1)] if largest > 20 else [1.0, 3.0, 10.0]
        )
        step = -(-len(powers) // _TICKS)
        return cls(0.5, max(float(largest), 2.0) * 1.3, label, tuple((_short(p), p) for p in powers[::step]), log=True)

    @classmethod
    def of_sizes(cls, smallest: float, largest: float, label: str) -> Axis:
        """Logarithmic, from the smallest size, at least 1, to the largest.

        >>> [text for text, _ in Axis.of_sizes(4, 11_022, "").ticks]
        ['10', '100', '1,000', '10,000']
        """
        low = max(smallest, 1.0)
        high = largest if largest > low else low + 1
        powers = [10**power for power in range(ceil(log10(low)), floor(log10(high)) + 1)]
        step = -(-len(powers) // _TICKS) or 1
        ticks = tuple((f"{p:,}" if p < 10**6 else _short(float(p)), float(p)) for p in powers[::step])
        return cls(low, high, label, ticks, log=True)


def round_ticks(low: float, high: float, *, about: int = _TICKS) -> Ticks:
    """A few round numbers between two.

    >>> [text for text, _ in round_ticks(-0.31, 1.24)]
    ['0', '0.5', '1']
    """
    rough = (high / 2 - low / 2) / about * 2
    if rough < 1e-300 or rough > 1e300:
        return tuple((_short(v), v) for v in (low, high))
    power = 10.0 ** floor(log10(rough))
    step = next(m * power for m in (1, 2, 5, 10, 20) if m * power >= rough)
    found = [k * step for k in range(ceil(low / step), floor(high / step) + 1)]
    return tuple((_short(v), v) for v in found) or ((_short(low), low),)


def _short(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0e}".replace("e+0", "e").replace("e+", "e")


@dataclass(frozen=True)
class Frame:
    """Two axes and the rectangle that they span, in the units of an SVG's view box."""

    x: Axis
    y: Axis
    width: int = 460
    height: int = 320
    left: int = 48
    bottom: int = 44
    top: int = 12
    right: int = 26

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a point stands."""
        across, up = self.x.share(x), self.y.share(y)
        px = self.left + across * (self.width - self.left - self.right)
        return px, self.height - self.bottom - up * (self.height - self.bottom - self.top)

    def place(self, x: float, y: float) -> str:
        """Where a point stands, for an attribute."""
        px, py = self.at(x, y)
        return f"{px:.1f},{py:.1f}"

    def line(self, points: Iterable[tuple[float, float]], kind: str, *, about: str = "", extra: str = "") -> str:
        """Points joined by a line; `about` is what a pointer is told, `extra` are further attributes."""
        title = f"<title>{escape(about)}</title>" if about else ""
        places = " ".join(self.place(x, y) for x, y in points)
        return f'<polyline class="{kind}" points="{places}"{extra}>{title}</polyline>'

    def across(self, intercept: float, slope: float, kind: str) -> str:
        """The part of a straight line that lies within both axes."""
        low, high = self.x.low, self.x.high
        if slope:
            crossed = sorted(((self.y.low - intercept) / slope, (self.y.high - intercept) / slope))
            low, high = max(low, crossed[0]), min(high, crossed[1])
        if not low <= high:
            return ""
        return self.line([(x, intercept + slope * x) for x in (low, high)], kind)

    def dot(self, x: float, y: float, kind: str, *, about: str, size: float = 4) -> str:
        """A point."""
        px, py = self.at(x, y)
        return f'<circle class="dot {kind}" cx="{px:.1f}" cy="{py:.1f}" r="{size:g}"><title>{escape(about)}</title></circle>'

    def axes(self) -> str:
        """Frame, grid, ticks and labels."""
        right, floor_ = self.width - self.right, self.height - self.bottom
        tall = floor_ - self.top
        parts = [f'<rect class="frame" x="{self.left}" y="{self.top}" width="{right - self.left}" height="{tall}"/>']
        for text, y in _within(self.y):
            at = self.place(self.x.low, y).partition(",")[2]
            parts.append(f'<line class="grid" x1="{self.left}" x2="{right}" y1="{at}" y2="{at}"/>')
            parts.append(
                f'<text class="tick" x="{self.left - 6}" y="{at}" dy="4" text-anchor="end">{escape(text)}</text>'
            )
        for text, x in _within(self.x):
            at = self.place(x, self.y.low).partition(",")[0]
            parts.append(f'<text class="tick" x="{at}" y="{floor_ + 16}" text-anchor="middle">{escape(text)}</text>')
        middle, side = (self.left + right) / 2, (self.top + floor_) / 2
        parts.append(
            f'<text class="label" x="{middle:g}" y="{self.height - 8}" text-anchor="middle">{escape(self.x.label)}</text>'
            f'<text class="label" x="12" y="{side:g}" text-anchor="middle" transform="rotate(-90 12 {side:g})">'
            f"{escape(self.y.label)}</text>"
        )
        return "".join(parts)


def _within(axis: Axis) -> Sequence[tuple[str, float]]:
    return [(text, value) for text, value in axis.ticks if axis.low <= value <= axis.high]
