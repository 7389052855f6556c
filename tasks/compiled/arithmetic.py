"""Add three labelled digits: (A + B) mod 5, then plus C, wherever in the prompt they stand.

    role = label of the token before               head
    a, b, c = digit whose role is A, B, C          three heads
    sum = a + b mod 5                              lookup MLP
    total = sum + c mod 5                          lookup MLP, one layer up -> logits

Ablation: mean-global, one mean per node over prompts and positions, under which the edges that
carry only position are true too.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from random import Random

from mechboard.ground_truth.compiled.language import Program, Values, match

from .compiled_task import CompiledTask, Sample

DIGITS: Values = tuple("01234")
ROLES: Values = tuple("ABC")
LENGTH = 12


def _is(name: Hashable) -> Callable[[object, Hashable], bool]:
    return lambda _, role: role == name


def build() -> Program:
    """The program."""
    p = Program(vocabulary=("<bos>", *ROLES, *DIGITS, ".", "="), length=LENGTH)
    role = p.head(
        "role",
        layer=0,
        matches=[match(p.position, p.position, lambda q, k: k == q - 1)],
        value=p.token,
        values=ROLES,
        read=lambda token: token if token in ROLES else None,
    )
    a, b, c = (
        p.head(
            f"digit {name}",
            layer=1,
            matches=[match(None, role, _is(name))],
            value=p.token,
            values=DIGITS,
            read=lambda token: token if token in DIGITS else None,
        )
        for name in ROLES
    )

    def add(first: str, second: str) -> str:
        return str((int(first) + int(second)) % 5)

    total = p.lookup("sum", layer=1, reads=[a, b], values=DIGITS, function=add)
    p.output(p.lookup("total", layer=2, reads=[total, c], values=DIGITS, function=add))
    return p


def sample(draw: Random) -> Sample:
    """Three labelled digits in random order, with filler between them."""
    parts = [[str(role), str(draw.choice(DIGITS))] for role in draw.sample(ROLES, 3)] + [["."]] * (LENGTH - 8)
    draw.shuffle(parts)
    return ["<bos>", *(symbol for part in parts for symbol in part), "="], [LENGTH - 1]


task = CompiledTask(
    name="compiled-arithmetic",
    version=2,
    summary="Sum of three labelled digits through two lookup MLPs (mean-global)",
    chance={"cmd": 0.854},
    build=build,
    sample=sample,
    ablation="mean-global",
    n_layers=4,
    n_heads=5,
)
