"""Small plots side by side: for a page, whose style they take, or as one file with a style of their own.

A panel carries its numbers in words, and a figure its numbers as a table, for those who cannot or will not see it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from .axes import Frame

COLOURS = ("#0b57b8", "#b45309", "#15803d", "#a21caf", "#0e7490", "#b91c1c", "#4d7c0f", "#6d28d9")
STYLE = """
svg.mechboard-plot{background:#fff;font:12px system-ui,sans-serif}.mechboard-plot text{fill:#4b5563}
.mechboard-plot .title{fill:#111;font-weight:600}.mechboard-plot .frame{fill:none;stroke:#d1d5db}
.mechboard-plot .grid{stroke:#e5e7eb;stroke-width:.6}.mechboard-plot .zero{stroke:#9ca3af}
.mechboard-plot .chance{fill:none;stroke:#9ca3af;stroke-dasharray:2 4}
.mechboard-plot .line{fill:none;stroke:currentColor;stroke-width:2}.mechboard-plot .guess{stroke-dasharray:6 3}
.mechboard-plot .published{stroke-width:1.2;stroke-dasharray:4 3;stroke-opacity:.6}
.mechboard-plot .area{fill:currentColor;fill-opacity:.2;stroke:currentColor}
.mechboard-plot .dot{fill:currentColor;stroke:#fff;stroke-width:.6}.mechboard-plot .ring{fill:none;stroke:currentColor;stroke-width:2}
.mechboard-plot .cell{fill:currentColor}.mechboard-plot .faint{fill-opacity:.55}
""" + "".join(f".mechboard-plot .c{index}{{color:{colour}}}" for index, colour in enumerate(COLOURS))

_HEAD, _LINE = 22, 18
_LONGEST = 44
_LONGEST_KEY = 60


@dataclass(frozen=True)
class Panel:
    """One plot: `drawn` is markup in the units of its frame, all else is plain text; `key` is class and meaning of its marks."""

    title: str
    described: str
    frame: Frame
    drawn: str
    key: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Numbers:
    """A table of what is drawn."""

    head: tuple[str, ...]
    rows: Sequence[Sequence[str]]


def figure(panels: Sequence[Panel], numbers: Numbers | None = None, *, said: str = "") -> str:
    """Panels for a page, with `said` above them and their numbers below."""
    plots = "".join(f'<div class="panel">{_svg(panel)}{_key(panel)}</div>' for panel in panels)
    above = f'<p class="quiet">{escape(said)}</p>' if said else ""
    return f'{above}<div class="panels">{plots}</div>{_table(numbers)}'


def alone(panels: Sequence[Panel], *, title: str) -> str:
    """Panels below each other as one picture with its own style."""
    parts, y = [], _LINE
    for panel in panels:
        tall = panel.frame.height + _HEAD
        parts.append(f'<svg x="0" y="{y}" width="{panel.frame.width}" height="{tall}">{_inner(panel)}</svg>')
        y += tall
        for kind, text in panel.key:
            parts.append(
                f'<svg x="{panel.frame.left}" y="{y + 3}" width="28" height="12">{_swatch(kind)}</svg>'
                f'<text x="{panel.frame.left + 36}" y="{y + 13}">{escape(cut(text, _LONGEST_KEY))}</text>'
            )
            y += _LINE
    y += _LINE // 2
    width = max((panel.frame.width for panel in panels), default=100)
    described = "; ".join(panel.described for panel in panels)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="mechboard-plot" viewBox="0 0 {width} {y}" width="{width}" '
        f'height="{y}" role="img" aria-label="{escape(f"{title}: {described}")}"><style>{STYLE}</style>'
        f'<text class="title" x="4" y="13">{escape(cut(title))}</text>{"".join(parts)}</svg>'
    )


def cut(text: str, longest: int = _LONGEST) -> str:
    """A name that fits above a plot."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _svg(panel: Panel) -> str:
    frame = panel.frame
    return (
        f'<svg class="plot" viewBox="0 0 {frame.width} {frame.height + _HEAD}" width="{frame.width}" role="img" '
        f'aria-label="{escape(panel.described)}">{_inner(panel)}</svg>'
    )


def _inner(panel: Panel) -> str:
    title = f'<text class="title" x="{panel.frame.left}" y="14">{escape(cut(panel.title))}</text>'
    return f'{title}<g transform="translate(0 {_HEAD})">{panel.frame.axes()}{panel.drawn}</g>'


def _key(panel: Panel) -> str:
    items = (
        f'<li><svg width="28" height="12" aria-hidden="true">{_swatch(kind)}</svg> {escape(text)}</li>'
        for kind, text in panel.key
    )
    return f'<ul class="legend">{"".join(items)}</ul>' if panel.key else ""


def _swatch(kind: str) -> str:
    if "dot" in kind.split() or "ring" in kind.split():
        return f'<circle class="{kind}" cx="14" cy="6" r="4"/>'
    if "area" in kind.split():
        return f'<rect class="{kind}" x="4" y="1" width="20" height="10"/>'
    return f'<line class="{kind}" x1="0" x2="28" y1="6" y2="6"/>'


def _table(numbers: Numbers | None) -> str:
    if numbers is None:
        return ""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in numbers.head)
    rows = "".join(
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in rest)}</tr>'
        for first, *rest in numbers.rows
    )
    return (
        f'<details class="numbers"><summary>Numbers</summary><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></details>"
    )
