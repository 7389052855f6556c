"""The circuit that is drawn of features: the strongest nodes, how they act on each other, and what each feature stands for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ..contract.scores import Exhibit, Part
from ..errors import InvalidSolution

if TYPE_CHECKING:
    from torch import Tensor

    from ..features.nodes import Node, Nodes
    from ..features.places import Place
    from ..features.problem import FeatureEdges, FeatureProblem, FeatureScores
    from ..metrics.feature_contexts import Active
    from ..metrics.feature_examination import Contexts

TOP = 30
"""How many nodes a record holds."""
MOST_NODES, MOST_EDGES = 60, 200
_MOST_CONTEXTS, _MOST_PROMOTED, _MOST_WORDS = 5, 8, 1000
_SHOWN_CONTEXTS, _SHOWN_PROMOTED = 3, 6
_BEFORE, _BEHIND = 12, 3

Position = Annotated[int, Field(ge=0, lt=2**31)]
Unit = Annotated[int, Field(ge=0, lt=2**31)]
PlaceName = Annotated[str, Field(pattern=r"^(embed|(attn|mlp|resid)_\d{1,3})$")]
Word = Annotated[str, Field(max_length=60)]
Passage = Annotated[str, Field(max_length=1000)]
Link = Annotated[str, Field(max_length=400, pattern=r"^(https://[^\s\"'<>]+)?$")]


class Context(Part):
    """A piece of text around a token, with how active a feature is at the token."""

    before: Passage
    token: Word
    behind: Passage
    activation: float

    @property
    def text(self) -> str:
        """The text with the token in brackets."""
        return f"{self.before}[{self.token}]{self.behind}"


class Promoted(Part):
    """A token and by how much one unit of a feature raises its logit above the mean."""

    token: Word
    weight: float


class CircuitNode(Part):
    """A feature, or an error (`feature` is None), at a place and, where prompts are one template, at a position."""

    place: PlaceName
    position: Position | None
    feature: Unit | None
    score: float
    label: Annotated[str, Field(max_length=200)] = ""
    contexts: Annotated[tuple[Context, ...], Field(strict=False, max_length=_MOST_CONTEXTS)] = ()
    promoted: Annotated[tuple[Promoted, ...], Field(strict=False, max_length=_MOST_PROMOTED)] = ()
    link: Link = ""

    @property
    def unit(self) -> str:
        """Number of the feature, or `error`."""
        return "error" if self.feature is None else str(self.feature)

    @property
    def name(self) -> str:
        """As tables and commands name it: `resid_2/45@1`."""
        return f"{self.place}/{self.unit}" + ("" if self.position is None else f"@{self.position}")


class CircuitEdge(Part):
    """The effect on the metric of one node through another; both are numbers of the exhibit's nodes."""

    source: Annotated[int, Field(ge=0, lt=MOST_NODES)]
    target: Annotated[int, Field(ge=0, lt=MOST_NODES)]
    effect: float


class PlaceSize(Part):
    """How many features a place has, and whether there is an error beside them."""

    place: PlaceName
    n_features: Annotated[int, Field(ge=1, lt=2**31)]
    error: bool


