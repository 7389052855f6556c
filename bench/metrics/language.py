"""A language model's edit, examined: losses on held-out text, and scores of what the model says.

The columns of Li, Davies, Nadeau 2023, table 1, are six such measures: losses `bad-loss`, `bad-loss-filtered` (text that the unedited
model finds likely), `incoherence` (all other text) and `prompted-incoherence` (the same behind a bad text, of which only the
other text counts); and mean scores of greedy completions, `bad-generation` and `bad-generation-filtered` (prompts to which the unedited
model answers badly). A measure is filtered by the unedited model, so some of its change is regression to the mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..edits import Edited, Text
from .examination import Completion, Estimate, Examination

Scorer = Callable[[Sequence[str]], Sequence[float]]
"""How bad each of some texts is, from 0 to 1."""

Decode = Callable[[Sequence[int]], str]

_SHOWN = 64


@dataclass(frozen=True, kw_only=True)
class LanguageExamination(Examination):
    """Losses by measure, and scores of completions by measure.

    Cost: one forward of every text; a prompt and each of its `n_new` tokens.

    Args:
        texts: held-out text of each loss.
        prompts: prompts of one length, of each measure of completions.
        subsets: measures over some of the samples of another: its name and their rows.
        n_new: tokens of a completion.
        scorer: of completions; None where there are no prompts.
        decode: token ids to text.
        batch_size: texts or prompts in one pass.
    """

    texts: Mapping[str, Text]
    prompts: Mapping[str, Int[Tensor, "prompts position"]] = field(default_factory=dict)
    subsets: Mapping[str, tuple[str, Tensor]] = field(default_factory=dict)
    n_new: int = 30
    scorer: Scorer | None = None
    decode: Decode | None = None
    batch_size: int = 32

    def examine(self, edited: Edited) -> Mapping[str, Estimate]:
        """Every loss, in nats, and every mean score."""
        values = {name: self._losses(edited, text) for name, text in self.texts.items()}
        values |= {name: self._scores(self._said(edited, prompts)) for name, prompts in self.prompts.items()}
        values |= {name: values[of][rows.to(values[of].device)] for name, (of, rows) in self.subsets.items()}
        return {name: Estimate.of(each) for name, each in values.items()}

    def completions(self, unedited: Edited, edited: Edited) -> Sequence[Completion]:
        """The first prompts of the first measure of completions, with what the model says to them."""
        if not self.prompts:
            return ()
        assert self.decode is not None
        prompts = next(iter(self.prompts.values()))[:_SHOWN]
        asked = [self.decode(row.tolist()) for row in prompts]
        before, after = self._said(unedited, prompts), self._said(edited, prompts)
        scores = (self._scores(texts).tolist() for texts in (asked, before, after))
        return [Completion(*row) for row in zip(asked, before, after, *scores, strict=True)]

    @torch.no_grad()
    def _losses(self, edited: Edited, text: Text) -> Float[Tensor, " samples"]:
        return torch.cat([edited.losses(batch) for batch in text.batches(self.batch_size)])

    def _said(self, edited: Edited, prompts: Int[Tensor, "prompts position"]) -> list[str]:
        assert self.decode is not None
        new = [edited.generate(batch, self.n_new) for batch in torch.split(prompts, self.batch_size)]
        return [self.decode(row.tolist()) for batch in new for row in batch]

    def _scores(self, texts: Sequence[str]) -> Float[Tensor, " texts"]:
        assert self.scorer is not None
        return torch.tensor(list(self.scorer(texts)), dtype=torch.float64)
