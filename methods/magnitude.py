"""Magnitude: edges of the largest norm, a control that knows the model and nothing of the behaviour.

    decoder       score(u -> v) = mean over prompts and positions of |a_u - abar_u| / |x_v|
    classifier    score(i -> j) = |W_ij| std(x_i), over samples to keep

a_u is what u writes, abar_u what it carries when ablated, x_v the stream that v reads. A score is the share of what v reads that
ablation of the edge changes, or of a hidden unit's input how much the edge moves it. Prompts are those of the problem: the clean
ones of a circuit task, of a removal task those whose behaviour is to stay.

Cost: one forward for circuits under `mean` or `zero` ablation, two under `resample`; one of each sample to keep.
Limits: all heads of a layer read the same stream, so edges from one source to them tie; ties rank in the graph's order.

Source: pruning by magnitude (Han et al. 2015), here with edges of a graph for weights.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from mechboard.graph import Decoder, Graph, record_outputs
from mechboard.protocols import (
    CircuitProblem,
    EdgeCuts,
    EdgeScores,
    EditableDecoder,
    EditableMlp,
    NoParameters,
    RemovalProblem,
    Unsupported,
    method,
)

Batch = tuple[Int[Tensor, "prompts position"], Int[Tensor, " prompts"], Float[Tensor, "sources *rows d_model"]]
"""Tokens, lengths, and what sources carry when ablated."""

_TINY = 1e-12


@method(
    name="magnitude",
    kinds=("circuit", "removal"),
    deterministic=True,
    citation={
        "author": "Han, Song and Pool, Jeff and Tran, John and Dally, William J.",
        "title": "Learning both Weights and Connections for Efficient Neural Networks",
        "year": "2015",
        "eprint": "1506.02626",
    },
)
def magnitude(
    problem: CircuitProblem | RemovalProblem, generator: Generator, parameters: NoParameters
) -> EdgeScores | EdgeCuts:
    """Score every edge by its norm."""
    if isinstance(problem, CircuitProblem):
        batches = ((pairs.clean, pairs.lengths, problem.ablation.outputs(pairs)) for pairs in problem.batches())
        return EdgeScores(_relative_changes(problem.model, problem.graph, batches))
    model, keep = problem.model, problem.keep
    if isinstance(model, EditableMlp):
        spread = keep.inputs.std(0, unbiased=False)  # of each feature
        return EdgeCuts.of_scores((model.parameters()["hidden"].abs() * spread[:, None]).T.flatten(), problem.budgets)
    if not isinstance(model, EditableDecoder):
        raise Unsupported("magnitude is defined for transformers and for classifiers with one hidden layer")
    carried = model.ablated_by.everywhere()
    batches = ((text.tokens, text.lengths, carried) for text in keep.batches(problem.batch_size))
    return EdgeCuts.of_scores(_relative_changes(model.decoder, model.graph, batches), problem.budgets)


@torch.no_grad()
def _relative_changes(model: Decoder, graph: Graph, batches: Iterator[Batch]) -> Float[Tensor, " edges"]:
    """Mean of |a_u - abar_u| / |x_v| over all tokens."""
    total = torch.zeros(graph.n_sources, graph.n_destinations, device=model.device, dtype=torch.float64)
    n_tokens = 0
    for tokens, lengths, ablated in batches:
        outputs = record_outputs(model, model.embed(tokens))
        real = (torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None]).double()
        n_tokens += int(real.sum())
        changes = (outputs - ablated).norm(dim=-1).double() * real  # [source, prompt, position]
        sums = {}  # by the number of sources in the stream
        for destination, visible in enumerate(graph.valid.sum(0).tolist()):
            if visible not in sums:
                read = outputs[:visible].sum(0).norm(dim=-1)
                sums[visible] = (changes / read.clamp(min=_TINY)).sum((1, 2))
            total[:, destination] += sums[visible]
    return graph.flat(total / n_tokens).to(model.dtype)
