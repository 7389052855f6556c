"""What `bench compare` and `bench gate` share: the flags of a comparison, its printing and its exit code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from .. import cli
from ..comparison.compare import FAILING, Verdict, Word, nothing_compared
from ..comparison.verdicts import FORMATS, render
from ..comparison.wanted import DEFAULT_MEASURES, DEFAULT_TOLERANCE, Wanted, parse_measures
from ..errors import UsageError
from .options import json_option

F = TypeVar("F", bound=Callable[..., Any])


def comparison_options(command: F) -> F:
    """`--measure`, `--tolerance`, `--allow-missing`, `--allow-incomparable`, `--format`, `--json` and `-v`."""
    options = [
        click.option("--measure", "measures", multiple=True, metavar="NAME[:TOLERANCE],...",
                     help="Compare these besides the headline: auc:0.01, cmd:0.02, passes:+20%. Repeatable.  "
                          f"[default: {DEFAULT_MEASURES}]"),
        click.option("--tolerance", default=DEFAULT_TOLERANCE, show_default=True, type=click.FloatRange(0),
                     help="Largest change for the worse of a measure that names no tolerance of its own."),
        click.option("--allow-missing", is_flag=True, help="Records that HEAD lacks do not fail."),
        click.option("--allow-incomparable", is_flag=True,
                     help="Numbers that mean different things (another scorer, task version, headline) do not fail."),
        click.option("--format", "form", type=click.Choice(FORMATS),
                     help=f"How to print. JSON and JUnit hold every row.  [default: {FORMATS[0]}]"),
        click.option("-v", "--verbose", is_flag=True, help="Print every row, not only what changed."),
        json_option,
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def wanted_measures(flags: dict[str, Any]) -> tuple[Wanted, ...]:
    """The measures that the flags ask for.

    Raises:
        UsageError: the flags contradict each other or a measure is malformed.
    """
    if flags["as_json"] and flags["form"] not in (None, "json"):
        raise UsageError(f"--json and --format {flags['form']} were given; valid: one of them.")
    return parse_measures(flags["measures"], tolerance=flags["tolerance"])


def conclude(verdicts: Sequence[Verdict], flags: dict[str, Any]) -> int:
    """Print the verdicts; the exit code."""
    allowed: set[Word] = set()
    if flags["allow_missing"]:
        allowed.add("missing")
    if flags["allow_incomparable"]:
        allowed.add("not comparable")
    failing = FAILING - allowed
    form = "json" if flags["as_json"] else flags["form"] or FORMATS[0]
    click.echo(render(verdicts, form=form, failing=failing, verbose=flags["verbose"]))
    if any(v.verdict in failing for v in verdicts):
        return cli.REGRESSION
    return cli.NOTHING if nothing_compared(verdicts) else cli.OK
