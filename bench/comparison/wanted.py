"""Which measures a comparison looks at, and how far each may move for the worse: `auc:0.01,passes:+20%`.

A measure is named as in a record (`auc[ioi:acdc-963]`, `cmd`) or by one of these:

headline    the measure that the record names as its headline
passes      forwards plus backwards per prompt; lower is better
auc         any name without brackets that the record lacks: it stands for the one of the truth that the headline
            is about, or of the first truth if the headline is about none

The default list is the shortest on which a wrong method cannot hide. Most headlines (AUC) and CMD rank edges by
|score|, so a flipped sign moves neither; CPR ranks signed scores and correlation reads them as they are, which also
shows small shifts that change no rank. Clipped CPR, since raw CPR is unbounded and a tolerance must mean the same
everywhere. Passes, since an answer that costs a hundred times more is worse. The default tolerance lies between what
rounding does (ten refactors of EAP moved no default measure of any embedded task by more than 3e-7) and the mildest
mistake of `tests/test_gate_catches.py` (batches that weigh too much: CMD up by 5e-4 and 3e-3 on its two tasks).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..contract.scores import Measure
from ..errors import UsageError, unknown
from ..records import Record

HEADLINE, PASSES = "headline", "passes"
DEFAULT_MEASURES = "headline,cmd,cpr-clipped,correlation,passes:+20%"
DEFAULT_TOLERANCE = 1e-4

# Truths have names of their own with colons and percent signs, so only what follows the bracket is a tolerance.
_WANTED = re.compile(r"(?P<name>[^\[\]:,\s]+(?:\[[^\]]*\])?)(?::\+?(?P<amount>[0-9.]+(?:e-?[0-9]+)?)(?P<percent>%?))?")
_COMMA_OUTSIDE_BRACKETS = re.compile(r",(?![^\[]*\])")


@dataclass(frozen=True)
class Tolerance:
    """How far a measure may move for the worse: absolute, or a share of BASE's value."""

    amount: float
    relative: bool = False

    def around(self, base: float) -> float:
        """The tolerance in the measure's own unit."""
        return self.amount * abs(base) if self.relative else self.amount


@dataclass(frozen=True)
class Wanted:
    """A measure to compare. `typed` tells what a user asked for from what is compared by default."""

    name: str
    tolerance: Tolerance
    typed: bool


def parse_measures(given: Sequence[str], *, tolerance: float = DEFAULT_TOLERANCE) -> tuple[Wanted, ...]:
    """The measures of `--measure`, in place of the default ones; the headline is always among them.

    >>> [(w.name, w.tolerance.amount, w.tolerance.relative) for w in parse_measures(["cmd:0.02,passes:+20%"])]
    [('headline', 0.0001, False), ('cmd', 0.02, False), ('passes', 0.2, True)]

    Args:
        given: comma lists of NAME, NAME:0.01 or NAME:+20%.
        tolerance: of measures that are given without one.

    Raises:
        UsageError: a part is none of these.
    """
    texts, typed = (given, True) if given else ([DEFAULT_MEASURES], False)
    default = Tolerance(tolerance)
    wanted = {HEADLINE: Wanted(HEADLINE, default, False)}
    for part in (part.strip() for text in texts for part in _COMMA_OUTSIDE_BRACKETS.split(text)):
        matched = _WANTED.fullmatch(part)
        try:
            amount = float(matched["amount"]) if matched and matched["amount"] else None
        except ValueError:
            matched, amount = None, None
        if matched is None:
            raise UsageError(
                f"--measure {part!r} was given; valid: NAME, NAME:0.01 (absolute) or NAME:+20% (of BASE's value), "
                "how far it may move for the worse, so never negative."
            )
        own = default if amount is None else Tolerance(amount / 100, True) if matched["percent"] else Tolerance(amount)
        wanted[matched["name"]] = Wanted(matched["name"], own, typed)
    return tuple(wanted.values())


def full_name(record: Record, name: str) -> str | None:
    """The record's own name of a measure, None if it has no such measure."""
    if name == HEADLINE:
        return record.headline
    if name == PASSES or name in record.measures:
        return name
    truths = [*re.findall(r"\[(.*)\]$", record.headline or ""), *(truth.name for truth in record.task.truths)]
    named = f"{name}[{truths[0]}]" if truths else name
    return named if named in record.measures else None


def measure_of(record: Record, name: str) -> Measure | None:
    """A measure by its full name; passes are read from the cost."""
    if name != PASSES:
        return record.measures.get(name)
    if record.cost is None:
        return None
    forwards, backwards = record.cost.forwards, record.cost.backwards
    known = None if forwards is None or backwards is None else forwards + backwards
    return Measure(value=known, direction="lower")


def check_names(wanted: Iterable[Wanted], records: Sequence[Record]) -> None:
    """See that every measure that was typed is in some record, so that a slip of the pen is no green gate.

    Raises:
        SelectionError: one is in none; the closest and all valid names are listed.
    """
    found = {name for record in records for name in record.measures}
    if not found:
        return
    short = {HEADLINE, PASSES, *(name.partition("[")[0] for name in found)}
    for want in wanted:
        if want.typed and want.name not in found | short:
            raise unknown("measure of these records", want.name, found | short if "[" in want.name else short)
