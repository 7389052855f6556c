"""The whole plugin contract: what a method gets and returns, and what a task must offer.

A *method* is a function of a problem, a random generator and its parameters, made known by the
decorator `method`. A *task* is any object with the attributes of `Task`. Both are registered by an
entry point, groups `mechboard.methods` and `mechboard.tasks`, value `module:attribute`.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from mechboard.errors import PluginError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Generator, Tensor

    from mechboard.assets import Asset
    from mechboard.graph import Ablation, Decoder, Graph, Metric, PromptPairs

Kind = Literal["circuit"]
Tier = Literal["embedded", "paper"]
Direction = Literal["higher", "lower"]

KINDS: tuple[str, ...] = typing.get_args(Kind)


# -- what a task hands to a method, and what comes back ------------------------------------------


@dataclass(frozen=True, kw_only=True)
class CircuitProblem:
    """A model as a graph, discovery prompts, a metric and an ablation.

    `metric` takes the logits at the positions that it reads, `pairs.read(logits)`, and refuses others.
    `truth` is None unless the method declares that it sees it. `batch_size` bounds memory; no score depends on it.
    """

    model: Decoder
    graph: Graph
    pairs: PromptPairs
    metric: Metric
    ablation: Ablation
    batch_size: int
    data_seed: int
    truth: Bool[Tensor, " edges"] | None = None

    def __post_init__(self) -> None:
        from mechboard.graph.pairs import CheckedMetric

        if not isinstance(self.metric, CheckedMetric):
            object.__setattr__(self, "metric", CheckedMetric(self.metric, self.model.config.d_vocab_out))

    def batches(self) -> Iterator[PromptPairs]:
        """The discovery pairs in parts that fit in memory."""
        return self.pairs.batches(self.batch_size)

    def tensors(self) -> Iterator[Tensor]:
        """Everything that a method must leave as it is: weights, prompts, means."""
        yield from self.model.tensors()
        yield from self.pairs.tensors()
        yield from self.ablation.tensors()

    def bridge(self) -> Any:
        """The same weights as a TransformerLens `TransformerBridge`, for methods written with hooks; its passes count."""
        from mechboard.graph.bridge import to_bridge

        return to_bridge(self.model)


@dataclass(frozen=True)
class EdgeScores:
    """One signed score per edge, in the order of `graph.edges`; NaN is "no opinion".

    A score estimates the *drop* of the metric when the edge is ablated: positive supports the behaviour.
    """

    scores: Float[Tensor, " edges"]


# -- what scoring returns ------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One number with what it takes to read it. `chance` and `oracle` belong to the task version."""

    value: float | None
    direction: Direction
    chance: float | None = None
    oracle: float | None = None
    of: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Points of a curve, for pictures and for those who want other areas."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    x_label: str
    y_label: str


