"""One pass in which every edge carries a mixture of its source's current and ablated output, differentiable in the mixture.

    o_ij = w_ij a_i + (1 - w_ij) abar_i          the input of j is the sum of o_ij over all i that it sees

a_i is what source i computes in this very pass, abar_i what it carries when ablated. With w = 1 everywhere it is the model, with
w = 0 everywhere the ablated run; a boolean w is a circuit (`patched_run.py` does small ones faster). Li, Davies, Nadeau 2023,
eq. 3. Where nothing is differentiated, `masked_evaluation.py` runs it.
"""

from __future__ import annotations

from itertools import chain

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from . import masked_pass as steps
from .cost import count, count_backwards
from .decoder import Decoder
from .graph import Graph
from .head_inputs import folded, queries_keys_values
from .masked_evaluation import MaskedModel
from .masked_pass import MaskedPass

__all__ = ["run_masked"]


def run_masked(
    decoder: Decoder,
    graph: Graph,
    x: Float[Tensor, "batch position d_model"],
    kept: Float[Tensor, "sources destinations"] | Bool[Tensor, "sources destinations"],
    ablated: Float[Tensor, "sources *rows d_model"],
) -> Float[Tensor, "batch position d_model"]:
    """Residual stream that `logits` reads, differentiable once in `kept`, in `x` and in the decoder's weights.

    Cost: one forward, and one backward when a gradient enters what it returns.

    Args:
        decoder: the model.
        graph: its graph, at the level of heads or of their q, k and v inputs.
        x: value of the `input` node.
        kept: dense edge set of `graph`, from 0 (ablated) to 1; cells that are no edges are ignored.
        ablated: what each source carries when ablated, on each prompt and position or on all (rows are 1 x 1).

    Raises:
        UsageError: in the backward, if gradients of the same pass are asked for twice.

    Example:
        >>> from mechboard.ground_truth.mini import model
        >>> decoder = model.load()
        >>> zero = torch.zeros(decoder.graph.n_sources, 1, 1, decoder.config.d_model)
        >>> kept = decoder.graph.valid.float().requires_grad_()
        >>> final = run_masked(decoder, decoder.graph, decoder.embed(torch.tensor([[0, 7, 3]])), kept, zero)
        >>> final.square().sum().backward()
        >>> bool(kept.grad[decoder.graph.valid].all()), bool(kept.grad[~decoder.graph.valid].any())
        (True, False)
    """
    given = chain((kept, x), decoder.tensors())
    if not (torch.is_grad_enabled() and any(tensor.requires_grad for tensor in given)):
        return MaskedModel(decoder, graph, kept, ablated)(x)
    count(forward=x.shape[0])
    kept = kept.to(x.dtype) * graph.valid.to(x)
    run = MaskedPass(decoder.config, graph, kept, ablated, x)
    token = steps.start(run, kept, x)
    for layer, weights in enumerate(decoder.weights.layers):
        values, token = steps.read_heads(run, layer, *folded(decoder, graph, layer), token)
        z = decoder.attend(*queries_keys_values(values, graph, x))
        token = steps.write_heads(run, layer, z, weights.o, weights.o_bias, token)
        if graph.has_mlp:
            read, token = steps.read_mlp(run, layer, token)
            token = steps.write_mlp(run, layer, decoder.mlp(layer, read), token)
    final = steps.read_logits(run, token)
    count_backwards(final, x.shape[0])
    return final
