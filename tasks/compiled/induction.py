"""Induction on two attributes: what followed the last occurrence of this symbol?

The first half of a prompt holds each of six symbols once, the second half the same in another order;
at every position of the second half the answer is what came after the symbol in the first. Program:

    previous letter, previous shade = attributes of the token before    two heads
    letter, shade = attributes of the token whose predecessor matches   two heads
    symbol = combination of the two                                     lookup MLP -> logits

Ablation: zero, under which position matters too: the edges by which heads find the token before
are true here and would not be under resample.
"""

from __future__ import annotations

from itertools import product
from random import Random

from mechboard.ground_truth.compiled.language import Match, Program, Values, Variable, match, part_of

from .compiled_task import CompiledTask, Sample

ATTRIBUTES: dict[str, Values] = {"letter": tuple("abc"), "shade": tuple("1234")}
SYMBOLS = tuple("".join(parts) for parts in product(*ATTRIBUTES.values()))  # type: ignore[arg-type]
HALF = 6


def build() -> Program:
    """The program."""
    p = Program(vocabulary=("<bos>", *SYMBOLS), length=1 + 2 * HALF)

    previous: list[Variable] = [
        p.head(
            f"previous {name}",
            layer=0,
            matches=[match(p.position, p.position, lambda q, k: k == q - 1)],
            value=p.token,
            values=values,
            read=part_of(i, SYMBOLS),
        )
        for i, (name, values) in enumerate(ATTRIBUTES.items())
    ]

    def same(i: int, before: Variable) -> Match:
        part = part_of(i, SYMBOLS)
        return match(p.token, before, lambda token, earlier: part(token) == earlier)

    matches = [same(i, before) for i, before in enumerate(previous)]
    copied = [
        p.head(name, layer=1, matches=matches, value=p.token, values=values, read=part_of(i, SYMBOLS))
        for i, (name, values) in enumerate(ATTRIBUTES.items())
    ]
    p.output(p.lookup("symbol", layer=1, reads=copied, values=SYMBOLS, function=lambda *parts: "".join(parts)))
    return p


def sample(draw: Random) -> Sample:
    """Six symbols in one order, then in another."""
    chosen = draw.sample(SYMBOLS, HALF)
    return ["<bos>", *chosen, *draw.sample(chosen, HALF)], list(range(HALF + 1, 2 * HALF + 1))


task = CompiledTask(
    name="compiled-induction",
    version=2,
    summary="Induction over two attributes with previous-token heads (zero)",
    chance={"cmd": 0.859},
    build=build,
    sample=sample,
    ablation="zero",
    n_layers=3,
    n_heads=6,
)
