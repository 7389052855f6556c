"""A circuit of features as a picture: features as rectangles, errors as triangles, blue what supports the behaviour, red what opposes it.

On a page a pointer, a finger or the arrow keys bring up what a feature stands for (`board.js` shows the row of the table that
belongs to it), and the table below holds the same of all nodes.

Source: Marks et al. 2024, figures 2 and 5.
"""

from __future__ import annotations

from html import escape

from ..kinds.feature_circuit import CircuitEdge, CircuitNode, Context, FeatureCircuit
from .feature_circuit_layout import TALL, WIDE, Layout, arranged
from .panels import cut

_STYLE = """
svg.features{background:#fff;font:11px system-ui,sans-serif}.features text{fill:#111}.features .aside{fill:#4b5563}
.features .plus{stroke:#0b57b8}.features .minus{stroke:#b91c1c}.features .node .plus{fill:#0b57b8}.features .node .minus{fill:#b91c1c}
.features .ground{fill:#fff}.features .edge{fill:none;stroke-opacity:.55}.features .edge.minus{stroke-dasharray:5 3}
"""
_FAINTEST, _DEEPEST, _THINNEST, _WIDEST = 0.08, 0.5, 0.6, 4.5
_LONGEST_NUMBER = 6


def feature_circuit_figure(circuit: FeatureCircuit, *, title: str) -> str:
    """The picture for a page, what its marks mean, and tables of nodes and edges."""
    return (
        f'<div class="wide telling">{_svg(circuit, title, "", "")}<div class="card" hidden=""></div>'
        f"{_key(circuit)}{_nodes_table(circuit)}{_edges_table(circuit)}</div>"
    )


def feature_circuit_svg(circuit: FeatureCircuit, *, title: str) -> str:
    """The picture as a file, with its own style."""
    return _svg(circuit, title, ' xmlns="http://www.w3.org/2000/svg"', f"<style>{_STYLE}</style>")


def _svg(circuit: FeatureCircuit, title: str, namespace: str, style: str) -> str:
    layout = arranged(circuit)
    strongest = max((abs(node.score) for node in circuit.nodes), default=0.0)
    widest = max((abs(edge.effect) for edge in circuit.edges), default=0.0)
    edges = sorted(circuit.edges, key=lambda edge: abs(edge.effect))
    return (
        f'<svg{namespace} class="features" viewBox="0 0 {layout.width:.0f} {layout.height:.0f}" width="{layout.width:.0f}" '
        f'height="{layout.height:.0f}" role="img" aria-label="{escape(f"{title}: {_described(circuit)}")}">{style}'
        + _names(circuit, layout)
        + "".join(_edge(circuit, edge, layout, widest) for edge in edges)
        + "".join(_node(node, i, layout.at[i], strongest) for i, node in enumerate(circuit.nodes))
        + "</svg>"
    )


def _described(circuit: FeatureCircuit) -> str:
    errors = sum(node.feature is None for node in circuit.nodes)
    said = f"{len(circuit.nodes) - errors} features, {errors} errors, {len(circuit.edges)} edges"
    if not circuit.nodes:
        return said
    strongest = max(circuit.nodes, key=lambda node: abs(node.score))
    return f"{said}; the strongest node is {strongest.name}, {strongest.score:+.3g}"


def _names(circuit: FeatureCircuit, layout: Layout) -> str:
    """Places at the left, positions with an example of what stands there above."""
    parts = [f'<text class="aside" x="4" y="{y:.0f}" dy="4">{escape(name)}</text>' for name, y in layout.rows]
    for position, x in layout.columns:
        if position is not None:
            word = circuit.words[position] if position < len(circuit.words) else ""
            parts.append(
                f'<text x="{x:.0f}" y="14" text-anchor="middle">{escape(cut(word, 12))}</text>'
                f'<text class="aside" x="{x:.0f}" y="28" text-anchor="middle">{position}</text>'
            )
    return "".join(parts)


def _edge(circuit: FeatureCircuit, edge: CircuitEdge, layout: Layout, widest: float) -> str:
    (x0, y0), (x1, y1) = layout.at[edge.source], layout.at[edge.target]
    down = TALL / 2 if y1 < y0 else -TALL / 2
    y0, y1 = y0 - down, y1 + down
    bend = (y0 - y1) / 2
    width = _THINNEST + (_WIDEST - _THINNEST) * _share(edge.effect, widest)
    tip = f"{circuit.nodes[edge.source].name} to {circuit.nodes[edge.target].name}: {edge.effect:+.3g}"
    path = f"M{x0:.0f} {y0:.0f}C{x0:.0f} {y0 - bend:.0f} {x1:.0f} {y1 + bend:.0f} {x1:.0f} {y1:.0f}"
    return (
        f'<path class="edge {_sign(edge.effect)}" d="{path}" stroke-width="{width:.1f}" data-joins="{edge.source} '
        f'{edge.target}"><title>{escape(tip)}</title></path>'
    )


