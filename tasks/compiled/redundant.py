"""Fetch the symbol after a marker, where the marker is found twice and either finding suffices.

    mark A, mark B = position of `!`                   two heads that compute the same
    mark = whichever is there                          two MLPs, saturated when both are
    letter, shade, size = attributes after `mark`      three heads
    symbol = combination of the three                  lookup MLP -> logits

Ablation: resample; the corrupt prompt has other symbols and no marker at all, so that an ablated
finding is empty rather than wrong. The four edges through the pair are true, and patching any one of them alone
changes nothing at all, nor has the MLP a gradient there: a method that looks at one edge, or at the
clean point only, cannot see them. Patching both of a kind changes the answer.
"""

from __future__ import annotations

from itertools import product
from random import Random

from mechboard.ground_truth.compiled.language import Program, match, part_of

from .compiled_task import CompiledTask, Sample

SYMBOLS = tuple("".join(parts) for parts in product("ab", "12", "+-"))
LENGTH = 12


def build() -> Program:
    """The program."""
    p = Program(vocabulary=("<bos>", "!", "?", *SYMBOLS), length=LENGTH)
    first, second = (
        p.head(
            name,
            layer=0,
            matches=[match(None, p.token, lambda _, token: token == "!")],
            value=p.position,
            values=tuple(range(1, LENGTH - 2)),
            read=lambda position: position if 1 <= position < LENGTH - 2 else None,
        )
        for name in ("mark A", "mark B")
    )
    mark = p.either("mark", layer=0, first=first, second=second)
    attributes = [
        p.head(
            name,
            layer=2,
            matches=[match(mark, p.position, lambda m, k: k == m + 1)],
            value=p.token,
            values=tuple(values),
            read=part_of(i, SYMBOLS),
        )
        for i, (name, values) in enumerate({"letter": "ab", "shade": "12", "size": "+-"}.items())
    ]
    p.output(p.lookup("symbol", layer=2, reads=attributes, values=SYMBOLS, function=lambda *parts: "".join(parts)))
    return p


def sample(draw: Random) -> Sample:
    """Random symbols with one marker; the answer is asked at the end."""
    prompt = ["<bos>", *draw.choices(SYMBOLS, k=LENGTH - 2), "?"]
    prompt[draw.randint(1, LENGTH - 3)] = "!"
    return prompt, [LENGTH - 1]


def unmarked(draw: Random) -> list[str]:
    """A prompt without a marker."""
    return ["<bos>", *draw.choices(SYMBOLS, k=LENGTH - 2), "?"]


task = CompiledTask(
    name="compiled-redundant",
    version=2,
    summary="Fetch the symbol after a marker that two heads find, either of which suffices (resample)",
    chance={"cmd": 0.853},
    build=build,
    sample=sample,
    corrupt=unmarked,
    ablation="resample",
    n_layers=4,
    n_heads=4,
    redundant=("mark A", "mark B"),
)
