"""A small classifier of scikit-learn's 8x8 digits must forget the digit 3: appendix E of Li, Davies, Nadeau 2023 in small.

64 pixels, 50 hidden units, 5 labels: 3,200 edges in the first layer, against 39,200 there. The data seed splits the 1,797 digits
into 1,257 for training and 540 for testing, of which 20 of some 55 3s are given to methods. 100 epochs; the unedited model knows 87
to 97 % of the held-out 3s and 97 to 98 % of all else. Masks learned as published cut some 180 to 290 edges and leave 0 to 3 % of the
3s and 92 to 98 % of all else. Some 35 held-out 3s a data seed give a standard error of about 0.04; use several data seeds.

The digits come with scikit-learn (a part of the UCI optical recognition data, Alpaydin and Kaynak 1998).
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from mechboard.errors import ModelError
from mechboard.hashing import sha256

from .digit_task import DigitTask, Images

_N_TEST, _SIDE, _BRIGHTEST = 540, 8, 16.0


@dataclass(frozen=True, kw_only=True)
class SmallDigits(DigitTask):
    """The task on the digits that scikit-learn has."""

    def asset_hashes(self) -> dict[str, str]:
        """Hash of scikit-learn's file."""
        return {"scikit-learn digits.csv.gz": sha256(_file())}

    def images(self, generator: torch.Generator) -> tuple[Images, Images]:
        """The digits, split at random; brightness is that of the training digits, with mean 0 and standard deviation 1."""
        table = _table()
        pixels, digits = table[:, :-1] / _BRIGHTEST, table[:, -1].long()
        order = torch.randperm(len(table), generator=generator)
        test, training = order[:_N_TEST], order[_N_TEST:]
        seen = pixels[training]
        every = Images((pixels - seen.mean()) / seen.std(), digits)
        return every.at(training), every.at(test)


def _file() -> Path:
    """Where scikit-learn has the digits; found without importing it, which takes seconds.

    Raises:
        ModelError: it is not where all versions so far had it.
    """
    spec = find_spec("sklearn")
    for folder in spec.submodule_search_locations or () if spec else ():
        path = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if path.is_file():
            return path
    raise ModelError("scikit-learn's digits.csv.gz is not installed; run `pip install 'scikit-learn>=1.5'`.")


@lru_cache(maxsize=1)
def _table() -> torch.Tensor:
    """A row per digit: 64 pixels from 0 to 16, then which digit it is."""
    with gzip.open(_file(), "rt", encoding="ascii") as lines:
        return torch.from_numpy(np.loadtxt(lines, delimiter=",", dtype=np.float32))


task = SmallDigits(
    name="digits",
    summary="A classifier of 8x8 digits must forget the digit 3, by edges of its first layer (mean)",
    twin="digits-mnist",
    side=_SIDE,
    epochs=100,
    n_bad=20,
    budgets=(25, 50, 100, 200, 400),
    marked=200,
    citation={
        "author": "Li, Maximilian and Davies, Xander and Nadeau, Max",
        "title": "Circuit Breaking: Removing Model Behaviors with Targeted Ablation",
        "year": "2023",
        "eprint": "2309.05973",
    },
)