@dataclass(frozen=True, kw_only=True)
class FoundEdge:
    """An edge of the found circuit or of the known one."""

    name: str
    score: float | None
    found: bool
    known: bool | None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All measures of one solution; `headline` names the one that tables show, `notes` what its reader must know.

    Raises:
        PluginError: the headline is none of the measures.
    """

    headline: str
    measures: dict[str, Measure]
    curves: dict[str, Curve] = field(default_factory=dict)
    circuit: tuple[FoundEdge, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.headline not in self.measures:
            raise PluginError(f"An evaluation's headline is {self.headline!r}; valid: {', '.join(self.measures)}.")


@dataclass(frozen=True, kw_only=True)
class Truth:
    """A known set of edges, `task:name`, and where it comes from; with the exact effect of every edge if it was measured."""

    name: str
    edges: Bool[Tensor, " edges"]
    source: str
    effects: Float[Tensor, " edges"] | None = None


@runtime_checkable
class Task(Protocol):
    """A task. Evaluation prompts and truths stay with it; their sizes belong to its version.

    `summary` is one line, `description` the whole story. A task that is not `ranked` counts in no ranking.
    `oracles` names the methods by which its truth was measured: they are references there.
    A task whose `assets` are not all here is skipped. `citation` holds BibTeX fields. Scores whose absolute value is
    at most `resolution` times the largest one count as zero.
    """

    name: str
    version: int
    kind: Kind
    tier: Tier
    summary: str
    description: str
    ranked: bool
    has_truth: bool
    oracles: tuple[str, ...]
    assets: tuple[Asset, ...]
    citation: Mapping[str, str]
    resolution: float

    def asset_hashes(self) -> Mapping[str, str]:
        """Content hash of every file that the problem is made from, by name; empty if none is."""
        ...

    def truth_hashes(self) -> Mapping[str, str]:
        """Content hash of every file that the truths alone are made from, by name; empty if none is."""
        ...

    def load(self, data_seed: int, device: str) -> CircuitProblem:
        """The problem of one data seed: discovery prompts only."""
        ...

    def truths(self, problem: CircuitProblem) -> tuple[Truth, ...]:
        """Known circuits; the first is the one that a method that sees truth is shown. Empty if none is known."""
        ...

    def held_out(self, problem: CircuitProblem) -> PromptPairs:
        """Evaluation prompts, which no method sees, on the problem's device."""
        ...


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A named, versioned list of tasks; an overall score needs every one of them."""

    name: str
    version: int
    summary: str
    tasks: tuple[str, ...]


# -- methods -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NoParameters:
    """Parameters of a method that has none."""


MethodFunction = Callable[["CircuitProblem", "Generator", Any], EdgeScores]


@dataclass(frozen=True, kw_only=True)
class Method:
    """A method as the harness sees it: a function and what it declares about itself.

    `sees` lists what it may see beyond the problem. A `reference` stands in tables for orientation and is never
    ranked; a method that sees anything beyond the problem always is one.
    A method that declares itself deterministic runs one seed.
    """

    name: str
    kinds: frozenset[str]
    sees: frozenset[str]
    deterministic: bool
    reference: bool
    summary: str
    citation: Mapping[str, str]
    function: MethodFunction
    parameters: type[Any]

    def __call__(self, problem: CircuitProblem, generator: Generator, parameters: Any = None) -> EdgeScores:
        """Solve a problem; `parameters` defaults to the method's own defaults."""
        return self.function(problem, generator, self.parameters() if parameters is None else parameters)

    @property
    def defaults(self) -> Mapping[str, Any]:
        """Default of every parameter."""
        return {f.name: f.default for f in fields(self.parameters)}


def method(
    *,
    name: str,
    kinds: tuple[Kind, ...],
    deterministic: bool,
    sees: tuple[Literal["truth"], ...] = (),
    reference: bool = False,
    citation: Mapping[str, str] | None = None,
) -> Callable[[MethodFunction], Method]:
    """Declare a function `f(problem, generator, parameters)` as a method.

    `parameters` is annotated with a frozen dataclass in which every field has a default, or with `NoParameters`.
    The first line of the function's module docstring is the method's summary; `citation` holds BibTeX fields.

    Raises:
        PluginError: the declaration breaks the contract.
    """

    def declare(function: MethodFunction) -> Method:
        unknown = set(kinds) - set(KINDS)
        if unknown or not kinds:
            raise PluginError(f"Method {name!r} declares kinds {kinds!r}; valid kinds: {', '.join(KINDS)}.")
        return Method(
            name=name,
            kinds=frozenset(kinds),
            sees=frozenset(sees),
            deterministic=deterministic,
            reference=reference or bool(sees),
            summary=_summary(function),
            citation=dict(citation or {}),
            function=function,
            parameters=_parameters_of(name, function),
        )

    return declare


def _summary(function: MethodFunction) -> str:
    text = inspect.getdoc(inspect.getmodule(function)) or inspect.getdoc(function) or ""
    return text.partition("\n")[0]


def _parameters_of(name: str, function: MethodFunction) -> type[Any]:
    arguments = list(inspect.signature(function).parameters.values())
    if len(arguments) != 3:
        raise PluginError(f"Method {name!r} takes {len(arguments)} arguments; valid: (problem, generator, parameters).")
    annotation: Any = arguments[2].annotation
    if isinstance(annotation, str):
        annotation = inspect.unwrap(function).__globals__.get(annotation)
    if not (isinstance(annotation, type) and is_dataclass(annotation)) or any(
        f.default is MISSING for f in fields(annotation)
    ):
        raise PluginError(
            f"Method {name!r} annotates its parameters with {arguments[2].annotation!r}; valid: a frozen dataclass "
            "at module level with a default for every field, or mechboard.protocols.NoParameters."
        )
    for f in fields(annotation):
        if isinstance(f.default, float) and not isfinite(f.default):
            raise PluginError(f"Method {name!r} has the default {f.name}={f.default}; valid: a finite number.")
    return annotation
