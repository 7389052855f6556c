"""`bench compare BASE HEAD`: a verdict per cell and measure, and exit code 1 if HEAD is worse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..comparison.compare import Verdict, compare, unreadable
from ..comparison.wanted import check_names
from ..errors import RecordError
from ..records import Record
from ..records.store import Store, read_record
from .comparison import comparison_options, conclude, wanted_measures

_EXAMPLES = """\b
Examples:
  bench compare results/reference results/local
  bench compare old new --measure auc:0.01,cmd:0.02 --measure passes:+20%
"""


@click.command("compare", epilog=_EXAMPLES)
@click.argument("base", type=click.Path(path_type=Path))
@click.argument("head", type=click.Path(path_type=Path))
@comparison_options
def command(base: Path, head: Path, **flags: Any) -> int:
    """Is HEAD worse than BASE? Both are results folders, or both are record files.

    Each method is compared with itself on each task, over all of its seeds, in the same direction as BASE: a CMD that
    falls is better, an AUC that falls is worse. A change within the tolerance is the same; one that BASE's own seeds
    could have made is "inside the noise" (only for methods that draw, from five seeds on).

    Exits 0 if nothing is worse; 1 if a measure is worse, a cell newly fails, is missing in HEAD, or can no longer be
    compared; 2 if a flag is wrong; 4 if no cell could be compared.
    """
    wanted = wanted_measures(flags)
    (old, unread_old), (new, unread_new) = _records(base), _records(head)
    check_names(wanted, [*old, *new])
    return conclude([*unread_old, *unread_new, *compare(old, new, wanted)], flags)


def _records(path: Path) -> tuple[list[Record], list[Verdict]]:
    """The records of a folder or file, and a verdict on each that cannot be read."""
    if path.is_file():
        return [read_record(path)], []
    found: list[Record] = []
    unread: list[Verdict] = []
    for place, record in Store(path).records():
        if isinstance(record, RecordError):
            unread.append(unreadable(place, record))
        else:
            found.append(record)
    return found, unread