class FeatureCircuit(Exhibit):
    """The strongest features and errors and how they act on the behaviour through each other; a feature tells its contexts.

    `places` and `positions` are what all nodes are numbered by. `words` are an example of what stands at each position.
    """

    type: Literal["feature-circuit"] = "feature-circuit"
    places: Annotated[tuple[PlaceSize, ...], Field(strict=False, min_length=1, max_length=1000)]
    positions: Annotated[int, Field(ge=1, lt=2**20)] | None
    words: Annotated[tuple[Word, ...], Field(strict=False, max_length=_MOST_WORDS)] = ()
    nodes: Annotated[tuple[CircuitNode, ...], Field(strict=False, max_length=MOST_NODES)]
    edges: Annotated[tuple[CircuitEdge, ...], Field(strict=False, max_length=MOST_EDGES)] = ()

    drawing: ClassVar[str] = "mechboard.drawing.feature_circuit:feature_circuit_figure"
    exports: ClassVar[Mapping[str, str]] = {
        "svg": "mechboard.drawing.feature_circuit:feature_circuit_svg",
        "dot": "mechboard.drawing.feature_circuit_text:feature_circuit_dot",
        "links": "mechboard.drawing.feature_circuit_text:feature_circuit_links",
    }

    @model_validator(mode="after")
    def _edges_join_its_nodes(self) -> Self:
        n, sizes = len(self.nodes), {size.place: size for size in self.places}
        if any(max(edge.source, edge.target) >= n or edge.source == edge.target for edge in self.edges):
            raise ValueError(f"an edge joins no two of {n} nodes")
        for node in self.nodes:
            size = sizes.get(node.place)
            if size is None or (size.n_features <= node.feature if node.feature is not None else not size.error):
                raise ValueError(f"{node.name} is no node of the circuit's places")
            if (node.position is None) != (self.positions is None) or (node.position or 0) >= (self.positions or 1):
                raise ValueError(f"{node.name} is at no position of the circuit")
        if len({node.name for node in self.nodes}) != n:
            raise ValueError("a node is there twice")
        return self

    def document(self) -> dict[str, Any]:
        """Nodes by name, and edges between names."""
        nodes = [{"node": node.name} | node.model_dump(mode="json") for node in self.nodes]
        edges = [
            {"source": self.nodes[e.source].name, "target": self.nodes[e.target].name, "effect": e.effect}
            for e in self.edges
        ]
        return {"nodes": nodes, "feature_edges": edges}

    def lines(self) -> Iterator[str]:
        """A line per node: score, name, the token where it is most active, and what it promotes."""
        for node in self.nodes:
            told = [node.label] if node.label else []
            told += [node.contexts[0].text] if node.contexts else []
            told += ["-> " + " ".join(p.token for p in node.promoted[:3])] if node.promoted else []
            yield f"{node.score:>+11.4g}  {node.name:<20} {'  '.join(told)}".rstrip()

    def table(self) -> list[dict[str, Any]]:
        """Every node with its contexts and the tokens that it promotes, as text."""
        return [
            {
                "place": node.place,
                "position": node.position,
                "feature": node.unit,
                "score": node.score,
                "label": node.label,
                "contexts": "\n".join(f"{c.activation:.3g}: {c.text}" for c in node.contexts),
                "promoted": ", ".join(f"{p.token} {p.weight:+.2f}" for p in node.promoted),
                "link": node.link,
            }
            for node in self.nodes
        ]

    def numbered(self) -> Nodes:
        """All nodes that there are, in the order of scores."""
        from ..features.nodes import Nodes
        from ..features.places import named

        sizes = {named(size.place): size.n_features for size in self.places}
        errors = frozenset(named(size.place) for size in self.places if size.error)
        return Nodes(sizes, errors, self.positions)

    def strongest(self, solution: FeatureScores, top: int) -> FeatureCircuit:
        """The `top` strongest nodes, at most as many as can be drawn; contexts are known of those that the record holds."""
        nodes = self.numbered()
        if len(solution.scores) != len(nodes):
            raise InvalidSolution(
                f"There are {len(solution.scores):,} scores for {len(nodes):,} nodes; run the cell again with --fresh."
            )
        chosen = _strongest(solution.scores, min(top, MOST_NODES))
        known = {node.name: node for node in self.nodes}
        shown = tuple(
            known.get(str(node)) or _node(node, float(solution.scores[i]))
            for i, node in ((i, nodes[i]) for i in chosen)
        )
        return self.model_copy(update={"nodes": shown, "edges": _edges(solution.edges, chosen)})


