"""Features: a model written in features goes in, a signed score for every feature and error node comes out.

Scored by how much of the behaviour circuits of the strongest nodes keep, and what is left without them, beside neurons; by
whether what ranks high carries the variables that the behaviour rests on; and by how well scores agree with exact effects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ..contract.kind import Kind
from ..contract.scores import Evaluation, Fact, TruthInfo
from ..errors import InvalidSolution, PluginError, Unsupported
from ..metrics.feature_measures import DEFINITIONS
from .feature_circuit import FeatureCircuit
from .feature_exhibits import Explanation, Linearity, exhibits_of

if TYPE_CHECKING:
    from torch import Tensor

    from ..contract.task import Instance, Task
    from ..features.problem import FeatureEdges, FeatureProblem, FeatureScores

_EDGE_PARTS = ("source", "target", "effects")
_MOST_EDGES = 1_000_000


class FeaturesKind(Kind["FeatureProblem", "FeatureScores"]):
    """Which features carry the behaviour?"""

    name = "features"
    question = "Which method explains the behaviour in few features?"
    lead = (
        "Each cell says how faithful circuits of a method's strongest features are, averaged over the logarithm of their size: "
        "0 is no better than every feature at its mean, 1 is the whole behaviour from the first feature on."
    )
    definitions = DEFINITIONS
    shown = ("faithfulness", "completeness", "auc", "average-precision", "linearity")
    sees = frozenset({"truth"})
    exhibits = (Explanation, FeatureCircuit, Linearity)
    trials = "mechboard.conformance.features:TRIALS"
    template = "mechboard.plugins.scaffold.templates:FEATURES"
    task_trials = "mechboard.conformance.features_tasks:TRIALS"

    def check_instance(self, instance: Instance[FeatureProblem]) -> None:
        """See that truths are of the problem's features, and that the scope holds some of them.

        Raises:
            PluginError: they are not.
        """
        problem = instance.problem
        size = len(problem.nodes.summed)
        for truth in instance.truths:
            if {len(truth.carries), len(truth.universe)} != {size}:
                raise PluginError(
                    f"Truth {truth.name!r} speaks of {len(truth.carries):,} features and the problem has {size:,} features and errors "
                    "without positions; make it in the order of problem.nodes.summed."
                )
        if not set(instance.held_out.scope) & set(problem.nodes.places):
            raise PluginError("No place in scope has a dictionary; valid: some of " + ", ".join(map(str, problem.nodes.places)) + ".")  # fmt: skip

    def check(self, solution: object, problem: FeatureProblem) -> FeatureScores:
        """The scores on the CPU in single precision.

        Raises:
            InvalidSolution: they are nothing, of another type or shape, infinite, or without any opinion.
        """
        from ..features.problem import FeatureScores

        if not isinstance(solution, FeatureScores):
            raise InvalidSolution(
                f"The method returned {type(solution).__name__}; valid: mechboard.protocols.FeatureScores."
            )
        neurons = solution.neurons
        if neurons is not None:
            neurons = _checked(neurons, len(problem.neurons.nodes), "neuron")
        scores = _checked(solution.scores, len(problem.nodes), "node")
        return FeatureScores(scores, neurons=neurons, edges=_checked_edges(solution.edges, len(problem.nodes)))

    def pack(self, solution: FeatureScores) -> dict[str, Tensor]:
        """Scores other than zero with where they stand, since most features are never active; neurons and edges alike."""
        packed = _sparse("scores", solution.scores)
        if solution.neurons is not None:
            packed |= _sparse("neurons", solution.neurons)
        if solution.edges is not None:
            packed |= {f"edges: {part}": getattr(solution.edges, part) for part in _EDGE_PARTS}
        return packed

    def unpack(self, tensors: Mapping[str, Tensor]) -> FeatureScores:
        """Scores, neurons and edges."""
        from ..features.problem import FeatureEdges, FeatureScores

        edges = None
        if "edges: source" in tensors:
            edges = FeatureEdges(*(tensors[f"edges: {part}"] for part in _EDGE_PARTS))
        neurons = _dense("neurons", tensors) if "neurons: size" in tensors else None
        return FeatureScores(_dense("scores", tensors), neurons=neurons, edges=edges)

    def reveal(self, instance: Instance[FeatureProblem], sees: frozenset[str]) -> FeatureProblem:
        """The problem, with the first truth for a method that sees it."""
        if "truth" not in sees:
            return instance.problem
        if not instance.truths:
            raise Unsupported("it is not known for this task which features carry what")
        return replace(instance.problem, truth=instance.truths[0].carries)

    def score(self, task: Task, instance: Instance[FeatureProblem], solution: FeatureScores) -> Evaluation:
        """Every measure; the headline is the area under the faithfulness of circuits of features."""
        from ..metrics.features import evaluate_nodes

        found = evaluate_nodes(instance.problem, solution, instance.held_out, instance.truths, task.chance)
        return Evaluation(
            headline="faithfulness",
            measures=found.measures,
            curves=found.curves,
            exhibits=exhibits_of(instance, solution, found),
            notes=found.notes,
        )

    def facts(self, instance: Instance[FeatureProblem]) -> tuple[Fact, ...]:
        """Dictionaries and nodes."""
        problem = instance.problem
        places, sizes = problem.nodes.places, set(problem.nodes.sizes.values())
        width = f"{min(sizes):,}" if len(sizes) == 1 else f"{min(sizes):,} to {max(sizes):,}"
        what = "neurons" if problem.is_of_neurons else "features"
        scope = [place for place in places if place in instance.held_out.scope]
        at = (
            "summed over positions"
            if problem.nodes.positions is None
            else f"at each of {problem.nodes.positions} positions"
        )
        return (
            Fact(name="dictionaries", text=f"{len(places)} places of {width} {what}, {places[0]} to {places[-1]}"),
            Fact(name="nodes", text=f"{len(problem.nodes):,}, {at}"),
            Fact(
                name="scope",
                text=f"circuits are of nodes at {len(scope)} places, {scope[0]} to {scope[-1]}; all others run free",
            ),
        )

    def truths(self, instance: Instance[FeatureProblem]) -> tuple[TruthInfo, ...]:
        """Sizes and sources."""
        return tuple(
            TruthInfo(name=t.name, n_true=int(t.carries.sum()), n_all=int(t.universe.sum()), source=t.source)
            for t in instance.truths
        )


def _checked(scores: object, n: int, what: str) -> Tensor:
    import torch

    wanted = f"valid: one finite score or NaN per {what} ({n:,})"
    if not isinstance(scores, torch.Tensor) or tuple(scores.shape) != (n,) or not scores.is_floating_point():
        given = (
            f"{scores.dtype} of shape {tuple(scores.shape)}"
            if isinstance(scores, torch.Tensor)
            else type(scores).__name__
        )
        raise InvalidSolution(f"The method returned scores of {what}s as {given}; {wanted}.")
    scores = scores.detach().cpu().float()
    if bool(scores.isinf().any()):
        raise InvalidSolution(f"The method returned {int(scores.isinf().sum())} infinite scores of {what}s; {wanted}.")
    if bool(scores.isnan().all()):
        raise InvalidSolution(f"The method returned NaN for every {what}; {wanted}.")
    return scores


def _checked_edges(edges: object, n: int) -> FeatureEdges | None:
    import torch

    from ..features.problem import FeatureEdges

    if edges is None:
        return None
    wanted = f"valid: mechboard.protocols.FeatureEdges with node numbers under {n:,} and one finite effect each"
    if not isinstance(edges, FeatureEdges) or not all(isinstance(getattr(edges, p), torch.Tensor) for p in _EDGE_PARTS):
        raise InvalidSolution(f"The method returned edges as {type(edges).__name__}; {wanted}.")
    source, target, effects = (getattr(edges, part).detach().cpu() for part in _EDGE_PARTS)
    if not source.shape == target.shape == effects.shape or source.ndim != 1 or len(source) > _MOST_EDGES:
        raise InvalidSolution(f"The method returned edges of shapes {tuple(source.shape)}, {tuple(target.shape)}, {tuple(effects.shape)}; {wanted}.")  # fmt: skip
    numbers = torch.cat([source, target])
    if (
        numbers.dtype != torch.int64
        or bool(((numbers < 0) | (numbers >= n)).any())
        or not bool(effects.isfinite().all())
    ):
        raise InvalidSolution(f"The method returned edges between nodes that are none, or effects that are no numbers; {wanted}.")  # fmt: skip
    return FeatureEdges(source, target, effects.float())


def _sparse(name: str, scores: Tensor) -> dict[str, Tensor]:
    import torch

    (index,) = scores.nonzero(as_tuple=True)
    return {f"{name}: index": index, f"{name}: value": scores[index], f"{name}: size": torch.tensor([len(scores)])}


def _dense(name: str, tensors: Mapping[str, Tensor]) -> Tensor:
    import torch

    scores = torch.zeros(int(tensors[f"{name}: size"]))
    scores[tensors[f"{name}: index"]] = tensors[f"{name}: value"]
    return scores


features = FeaturesKind()
