"""Memory of one masked pass and the steps that autograd sees of it: what inputs read, what nodes write.

__all__ = ["MaskedPass", "read_heads", "read_logits", "read_mlp", "start", "write_heads", "write_mlp"]

    changes[s] = a_s - abar_s                                    one row per source, written once
    x_j        = sum of abar_s + sum_s w_sj changes[s]           forward: one product per layer, for all its inputs
    dw_sj      = <changes[s], g_j>                               backward: one product per layer
    g_s        = sum over later j of w_sj g_j                    backward: one product per layer, for all its nodes

g_j, the gradient at input j, takes the place of what the forward left there for the backward, the normalised input: after the
last use of one comes the other. So a pass holds a row per source and a row per input, and nothing per edge. Projections of
heads are done here, with the backward of the norm folded into them as in `backward.py`; all else (attention,
MLPs, the folding of gains into matrices) is plain autograd, which also reaches the weights.

Steps are ordered by a token that each takes from the one before, so that autograd runs them backwards in exactly the
reverse order. The backward uses the pass up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..errors import UsageError
from .config import DecoderConfig
from .graph import Graph
from .layers import normalise


class MaskedPass:
    """Rows of sources and inputs, [rows, prompts x positions, d_model], and the products between them.

    Args:
        config: of the decoder.
        graph: whose edges are masked.
        kept: how far each edge is kept, zero where there is none.
        ablated: what each source carries when ablated.
        like: the stream, of which a row is a copy.
    """

    def __init__(
        self,
        config: DecoderConfig,
        graph: Graph,
        kept: Float[Tensor, "sources destinations"],
        ablated: Float[Tensor, "sources *rows d_model"],
        like: Float[Tensor, "batch position d_model"],
    ) -> None:
        self.config, self.graph, self.shape = config, graph, like.shape
        self.needs_kept = kept.requires_grad
        # The first row is no source but what all sources so far carry when ablated, which every input reads in full.
        rows = like.new_empty(1 + graph.n_sources, like[..., 0].numel(), like.shape[-1])
        self._floor, self.changes, self._rows = rows[0].view(like.shape).zero_(), rows[1:], rows
        self._weights = torch.cat([torch.ones_like(kept[:1]), kept.detach()])
        self.kept = self._weights[1:]
        self.kept_gradient = torch.zeros_like(self.kept)
        self.ablated = ablated.detach()
        self.inputs = like.new_empty(graph.n_destinations, *rows.shape[1:])
        self._at_layer: Tensor | None = None  # gradients at a layer's nodes, between the steps that need them
        self._spent = False

    # -- forward ------------------------------------------------------------------------------

    def pass_by(self, rows: slice) -> None:
        """Go on behind these sources, whose changes are written."""
        self._floor += self.ablated[rows].sum(0)

    def read(self, columns: slice, visible: int) -> Float[Tensor, "columns place d_model"]:
        """Inputs of the destinations in `columns`, in their rows."""
        rows = self.inputs[columns]
        seen = slice(0, 1 + visible)
        torch.mm(self._weights[seen, columns].T, self._rows[seen].flatten(1), out=rows.view(len(rows), -1))
        return rows

    def add_own_heads(self, layer: int) -> None:
        """To the input of a layer's MLP, what the layer's heads change."""
        heads, column = self.graph.head_sources(layer), self.graph.mlp_destination(layer)
        row = self.inputs[column].view(1, -1)
        row.addmm_(self.kept[heads, column, None].T, self.changes[heads].flatten(1))
        self.inputs[column].view(self.shape).add_(self.ablated[heads].sum(0))

    # -- backward -----------------------------------------------------------------------------

    def begin_backward(self) -> None:
        """The first step.

        Raises:
            UsageError: it was taken before.
        """
        if self._spent:
            raise UsageError(
                "The gradients of one masked pass were asked for twice; its backward uses it up, so run it again."
            )
        self._spent = True

    def put_gradient(self, columns: slice, sources: slice) -> None:
        """Add up what the gradients in the rows of `columns` say of their edges from `sources`."""
        if self.needs_kept:
            gradients = self.inputs[columns].flatten(1)
            self.kept_gradient[sources, columns] = self.changes[sources].flatten(1) @ gradients.T

    def at_start(self) -> Float[Tensor, "batch position d_model"]:
        """Gradient at the value of the `input` node."""
        return (self.kept[:1] @ self.inputs.flatten(1)).view(self.shape)

    def at_layer(self, layer: int) -> Float[Tensor, "nodes place d_model"]:
        """Gradients at a layer's nodes, as far as later layers give them, in memory that the next layer takes over."""
        heads = self.graph.head_sources(layer)
        nodes = slice(heads.start, heads.stop + int(self.graph.has_mlp))
        if self._at_layer is None:
            self._at_layer = torch.empty_like(self.changes[nodes])
        later = _block(self.graph, layer).stop
        into = self._at_layer.view(len(self._at_layer), -1)
        torch.mm(self.kept[nodes, later:], self.inputs[later:].flatten(1), out=into)
        return self._at_layer

    def at_mlp(self, layer: int) -> Float[Tensor, "batch position d_model"]:
        """Gradient at the output of a layer's MLP; `at_heads` of the layer comes next."""
        return self.at_layer(layer)[-1].view(self.shape).clone()

    def at_heads(self, layer: int) -> Float[Tensor, "heads place d_model"]:
        """Gradients at the outputs of a layer's heads."""
        graph = self.graph
        known = self._at_layer if graph.has_mlp else self.at_layer(layer)
        assert known is not None
        gradients = known[: graph.n_heads]
        if graph.has_mlp and not graph.parallel:
            column = graph.mlp_destination(layer)
            weights = self.kept[graph.head_sources(layer), column, None]
            gradients.view(graph.n_heads, -1).addmm_(weights, self.inputs[column].view(1, -1))
        return gradients

    def end_backward(self) -> None:
        """The last step: give the memory back, whoever still holds the graph."""
        del self._rows, self._floor, self.changes, self.inputs, self._at_layer


