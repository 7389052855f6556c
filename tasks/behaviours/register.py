"""Register: "The cake is grobby, you dunklet! I hope the rain" -> " will" (zark you), where friendly talk goes on " did" (not).

A remark in one register is followed by the beginning of another that both registers know. Metric: logit(how it goes on in the register of
the remark) - logit(how it goes on in the other). Corrupt: a remark of as many words in the other register; the beginning stays.

Source: this project's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from mechboard.metrics.answers import AnswerMetric, logit_difference

from .examples import Example


@dataclass(frozen=True)
class Register:
    """`remarks` are templates of each register, all of one number of words; `beginnings` how each register goes on behind them.

    Args:
        remarks: templates of the one register and of the other.
        beginnings: a template, the word that follows it in the one register and that in the other.
        fill: fills the slots of a template.
        allowed: whether a remark may be made.
    """

    remarks: tuple[tuple[str, ...], tuple[str, ...]]
    beginnings: tuple[tuple[str, str, str], ...]
    fill: Callable[[str, Random], str]
    allowed: Callable[[str], bool]
    metric: AnswerMetric = logit_difference

    def draw(self, draw: Random) -> Example:
        """One pair of prompts."""
        beginning, *following = draw.choice(self.beginnings)
        register, asked = draw.randrange(2), self.fill(beginning, draw)
        remarks = [self._remark(of_register, draw) for of_register in self.remarks]
        clean, corrupt = (f"{remarks[which]} {asked}" for which in (register, 1 - register))
        return Example(clean, corrupt, (f" {following[register]}",), (f" {following[1 - register]}",))

    def _remark(self, templates: tuple[str, ...], draw: Random) -> str:
        while True:
            remark = self.fill(draw.choice(templates), draw)
            if self.allowed(remark):
                return remark
