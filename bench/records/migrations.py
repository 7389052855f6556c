"""Records of earlier schema versions, read as today's.

Version 1 knew one kind. What it said about graphs and circuits stood in fields of its own; now it is facts and an
exhibit. It knew no families, so each task is its own, and no chance of a task's own.
Version 2 knew no twins and no quoted figures.
"""

from __future__ import annotations

from typing import Any

from ..kinds.circuit_exhibits import GraphInfo, graph_in_words


def migrated(data: dict[str, Any]) -> dict[str, Any]:
    """A record as its last version would have written it; the given one is left as it is.

    Raises:
        ValueError: a field that version 1 always had is missing.
    """
    if data.get("schema_version") != 1:
        return data | {"schema_version": 3}
    try:
        return _from_1(data)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"what version 1 always had is missing or of another type ({type(error).__name__}: {error})"
        ) from error


def _from_1(data: dict[str, Any]) -> dict[str, Any]:
    new = {name: value for name, value in data.items() if name not in ("adapter", "circuit")}
    task = dict(data["task"])
    graph = task.pop("graph", None)
    new["schema_version"] = 3
    new["task"] = task | {"family": data["cell"]["task"], "truths": _truths(task, graph)}
    new["curves"] = {name: curve | _about_curve(name) for name, curve in data.get("curves", {}).items()}
    if graph is not None:
        shape = {name: value for name, value in graph.items() if name != "n_edges"}
        new["task"]["facts"] = [{"name": "graph", "text": graph_in_words(GraphInfo(**shape), graph["n_edges"])}]
        if data.get("circuit"):
            new["exhibits"] = {"circuit": {"type": "circuit", "graph": shape, "edges": data["circuit"]}}
    return new


def _truths(task: dict[str, Any], graph: dict[str, Any] | None) -> list[dict[str, Any]]:
    return [truth | {"n_all": graph["n_edges"] if graph else 0} for truth in task.get("truths", ())]


def _about_curve(name: str) -> dict[str, Any]:
    first, _, truth = name.partition("[")
    if first == "roc":
        return {"title": f"ROC against {truth.removesuffix(']')}", "chance": [0.0, 1.0]}
    titles = {
        "faithfulness": "Faithfulness by share of edges, strongest first",
        "faithfulness-signed": "Faithfulness by share of edges, highest score first",
        "completeness": "Faithfulness of the complement",
    }
    return {"title": titles.get(first, name), "log_x": True}
