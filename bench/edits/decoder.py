"""A language model that can be edited: a decoder, the graph whose edges may be cut, and what a cut edge carries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..errors import UsageError
from ..graph import Ablation, Decoder, Graph
from ..graph.cost import count_backwards
from ..graph.key_values import KeyValueCache
from ..graph.masked_evaluation import MaskedModel
from ..graph.masked_run import run_masked
from ..graph.token_losses import token_losses
from ..graph.weights import named, with_tensors
from .editable import Editable
from .samples import Text


class EditableDecoder(Editable):
    """A decoder whose edges may be cut, and whose weights may be changed.

    Args:
        decoder: the model.
        graph: at the level of heads one value masks all that a head reads from a source, as published; at the level of q, k and v
            there are three.
        ablation: `zero` or `mean-global`, of this decoder. All destinations read means, not heads alone.

    Raises:
        UsageError: an ablation that depends on prompt or position.
    """

    def __init__(self, decoder: Decoder, graph: Graph, ablation: Ablation) -> None:
        self.decoder = decoder
        self.graph = graph
        self.ablated_by = ablation
        self._ablated = ablation.everywhere()

    @property
    def edges(self) -> tuple[str, ...]:
        """Names of the graph's edges."""
        return self.graph.edges

    @property
    def n_edges(self) -> int:
        """How many there are."""
        return self.graph.n_edges

    @property
    def ablation(self) -> str:
        """`zero` or `mean`."""
        return "zero" if self.ablated_by.kind == "zero" else "mean"

    def tensors(self) -> Iterator[Tensor]:
        """Weights and means."""
        yield from self.decoder.tensors()
        yield from self.ablated_by.tensors()

    def parameters(self) -> dict[str, Tensor]:
        """A copy of every weight, such as `layers.0.q`; an unembedding that is the embedding comes once, as `token`."""
        held = {name: tensor.detach().clone() for name, tensor in named(self.decoder.weights)}
        if self._is_tied():
            del held["unembed"]
        return held

    def with_parameters(self, parameters: Mapping[str, Tensor]) -> Decoder:
        """A decoder with other weights, differentiable in them.

        Raises:
            UsageError: a name is no weight of this model.
        """
        given = dict(parameters)
        if "token" in given and self._is_tied():
            given["unembed"] = given["token"].T
        return Decoder(
            self.decoder.config, with_tensors(self.decoder.weights, given), architecture=self.decoder.architecture
        )

    def _is_tied(self) -> bool:
        weights = self.decoder.weights
        return weights.unembed.shape == weights.token.T.shape and torch.equal(weights.unembed, weights.token.T)

    def final(
        self,
        tokens: Int[Tensor, "samples position"],
        *,
        kept: Float[Tensor, " edges"] | None = None,
        parameters: Mapping[str, Tensor] | None = None,
    ) -> tuple[Decoder, Float[Tensor, "samples position d_model"]]:
        """The residual stream that `logits` reads, and the decoder that reads it."""
        decoder = self.with_parameters(parameters) if parameters else self.decoder
        x = decoder.embed(tokens)
        if kept is None:
            final = decoder.resume(x)
            count_backwards(final, len(x))
            return decoder, final
        return decoder, run_masked(decoder, self.graph, x, self.graph.dense(kept), self._ablated)

    def logits(
        self,
        samples: Text,
        *,
        kept: Float[Tensor, " edges"] | None = None,
        parameters: Mapping[str, Tensor] | None = None,
    ) -> Float[Tensor, "samples position d_vocab_out"]:
        """Logits at all positions."""
        decoder, final = self.final(samples.tokens, kept=kept, parameters=parameters)
        return decoder.unembed(final)

    def losses(
        self,
        samples: Text,
        *,
        kept: Float[Tensor, " edges"] | None = None,
        parameters: Mapping[str, Tensor] | None = None,
    ) -> Float[Tensor, " samples"]:
        """Mean cross-entropy of the scored tokens of each sequence."""
        decoder, final = self.final(samples.tokens, kept=kept, parameters=parameters)
        row, position = samples.scored.nonzero(as_tuple=True)
        losses = token_losses(decoder, final[row, position - 1], samples.tokens[row, position])
        total = losses.new_zeros(len(samples)).index_add(0, row, losses)
        return total / samples.scored.sum(1)

    @torch.no_grad()
    def generate(
        self,
        tokens: Int[Tensor, "prompts position"],
        n_new: int,
        *,
        kept: Float[Tensor, " edges"] | None = None,
        parameters: Mapping[str, Tensor] | None = None,
    ) -> Int[Tensor, "prompts n_new"]:
        """The most likely next token, `n_new` times, of prompts of one length.

        Raises:
            UsageError: prompt and continuation are longer than the model has positions.
        """
        length, n_ctx = tokens.shape[1], self.decoder.config.n_ctx
        if length + n_new > n_ctx:
            raise UsageError(
                f"A prompt of {length} tokens and {n_new} new ones were asked of a model of {n_ctx} positions; shorten one."
            )
        decoder = self.with_parameters(parameters) if parameters else self.decoder
        masked = None if kept is None else MaskedModel(decoder, self.graph, self.graph.dense(kept), self._ablated)
        cache = KeyValueCache(length + n_new)
        for end in range(length, length + n_new):
            x = decoder.embed(tokens, 0 if end == length else end - 1)  # what is new
            final = decoder.resume(x, cache=cache) if masked is None else masked(x, cache)
            tokens = torch.cat([tokens, decoder.unembed(final[:, -1]).argmax(-1, keepdim=True)], 1)
        return tokens[:, length:]
