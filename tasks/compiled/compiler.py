"""From a program to transformer weights.

Every variable gets coordinates of its own in the residual stream, which are turned among themselves by a
random rotation and scattered by a random permutation of the whole stream. Heads and MLP neurons that the
program leaves free become distractors: they read real variables and each other, attend, compute,
and write into coordinates of their own that nothing in the program reads. Edges outside the program
are therefore without effect because of the subspaces involved, not because anything saturates:
a match raises an attention logit by at most `GAP`.

One rotation of the whole stream would hide the variables better, but it keeps them apart only up to rounding: what is
not read would have an effect of 1e-8, and a measure of order would rank that noise. With disjoint coordinates
each product of what is written with what is not read has a factor that is exactly zero, in every precision.
Limit: which coordinates a weight is zero at tells who writes them, so a method that reads circuits off zeros of weights
sees more here than in a trained model.

The model has no normalisation and its weights are GPT-2 shaped.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mechboard.graph import Decoder, DecoderConfig
from mechboard.graph.weights import DecoderWeights, LayerWeights, NormWeights
from mechboard.tasks.compiled.language import Head, Mlp, Program

GAP = 10.0
_HEAD_JUNK, _MLP_JUNK, _MLP_DISTRACTORS = 3, 4, 12


@dataclass(frozen=True)
class Compiled:
    """A model, and the node (`a0.h2`, `m1`) on which each operation of the program runs."""

    decoder: Decoder
    node_of: dict[str, str]


def compile_program(program: Program, *, n_layers: int, n_heads: int, seed: int) -> Compiled:
    """Compile; `seed` draws the basis, the places of the heads and the distractors."""
    return _Compiler(program, n_layers, n_heads, torch.Generator().manual_seed(seed)).compile()


class _Compiler:
    def __init__(self, program: Program, n_layers: int, n_heads: int, generator: torch.Generator) -> None:
        self.program, self.n_layers, self.n_heads, self.generator = program, n_layers, n_heads, generator
        self.block: dict[str, slice] = {}
        size = 0
        junk = [f"junk a{layer}.h{head}" for layer in range(n_layers) for head in range(n_heads)]
        sizes = {v.name: v.size for v in program.variables}
        sizes |= dict.fromkeys(junk, _HEAD_JUNK) | {f"junk m{layer}": _MLP_JUNK for layer in range(n_layers)}
        for name, width in sizes.items():
            self.block[name] = slice(size, size + width)
            size += width
        heads = [o for o in program.operations if isinstance(o, Head)]
        rank = max(sum(min(m.table.shape) for m in head.matches) for head in heads)
        width = max(head.out.size for head in heads)
        self.d_head = max(rank, width, -(-size // n_heads))
        self.d_model = n_heads * self.d_head
        self.block["free"] = slice(size, self.d_model)
        neurons = [sum(o.weight_in.shape[1] for o in self._mlps(layer)) for layer in range(n_layers)]
        self.d_mlp = max(neurons) + _MLP_DISTRACTORS

    def _mlps(self, layer: int) -> list[Mlp]:
        return [o for o in self.program.operations if isinstance(o, Mlp) and o.layer == layer]

    def _heads(self, layer: int) -> list[Head]:
        return [o for o in self.program.operations if isinstance(o, Head) and o.layer == layer]

    def compile(self) -> Compiled:
        program = self.program
        node_of: dict[str, str] = {}
        rotation = self._rotation()
        layers = []
        readable = ["token", "position"]
        for layer in range(self.n_layers):
            attention, places = self._attention(layer, readable)
            node_of |= {name: f"a{layer}.h{head}" for name, head in places.items()}
            readable += [*places, *(f"junk a{layer}.h{h}" for h in range(self.n_heads) if h not in places.values())]
            mlp = self._mlp(layer, readable)
            node_of |= {o.name: f"m{layer}" for o in self._mlps(layer)}
            readable += [*(o.out.name for o in self._mlps(layer)), f"junk m{layer}"]
            layers.append(self._rotated(attention | mlp, rotation))
        token, position = self._zeros(len(program.vocabulary)), self._zeros(program.length)
        token[:, self.block["token"]] = torch.eye(len(program.vocabulary))
        position[:, self.block["position"]] = torch.eye(program.length)
        unembed = torch.cat([torch.eye(self.d_model)[:, self.block[v.name]] for v in program.outputs], dim=1)
        weights = DecoderWeights(
            token=(token.double() @ rotation).float(),
            position=(position.double() @ rotation).float(),
            layers=tuple(layers),
            final_norm=NormWeights(),
            unembed=(rotation.T @ unembed.double()).float(),
        )
        return Compiled(Decoder(self._config(unembed.shape[1]), weights), node_of)

    def _config(self, n_outputs: int) -> DecoderConfig:
        return DecoderConfig(
            n_layers=self.n_layers,
            n_heads=self.n_heads,
            n_kv_heads=self.n_heads,
            d_model=self.d_model,
            d_head=self.d_head,
            d_mlp=self.d_mlp,
            d_vocab=len(self.program.vocabulary),
            d_vocab_out=n_outputs,
            n_ctx=self.program.length,
            norm="none",
            norm_eps=1e-5,
            positions="learned",
            parallel=False,
            gated=False,
            activation="relu",
            attention_scale=self.d_head**-0.5,
        )

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(*shape, self.d_model)

    def _randn(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator)

    def _rotation(self) -> Tensor:
        """Orthogonal [d_model, d_model] that mixes the coordinates of one variable and never those of two."""
        rotation = torch.zeros(self.d_model, self.d_model, dtype=torch.float64)
        unmixed = {v.name for v in self.program.variables if v.unmixed}
        for name, block in self.block.items():
            width = block.stop - block.start
            turn, triangle = torch.linalg.qr(self._randn(width, width).double())
            # The signs make the rotation uniform, and are all that a single coordinate has of one.
            signs = triangle.diagonal().sign()
            rotation[block, block] = signs.diag() if name in unmixed else turn * signs
        return rotation[:, torch.randperm(self.d_model, generator=self.generator)]

    @staticmethod
    def _rotated(parts: dict[str, Tensor], rotation: Tensor) -> LayerWeights:
        """Turn what reads the stream (rows are stream directions) and what writes it (columns are)."""

        def reads(name: str) -> Tensor:
            return (rotation.T @ parts[name].double()).float()

        def writes(name: str) -> Tensor:
            return (parts[name].double() @ rotation).float()

        return LayerWeights(
            attention_norm=NormWeights(),
            q=reads("q"),
            k=reads("k"),
            v=reads("v"),
            o=writes("o"),
            q_bias=parts["q_bias"],
            mlp_in=reads("mlp_in"),
            mlp_in_bias=parts["mlp_in_bias"],
            mlp_out=writes("mlp_out"),
        )

    # -- attention --------------------------------------------------------------------------------

    def _attention(self, layer: int, readable: list[str]) -> tuple[dict[str, Tensor], dict[str, int]]:
        """q, k, v, o and q_bias of a layer, and the head on which each of its operations runs."""
        shape = (self.n_heads, self.d_model, self.d_head)
        w = {name: torch.zeros(shape) for name in "qkv"} | {"o": torch.zeros(self.n_heads, self.d_head, self.d_model)}
        w["q_bias"] = torch.zeros(self.n_heads, self.d_head)
        order = torch.randperm(self.n_heads, generator=self.generator).tolist()
        places = {}
        for operation, head in zip(self._heads(layer), order, strict=False):
            places[operation.name] = head
            self._select(operation, w["q"][head], w["k"][head], w["q_bias"][head])
            rows, columns = self.block[operation.value.name], operation.out.size
            w["v"][head][rows, :columns] = operation.table
            w["o"][head][:columns, self.block[operation.out.name]] = torch.eye(columns)
        for head in order[len(places) :]:
            self._distract_head(head, w, readable, self.block[f"junk a{layer}.h{head}"])
        return w, places

    def _select(self, operation: Head, q: Tensor, k: Tensor, q_bias: Tensor) -> None:
        """Q . k = sqrt(d_head) GAP x (sum of matches / largest possible sum); ranks of the terms side by side."""
        largest = sum(float(m.table.max()) for m in operation.matches)
        start = 0
        for m in operation.matches:
            scale = (GAP / largest * self.d_head**0.5) ** 0.5
            wide = m.query is not None and m.table.shape[0] >= m.table.shape[1]
            # q and k meet in the smaller of the two value sets: one side is a copy, the other the table.
            q_side, k_side = (m.table, torch.eye(m.key.size)) if wide else (torch.eye(len(m.table)), m.table.T)
            columns = slice(start, start + q_side.shape[1])
            if m.query is None:
                q_bias[columns] = q_side[0] * scale
            else:
                q[self.block[m.query.name], columns] = q_side * scale
            k[self.block[m.key.name], columns] = k_side * scale
            start = columns.stop

    def _distract_head(self, head: int, w: dict[str, Tensor], readable: list[str], junk: slice) -> None:
        """A head that attends by two random variables and writes a random image of a third where nobody reads."""
        for name, spread in (("q", 1.5), ("k", 1.5), ("v", 1.0)):
            rows = self._choose(readable)
            w[name][head][rows, : self.d_head // 2] = spread * self._randn(rows.stop - rows.start, self.d_head // 2)
        w["o"][head][: self.d_head // 2, junk] = self._randn(self.d_head // 2, _HEAD_JUNK) / self.d_head

    def _choose(self, readable: list[str]) -> slice:
        index = int(torch.randint(len(readable), (1,), generator=self.generator))
        return self.block[readable[index]]

    # -- MLP --------------------------------------------------------------------------------------

    def _mlp(self, layer: int, readable: list[str]) -> dict[str, Tensor]:
        w_in, w_out = torch.zeros(self.d_model, self.d_mlp), torch.zeros(self.d_mlp, self.d_model)
        bias = torch.zeros(self.d_mlp)
        start = 0
        for operation in self._mlps(layer):
            neurons = slice(start, start + operation.weight_in.shape[1])
            first = 0
            for variable in operation.reads:
                w_in[self.block[variable.name], neurons] += operation.weight_in[first : first + variable.size]
                first += variable.size
            bias[neurons] = operation.bias
            w_out[neurons, self.block[operation.out.name]] = operation.weight_out
            start = neurons.stop
        for neuron in range(start, self.d_mlp):
            for _ in range(2):
                rows = self._choose(readable)
                w_in[rows, neuron] += self._randn(rows.stop - rows.start)
            w_out[neuron, self.block[f"junk m{layer}"]] = self._randn(_MLP_JUNK) / 6
        return {"mlp_in": w_in, "mlp_in_bias": bias, "mlp_out": w_out}
