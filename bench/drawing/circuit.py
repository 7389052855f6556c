"""A circuit as a picture: nodes by layer, `input` below and `logits` above, edges as hit, false or missed."""

from __future__ import annotations

from html import escape

from ..kinds.circuit_exhibits import Circuit, FoundEdge, GraphInfo

_STEP_X, _STEP_Y, _NODE_W, _NODE_H, _MARGIN = 66, 58, 50, 20, 24
_ALL_NODES_UP_TO = 64
_PORTS = {"q": -14, "k": 0, "v": 14}
_STYLE = """
svg.circuit{background:#fff;font:11px system-ui,sans-serif}
.circuit .node rect{fill:#f3f4f6;stroke:#9ca3af}.circuit .node text{fill:#111}.circuit .idle{opacity:.35}
.circuit .edge{fill:none;stroke-width:1.6}.circuit .hit{stroke:#15803d}.circuit .unknown{stroke:#374151}
.circuit .false{stroke:#b91c1c;stroke-dasharray:5 3}.circuit .missed{stroke:#b45309;stroke-dasharray:2 3}
"""


def circuit_figure(circuit: Circuit, *, title: str) -> str:
    """The picture for a page, whose style it takes, with what its lines mean."""
    return _svg(circuit, title, "", "") + _key(circuit)


def circuit_svg(circuit: Circuit, *, title: str) -> str:
    """The picture as a file, with its own style."""
    return _svg(circuit, title, ' xmlns="http://www.w3.org/2000/svg"', f"<style>{_STYLE}</style>")


def circuit_dot(circuit: Circuit, *, title: str) -> str:
    """The circuit for Graphviz."""
    colours = {"unknown": "black", "hit": "darkgreen", "missed": "orange", "false": "crimson"}
    lines = ["digraph circuit {", "  rankdir=BT;"]
    for edge in circuit.edges:
        source, node, part = _ends(edge.name)
        lines.append(f'  "{source}" -> "{node}" [label="{part}", color={colours[edge.verdict]}];')
    return "\n".join([*lines, "}"])


def _svg(circuit: Circuit, title: str, namespace: str, style: str) -> str:
    graph = circuit.graph
    nodes = {name for row in _rows(graph) for name in row}
    # A record is a stranger's file: an edge between nodes that the graph lacks has no place in the picture.
    edges = [e for e in circuit.edges if set(_ends(e.name)[:2]) <= nodes]
    touched = {node for e in edges for node in _ends(e.name)[:2]} | {"input", "logits"}
    places = _places(graph, touched if graph.n_layers * graph.n_heads > _ALL_NODES_UP_TO else None)
    width = max(x for x, _ in places.values()) + _NODE_W / 2 + _MARGIN
    height = max(y for _, y in places.values()) + _NODE_H / 2 + _MARGIN
    counts = {kind: sum(e.verdict == kind for e in edges) for kind in ("hit", "false", "missed", "unknown")}
    described = ", ".join(f"{n} {kind}" for kind, n in counts.items() if n)
    drawn = [_edge(e, places) for e in sorted(edges, key=lambda e: e.verdict == "hit")]
    boxes = [_node(name, x, y, name in touched) for name, (x, y) in places.items()]
    return (
        f'<svg{namespace} class="circuit" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img" aria-label="{escape(title)}: {described} edges">'
        f"{style}{''.join(drawn)}{''.join(boxes)}</svg>"
    )


def _key(circuit: Circuit) -> str:
    found = {edge.verdict for edge in circuit.edges}
    lines = [f'<li class="key {verdict}">{verdict}</li>' for verdict in ("hit", "false", "missed") if verdict in found]
    if circuit.graph.level == "qkv":
        lines.append("<li>into a head: query left, key middle, value right</li>")
    return f'<ul class="legend">{"".join(lines)}</ul>' if lines else ""


def _ends(name: str) -> tuple[str, str, str]:
    source, _, destination = name.partition("->")
    node, _, part = destination.partition("<")
    return source, node, part.rstrip(">")


def _rows(graph: GraphInfo) -> list[list[str]]:
    """Names of the nodes, from below."""
    rows = [["input"]]
    for layer in range(graph.n_layers):
        rows.append([f"a{layer}.h{head}" for head in range(graph.n_heads)])
        if graph.has_mlp:
            rows.append([f"m{layer}"])
    return [*rows, ["logits"]]


def _places(graph: GraphInfo, only: set[str] | None) -> dict[str, tuple[float, float]]:
    rows = _rows(graph)
    if only is not None:
        rows = [kept for row in rows if (kept := [name for name in row if name in only])]
    widest = max(len(row) for row in rows)
    middle = _MARGIN + _NODE_W / 2 + (widest - 1) * _STEP_X / 2
    places = {}
    for level, row in enumerate(reversed(rows)):
        y = _MARGIN + _NODE_H / 2 + level * _STEP_Y
        for index, name in enumerate(row):
            # A lone node stands to the left of the heads' middle, so that vertical edges do not run through it.
            shift = -_STEP_X / 3 if name.startswith("m") else 0
            places[name] = (middle + (index - (len(row) - 1) / 2) * _STEP_X + shift, y)
    return places


def _edge(edge: FoundEdge, places: dict[str, tuple[float, float]]) -> str:
    source, node, part = _ends(edge.name)
    (x0, y0), (x1, y1) = places[source], places[node]
    x1 += _PORTS.get(part, 0)
    y0, y1 = y0 - _NODE_H / 2, y1 + _NODE_H / 2
    bend = (y0 - y1) / 2
    kind = edge.verdict
    score = "no opinion" if edge.score is None else f"{edge.score:+.3g}"
    tip = f"{edge.name}, {score}" + ("" if kind == "unknown" else f", {kind}")
    path = f"M{x0:.0f} {y0:.0f}C{x0:.0f} {y0 - bend:.0f} {x1:.0f} {y1 + bend:.0f} {x1:.0f} {y1:.0f}"
    return f'<path class="edge {kind}" d="{path}"><title>{escape(tip)}</title></path>'


def _node(name: str, x: float, y: float, touched: bool) -> str:
    box = f'<rect x="{x - _NODE_W / 2:.0f}" y="{y - _NODE_H / 2:.0f}" width="{_NODE_W}" height="{_NODE_H}" rx="4"/>'
    text = f'<text x="{x:.0f}" y="{y:.0f}" dy="4" text-anchor="middle">{escape(name)}</text>'
    return f'<g class="node{"" if touched else " idle"}">{box}{text}</g>'
