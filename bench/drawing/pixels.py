"""Where in a classifier's picture a cut is: a square per pixel, the darker, the more of its edges are cut."""

from __future__ import annotations

from html import escape

from ..kinds.removal_exhibits import SMALL_PICTURE, CutPixels
from .axes import Axis, Frame
from .panels import Numbers, Panel, alone, figure

_WIDEST = 288
_LISTED = 40


def pixels_figure(pixels: CutPixels, *, title: str) -> str:
    """The picture for a page, whose style it takes, and its numbers: all of a small one, else of the pixels cut most."""
    return figure([_panel(pixels, title)], _numbers(pixels))


def pixels_svg(pixels: CutPixels, *, title: str) -> str:
    """The picture as a file, with its own style."""
    return alone([_panel(pixels, title)], title=title)


def _panel(pixels: CutPixels, title: str) -> Panel:
    height, width = len(pixels.rows), len(pixels.rows[0])
    size = _WIDEST / max(height, width)
    frame = Frame(
        x=Axis(0.0, float(width), f"{width} columns of pixels", ()),
        y=Axis(0.0, float(height), f"{height} rows of pixels", ()),
        width=round(size * width) + 40,
        height=round(size * height) + 40,
        left=30,
        right=10,
        top=6,
        bottom=34,
    )
    most = max(1, *map(max, pixels.rows))
    cells = []
    for row, counts in enumerate(pixels.rows):
        for column, count in enumerate(counts):
            if count:
                x, y = frame.at(column, height - row)
                about = f"row {row + 1}, column {column + 1}: {count:,} of {pixels.of:,} edges cut"
                place = f'x="{x:.1f}" y="{y:.1f}" width="{size:.1f}" height="{size:.1f}"'
                shade = f'fill-opacity="{0.1 + 0.9 * count / most:.2f}"'
                cells.append(f'<rect class="cell c0" {place} {shade}><title>{escape(about)}</title></rect>')
    return Panel(
        title="Cut edges by pixel",
        described=f"{title}: {pixels.said}",
        frame=frame,
        drawn="".join(cells),
        key=(("cell area c0", f"darkest: {most:,} of {pixels.of:,} edges cut"),),
    )


def _numbers(pixels: CutPixels) -> Numbers:
    width = len(pixels.rows[0])
    if max(width, len(pixels.rows)) <= SMALL_PICTURE:
        rows = [(f"row {row + 1}", *map(str, counts)) for row, counts in enumerate(pixels.rows)]
        return Numbers(("edges cut", *(f"column {column + 1}" for column in range(width))), rows)
    places = [(count, row, column) for row, counts in enumerate(pixels.rows) for column, count in enumerate(counts)]
    most = sorted((place for place in places if place[0]), key=lambda place: (-place[0], place[1:]))[:_LISTED]
    return Numbers(
        ("pixel, of those that are cut most", "edges cut"),
        [(f"row {row + 1}, column {column + 1}", f"{count:,}") for count, row, column in most],
    )
