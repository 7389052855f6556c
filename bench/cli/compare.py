"""`bench compare BASE HEAD`: a verdict per cell, and exit code 1 on a regression."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mechboard import cli
from mechboard.cli.options import json_option

if TYPE_CHECKING:
    from mechboard.records import Record


@click.command("compare")
@click.argument("base", type=click.Path(path_type=Path))
@click.argument("head", type=click.Path(path_type=Path))
@click.option("--tolerance", default=1e-6, show_default=True, type=click.FloatRange(0),
              help="Largest drop of a headline that counts as the same.")  # fmt: skip
@json_option
def command(base: Path, head: Path, tolerance: float, as_json: bool) -> int:
    """Compare the records of two results folders (or two record files), cell by cell.

    Exits 1 if a headline drops by more than the tolerance or a cell newly fails, 4 if no cell can be compared.
    """
    from mechboard.compare import FAILING_VERDICTS, compare

    verdicts = compare(_records(base), _records(head), tolerance=tolerance)
    counts = Counter(v.verdict for v in verdicts)
    if as_json:
        click.echo(json.dumps({"counts": counts, "cells": [asdict(v) for v in verdicts]}, indent=1))
    else:
        for v in verdicts:
            numbers = "" if v.change is None else f"  {v.headline} {v.base:.4f} -> {v.head:.4f} ({v.change:+.4f})"
            click.echo(f"{v.verdict:<14} {v.label} x {v.task} data-{v.data_seed} seed-{v.seed}{numbers}")
        click.echo(", ".join(f"{n} {verdict}" for verdict, n in counts.items()) or "no records")
    if FAILING_VERDICTS & set(counts):
        return cli.REGRESSION
    return cli.OK if {"better", "same", "mended"} & set(counts) else cli.NOTHING


def _records(path: Path) -> list[Record]:
    from mechboard.errors import RecordError
    from mechboard.store import Store, read_record

    if path.is_file():
        return [read_record(path)]
    found: list[Record] = []
    for _, record in Store(path).records():
        if isinstance(record, RecordError):
            click.echo(f"note: {record}", err=True)
        else:
            found.append(record)
    return found
