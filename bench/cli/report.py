"""What `bench run` prints when it has ended: a plan, a table, JSON, and what to do next."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from ..runs.headlines import grid

if TYPE_CHECKING:
    from ..records import Record
    from ..records.store import Store
    from ..runs.plan import Plan
    from ..runs.runner import Outcome


def print_plan(plan: Plan, *, as_json: bool) -> None:
    """The cells of a plan."""
    if as_json:
        click.echo(json.dumps([p.cell.model_dump() for p in plan.cells], indent=1, allow_nan=False))
        return
    for planned in plan.cells:
        click.echo(planned.cell.name)
    click.echo(f"{len(plan.cells)} cells; nothing was run.")


def as_json(outcome: Outcome, store: Store) -> dict[str, Any]:
    """One cell, for programs."""
    record = outcome.record
    measure = record.headline_measure
    return {
        **record.cell.model_dump(),
        "status": outcome.status,
        "headline": record.headline,
        "value": measure.value if measure else None,
        "error": record.error.message if record.error else None,
        "record": str(store.path(record.cell)),
    }


def print_table(records: Sequence[Record]) -> None:
    """Methods x tasks; the mean where a cell has several seeds. A method that declines every task has no column."""
    from rich.console import Console
    from rich.table import Table

    shown = grid(records)
    answering = {r.cell.label for r in records if r.status != "unsupported"}
    columns = [index for index, label in enumerate(shown.labels) if label in answering]
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("task")
    table.add_column("headline")
    for index in columns:
        table.add_column(shown.labels[index], justify="right")
    for row in shown.rows:
        table.add_row(row.task, row.headline, *(row.entries[index].text for index in columns))
    console = Console()
    if not console.is_terminal:  # a file or pipe has no width to keep to
        console.width = 240
    console.print(table)


def print_next_steps(store: Store, failed: Sequence[Outcome]) -> None:
    """Where the records are, and what to do with them."""
    where = f" --results {store.root}"
    if failed:
        click.echo(
            f"\n{len(failed)} cells failed; `bench show {store.path(failed[0].record.cell)}` shows the first error."
        )
    click.echo(f"\nRecords: {store.root}\nLeaderboard: bench leaderboard serve{where}")
