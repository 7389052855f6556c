"""Where the nodes of a circuit of features stand: columns by position, rows by place from below, nodes of one cell side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..kinds.feature_circuit import CircuitNode, FeatureCircuit

STEP, WIDE, TALL = 52, 46, 20
_LINE, _BETWEEN, _MARGIN, _NAMES, _HEAD = 26, 30, 12, 62, 40
_PER_LINE, _ALONE = 3, 10
_PARTS = ("embed", "attn", "mlp", "resid")


@dataclass(frozen=True)
class Layout:
    """Middles of nodes by their number, names of rows and heads of columns with where they stand, and the size of all."""

    at: Mapping[int, tuple[float, float]]
    rows: tuple[tuple[str, float], ...]
    columns: tuple[tuple[int | None, float], ...]
    width: float
    height: float


def arranged(circuit: FeatureCircuit) -> Layout:
    """A layout that holds every node."""
    cells: dict[tuple[str, int | None], list[int]] = {}
    for number, node in enumerate(circuit.nodes):
        cells.setdefault((node.place, node.position), []).append(number)
    places = sorted({place for place, _ in cells}, key=_order)
    positions = sorted({position for _, position in cells}, key=lambda p: -1 if p is None else p)
    per_line = _PER_LINE if circuit.positions is not None else _ALONE
    lefts, x = {}, float(_NAMES)
    for position in positions:
        widest = max(len(found) for (_, at), found in cells.items() if at == position)
        lefts[position] = (x, min(widest, per_line) * STEP)
        x += lefts[position][1] + _MARGIN
    at: dict[int, tuple[float, float]] = {}
    rows, y = [], float(_HEAD)
    for place in reversed(places):
        lines = max(-(-len(found) // per_line) for (here, _), found in cells.items() if here == place)
        middle = y + lines * _LINE / 2
        rows.append((place.replace("_", " "), middle))
        for position in positions:
            numbers = sorted(cells.get((place, position), ()), key=lambda n: _within(circuit.nodes[n]))
            left, width = lefts[position]
            at |= _cell(numbers, per_line, left + width / 2, middle)
        y += lines * _LINE + _BETWEEN
    columns = tuple((position, left + width / 2) for position, (left, width) in lefts.items())
    return Layout(at, tuple(rows), columns, max(x, 120.0), max(y - _BETWEEN + _MARGIN, 60.0))


def _order(place: str) -> tuple[int, int]:
    """The order of a pass."""
    part, _, layer = place.partition("_")
    return int(layer or -1), _PARTS.index(part)


def _within(node: CircuitNode) -> tuple[bool, int]:
    """Features by number, the error last."""
    return node.feature is None, node.feature or 0


def _cell(numbers: list[int], per_line: int, x: float, y: float) -> dict[int, tuple[float, float]]:
    lines = [numbers[i : i + per_line] for i in range(0, len(numbers), per_line)]
    return {
        number: (x + (column - (len(line) - 1) / 2) * STEP, y + (row - (len(lines) - 1) / 2) * _LINE)
        for row, line in enumerate(lines)
        for column, number in enumerate(line)
    }
