"""`bench status`: what is done, failed or missing in a results folder."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import click

from .. import cli
from .options import json_option, results_option


@click.command("status")
@results_option
@json_option
def command(results: Path | None, as_json: bool) -> int:
    """Every cell that was planned or has a record, with its status."""
    from ..errors import RecordError
    from ..records.store import Store, default_results
    from ..runs.manifest import planned_cells

    store = Store(results or default_results())
    rows: dict[Path, tuple[str, str]] = {}
    for path, record in store.records():
        if isinstance(record, RecordError):
            rows[path] = (str(path.relative_to(store.root)), "unreadable")
        else:
            rows[path] = (record.cell.name, record.status)
    for cell in planned_cells(store):
        rows.setdefault(store.path(cell), (cell.name, "missing"))
    counts = Counter(status for _, status in rows.values())
    if as_json:
        cells = [{"cell": name, "status": status, "record": str(path)} for path, (name, status) in rows.items()]
        click.echo(json.dumps({"counts": counts, "cells": cells}, indent=1, allow_nan=False))
    else:
        for name, status in rows.values():
            if status != "done":
                click.echo(f"{status:<12} {name}")
        click.echo(f"{store.root}: " + (", ".join(f"{n} {status}" for status, n in counts.items()) or "no records"))
    if not rows:
        return cli.NOTHING
    return cli.OK if set(counts) == {"done"} else cli.SOME_FAILED
