"""Truths that were measured: the exact effect of every edge on many prompts, stored as data.

    true edge:  |mean over prompts of m(clean) - m(the edge alone ablated)|  >=  share x (m(model) - m(empty))

m(empty) is the metric with every edge ablated, so the right side is a share of the whole behaviour. The effects
are stored, with the sets that three shares make of them; the middle one is the headline. An edge is true because its loss
alone is felt. Edges that stand in for each other are not, so such a set need not be enough for the behaviour: how much of
it the set keeps is stored beside it.
`benchmarks/mini_truths.py` measures them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mechboard.errors import ModelError

SHARES = (0.02, 0.01, 0.05)
"""Shares of the behaviour from which on an edge counts; the first is the headline."""


def true_edges(effects: Float[Tensor, " edges"], share: float, whole: float) -> Bool[Tensor, " edges"]:
    """Edges whose effect is at least a share of the whole behaviour, m(model) - m(empty)."""
    return effects.abs() >= share * abs(whole)


@dataclass(frozen=True)
class Effects:
    """Exact effects of all edges on one task, in the order of `edges`."""

    edges: tuple[str, ...]
    means: Float[Tensor, " edges"]
    whole: float
    prompts: int
    stability: dict[str, Any]

    def true_edges(self, share: float) -> Bool[Tensor, " edges"]:
        """Edges whose effect is at least this share of the whole behaviour."""
        return true_edges(self.means, share, self.whole)

    def source(self, share: float) -> str:
        """Where the set of true edges comes from and how stable it is."""
        stable = self.stability[f"{share:.0%}"]
        return (
            f"effect of each edge alone, exact, mean over {self.prompts} prompts; true from {share:.0%} of the whole behaviour on; "
            f"together and without the others these edges keep {stable['faithfulness']:.0%} of it; "
            f"Jaccard index {stable['bootstrap'][0]:.2f} under resampled prompts, {stable['splits']:.2f} between words that were "
            f"trained on and held out; {stable['undecided']} edges within two standard errors of the threshold"
        )


def path(task: str, version: int) -> Path:
    """Where the effects of a task version are."""
    return Path(str(files("mechboard.ground_truth.mini"))) / "effects" / f"{task}.v{version}.json"


def read_effects(task: str, version: int, model: str) -> Effects:
    """The effects of a task version; `model` is the hash of the weights that they must have been measured on.

    Raises:
        ModelError: they were measured on other weights.
    """
    content = json.loads(path(task, version).read_text(encoding="utf-8"))
    about = content["about"]
    if about["model"] != model:
        raise ModelError(
            f"The effects of {task}@v{version} were measured on weights {about['model'][:12]} and these are {model[:12]}; "
            "measure them again with benchmarks/mini_truths.py and raise the task's version."
        )
    means = torch.tensor([mean for mean, _ in content["effects"].values()])
    return Effects(tuple(content["effects"]), means, about["model metric"] - about["empty metric"],
                   about["prompts"], content["stability"])  # fmt: skip
