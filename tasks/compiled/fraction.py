"""Fractions of previous tokens of each of four classes, and which of two is ahead.

The class of a token is looked up first, so nothing downstream can read it off the embedding. Program:

    class            = class of the token                       lookup MLP
    f_A .. f_D       = share of tokens so far of each class     four heads -> logits
    lead_AB, lead_CD = relu(f_A - f_B), relu(f_C - f_D)         MLP -> logits

Ablation: mean, per position, over the corrupt discovery prompts.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from mechboard.ground_truth.compiled.language import NUMBER, Program

from .compiled_task import CompiledTask, Sample

CLASSES = {"A": ("a1", "a2", "a3"), "B": ("b1", "b2", "b3"), "C": ("c1", "c2", "c3"), "D": ("d1", "d2", "d3")}
CLASS_OF = {token: name for name, tokens in CLASSES.items() for token in tokens}
LENGTH = 12


def _is(name: str) -> Callable[[str], float]:
    return lambda value: 4.0 * (value == name)


def build() -> Program:
    """The program."""
    p = Program(vocabulary=("<bos>", *CLASS_OF), length=LENGTH)
    kind = p.lookup("class", layer=0, reads=[p.token], values=tuple(CLASSES), function=CLASS_OF.get)
    share = {name: p.head(f"share {name}", layer=1, value=kind, values=NUMBER, read=_is(name)) for name in CLASSES}
    leads = [
        p.rectify(f"lead {first}{second}", layer=1, terms=[(1.0, share[first]), (-1.0, share[second])])
        for first, second in ("AB", "CD")
    ]
    p.output(*share.values(), *leads)
    return p


def sample(draw: Random) -> Sample:
    """A prompt in which some classes are common and others rare."""
    weights = [draw.gammavariate(0.7, 1) + 0.01 for _ in CLASSES]
    classes = draw.choices(list(CLASSES), weights, k=LENGTH - 1)
    return ["<bos>", *(draw.choice(CLASSES[name]) for name in classes)], list(range(4, LENGTH))


task = CompiledTask(
    name="compiled-fraction",
    version=2,
    summary="Fractions of previous tokens of four looked-up classes, and their leads (mean)",
    chance={"cmd": 0.762},
    build=build,
    sample=sample,
    ablation="mean",
    n_layers=3,
    n_heads=5,
)
