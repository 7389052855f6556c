"""A classifier must no longer know the digit 3, and go on knowing all others: edges of its first layer are cut.

Digits are merged into five labels, {2, 8}, {4, 9}, {1, 6}, {7, 3} and {0, 5}, so that a cut cannot simply close an output: the label
that 3 shares with 7 is still needed. Methods see a few 3s of the test set and all training digits, 3s among them: the published
loss keeps the model as it is on whatever it was trained on, and removal has to win against that. Cut edges carry the mean of their
pixel over the training digits. Scored on the rest of the test set: `bad-accuracy` on 3s, `other-accuracy` on all else, both down
to 0.2, which is guessing one of five labels.

The data seed draws, in this order: a split if the data have none, the bad sample, and all that training draws.
"""

from __future__ import annotations

import hashlib
import inspect
from abc import abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechboard.errors import UsageError
from mechboard.metrics.examination import Accuracies, Relearning
from mechboard.metrics.frontier import Axis
from mechboard.protocols import EditableMlp, Instance, Labelled, RemovalProblem, Task

from .classifier import BATCH, one_thread, train

DIGIT = 3
GROUPS = ((2, 8), (4, 9), (1, 6), (7, 3), (0, 5))
"""Digits of each label: numpy's `RandomState(0).permutation(10).reshape(5, 2)`, as in the released code."""
_CHANCE = 1 / len(GROUPS)


class Images(NamedTuple):
    """Pictures as rows of pixels, normalised, and the digit that each shows."""

    pixels: Float[Tensor, "images pixels"]
    digits: Int[Tensor, " images"]

    def labelled(self) -> Labelled:
        """The pictures with merged labels."""
        return Labelled(self.pixels, merged(self.digits))

    def at(self, rows: Tensor) -> Images:
        """Some of them, by number or by a mask."""
        return Images(self.pixels[rows], self.digits[rows])


def merged(digits: Int[Tensor, " images"]) -> Int[Tensor, " images"]:
    """Label of each digit.

    >>> merged(torch.arange(10)).tolist()
    [4, 2, 0, 3, 1, 4, 2, 3, 0, 1]
    """
    label = torch.empty(10, dtype=torch.long)
    for index, group in enumerate(GROUPS):
        label[list(group)] = index
    return label[digits]


@dataclass(frozen=True, kw_only=True)
class DigitTask(Task):
    """What the tasks on digits share.

    Args:
        side: pixels in a row and in a column.
        epochs: of training.
        n_bad: how many 3s methods are given.
        budgets: numbers of edges at which cuts are scored.
        marked: the one that stands in columns.
    """

    kind: str = "removal"
    side: int
    epochs: int
    n_bad: int
    budgets: tuple[int, ...]
    marked: int

    @property
    def description(self) -> str:
        """The docstrings of the module that defines the task, and of what such tasks share."""
        return "\n\n".join(inspect.getdoc(inspect.getmodule(each)) or "" for each in (type(self), DigitTask))

    @abstractmethod
    def images(self, generator: torch.Generator) -> tuple[Images, Images]:
        """Training digits and test digits, which have none in common; a split that the data do not have is drawn."""

    def load(self, data_seed: int, device: str) -> Instance[RemovalProblem]:
        """A model, trained here on the CPU, and its digits.

        Raises:
            UsageError: the test digits are too few.
        """
        seed = hashlib.sha256(f"{self.name}@{self.version}/{data_seed}".encode()).hexdigest()
        generator = torch.Generator().manual_seed(int(seed, 16) % 2**63)
        with one_thread():
            training, test = self.images(generator)
            bad, held_out = self._bad(test, generator)
            samples = training.labelled()
            weights = train(samples, n_classes=len(GROUPS), epochs=self.epochs, generator=generator)
            means = samples.inputs.mean(0)
        model = EditableMlp(
            {name: weight.to(device) for name, weight in weights.items()},
            means.to(device),
            image=(self.side, self.side),
        )
        problem = RemovalProblem(
            model=model, bad=bad.to(device), keep=samples.to(device), budgets=self.budgets, batch_size=BATCH
        )
        return Instance(problem=problem, held_out=self._examination(held_out, device))

    def _bad(self, test: Images, generator: torch.Generator) -> tuple[Labelled, Images]:
        """The 3s that methods see, and all other test digits."""
        threes = (test.digits == DIGIT).nonzero().squeeze(1)
        if not self.n_bad < len(threes) < len(test.digits):
            raise UsageError(
                f"The test digits of {self.name!r} have {len(threes)} of the digit {DIGIT} among {len(test.digits)}; valid: more than "
                f"{self.n_bad}, and other digits too; use the whole data set."
            )
        seen = torch.zeros(len(test.digits), dtype=torch.bool)
        seen[threes[torch.randperm(len(threes), generator=generator)[: self.n_bad]]] = True
        return test.at(seen).labelled(), test.at(~seen)

    def _examination(self, held_out: Images, device: str) -> Accuracies:
        is_bad = held_out.digits == DIGIT
        return Accuracies(
            bad=held_out.at(is_bad).labelled().to(device),
            other=held_out.at(~is_bad).labelled().to(device),
            removed=(Axis("bad-accuracy", _CHANCE),),
            kept=(Axis("other-accuracy", _CHANCE),),
            marked=self.marked,
            relearning=Relearning(steps=20, rate=1e-3),
        )
