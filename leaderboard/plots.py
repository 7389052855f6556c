"""Curves as inline SVG: axes, lines that differ in colour and dash, a legend, and a text alternative."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from mechboard.records import CurveRecord

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 460, 320, 48, 44, 12, 26
_DASHES = ("", "6 3", "2 3", "8 3 2 3", "12 4", "1 4", "5 5", "10 2 2 2")
_COLOURS = 8


def curves_svg(
    curves: Sequence[tuple[str, CurveRecord]], *, title: str, diagonal: bool = False, log_x: bool = False
) -> str:
    """A plot of named curves that share their axes. y is cut to [-0.5, 1.5], which the text says."""
    if not curves:
        return ""
    smallest = min((x for _, c in curves for x in c.x if x > 0), default=1.0)
    low, high = (0.0, 1.0) if diagonal else _range([y for _, c in curves for y in c.y])

    def place(x: float, y: float) -> str:
        across = _log_share(x, smallest) if log_x else x
        up = (min(max(y, low), high) - low) / (high - low)
        px = _LEFT + across * (_WIDTH - _LEFT - _RIGHT)
        return f"{px:.1f},{_HEIGHT - _BOTTOM - up * (_HEIGHT - _BOTTOM - _TOP):.1f}"

    parts = [_frame(curves[0][1], low, high, smallest if log_x else None, place)]
    if diagonal:
        parts.append(f'<polyline class="chance" points="{place(0, 0)} {place(1, 1)}"/>')
    for index, (name, curve) in enumerate(curves):
        points = " ".join(place(x, y) for x, y in zip(curve.x, curve.y, strict=True))
        dash = f' stroke-dasharray="{_DASHES[index % len(_DASHES)]}"' if _DASHES[index % len(_DASHES)] else ""
        parts.append(
            f'<polyline class="line c{index % _COLOURS}" points="{points}"{dash}><title>{escape(name)}</title></polyline>'
        )
    described = "; ".join(f"{name} from {c.y[0]:.2f} to {c.y[-1]:.2f}" for name, c in curves)
    return (
        f"<figcaption>{escape(title)}</figcaption>"
        f'<svg class="plot" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}: {escape(described)}">'
        + "".join(parts)
        + "</svg>"
        + _legend([name for name, _ in curves])
    )


def _range(values: Sequence[float]) -> tuple[float, float]:
    return max(min([0.0, *values]), -0.5), min(max([1.05, *values]), 1.5)


def _log_share(x: float, smallest: float) -> float:
    from math import log

    return 0.0 if x <= smallest else 1 - log(x) / log(smallest)


def _frame(curve: CurveRecord, low: float, high: float, smallest: float | None, place: object) -> str:
    assert callable(place)
    left, right = _LEFT, _WIDTH - _RIGHT
    parts = [f'<rect class="frame" x="{left}" y="{_TOP}" width="{right - left}" height="{_HEIGHT - _BOTTOM - _TOP}"/>']
    for y in (v / 4 for v in range(-2, 7)):
        if low <= y <= high:
            at = place(0, y).partition(",")[2]
            parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{at}" y2="{at}"/>')
            parts.append(f'<text class="tick" x="{left - 6}" y="{at}" dy="4" text-anchor="end">{y:g}</text>')
    ticks = [t for t in (0.001, 0.01, 0.1, 1.0) if t >= smallest] if smallest else [0, 0.25, 0.5, 0.75, 1]
    for x in ticks:
        at = place(x, low).partition(",")[0]
        text = f"{x:.3g}" if smallest is None else f"{100 * x:g} %"
        parts.append(f'<text class="tick" x="{at}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{text}</text>')
    middle = (left + right) / 2
    x_label = curve.x_label + (", log scale" if smallest else "")
    parts.append(f'<text class="label" x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(x_label)}</text>')
    turned = f'transform="rotate(-90 12 {_HEIGHT / 2 - 16})"'
    parts.append(
        f'<text class="label" x="12" y="{_HEIGHT / 2 - 16}" text-anchor="middle" {turned}>{escape(curve.y_label)}</text>'
    )
    return "".join(parts)


def _legend(names: Sequence[str]) -> str:
    items = []
    for index, name in enumerate(names):
        dash = _DASHES[index % len(_DASHES)]
        line = f'<line class="line c{index % _COLOURS}" x1="0" x2="28" y1="6" y2="6" stroke-dasharray="{dash}"/>'
        swatch = f'<svg width="28" height="12" aria-hidden="true">{line}</svg>'
        items.append(f"<li>{swatch} {escape(name)}</li>")
    return f'<ul class="legend">{"".join(items)}</ul>'
