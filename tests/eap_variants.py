"""EAP written again in fifteen ways, as a scratch plugin: five are wrong, and ten are the same with other rounding.

What a gate must tell apart: the five shift scores by little or in one family of edges only, the ten move
the last digits of every score, so that near-ties change places in a ranking.
"""

from __future__ import annotations

import torch

from mechboard.graph import input_gradients, metric_gradient, record_tape
from mechboard.graph.cost import count
from mechboard.graph.layers import apply_gain
from mechboard.methods import eap as built_in
from mechboard.methods._products import EdgeProducts
from mechboard.protocols import EdgeScores, Method, NoParameters, method


def variant(name):
    return method(name=name, kinds=("circuit",), deterministic=True)


# -- the two halves of EAP, and how they meet -----------------------------------------------------


def halves(problem, batches=None):
    """Per batch: the pairs, clean minus ablated of every source, and the gradients at blocks of destinations."""
    model = problem.model
    for pairs in problem.batches() if batches is None else batches:
        differences = problem.ablation.outputs(pairs)
        tape = record_tape(model, model.embed(pairs.clean), subtract_from=differences)
        at_end = metric_gradient(model, tape.final, problem.metric, pairs)
        yield pairs, differences, input_gradients(model, tape, at_end)


def empty(problem, dtype=torch.float32):
    qkv = problem.model.graph
    return torch.zeros(qkv.n_sources, qkv.n_destinations, dtype=dtype)


def finished(problem, sums):
    return EdgeScores(problem.graph.flat(problem.graph.sum_qkv(sums)).float() / len(problem.pairs))


def with_product(problem, product, *, batches=None, dtype=torch.float32):
    """EAP with `product(differences, gradients)` in place of the matrix product."""
    sums = empty(problem, dtype)
    for _, differences, blocks in halves(problem, batches):
        for block in blocks:
            sums[: block.n_visible, block.destinations] += product(differences[: block.n_visible], block.gradients)
    return finished(problem, sums)


def by_matmul(differences, gradients):
    return differences.flatten(1) @ gradients.flatten(1).T


def clean_run_by_autograd(problem, pairs, *, frozen_norm):
    """Every source's output, and the gradient at each destination's own copy of the residual stream."""
    model, heads = problem.model, problem.model.config.n_heads
    outputs, taps = [], []

    def tap(x, copies):
        taps.append(x[None].repeat(copies, 1, 1, 1))
        taps[-1].retain_grad()
        return taps[-1]

    def normed(x, weights):
        unit, inverse_scale = model.norm(x)
        if frozen_norm and inverse_scale is not None:
            unit = (x - x.mean(-1, keepdim=True)) * inverse_scale.detach()
        return apply_gain(unit, weights)

    count(forward=len(pairs), backward=len(pairs))
    x = model.embed(pairs.clean).requires_grad_()
    outputs.append(x[None])
    for index, layer in enumerate(model.weights.layers):
        unit = normed(tap(x, 3 * heads), layer.attention_norm)
        none = torch.zeros_like(layer.q[:, 0])
        bias = torch.cat([none if b is None else b for b in (layer.q_bias, layer.k_bias, layer.v_bias)])
        projected = torch.einsum("nbsd,ndh->nbsh", unit, torch.cat([layer.q, layer.k, layer.v])) + bias[:, None, None]
        z = model.attend(*(t.permute(1, 2, 0, 3) for t in projected.chunk(3)))
        written = torch.einsum("bshd,hdm->hbsm", z, layer.o)
        outputs.append(written if layer.o_bias is None else written + layer.o_bias / heads)
        x = x + outputs[-1].sum(0)
        if model.config.has_mlp:
            pre = model.mlp_pre(index, normed(tap(x, 1)[0], layer.mlp_norm))
            outputs.append(model.write_mlp(index, model.mlp_post(*pre))[None])
            x = x + outputs[-1][0]
    final = tap(x, 1)[0]
    problem.metric(model.unembed(pairs.read(final)), pairs).sum().backward()
    return torch.cat(outputs).detach(), torch.cat([t.grad for t in taps])


def with_autograd(problem, *, frozen_norm):
    sums = empty(problem)
    for pairs in problem.batches():
        clean, gradients = clean_run_by_autograd(problem, pairs, frozen_norm=frozen_norm)
        sums += by_matmul(clean - problem.ablation.outputs(pairs), gradients)
    return finished(problem, sums)


# -- five that are wrong --------------------------------------------------------------------------


@variant("wrong-sign")
def wrong_sign(problem, generator, parameters: NoParameters):
    """Ablated minus clean."""
    return EdgeScores(-built_in.eap(problem, generator).scores)


