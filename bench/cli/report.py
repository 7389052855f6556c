"""What `bench run` prints when it has ended: a plan, a table, JSON, and what to do next."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from mechboard.plan import Plan
    from mechboard.records import Record
    from mechboard.runner import Outcome
    from mechboard.store import Store


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


def print_table(outcomes: Sequence[Outcome]) -> None:
    """Methods x tasks; the mean where a cell has several seeds. A method that declines every task has no column."""
    from rich.console import Console
    from rich.table import Table

    cells: dict[str, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for outcome in outcomes:
        cells[outcome.record.cell.task][outcome.record.cell.label].append(outcome.record)
    labels = sorted({o.record.cell.label for o in outcomes if o.record.status != "unsupported"})
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("task")
    table.add_column("headline")
    for label in labels:
        table.add_column(label, justify="right")
    for task, row in cells.items():
        headline = next((r.headline for records in row.values() for r in records if r.headline), None)
        table.add_row(task, (headline or "").partition("[")[0], *(_cell_text(row.get(label, [])) for label in labels))
    console = Console()
    if not console.is_terminal:  # a file or pipe has no width to keep to
        console.width = 240
    console.print(table)


def _cell_text(records: list[Record]) -> str:
    if not records:
        return ""
    bad = [r.status for r in records if r.status != "done"]
    if bad:
        return f"{bad[0]} {len(bad)}/{len(records)}" if len(records) > 1 else str(bad[0])
    measures = [r.headline_measure for r in records]
    values = [m.value for m in measures if m is not None and m.value is not None]
    return f"{fmean(values):.3f}" if len(values) == len(records) else "no value"


def print_next_steps(store: Store, failed: Sequence[Outcome]) -> None:
    """Where the records are, and what to do with them."""
    where = f" --results {store.root}"
    if failed:
        click.echo(
            f"\n{len(failed)} cells failed; `bench show {store.path(failed[0].record.cell)}` shows the first error."
        )
    click.echo(f"\nRecords: {store.root}\nLeaderboard: bench leaderboard serve{where}")
