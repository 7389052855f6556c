"""How much circuits of features explain by their size: faithfulness and completeness side by side, published curves behind.

`averaged` makes one of several tasks: each curve interpolated linearly in the number of nodes, mean over tasks on a grid of 100
sizes that are evenly apart by logarithm, over the sizes that all of them have.

Source: Marks et al. 2024, figure 3, and their averages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, log

from ..contract.scores import Exhibit
from ..kinds.feature_exhibits import Explanation, Of, SetCurve
from .axes import Axis, Frame
from .panels import Numbers, Panel, alone, figure

_GRID = 100
_TOLD = (1, 10, 20, 50, 100, 200, 500, 1000, 2000, 4000, 10_000, 30_000, 100_000)
_MARKS = 20
_WORDS = {
    "no-attn-mlp-errors": "without attention and MLP errors",
    "no-errors": "without any error",
}
_ORDER = ("features", *_WORDS, "neurons")
# Sets differ in colour and in the marks on their lines: class and size.
_STYLES = (("c0", "dot", 3.5), ("c1", "ring", 3.0), ("c2", "dot", 2.0), ("c3", "", 0.0))
_BEST = {"faithfulness": 1.0, "completeness": 0.0}


def explanation_figure(explanation: Explanation, *, title: str) -> str:
    """Both plots for a page, and their numbers."""
    return f'<div class="wide">{figure(_panels(explanation, title), _numbers(explanation))}</div>'


def explanation_svg(explanation: Explanation, *, title: str) -> str:
    """Both as one picture."""
    return alone(_panels(explanation, title), title=title)


def averaged(of_tasks: Mapping[str, Exhibit]) -> Explanation | None:
    """The mean over tasks of every curve that all of them have; None if there is none."""
    found = [each for each in of_tasks.values() if isinstance(each, Explanation)]
    if not found or len(found) < len(of_tasks):
        return None
    by_key = [{curve.key: curve for curve in each.curves} for each in found]
    curves = [
        mean for key in by_key[0] if all(key in each for each in by_key) if (mean := _mean([e[key] for e in by_key]))
    ]
    if not curves:
        return None
    source = "; ".join(dict.fromkeys(each.source for each in found if each.source))
    return Explanation(curves=tuple(curves), source=source[:300], averaged=tuple(of_tasks)[:100])


def _mean(curves: Sequence[SetCurve]) -> SetCurve | None:
    low, high = max(max(curve.n_nodes[0], 1.0) for curve in curves), min(curve.n_nodes[-1] for curve in curves)
    if not low < high:
        return None
    sizes = [exp(log(low) + (log(high) - log(low)) * i / (_GRID - 1)) for i in range(1, _GRID - 1)]
    sizes = [low, *(min(max(size, low), high) for size in sizes), high]
    return SetCurve(
        of=curves[0].of,
        name=curves[0].name,
        origin=curves[0].origin,
        n_nodes=tuple(sizes),
        # Divided before it is added: a mean of finite values is finite.
        values=tuple(sum(value_at(curve, size) / len(curves) for curve in curves) for size in sizes),
    )


def value_at(curve: SetCurve, size: float) -> float:
    """A curve between its sizes, linear in the number of nodes; its end values outside of them.

    >>> value_at(SetCurve(of="faithfulness", name="", n_nodes=(1, 10, 20), values=(0.0, 0.5, 1.0)), 15)
    0.75
    """
    n, y = curve.n_nodes, curve.values
    if size <= n[0]:
        return y[0]
    for before in range(len(n) - 1):
        if size <= n[before + 1]:
            share = (size - n[before]) / (n[before + 1] - n[before])
            return (1 - share) * y[before] + share * y[before + 1]
    return y[-1]


def _panels(explanation: Explanation, title: str) -> list[Panel]:
    return [
        _panel(explanation, of, curves, title)
        for of in ("faithfulness", "completeness")
        if (curves := sorted((c for c in explanation.curves if c.of == of), key=_place))
    ]


def _place(curve: SetCurve) -> tuple[int, str]:
    return _ORDER.index(curve.name) if curve.name in _ORDER else len(_ORDER), curve.name


def _panel(explanation: Explanation, of: Of, curves: Sequence[SetCurve], title: str) -> Panel:
    values = [y for curve in curves for y in curve.values]
    low, high = max(min(0.0, *values), -0.5), min(max(1.05, *values), 1.5)
    label = "faithfulness" if of == "faithfulness" else "faithfulness of what is left"
    sizes = [n for curve in curves for n in curve.n_nodes]
    frame = Frame(
        x=Axis.of_sizes(min(sizes), max(sizes), "nodes, log scale"),
        y=Axis(low, high, label, tuple((f"{v / 4:g}", v / 4) for v in range(-2, 7))),
    )
    # Over both panels, so that a set has one colour.
    names = list(dict.fromkeys(curve.name for curve in sorted(explanation.curves, key=_place)))
    behind = {"published": 0, "chance": 1, "measured": 2}
    drawn = [frame.line([(frame.x.low, _BEST[of]), (frame.x.high, _BEST[of])], "zero")]
    drawn += [_line(frame, c, names.index(c.name)) for c in sorted(curves, key=lambda c: behind[c.origin])]
    measured = [curve for curve in curves if curve.origin == "measured"]
    mean = f", mean over {len(explanation.averaged)} tasks" if explanation.averaged else ""
    return Panel(
        title=of.capitalize() + mean,
        described=f"{title}, {of} by number of nodes{mean}: {'; '.join(_described(c) for c in measured or curves)}",
        frame=frame,
        drawn="".join(drawn),
        key=_key(explanation, curves, names),
    )


def _line(frame: Frame, curve: SetCurve, place: int) -> str:
    points = list(zip(curve.n_nodes, curve.values, strict=True))
    colour, mark, size = _STYLES[place % len(_STYLES)]
    if curve.origin == "chance":
        return frame.line(points, "chance", about=f"chance, {_said(curve.name)}")
    if curve.origin == "published":
        return frame.line(points, f"line published {colour}", about=f"published, {_said(curve.name)}")
    step = -(-len(points) // _MARKS)
    marks = [
        frame.dot(n, y, f"{mark} {colour}", about=f"{_said(curve.name)}: {y:.3f} at {n:,.0f} nodes", size=size)
        for n, y in (points[::step] if mark else ())
    ]
    return frame.line(points, f"line {colour}", about=_said(curve.name)) + "".join(marks)


def _key(explanation: Explanation, curves: Sequence[SetCurve], names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    kinds = {curve.origin for curve in curves}
    key = [
        (f"line {_STYLES[names.index(c.name) % len(_STYLES)][0]}", _said(c.name))
        for c in curves
        if c.origin == "measured"
    ]
    if "published" in kinds:
        key.append(("line published", f"published{f': {explanation.source}' if explanation.source else ''}"))
    return (*key, *([("chance", "chance")] if "chance" in kinds else []))


def _described(curve: SetCurve) -> str:
    low, high = curve.values[0], curve.values[-1]
    return f"{_said(curve.name)} {low:.2f} at {curve.n_nodes[0]:,.0f} nodes, {high:.2f} at {curve.n_nodes[-1]:,.0f}"


def _said(name: str) -> str:
    return _WORDS.get(name, name)


def _numbers(explanation: Explanation) -> Numbers:
    """Every curve at round sizes."""
    largest = max(curve.n_nodes[-1] for curve in explanation.curves)
    smallest = min(curve.n_nodes[0] for curve in explanation.curves)
    sizes = [n for n in _TOLD if smallest <= n <= largest]
    rows = [
        (
            f"{curve.of}, {_said(curve.name)}" + (f", {curve.origin}" if curve.origin != "measured" else ""),
            *(f"{value_at(curve, n):.3f}" if curve.n_nodes[0] <= n <= curve.n_nodes[-1] else "" for n in sizes),
        )
        for curve in sorted(explanation.curves, key=lambda c: (c.of != "faithfulness", _place(c)))
    ]
    return Numbers(("at nodes", *(f"{n:,}" for n in sizes)), rows)
