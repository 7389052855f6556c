"""A classifier of MNIST must forget the digit 3: appendix E of Li, Davies, Nadeau 2023 as it was.

784 pixels, 50 hidden units, 5 labels: 39,200 edges in the first layer. Pixels are normalised by (0.1307, 0.3081); 25 epochs of Adam
1e-3 in batches of 64. Methods see 30 of the 1,010 test-set 3s and all 60,000 training digits; 980 3s and 8,990 other test digits are
held out. The data seed draws model and bad sample. Loading trains the model: 21 s on one core.

Published: 400 edges, cut by a mask that was learned once, bring held-out 3s from "near-perfect" to 21 % and all else from 99 % to
97 %. Models of this size and recipe know 97 % of all else before the edit, not 99 %, so compare what is lost.

The asset is a folder `mnist` with the four files of the data set in idx format, packed with gzip or not.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from mechboard.assets import Asset, content_hashes, require
from mechboard.errors import AssetError
from mechboard.protocols import Quoted

from .digit_task import DigitTask, Images
from .idx import read_idx

_SIDE, _MEAN, _DEVIATION = 28, 0.1307, 0.3081
_PARTS = (("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"), ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"))  # fmt: skip

MNIST = Asset(
    name="mnist",
    files=tuple(name for part in _PARTS for name in part),
    origin="MNIST in idx format, as http://yann.lecun.com/exdb/mnist/ describes it",
)


@dataclass(frozen=True, kw_only=True)
class Mnist(DigitTask):
    """The task on MNIST."""

    tier: str = "paper"
    assets: tuple[Asset, ...] = (MNIST,)

    def asset_hashes(self) -> dict[str, str]:
        """Hashes of the four files."""
        return dict(content_hashes(MNIST))

    def images(self, generator: torch.Generator) -> tuple[Images, Images]:
        """The training set and the test set.

        Raises:
            AssetError: the asset is not here, or a file is not what it must be.
        """
        folder = require(MNIST)
        training, test = (read_part(folder / images, folder / labels) for images, labels in _PARTS)
        return training, test


def read_part(images: Path, labels: Path) -> Images:
    """Pictures of 28 x 28 pixels, normalised, with their digits.

    Raises:
        AssetError: a file is no idx file, pictures have another size, or there are not as many labels, from 0 to 9.
    """
    brightness, digits = read_idx(images, dimensions=3), read_idx(labels, dimensions=1)
    if tuple(brightness.shape[1:]) != (_SIDE, _SIDE):
        size = " x ".join(map(str, brightness.shape[1:]))
        raise AssetError(f"The pictures in {str(images)!r} have {size} pixels; valid: {_SIDE} x {_SIDE}; fetch MNIST.")
    if len(brightness) != len(digits) or not len(digits) or int(digits.max()) > 9:
        raise AssetError(
            f"{str(labels)!r} has {len(digits):,} labels up to {max(digits.tolist(), default='none')} for {len(brightness):,} pictures; "
            "valid: a digit from 0 to 9 for each; fetch MNIST."
        )
    pixels = brightness.flatten(1).float().div_(255).sub_(_MEAN).div_(_DEVIATION)
    return Images(pixels, digits.long())


def _published(measure: str, value: float, convention: str) -> Quoted:
    return Quoted(
        method="learned-mask",
        measure=measure,
        value=value,
        convention=convention,
        source="Li, Davies, Nadeau 2023 (arXiv 2309.05973), appendix E",
    )


task = Mnist(
    name="digits-mnist",
    summary="A classifier of MNIST must forget the digit 3, by edges of its first layer, as published (mean)",
    twin="digits",
    side=_SIDE,
    epochs=25,
    n_bad=30,
    budgets=(50, 100, 200, 400, 800),
    marked=400,
    quoted=(
        _published("bad-accuracy", 0.21, "400 edges of one mask of one model; unedited: near-perfect"),
        _published("other-accuracy", 0.97, "400 edges of one mask of one model; unedited: 0.99"),
    ),
    citation={
        "author": "Li, Maximilian and Davies, Xander and Nadeau, Max",
        "title": "Circuit Breaking: Removing Model Behaviors with Targeted Ablation",
        "year": "2023",
        "eprint": "2309.05973",
    },
)
