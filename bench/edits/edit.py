"""What a removal method returns: edits of a model from gentle to thorough, which make a frontier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .editable import Editable


@dataclass(frozen=True)
class Edited:
    """A model with one edit: edges that it keeps, and weights in place of its own."""

    model: Any
    kept: Bool[Tensor, " edges"] | None = None
    parameters: Mapping[str, Tensor] = field(default_factory=dict)

    def losses(self, samples: Any, *, parameters: Mapping[str, Tensor] | None = None) -> Float[Tensor, " samples"]:
        """Loss of each sample under the edit; `parameters` in place of the edit's, for training it further."""
        given = self.parameters if parameters is None else parameters
        losses: Tensor = self.model.losses(samples, kept=self._kept(), parameters=given)
        return losses

    def logits(self, samples: Any) -> Tensor:
        """What the edited model answers, [samples, ...]: at every position of sequences."""
        logits: Tensor = self.model.logits(samples, kept=self._kept(), parameters=self.parameters)
        return logits

    def generate(self, tokens: Tensor, n_new: int) -> Tensor:
        """Greedy continuations of prompts of one length, [prompts, n_new]; of language models only."""
        new: Tensor = self.model.generate(tokens, n_new, kept=self._kept(), parameters=self.parameters)
        return new

    def weights(self) -> dict[str, Tensor]:
        """A copy of every weight as the edit leaves it."""
        held: dict[str, Tensor] = self.model.parameters()
        return held | {name: tensor.clone() for name, tensor in self.parameters.items()}

    def _kept(self) -> Tensor | None:
        return None if self.kept is None else self.kept.to(next(self.model.tensors()).dtype)


@dataclass(frozen=True, kw_only=True)
class EdgeCuts:
    """Edges to cut: a set for every budget of the problem, in its order, each of at most that many edges.

    `scores` say how much each edge belongs to the behaviour that is removed, higher for what is cut first; with them the
    cut is compared with edges that are known. Sets need not be nested.
    """

    cut: Bool[Tensor, "points edges"]
    scores: Float[Tensor, " edges"] | None = None

    @classmethod
    def of_scores(cls, scores: Float[Tensor, " edges"], budgets: tuple[int, ...]) -> EdgeCuts:
        """Cut the edges of the highest scores at each budget; an edge without an opinion is never cut.

        >>> EdgeCuts.of_scores(torch.tensor([0.1, 3.0, torch.nan]), (1, 3)).cut.tolist()
        [[False, True, False], [True, True, False]]
        """
        filled = scores.detach().nan_to_num(nan=-torch.inf)
        order = filled.argsort(descending=True, stable=True)
        ranks = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
        cut = (ranks < torch.tensor(budgets, device=order.device)[:, None]) & ~scores.isnan()
        return cls(cut=cut, scores=scores.detach())

    def at(self, model: Editable, point: int) -> Edited:
        """The model with the edges of one point cut."""
        return Edited(model, kept=~self.cut[point])

    def __len__(self) -> int:
        return len(self.cut)


@dataclass(frozen=True, kw_only=True)
class WeightChange:
    """theta + scale * change, for every scale: from little of the change to the method's own edit, which comes last.

    Weights that are not named do not change.
    """

    change: Mapping[str, Tensor]
    scales: tuple[float, ...]

    @classmethod
    def between(cls, model: Editable, after: Mapping[str, Tensor], scales: tuple[float, ...]) -> WeightChange:
        """From the model's own weights to others."""
        before = model.parameters()
        return cls(
            change={name: (tensor.detach() - before[name]).clone() for name, tensor in after.items()}, scales=scales
        )

    def at(self, model: Editable, point: int) -> Edited:
        """The model with the change at one scale."""
        before, scale = model.parameters(), self.scales[point]
        return Edited(
            model, parameters={name: before[name] + scale * part.to(before[name]) for name, part in self.change.items()}
        )

    def __len__(self) -> int:
        return len(self.scales)


Edit = EdgeCuts | WeightChange
