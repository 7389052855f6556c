"""A circuit of features as text that others read: Graphviz' DOT, and links to where its features are shown on the web."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

from ..kinds.feature_circuit import FeatureCircuit

_NEURONPEDIA = re.compile(r"https://(?:www\.)?neuronpedia\.org/([\w.-]+)/([\w.-]+)/(\d+)")
_LIST = "https://neuronpedia.org/quick-list/"


def feature_circuit_dot(circuit: FeatureCircuit, *, title: str) -> str:
    """The circuit for Graphviz: boxes and triangles, blue and red by sign."""
    lines = ["digraph features {", "  rankdir=BT;", f"  label={_quoted(title)};"]
    for node in circuit.nodes:
        shape = "triangle" if node.feature is None else "box"
        lines.append(
            f"  {_quoted(node.name)} [shape={shape}, color={_colour(node.score)}, tooltip={_quoted(node.label)}];"
        )
    for edge in circuit.edges:
        ends = (_quoted(circuit.nodes[end].name) for end in (edge.source, edge.target))
        lines.append(f"  {' -> '.join(ends)} [color={_colour(edge.effect)}, label={_quoted(f'{edge.effect:.3g}')}];")
    return "\n".join([*lines, "}"])


def feature_circuit_links(circuit: FeatureCircuit, *, title: str) -> str:
    """One line per linked feature: node, score, address; the address of a list of all of them on Neuronpedia comes first.

    The list's address is made as sae_lens makes it (`get_neuronpedia_quick_list`).
    """
    linked = [node for node in circuit.nodes if node.link]
    found = [match.groups() for node in linked if (match := _NEURONPEDIA.fullmatch(node.link))]
    listed = [{"modelId": model, "layer": layer, "index": index} for model, layer, index in dict.fromkeys(found)]
    first = [f"{_LIST}?name={quote(title)}&features={quote(json.dumps(listed))}"] if listed else []
    lines = [f"{node.name}\t{node.score:+.4g}\t{node.link}" for node in linked]
    return "\n".join([*first, *lines]) or "# no feature of this circuit has a link"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{escaped}"'


def _colour(value: float) -> str:
    return "blue" if value >= 0 else "red"
