"""Balance of two kinds of brackets, and whether either was ever closed before it was opened.

    balance (), balance [] = share of opening minus closing so far     two heads -> logits
    below (), below []     = relu(-balance)                            MLP
    dip (), dip []         = share of the prefix spent below zero      two heads
    fault                  = relu(dip () + dip [])                     MLP -> logits

Ablation: resample.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from mechboard.ground_truth.compiled.language import NUMBER, Program

from .compiled_task import CompiledTask, Sample

BRACKETS = ("()", "[]")
LENGTH = 13


def _signed(pair: str) -> Callable[[str], float]:
    return lambda token: 4.0 * ((token == pair[0]) - (token == pair[1]))


def build() -> Program:
    """The program."""
    p = Program(vocabulary=("<bos>", "(", ")", "[", "]", "x"), length=LENGTH)
    balance = {
        pair: p.head(
            f"balance {pair}",
            layer=0,
            value=p.token,
            values=NUMBER,
            read=_signed(pair),
        )
        for pair in BRACKETS
    }
    below = {pair: p.rectify(f"below {pair}", layer=0, terms=[(-2.0, balance[pair])]) for pair in BRACKETS}
    dip = {
        pair: p.head(f"dip {pair}", layer=1, value=below[pair], values=NUMBER, read=lambda _: 2.0) for pair in BRACKETS
    }
    fault = p.rectify("fault", layer=1, terms=[(1.0, dip[pair]) for pair in BRACKETS])
    p.output(*balance.values(), fault)
    return p


def sample(draw: Random) -> Sample:
    """Random brackets; half of the prompts lean towards closing."""
    lean = draw.choice((0.25, 0.6))
    symbols = []
    for _ in range(LENGTH - 1):
        pair = draw.choice((*BRACKETS, "xx"))
        symbols.append(pair[draw.random() < lean])
    return ["<bos>", *symbols], list(range(LENGTH - 4, LENGTH))


task = CompiledTask(
    name="compiled-brackets",
    version=2,
    summary="Balance and early closing of two kinds of brackets (resample)",
    chance={"cmd": 0.744},
    build=build,
    sample=sample,
    ablation="resample",
    n_layers=3,
    n_heads=5,
)
