"""What is measured of one shape, task by task: both sides in turn, their ratio, and whether they agree.

EAP and faithfulness are measured whole, `rounds` times in turn; the cheapest counts. The test of an edge takes as long as
what lies behind it, so where all edges would take hours, a few edges of some layers are timed and the mean over all edges is
interpolated between layers. The same sample stands for the whole of AutoCircuit's ACDC, which tests every edge once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sides import Side
from workload import Shape

from mechboard.graph import Graph
from mechboard.metrics.faithfulness import mib_counts

_SAMPLED_EDGES = 4  # of each part
_SAMPLED_LAYERS = 5
_TESTED_ALIKE = 40  # edges whose decisions are compared where a whole run of AutoCircuit's ACDC would take hours
_SMALL = 2_000  # edges; below, every edge of every layer is measured, and ACDC runs to its end on both sides


@dataclass(frozen=True)
class Bout:
    """Both sides, the shape that they compute, and where it lies."""

    ours: Side
    theirs: Side | None
    workload: Path
    shape: Shape
    rounds: int

    @property
    def graph(self) -> Graph:
        """The graph of the shape."""
        shape = self.shape
        return Graph(n_layers=shape.layers, n_heads=shape.heads, has_mlp=bool(shape.d_mlp), parallel=False)

    def in_turn(self, task: str, **job: Any) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """The cheapest run of each side."""
        ours, theirs = [], []
        for _ in range(self.rounds):
            ours.append(self.ours.run(task, self.workload, repeats=2, **job))
            if self.theirs:
                theirs.append(self.theirs.run(task, self.workload, repeats=2, **job))
        return min(ours, key=seconds), min(theirs, key=seconds, default=None)


def seconds(result: dict[str, Any]) -> float:
    """User and system seconds."""
    return float(result["user"] + result["system"])


def compare(bout: Bout, tasks: list[str]) -> dict[str, Any]:
    """All tasks of one shape; later ones use what EAP found."""
    found: dict[str, Any] = {}
    scores: dict[str, float] = {}
    for task in ("mask", "eap"):
        if task in tasks or (task == "eap" and "faithfulness" in tasks):
            ours, theirs = bout.in_turn(task)
            scores = ours["value"]
            found[task] = row(ours, theirs, _difference(scores, theirs and theirs["value"]))
    if "faithfulness" in tasks:
        ours, theirs = bout.in_turn("faithfulness", scores=scores, counts=mib_counts(bout.graph.n_edges))
        pair = [dict(enumerate(side["value"])) if side else None for side in (ours, theirs)]
        found["faithfulness"] = row(ours, theirs, _difference(*pair))
    if "edges" in tasks or "acdc" in tasks:
        found["edges"] = _edges(bout)
    if "acdc" in tasks:
        found["acdc"] = _acdc(bout, found["edges"])
    return found


def row(ours: dict[str, Any], theirs: dict[str, Any] | None, agreement: dict[str, Any]) -> dict[str, Any]:
    """Seconds and memory of both sides, and how well they agree."""
    kept = ("user", "system", "peak", "loaded", "extrapolated")
    cells: dict[str, Any] = {"ours": {key: ours[key] for key in kept if key in ours}}
    if theirs:
        cells["theirs"] = {key: theirs[key] for key in kept if key in theirs}
        cells["ratio"] = seconds(theirs) / seconds(ours)
    return cells | {"agreement": agreement}


def _difference(ours: dict[Any, float], theirs: dict[Any, float] | None) -> dict[str, Any]:
    if theirs is None:
        return {}
    assert ours.keys() == theirs.keys(), "the two sides have different edges"
    return {
        "largest difference": max(abs(ours[key] - theirs[key]) for key in ours),
        "largest value": max(map(abs, ours.values())),
        "values": len(ours),
    }


# -- the test of one edge ---------------------------------------------------------------------


def _parts(graph: Graph) -> list[dict[str, Any]]:
    """Some layers, each with its attention and its MLP, and the logits: `edges` to be tested in each, `of` how many."""
    sampled = sorted({round(i * (graph.n_layers - 1) / (_SAMPLED_LAYERS - 1)) for i in range(_SAMPLED_LAYERS)})
    parts: list[dict[str, Any]] = []
    for layer in sampled:
        columns = graph.attention_destinations(layer)
        # Enough inputs that the seconds of the part can be told from those of the rest of the run.
        few = max(1, min(columns.stop - columns.start, 36 // graph.visible_to_attention(layer)))
        first = range(columns.start, columns.start + few)
        parts.append({"layer": layer, "kind": "attention", "columns": few, "destinations": first})
        if graph.has_mlp:
            parts.append({"layer": layer, "kind": "mlp", "columns": 1, "destinations": [graph.mlp_destination(layer)]})
    parts.append(
        {"layer": graph.n_layers - 1, "kind": "logits", "columns": 1, "destinations": [graph.n_destinations - 1]}
    )
    for part in parts:
        destinations = part.pop("destinations")
        edges = [graph.edges[i] for i, at in enumerate(graph.edge_destinations.tolist()) if at in destinations]
        part["of"] = len(edges)
        part["edges"] = edges[:: max(1, len(edges) // _SAMPLED_EDGES)][:_SAMPLED_EDGES]
    return parts


def _mean_test(graph: Graph, parts: list[dict[str, Any]], per_test: list[float]) -> float:
    """Mean over all edges, from the seconds of a test in each part; linear between layers."""
    total = 0.0
    for layer in range(graph.n_layers):
        columns = graph.attention_destinations(layer)
        attention = (columns.stop - columns.start) * graph.visible_to_attention(layer)
        for kind, edges in (("attention", attention), ("mlp", graph.visible_to_mlp(layer) * graph.has_mlp)):
            if edges:
                at = {part["layer"]: cost for part, cost in zip(parts, per_test, strict=True) if part["kind"] == kind}
                total += edges * _interpolated(at, layer)
    return (total + graph.n_sources * per_test[-1]) / graph.n_edges


def _interpolated(at: dict[int, float], layer: int) -> float:
    below, above = max(k for k in at if k <= layer), min(k for k in at if k >= layer)
    share = 0.0 if above == below else (layer - below) / (above - below)
    return at[below] + share * (at[above] - at[below])


def _edges(bout: Bout) -> dict[str, Any]:
    graph = bout.graph
    parts = _parts(graph)
    effects = [name for part in parts for name in part["edges"]]
    theirs = bout.theirs and bout.theirs.run("edges", bout.workload, parts=parts)
    if theirs:
        theirs |= _means(graph, parts, [[part[key] for part in theirs["parts"]] for key in ("user", "system")])
    if graph.n_edges < _SMALL:
        ours = bout.ours.run("edges", bout.workload, parts=[], effects=effects)
        ours |= {key: ours[key] / graph.n_edges for key in ("user", "system")}
    else:
        *inside, logits = parts
        ours = bout.ours.run("edges", bout.workload, parts=inside, effects=effects)
        columns = [
            [
                *(cost[key] / part["of"] for cost, part in zip(ours["parts"], inside, strict=True)),
                ours[key] / logits["of"],
            ]
            for key in ("user", "system")
        ]
        ours |= _means(graph, parts, columns)
    return row(ours, theirs, _difference(ours["value"], theirs and theirs["value"]))


def _means(graph: Graph, parts: list[dict[str, Any]], columns: list[list[float]]) -> dict[str, Any]:
    user, system = (_mean_test(graph, parts, column) for column in columns)
    return {"user": user, "system": system, "extrapolated": f"from {sum(len(part['edges']) for part in parts)} edges"}


# -- ACDC -------------------------------------------------------------------------------------


def _acdc(bout: Bout, edges: dict[str, Any]) -> dict[str, Any]:
    graph, tau = bout.graph, bout.shape.tau
    ours = bout.ours.run("acdc", bout.workload, tau=tau)
    order, kept = ours["value"]["order"], set(ours["value"]["kept"])
    if not bout.theirs:
        return row(ours, None, {"kept": len(kept)})
    limit = None if graph.n_edges < _SMALL else _TESTED_ALIKE
    theirs = bout.theirs.run("acdc", bout.workload, tau=tau, order=order, limit=limit)
    tested = order[: len(theirs["value"]["divergences"])]
    decided, margin = _decisions(theirs["value"]["divergences"], tau)
    theirs_kept = {name for name, keep in zip(tested, decided, strict=True) if keep}
    assert limit or theirs_kept == set(theirs["value"]["kept"])
    if limit:
        theirs |= {key: edges["theirs"][key] * graph.n_edges for key in ("user", "system")}
        theirs["extrapolated"] = f"mean test x {graph.n_edges:,} edges"
    return row(ours, theirs, {
        "same decisions": len(tested) - len((kept & set(tested)) ^ theirs_kept),
        "values": len(tested),
        "kept": len(kept),
        "smallest margin": margin,
    })  # fmt: skip


def _decisions(divergences: list[float], tau: float) -> tuple[list[bool], float]:
    """Which tested edges are kept, and how close to tau the closest decision was."""
    kept, margin, before = [], float("inf"), 0.0
    for value in divergences:
        kept.append(value - before >= tau)
        margin = min(margin, abs(value - before - tau))
        before = before if kept[-1] else value
    return kept, margin
