"""Reverse a sequence of varying length, one attribute at a time.

A prompt is `<bos> x1 .. xn <rev> _ .. _`; the i-th blank must hold x(n + 1 - i). A symbol has three
attributes (letter, shade, size), which three heads copy separately. Program:

    mark   = position of <rev>                         head
    source = 2 mark - position                         lookup MLP
    letter, shade, size = attributes at `source`       three heads
    symbol = combination of the three                  lookup MLP -> logits

Ablation: resample; the corrupt prompt is another prompt, usually of another length.
"""

from __future__ import annotations

from itertools import product
from random import Random

from mechboard.ground_truth.compiled.language import Program, match, part_of

from .compiled_task import CompiledTask, Sample

SYMBOLS = tuple("".join(parts) for parts in product("ab", "12", "+-"))
LONGEST = 5
LENGTH = 2 * LONGEST + 2


def build() -> Program:
    """The program."""
    p = Program(vocabulary=("<bos>", "<rev>", "_", *SYMBOLS), length=LENGTH)
    mark = p.head(
        "mark",
        layer=0,
        matches=[match(None, p.token, lambda _, token: token == "<rev>")],
        value=p.position,
        values=tuple(range(3, LONGEST + 2)),
        read=lambda position: position if 3 <= position <= LONGEST + 1 else None,
    )
    source = p.lookup(
        "source",
        layer=0,
        reads=[mark, p.position],
        values=tuple(range(1, LONGEST + 1)),
        function=lambda m, position: 2 * m - position if m < position < 2 * m else None,
    )
    attributes = [
        p.head(
            name,
            layer=1,
            matches=[match(source, p.position, lambda s, k: s == k)],
            value=p.token,
            values=values,
            read=part_of(i, SYMBOLS),
        )
        for i, (name, values) in enumerate({"letter": tuple("ab"), "shade": tuple("12"), "size": tuple("+-")}.items())
    ]
    symbol = p.lookup("symbol", layer=1, reads=attributes, values=SYMBOLS, function=lambda *parts: "".join(parts))
    p.output(symbol)
    return p


def sample(draw: Random) -> Sample:
    """A prompt and the blanks that the sequence fills."""
    n = draw.randint(2, LONGEST)
    prompt = ["<bos>", *draw.choices(SYMBOLS, k=n), "<rev>"]
    return prompt + ["_"] * (LENGTH - len(prompt)), list(range(n + 2, 2 * n + 2))


task = CompiledTask(
    name="compiled-reverse",
    version=2,
    summary="Reverse a sequence of varying length, three attributes in parallel (resample)",
    chance={"cmd": 0.792},
    build=build,
    sample=sample,
    ablation="resample",
    n_layers=3,
    n_heads=5,
)
