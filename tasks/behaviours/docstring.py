'''Docstring: the argument that comes next.

    def read(self, load, size, file, last, port, shape):
        """crime unit dark

        :param file: oil piece
        :param last: land paper
        :param                      -> " port"

Metric: logit(next argument) - the largest logit of any other argument, of this signature or of the corrupt one.
Corrupt ("random random"): the arguments that are documented, and the next, are replaced in the signature, and again,
independently, in the docstring, so that neither the names nor their order say anything; the rest stays.

Source: Heimersheim and Janiak 2023; layout as in Conmy et al. 2023 (two arguments before the three that match, one
after, three words on the function, two on each argument).
'''

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from mechboard.metrics.answers import AnswerMetric, logit_margin

from .examples import Example

_BEFORE, _MATCHING, _AFTER = 2, 3, 1
_WORDS_ON_FUNCTION, _WORDS_ON_ARGUMENT = 3, 2
_START = 'def {function}({arguments}):\n    """{about}\n'
_ON_ARGUMENT = "\n    :param {argument}: {description}"
_ASKED = " {argument}"


def _any(last: str, following: str) -> bool:
    return True


@dataclass(frozen=True)
class Docstring:
    """`allowed` says whether an argument may be asked for after another one.

    The layout is `start` with the slots function, arguments and about, then for each documented argument `on_argument`
    with the slots argument and description.
    """

    functions: tuple[str, ...]
    arguments: tuple[str, ...]
    describing: tuple[str, ...]
    allowed: Callable[[str, str], bool] = _any
    start: str = _START
    on_argument: str = _ON_ARGUMENT
    metric: AnswerMetric = logit_margin

    def draw(self, draw: Random) -> Example:
        """One pair of prompts."""
        while True:
            names = draw.sample(self.arguments, _BEFORE + _MATCHING + _AFTER + 2 * _MATCHING - 1)
            given, others = names[: _BEFORE + _MATCHING + _AFTER], names[_BEFORE + _MATCHING + _AFTER :]
            matching = given[_BEFORE : _BEFORE + _MATCHING]
            if self.allowed(*matching[-2:]):
                break
        in_signature, in_docstring = others[:_MATCHING], others[_MATCHING:]
        function, about = draw.choice(self.functions), draw.sample(self.describing, _WORDS_ON_FUNCTION)
        on_arguments = [draw.sample(self.describing, _WORDS_ON_ARGUMENT) for _ in matching[:-1]]

        def text(signature: list[str], documented: list[str]) -> str:
            named = ", ".join(["self", *signature])
            parts = [self.start.format(function=function, arguments=named, about=" ".join(about))]
            for name, words in zip(documented, on_arguments, strict=True):
                parts.append(self.on_argument.format(argument=name, description=" ".join(words)))
            return "".join([*parts, self.on_argument.partition(_ASKED)[0]])

        replaced = [*given[:_BEFORE], *in_signature, *given[_BEFORE + _MATCHING :]]
        wrong = [name for name in (*given, *in_signature) if name != matching[-1]]
        return Example(
            text(given, matching[:-1]),
            text(replaced, in_docstring),
            (f" {matching[-1]}",),
            tuple(f" {name}" for name in wrong),
        )
