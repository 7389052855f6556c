"""Figure 3 of Marks et al. 2024: faithfulness and completeness by number of nodes, to be drawn behind what is measured here.

Numbers are those that stand in the notebooks of the authors' repository (commits a349738 to ea5d720, 28 March 2024), not read off the
figure. Features of each structure: a point per threshold, 15 from 1e-4 to 1; the threshold that keeps nothing is left out. Other sets, and
completeness: the mean of the four structures at nine sizes.

The figure of the headline (`quoted`) is an area of those points like this project's own (`metrics/node_circuits.py`), up to the largest
circuit that was measured and not to all nodes: read it as a rough guide.
"""

from __future__ import annotations

import math
from itertools import pairwise

from mechboard.protocols import Curve, Quoted

_PAPER = "Marks et al. 2024 (arXiv 2403.19647), figure 3"
_SIZES = (10, 20, 50, 100, 200, 500, 1000, 2000, 4000)
_FAITHFULNESS = {
    "features": (0.12, 0.22, 0.35, 0.61, 0.79, 0.87, 0.93, 0.98, 1.00),
    "no-attn-mlp-errors": (0.13, 0.21, 0.30, 0.44, 0.54, 0.65, 0.72, 0.80, 0.86),
    "no-errors": (0.01, 0.04, 0.08, 0.10, 0.13, 0.20, 0.24, 0.28, 0.31),
    "neurons": (0.00, 0.00, 0.01, 0.02, 0.05, 0.16, 0.33, 0.62, 0.91),
}
_COMPLETENESS = {
    "features": (0.26, 0.11, 0.02, -0.00, 0.01, 0.02, 0.01, 0.01, 0.01),
    "no-attn-mlp-errors": (0.25, 0.09, 0.01, 0.01, 0.01, 0.02, 0.01, 0.01, 0.00),
    "no-errors": (0.28, 0.03, -0.09, -0.09, -0.07, -0.05, -0.06, -0.06, -0.06),
    "neurons": (0.85, 0.76, 0.50, 0.38, 0.20, 0.03, -0.00, 0.02, 0.01),
}
_FEATURES = {
    "rc": ((12, -0.153), (32, 0.046), (51, 0.180), (84, 0.375), (128, 0.515), (198, 0.664), (311, 0.731), (560, 0.775),
           (1006, 0.855), (2017, 0.894), (3832, 0.968), (6798, 0.960), (11022, 0.967)),
    "nounpp": ((1, 0.004), (4, 0.004), (14, 0.067), (32, 0.152), (49, 0.219), (84, 0.511), (124, 0.620), (183, 0.730),
               (322, 0.784), (609, 0.799), (1306, 0.909), (2668, 0.973), (5122, 0.939), (8678, 1.025), (13181, 1.025)),
    "simple": ((4, 0.0), (9, 0.017), (21, 0.194), (34, 0.332), (60, 0.497), (92, 0.673), (145, 0.832), (246, 0.859),
               (382, 0.887), (656, 0.912), (1121, 0.964), (1794, 0.985), (2633, 1.013), (3548, 1.017), (4384, 1.014)),
    "within_rc": ((4, 0.0), (12, 0.747), (20, 0.703), (30, 0.419), (56, 0.568), (84, 0.695), (147, 0.848), (248, 0.933),
                  (454, 1.019), (783, 1.042), (1384, 1.061), (2292, 1.076), (3542, 1.085), (5113, 1.076), (6735, 1.069)),
}  # fmt: skip


def published(structure: str) -> tuple[tuple[str, Curve], ...]:
    """Curves by the name of the set: features of this structure, all else the mean of the four.

    >>> [(name, curve.y_label[:12], len(curve.x)) for name, curve in published("rc")][:2]
    [('features', 'faithfulness', 13), ('no-attn-mlp-errors', 'faithfulness', 9)]
    """
    sizes, values = zip(*_FEATURES[structure], strict=True)
    found = [("features", _curve(sizes, values, "faithfulness", f"{_PAPER}: features of this structure"))]
    mean = f"{_PAPER}: all else, the mean of the four structures"
    found += [
        (name, _curve(_SIZES, y, "faithfulness", mean)) for name, y in _FAITHFULNESS.items() if name != "features"
    ]
    found += [(name, _curve(_SIZES, y, "faithfulness of the complement", mean)) for name, y in _COMPLETENESS.items()]
    return tuple(found)


def quoted(structure: str) -> tuple[Quoted, ...]:
    """The headline of integrated gradients on this structure, from the published points.

    >>> [round(quoted(structure)[0].value, 3) for structure in ("simple", "within_rc")]
    [0.502, 0.633]
    """
    points = _FEATURES[structure]
    heights = [max(0.0, 1 - abs(1 - f)) for _, f in points]
    logs = [math.log(n) for n, _ in points]
    # from one node on, as here; the smallest circuit measured stands for smaller ones
    area = heights[0] * logs[0]
    area += sum((b - a) * (p + q) / 2 for (a, b), (p, q) in zip(pairwise(logs), pairwise(heights), strict=True))
    n_points, largest = len(points), points[-1][0]
    return (
        Quoted(
            method="ig-features",
            measure="faithfulness",
            value=round(area / logs[-1], 3),
            convention=f"area of {n_points} published points, 1 to {largest:,} nodes by threshold, the largest that was measured; "
            "100 + 40 prompts of the published split",
            source=_PAPER,
        ),
    )


def _curve(x: tuple[float, ...], y: tuple[float, ...], y_label: str, title: str) -> Curve:
    return Curve(x=x, y=y, x_label="nodes", y_label=y_label, title=title, log_x=True)
