"""Edge effects: what a node does to the metric through one node downstream, with all other nodes fixed.

    w(u, d) = - <gradient at d> . (d d / d u) . (u patched - u clean)

The Jacobian is at the clean run and holds what reaches d from u without passing another node. A pass in which the vector at each place
with a dictionary is a leaf of its own has those paths and no others: from the stream in front of a layer to its heads and its
MLP (case a of the paper), and from the stream in front to the stream behind what neither heads nor MLP have a part in (case b), which is
the identity. An error as a target is a vector: <gradient, eps_d> with the gradient held fixed is a scalar, whose backward is the
vector-Jacobian product.

Source: Marks et al. 2024, equations 5 and 6 and appendix A.
Cost: two forwards, and a backward through one layer for each target and batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..contract.progress import progress
from ..graph.cost import count
from .changes import change
from .dictionary import Dictionary
from .effects import Runs, place_effects, runs
from .nodes import Node, Nodes
from .places import Place
from .problem import FeatureEdges, FeatureProblem
from .stream import walk

__all__ = ["edge_effects"]


def edge_effects(
    problem: FeatureProblem,
    chosen: Int[Tensor, " chosen"],
    gradients: Sequence[Mapping[Place, Tensor]],
) -> FeatureEdges:
    """Effects of all edges among some nodes, those that are zero left out.

    Args:
        problem: what is asked.
        chosen: numbers of the nodes.
        gradients: at every place, batch by batch, as node effects were made of (`Estimated.gradients`).
    """
    numbers = sorted(chosen.tolist())
    wanted = [problem.nodes[number] for number in numbers]
    totals = torch.zeros(len(wanted), len(wanted))  # [target, source]
    dictionaries = {place: problem.dictionaries[place] for place in {node.place for node in wanted}}
    for batch in runs(problem):
        at = gradients[batch.number]
        changes = {
            place: change(dictionary, batch.clean[place], batch.patched(place))
            for place, dictionary in dictionaries.items()
        }
        before, leaves = _cut_at_places(problem, batch)
        for row, target in enumerate(wanted):
            inflow = _gradients_upstream(dictionaries, target, before[target.place], at[target.place], leaves)
            for place, gradient in inflow.items():
                if place in changes:
                    x, nodes = batch.clean[place], problem.nodes
                    effects = place_effects(dictionaries[place], x, changes[place], gradient, nodes.rows).cpu()
                    _subtract(totals[row], nodes, place, effects, wanted)
            progress(batch.number * len(wanted) + row + 1, len(gradients) * len(wanted), "targets")
    downstream, upstream = totals.nonzero().unbind(1)
    index = torch.tensor(numbers)
    return FeatureEdges(index[upstream], index[downstream], totals[downstream, upstream] / problem.n_prompts)


def _cut_at_places(problem: FeatureProblem, batch: Runs) -> tuple[dict[Place, Tensor], dict[Place, Tensor]]:
    """What arrives at each place with a dictionary, and the leaf that goes on from there."""
    arrives: dict[Place, Tensor] = {}
    leaves: dict[Place, Tensor] = {}

    def visit(place: Place, x: Tensor) -> Tensor:
        if place not in problem.dictionaries.sizes:
            return x
        arrives[place], leaves[place] = x, x.detach().requires_grad_()
        return leaves[place]

    with torch.enable_grad():
        walk(problem.model, problem.model.embed(batch.pairs.clean), visit)
    return arrives, leaves


def _gradients_upstream(
    dictionaries: Mapping[Place, Dictionary],
    target: Node,
    arrives: Tensor,
    gradient: Tensor,
    leaves: Mapping[Place, Tensor],
) -> dict[Place, Tensor]:
    """Gradient of <gradient at the target, target> at every place from which something arrives directly."""
    if not arrives.requires_grad:  # nothing stands in front of it
        return {}
    at_vector = _through_dictionary(dictionaries[target.place], target, arrives.detach(), gradient)
    upstream = [place for place in leaves if place != target.place]
    count(backward=len(arrives))
    found = torch.autograd.grad(
        arrives, [leaves[place] for place in upstream], at_vector, retain_graph=True, allow_unused=True
    )
    return {place: part for place, part in zip(upstream, found, strict=True) if part is not None}


def _through_dictionary(
    dictionary: Dictionary, target: Node, x: Float[Tensor, "prompts position d_model"], gradient: Tensor
) -> Float[Tensor, "prompts position d_model"]:
    """Gradient of the target, weighted by the metric's gradient at it, at the vector that it is read from."""
    leaf = x.requires_grad_()
    with torch.enable_grad():
        features = dictionary.encode(leaf)
        if target.unit is None:
            each = ((leaf - dictionary.decode(features, x.detach())) * gradient).sum(-1)
        else:
            unit = torch.tensor([target.unit], device=x.device)
            each = (features[..., unit] * dictionary.pull(gradient, x.detach(), unit)).squeeze(-1)
        total = each.sum() if target.position is None else each[:, target.position].sum()
    if not total.requires_grad:
        return torch.zeros_like(x)
    (found,) = torch.autograd.grad(total, leaf)
    return found


def _subtract(
    totals: Float[Tensor, " sources"],
    nodes: Nodes,
    place: Place,
    effects: Float[Tensor, "row units"],
    wanted: Sequence[Node],
) -> None:
    """Take the effects of the chosen nodes of one place: a score is the drop."""
    for column, node in enumerate(wanted):
        if node.place == place:
            totals[column] -= effects[node.position or 0, nodes.sizes[place] if node.unit is None else node.unit]