def _node(node: CircuitNode, number: int, at: tuple[float, float], strongest: float) -> str:
    x, y = at
    # By the root, so that a few strong nodes, errors often, leave the others some depth.
    depth = _FAINTEST + (_DEEPEST - _FAINTEST) * _share(node.score, strongest) ** 0.5
    if node.feature is None:
        points = f"{x - 13:.0f},{y + 10:.0f} {x + 13:.0f},{y + 10:.0f} {x:.0f},{y - 11:.0f}"
        shape, text, shift = f'polygon points="{points}"', "ε", 8
    else:
        shape = f'rect x="{x - WIDE / 2:.0f}" y="{y - TALL / 2:.0f}" width="{WIDE}" height="{TALL}" rx="3"'
        digits = str(node.feature)
        text, shift = digits if len(digits) <= _LONGEST_NUMBER else f"…{digits[1 - _LONGEST_NUMBER :]}", 4
    return (
        # The ground hides the edges behind a node, whose own colour is a veil.
        f'<g class="node" data-part="{number}"><title>{escape(_tip(node))}</title><{shape} class="ground"/>'
        f'<{shape} class="{_sign(node.score)}" fill-opacity="{depth:.2f}"/>'
        f'<text x="{x:.0f}" y="{y:.0f}" dy="{shift}" text-anchor="middle">{escape(text)}</text></g>'
    )


def _tip(node: CircuitNode) -> str:
    told = [f"{node.name}, score {node.score:+.3g}", node.label, *(context.text for context in node.contexts[:1])]
    promoted = " ".join(p.token for p in node.promoted[:5])
    return "\n".join(filter(None, [*told, f"promotes {promoted}" if promoted else ""]))


def _sign(value: float) -> str:
    return "plus" if value >= 0 else "minus"


def _share(value: float, largest: float) -> float:
    return abs(value) / largest if largest else 0.0


def _key(circuit: FeatureCircuit) -> str:
    swatches = (
        ('<rect class="plus" fill-opacity=".4" x="1" y="1" width="26" height="10" rx="2"/>', "feature that supports the behaviour"),
        ('<rect class="minus" fill-opacity=".4" x="1" y="1" width="26" height="10" rx="2"/>', "that opposes it"),
        ('<polygon class="plus" fill-opacity=".4" points="7,11 21,11 14,1"/>', "error"),
    )  # fmt: skip
    items = [
        f'<li><svg class="features" width="28" height="12" aria-hidden="true"><g class="node">{mark}</g></svg> {text}</li>'
        for mark, text in swatches
    ]
    if circuit.edges:
        items.append("<li>edges: width by size of the effect, dashed where it is negative</li>")
    return f'<ul class="legend">{"".join(items)}</ul>'


def _nodes_table(circuit: FeatureCircuit) -> str:
    rows = "".join(
        f'<tr data-part="{i}"><th scope="row">{_name(node)}</th><td>{node.score:+.4g}</td>'
        f"<td>{_contexts(node)}</td><td>{_promoted(node)}</td></tr>"
        for i, node in enumerate(circuit.nodes)
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("node", "score", "most active in", "promotes"))
    return (
        f'<details class="numbers"><summary>Nodes, their contexts and promoted tokens</summary><table class="nodes"><thead><tr>{head}'
        f"</tr></thead><tbody>{rows}</tbody></table></details>"
    )


def _name(node: CircuitNode) -> str:
    name = escape(node.name)
    name = f'<a href="{escape(node.link)}" rel="noopener nofollow">{name}</a>' if node.link else name
    return f'{name}<br/><span class="quiet">{escape(node.label)}</span>' if node.label else name


def _contexts(node: CircuitNode) -> str:
    if not node.contexts:
        return "" if node.feature is None else "nowhere in the text"
    items = "".join(f"<li>{_context(context)}</li>" for context in node.contexts)
    return f'<ol class="contexts">{items}</ol>'


def _context(context: Context) -> str:
    marked = f"{escape(context.before)}<mark>{escape(context.token)}</mark>{escape(context.behind)}"
    return f'{marked} <small class="quiet">{context.activation:.3g}</small>'


def _promoted(node: CircuitNode) -> str:
    return ", ".join(f'{escape(p.token)} <small class="quiet">{p.weight:+.2f}</small>' for p in node.promoted)


def _edges_table(circuit: FeatureCircuit) -> str:
    if not circuit.edges:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{escape(circuit.nodes[edge.source].name)}</th><td>{escape(circuit.nodes[edge.target].name)}</td>'
        f"<td>{edge.effect:+.3g}</td></tr>"
        for edge in circuit.edges
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("from", "to", "effect"))
    return (
        f'<details class="numbers"><summary>Edges: {len(circuit.edges)}</summary><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></details>"
    )