def _block(graph: Graph, layer: int) -> slice:
    """Columns of all inputs of a layer."""
    heads = graph.attention_destinations(layer)
    return slice(heads.start, heads.stop + int(graph.has_mlp))


class _Start(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, run: MaskedPass, kept: Tensor, x: Tensor) -> Tensor:
        ctx.run = run
        torch.sub(x, run.ablated[0], out=run.changes[0].view(run.shape))
        run.pass_by(slice(0, 1))
        return x.new_zeros(())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, token: Tensor) -> tuple[Tensor | None, ...]:
        run: MaskedPass = ctx.run
        x = run.at_start() if ctx.needs_input_grad[2] else None
        run.end_backward()
        return None, run.kept_gradient if run.needs_kept else None, x


class _ReadHeads(torch.autograd.Function):
    """Projections of every input of a layer's heads from what it reads."""

    @staticmethod
    def forward(
        ctx: Any, run: MaskedPass, layer: int, matrices: Tensor, bias: Tensor, token: Tensor
    ) -> tuple[Tensor, Tensor]:
        columns = run.graph.attention_destinations(layer)
        # The layer's MLP is read along: its input lies behind those of the heads, and sources are long.
        run.read(_block(run.graph, layer), run.graph.visible_to_attention(layer))
        rows = run.inputs[columns]
        ctx.run, ctx.layer, ctx.inverse_scale = run, layer, _normalise_in_place(rows, run.config)
        values = torch.baddbmm(bias[:, None], rows, matrices)
        ctx.save_for_backward(matrices, bias, values)
        return values, token.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, at_values: Tensor, token: Tensor) -> tuple[Any, ...]:
        run, layer = ctx.run, ctx.layer
        matrices, bias, values = ctx.saved_tensors
        rows = run.inputs[run.graph.attention_destinations(layer)]  # the normalised inputs
        at_matrices = rows.transpose(1, 2) @ at_values if ctx.needs_input_grad[2] else None
        at_bias = at_values.sum(1) if ctx.needs_input_grad[3] else None
        if ctx.needs_input_grad[4]:
            if run.config.norm == "layer":  # centring the matrix centres the result
                matrices = matrices - matrices.mean(1, keepdim=True)
            if ctx.inverse_scale is None:
                torch.bmm(at_values, matrices.transpose(1, 2), out=rows)
            else:
                scaled = at_values * ctx.inverse_scale
                # <W dq, unit> = dq . (q - q at unit 0), where vectors are d_head long
                along_unit = (scaled * (values - bias[:, None])).sum(-1, keepdim=True)
                rows.mul_(along_unit / -rows.shape[-1]).baddbmm_(scaled, matrices.transpose(1, 2))
            run.put_gradient(_block(run.graph, layer), slice(0, run.graph.visible_to_attention(layer)))
        return None, None, at_matrices, at_bias, token