def feature_circuit(
    problem: FeatureProblem,
    scores: FeatureScores,
    contexts: Contexts | None,
    *,
    labels: Mapping[int, str] = MappingProxyType({}),
    top: int = TOP,
) -> FeatureCircuit:
    """The circuit of some scores: the `top` strongest nodes by magnitude, and the strongest edges among them.

    Without contexts features have neither text nor promoted tokens, since tokens have no words. `labels` say what features are
    known to carry, by their numbers without positions.
    """
    nodes = problem.nodes
    chosen = _strongest(scores.scores, top)
    shown = [nodes[i] for i in chosen]
    features = dict.fromkeys((node.place, node.unit) for node in shown if node.unit is not None)
    told = {} if contexts is None else _illustrations(problem, contexts, list(features))
    words: tuple[str, ...] = ()
    if contexts is not None and nodes.positions is not None:
        words = tuple(_word(contexts, token) for token in problem.pairs.clean[0, :_MOST_WORDS].tolist())
    return FeatureCircuit(
        places=tuple(
            PlaceSize(place=str(place), n_features=n, error=place in nodes.errors) for place, n in nodes.sizes.items()
        ),
        positions=nodes.positions,
        words=words,
        nodes=tuple(
            _node(
                node,
                float(scores.scores[i]),
                label=labels.get(nodes.summed.index(node._replace(position=None)), ""),
                **told.get((node.place, -1 if node.unit is None else node.unit), {}),
            )
            for i, node in zip(chosen, shown, strict=True)
        ),
        edges=_edges(scores.edges, chosen),
    )


def _illustrations(
    problem: FeatureProblem, contexts: Contexts, features: Sequence[tuple[Place, int]]
) -> dict[tuple[Place, int], dict[str, Any]]:
    """Contexts, promoted tokens and link of each feature."""
    from ..metrics.feature_contexts import promoted_tokens, top_contexts

    where = top_contexts(problem.model, problem.dictionaries, contexts.tokens, features, most=_SHOWN_CONTEXTS)
    raised = promoted_tokens(problem.model, problem.dictionaries, features, len(contexts.words), _SHOWN_PROMOTED)
    return {
        (place, unit): {
            "contexts": tuple(_context(contexts, each) for each in where[place, unit]),
            "promoted": tuple(Promoted(token=_word(contexts, t), weight=_rounded(w)) for t, w in raised[place, unit]),
            "link": contexts.link(place, unit) if contexts.link is not None else "",
        }
        for place, unit in features
    }


def _strongest(scores: Tensor, top: int) -> list[int]:
    """Numbers of the nodes with the strongest scores other than zero, strongest first."""
    strength = scores.nan_to_num(0.0).abs()
    found = strength.sort(descending=True, stable=True).indices[:top]
    return [int(i) for i in found if strength[i] > 0]


def _node(node: Node, score: float, **more: Any) -> CircuitNode:
    return CircuitNode(place=str(node.place), position=node.position, feature=node.unit, score=_rounded(score), **more)


def _edges(edges: FeatureEdges | None, chosen: list[int]) -> tuple[CircuitEdge, ...]:
    """The strongest edges among chosen nodes."""
    if edges is None:
        return ()
    at = {node: place for place, node in enumerate(chosen)}
    ends = zip(edges.source.tolist(), edges.target.tolist(), edges.effects.tolist(), strict=True)
    among = [(at[s], at[t], effect) for s, t, effect in ends if s in at and t in at and s != t and effect]
    strongest = sorted(among, key=lambda edge: -abs(edge[2]))[:MOST_EDGES]
    return tuple(CircuitEdge(source=s, target=t, effect=_rounded(effect)) for s, t, effect in strongest)


def _context(contexts: Contexts, active: Active) -> Context:
    tokens = contexts.tokens[active.sequence].tolist()
    # Words that hold their own white space are joined as they are.
    between = "" if any(word.startswith(" ") for word in contexts.words) else " "
    before, behind = (
        "".join(shown)
        for shown in (
            [_word(contexts, t) + between for t in tokens[max(active.position - _BEFORE, 0) : active.position]],
            [between + _word(contexts, t) for t in tokens[active.position + 1 : active.position + 1 + _BEHIND]],
        )
    )
    token = _word(contexts, tokens[active.position])
    return Context(before=before, token=token, behind=behind, activation=_rounded(active.activation))


def _word(contexts: Contexts, token: int) -> str:
    return contexts.words[token][:60] if token < len(contexts.words) else f"#{token}"


def _rounded(value: float) -> float:
    """Four digits, which is more than a picture shows."""
    return float(f"{value:.4g}")