@variant("wrong-positions")
def wrong_positions(problem, generator, parameters: NoParameters):
    """Both halves are summed over positions before they meet."""
    return with_product(problem, lambda d, g: by_matmul(d.sum(2), g.sum(2)))


@variant("wrong-norm")
def wrong_norm(problem, generator, parameters: NoParameters):
    """The scale of a normalisation counts as a constant in the backward pass."""
    return with_autograd(problem, frozen_norm=True)


@variant("wrong-batches")
def wrong_batches(problem, generator, parameters: NoParameters):
    """The mean of the batches' means, where the last batch is smaller."""
    sums = empty(problem)
    for pairs, differences, blocks in halves(problem, problem.pairs.batches(50)):
        for block in blocks:
            part = by_matmul(differences[: block.n_visible], block.gradients)
            sums[: block.n_visible, block.destinations] += part / len(pairs)
    return finished(problem, sums)


@variant("wrong-family")
def wrong_family(problem, generator, parameters: NoParameters):
    """Edges into keys are left out."""
    scores = built_in.eap(problem, generator).scores.clone()
    scores[torch.tensor([edge.endswith("<k>") for edge in problem.graph.edges])] = 0.0
    return EdgeScores(scores)


# -- ten that are the same ------------------------------------------------------------------------


@variant("same-autograd")
def same_autograd(problem, generator, parameters: NoParameters):
    """Gradients by autograd, not by hand."""
    return with_autograd(problem, frozen_norm=False)


@variant("same-float64")
def same_float64(problem, generator, parameters: NoParameters):
    """Products and sums in double precision."""
    return with_product(problem, lambda d, g: by_matmul(d.double(), g.double()), dtype=torch.float64)


@variant("same-small-batches")
def same_small_batches(problem, generator, parameters: NoParameters):
    """Seven prompts at a time."""
    return with_product(problem, by_matmul, batches=problem.pairs.batches(7))


@variant("same-reversed")
def same_reversed(problem, generator, parameters: NoParameters):
    """The batches from the last to the first."""
    return with_product(problem, by_matmul, batches=reversed(list(problem.pairs.batches(20))))


@variant("same-einsum")
def same_einsum(problem, generator, parameters: NoParameters):
    """An einsum over the four axes."""
    return with_product(problem, lambda d, g: torch.einsum("ubsd,vbsd->uv", d, g))


@variant("same-loop")
def same_loop(problem, generator, parameters: NoParameters):
    """Destination by destination, products before sums."""
    return with_product(problem, lambda d, g: torch.stack([(d * row).sum((1, 2, 3)) for row in g], dim=1))


@variant("same-by-position")
def same_by_position(problem, generator, parameters: NoParameters):
    """Position by position, the last first."""

    def product(differences, gradients):
        places = reversed(range(differences.shape[2]))
        return sum(by_matmul(differences[:, :, p], gradients[:, :, p]) for p in places)

    return with_product(problem, product)


@variant("same-two-products")
def same_two_products(problem, generator, parameters: NoParameters):
    """Clean times gradient minus ablated times gradient."""
    model, sums = problem.model, empty(problem)
    for pairs in problem.batches():
        ablated = problem.ablation.outputs(pairs)
        clean = torch.zeros_like(ablated)
        tape = record_tape(model, model.embed(pairs.clean), subtract_from=clean)
        for block in input_gradients(model, tape, metric_gradient(model, tape.final, problem.metric, pairs)):
            cells = sums[: block.n_visible, block.destinations]
            cells += by_matmul(clean[: block.n_visible], block.gradients)
            cells -= by_matmul(ablated[: block.n_visible], block.gradients)
    return finished(problem, sums)


@variant("same-means-of-batches")
def same_means_of_batches(problem, generator, parameters: NoParameters):
    """Each batch's mean, weighted by its share of the prompts."""
    sums = empty(problem)
    for pairs, differences, blocks in halves(problem, problem.pairs.batches(48)):
        share = len(pairs) / len(problem.pairs)
        for block in blocks:
            part = by_matmul(differences[: block.n_visible], block.gradients) / len(pairs)
            sums[: block.n_visible, block.destinations] += share * part
    return finished(problem, sums * len(problem.pairs))


@variant("same-first-layer-first")
def same_first_layer_first(problem, generator, parameters: NoParameters):
    """All gradients are kept and used from the first layer on, each scaled before the product."""
    products = EdgeProducts(problem.graph, problem.model)
    for _, differences, blocks in halves(problem):
        kept = [block._replace(gradients=block.gradients.clone() / len(problem.pairs)) for block in blocks]
        for block in reversed(kept):
            products.add(differences, block)
    return EdgeScores(products.sums())


VARIANTS = sorted(value.name for value in list(globals().values()) if isinstance(value, Method))
