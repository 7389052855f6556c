"""Circuits that were published, as their authors' code draws them: each version is a truth with a name of its own.

What one circuit is depends on who counts. ACDC's code counts, beside the edges between nodes, each head's way from its input to its
own query, key or value (*direct*); AutoCircuit's adds MLPs only between heads that are connected; and the 182 edges that all
versions of IOI share have no MLP, so they say nothing of MLPs. The numbers are in the names: `ioi:acdc-1041` are the 963
edges of `ioi:acdc-963` with 78 direct ones.

The files beside this module hold the edges with repository, commit and function that drew them, and the sizes that were counted
when they were. Both are compared when they are read. Files of compiled programs and `docstring.autocircuit_nodes` are no
truths here: the latter is a set of nodes with nearly half of all edges between them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path
from textwrap import wrap

import torch

from mechboard.errors import ModelError, UsageError
from mechboard.graph import Graph
from mechboard.graph.problem import Truth
from mechboard.hashing import sha256

_WIDTH = 116


@dataclass(frozen=True)
class Drawn:
    """What a file holds; `n_all` is the number of edges of the graph that it was drawn on."""

    edges: tuple[str, ...]
    direct: tuple[str, ...]
    n_all: int
    roles: Mapping[str, tuple[str, ...]]
    source: str


@dataclass(frozen=True)
class Version:
    """One way to count a circuit: the edges of a file, with direct ones or not; `heads_only` if it speaks of no MLP."""

    name: str
    file: str
    direct: bool = False
    heads_only: bool = False

    def truth(self, graph: Graph) -> Truth:
        """The edges as a truth about a graph.

        Raises:
            ModelError: the graph is another one, or the file is not what it says.
        """
        drawn = read(self.file)
        if graph.n_edges != drawn.n_all:
            raise ModelError(
                f"{self.name} is drawn on a graph of {drawn.n_all:,} edges and this model has {graph.n_edges:,}; it is a truth "
                "about the model of its paper alone."
            )
        try:
            edges = graph.edge_mask(drawn.edges)
        except UsageError as error:
            raise ModelError(f"{self.file} does not fit the model that {self.name} is about: {error}") from error
        universe = torch.tensor([not has_mlp(edge) for edge in graph.edges]) if self.heads_only else None
        direct = torch.tensor([name in drawn.direct for name in graph.destinations]) if self.direct else None
        n_true = int(edges.sum()) + (0 if direct is None else int(direct.sum()))
        if n_true != self.size:
            raise ModelError(f"{self.file} holds {n_true:,} edges for {self.name}; restore the file.")
        return Truth(
            name=self.name, edges=edges, source=drawn.source, universe=universe, direct=direct, roles=drawn.roles
        )

    @property
    def size(self) -> int:
        """How many edges are true, as its name says."""
        return int(self.name.replace(":", "-").rpartition("-")[2])


@dataclass(frozen=True)
class Published:
    """All versions of a circuit, the headline's first, and the shape of the model that it is drawn on."""

    versions: tuple[Version, ...]
    n_layers: int
    n_heads: int
    has_mlp: bool

    @cached_property
    def graph(self) -> Graph:
        """The graph that the circuit is drawn on."""
        return Graph(n_layers=self.n_layers, n_heads=self.n_heads, has_mlp=self.has_mlp, parallel=False)

    def truths(self, graph: Graph) -> tuple[Truth, ...]:
        """Every version as a truth about a graph; see `Version.truth`."""
        return tuple(version.truth(graph) for version in self.versions)

    def hashes(self) -> dict[str, str]:
        """Hash of each file, by its name."""
        return {version.file: sha256(_path(version.file)) for version in self.versions}


CIRCUITS = {
    "ioi": Published(
        (
            Version("ioi:acdc-963", "ioi.acdc.json"),
            Version("ioi:acdc-1041", "ioi.acdc.json", direct=True),
            Version("ioi:autocircuit-739", "ioi.autocircuit.json"),
            Version("ioi:mlp0-242", "ioi.autocircuit_mlp0.json"),
            Version("ioi:attn-182", "ioi.attn_core.json", heads_only=True),
        ),
        n_layers=12,
        n_heads=12,
        has_mlp=True,
    ),
    "greater-than": Published(
        (
            Version("greater-than:235", "greaterthan.acdc.json"),
            Version("greater-than:262", "greaterthan.acdc.json", direct=True),
        ),
        n_layers=12,
        n_heads=12,
        has_mlp=True,
    ),
    "docstring": Published(
        (
            Version("docstring:24", "docstring.acdc.json"),
            Version("docstring:37", "docstring.acdc.json", direct=True),
        ),
        n_layers=4,
        n_heads=8,
        has_mlp=False,
    ),
}
"""By the name of the task."""