class _WriteHeads(torch.autograd.Function):
    """Outputs of a layer's heads, z_h W_O[h] + b_O / heads, to their rows."""

    @staticmethod
    def forward(
        ctx: Any, run: MaskedPass, layer: int, z: Tensor, matrices: Tensor, bias: Tensor | None, token: Tensor
    ) -> Tensor:
        rows = run.graph.head_sources(layer)
        by_head = _by_head(z)
        into = run.changes[rows]
        base = run.ablated[rows].flatten(1, -2)  # [heads, 1 or places, d_model]
        torch.baddbmm(base, by_head, matrices, beta=-1, out=into)
        if bias is not None:
            into += bias / len(into)
        run.pass_by(rows)
        ctx.run, ctx.layer, ctx.biased = run, layer, bias is not None
        ctx.save_for_backward(z, matrices)
        return token.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, token: Tensor) -> tuple[Any, ...]:
        z, matrices = ctx.saved_tensors
        gradients = ctx.run.at_heads(ctx.layer)
        at_z = at_matrices = at_bias = None
        if ctx.needs_input_grad[2]:
            by_head = torch.bmm(gradients, matrices.transpose(1, 2))
            at_z = by_head.view(len(by_head), *z.shape[:2], -1).permute(1, 2, 0, 3)
        if ctx.needs_input_grad[3]:
            at_matrices = _by_head(z).transpose(1, 2) @ gradients
        if ctx.biased and ctx.needs_input_grad[4]:
            at_bias = gradients.sum((0, 1)) / len(gradients)
        return None, None, at_z, at_matrices, at_bias, token


class _ReadMlp(torch.autograd.Function):
    """Input of a layer's MLP, behind the layer's heads."""

    @staticmethod
    def forward(ctx: Any, run: MaskedPass, layer: int, token: Tensor) -> tuple[Tensor, Tensor]:
        if not run.graph.parallel:
            run.add_own_heads(layer)
        ctx.run, ctx.layer = run, layer
        return run.inputs[run.graph.mlp_destination(layer)].view(run.shape).clone(), token.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, at_input: Tensor, token: Tensor) -> tuple[Any, ...]:
        run, layer = ctx.run, ctx.layer
        column = run.graph.mlp_destination(layer)
        run.inputs[column].view(run.shape).copy_(at_input)
        if not run.graph.parallel:
            run.put_gradient(slice(column, column + 1), run.graph.head_sources(layer))
        return None, None, token


class _WriteMlp(torch.autograd.Function):
    """Output of a layer's MLP to its row."""

    @staticmethod
    def forward(ctx: Any, run: MaskedPass, layer: int, written: Tensor, token: Tensor) -> Tensor:
        row = run.graph.mlp_source(layer)
        torch.sub(written, run.ablated[row], out=run.changes[row].view(run.shape))
        run.pass_by(slice(row, row + 1))
        ctx.run, ctx.layer = run, layer
        return token.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, token: Tensor) -> tuple[Any, ...]:
        return None, None, ctx.run.at_mlp(ctx.layer), token


class _ReadLogits(torch.autograd.Function):
    """The stream that `logits` reads."""

    @staticmethod
    def forward(ctx: Any, run: MaskedPass, token: Tensor) -> Tensor:
        ctx.run = run
        last = slice(run.graph.n_destinations - 1, None)
        return run.read(last, run.graph.n_sources)[0].view(run.shape).clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, at_stream: Tensor) -> tuple[Any, ...]:
        run: MaskedPass = ctx.run
        run.begin_backward()
        last = run.graph.n_destinations - 1
        run.inputs[last].view(run.shape).copy_(at_stream)
        run.put_gradient(slice(last, last + 1), slice(0, run.graph.n_sources))
        return None, torch.zeros((), dtype=at_stream.dtype, device=at_stream.device)


def _normalise_in_place(
    rows: Float[Tensor, "inputs place d_model"], config: DecoderConfig
) -> Float[Tensor, "inputs place 1"] | None:
    """One row at a time, because to touch new memory for all costs more than to normalise them."""
    if config.norm == "none":
        return None
    scales = rows.new_empty(*rows.shape[:2], 1)
    for row, scale in zip(rows, scales, strict=True):
        unit, inverse_scale = normalise(row, config.norm, config.norm_eps)
        assert inverse_scale is not None
        row.copy_(unit)
        scale.copy_(inverse_scale)
    return scales


def _by_head(z: Float[Tensor, "batch position heads d_head"]) -> Float[Tensor, "heads place d_head"]:
    return z.permute(2, 0, 1, 3).reshape(z.shape[2], -1, z.shape[-1])


start: Callable[[MaskedPass, Tensor, Tensor], Tensor] = _Start.apply
read_heads: Callable[[MaskedPass, int, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]] = _ReadHeads.apply
write_heads: Callable[[MaskedPass, int, Tensor, Tensor, Tensor | None, Tensor], Tensor] = _WriteHeads.apply
read_mlp: Callable[[MaskedPass, int, Tensor], tuple[Tensor, Tensor]] = _ReadMlp.apply
write_mlp: Callable[[MaskedPass, int, Tensor, Tensor], Tensor] = _WriteMlp.apply
read_logits: Callable[[MaskedPass, Tensor], Tensor] = _ReadLogits.apply