@lru_cache(maxsize=16)
def read(file: str) -> Drawn:
    """What a file holds.

    Raises:
        ModelError: it cannot be read, or holds another number of edges than were counted when it was drawn.
    """
    try:
        content = json.loads(_path(file).read_text(encoding="utf-8"))
        counts, direct = content["counts"], tuple(content.get("direct_edges", ()))
        edges = tuple(f"{source}->{destination}" for source, destination in content["edges"])
        said = counts.get("gt_addition_edges", counts.get("gt_edges")), counts.get("gt_direct_edges", 0)
        drawn = Drawn(
            edges=edges,
            direct=direct,
            n_all=counts.get("total_addition_edges", counts.get("total_edges")),
            roles={role: tuple(nodes) for role, nodes in content["nodes"].items()},
            source="; ".join(filter(None, (content["source"], content.get("note", "")))),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{file} cannot be read ({error!r}); restore the file.") from error
    if (len(set(edges)), len(set(direct))) != said:
        raise ModelError(
            f"{file} holds {len(set(edges))} edges and {len(set(direct))} direct ones; {said[0]} and {said[1]} were counted when "
            "it was made; restore the file."
        )
    return drawn


def explained(circuit: Published) -> str:
    """All versions in words: who drew each, how many edges of how many, and how they differ. Counted, not told."""
    first, *others = circuit.truths(circuit.graph)
    lines = ["Known circuits, the headline's first:", ""]
    for version, truth in zip(circuit.versions, (first, *others), strict=True):
        lines.append(f"{truth.name}: {_size(circuit, truth)}")
        for line in (*_about(circuit, version, truth, first), truth.source):
            lines += wrap(line, _WIDTH, initial_indent="    ", subsequent_indent="      ", break_on_hyphens=False)
    lines += ["", "Roles:", *(f"    {role}: {', '.join(nodes)}" for role, nodes in first.roles.items())]
    return "\n".join(lines)


def _size(circuit: Published, truth: Truth) -> str:
    n_true, spoken = (
        int(truth.edges.sum()),
        circuit.graph.n_edges if truth.universe is None else int(truth.universe.sum()),
    )
    if truth.direct is not None:
        n_true, spoken = n_true + int(truth.direct.sum()), spoken + _n_inputs(circuit)
    return f"{n_true:,} of {spoken:,} edges"


def _n_inputs(circuit: Published) -> int:
    """How many inputs heads have, and so how many direct edges."""
    return sum(name.endswith(">") for name in circuit.graph.destinations)


def _about(circuit: Published, version: Version, truth: Truth, first: Truth) -> Iterator[str]:
    edges, headline = (_named(circuit, each) for each in (truth, first))
    if truth.direct is not None:
        yield (
            f"{len(edges):,} of {circuit.graph.n_edges:,} between nodes, and {int(truth.direct.sum())} of {_n_inputs(circuit)} "
            "direct ones, from an input of a head to its own query, key or value"
        )
    elif at_mlps := sum(map(has_mlp, edges)):
        claimed = any(node.startswith("m") for nodes in truth.roles.values() for node in nodes)
        nobody = "" if claimed else "; no MLP has a role in this circuit, so nobody claimed them"
        yield f"{at_mlps} of {len(edges)} ({at_mlps / len(edges):.0%}) begin or end at an MLP{nobody}"
    if version.heads_only:
        yield "speaks of edges without an MLP alone; all others are neither true nor false"
    for verb, missing in (("lacks", headline - edges), ("adds", edges - headline)):
        if missing:
            kinds = sorted(Counter(map(_kind, missing)).items(), key=lambda pair: (-pair[1], pair[0]))
            listed = ", ".join(f"{kind} {count}" for kind, count in kinds)
            yield f"{verb} {len(missing)} edges {'of' if verb == 'lacks' else 'to'} {first.name}: {listed}"


def _named(circuit: Published, truth: Truth) -> set[str]:
    return {circuit.graph.edges[i] for i in truth.edges.nonzero()[:, 0].tolist()}


def has_mlp(edge: str) -> bool:
    """Whether an edge begins or ends at an MLP.

    >>> has_mlp("m0->a1.h0<q>"), has_mlp("a0.h1->m3"), has_mlp("a0.h1->logits")
    (True, True, False)
    """
    return any(node.startswith("m") for node in edge.split("->"))


def _kind(edge: str) -> str:
    source, destination = edge.split("->")
    kinds = {"a": "head", "m": "MLP"}
    reads = destination.partition("<")[2].rstrip(">") or kinds.get(destination[0], destination)
    return f"{kinds.get(source[0], source)} to {reads}"


def _path(file: str) -> Path:
    return Path(str(files("mechboard.ground_truth"))) / file
