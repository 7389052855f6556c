"""`bench show`: a method, a task, or a record with what it found."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import click

from ..assets import locate
from ..errors import UsageError, unknown
from ..plugins.registry import Registry
from .found import record_path, solution_beside
from .options import plugin_option, results_option

if TYPE_CHECKING:
    from ..contract.scores import Exhibit
    from ..contract.task import Task
    from ..records import Record


@click.command("show")
@click.argument("name")
@click.option(
    "--top",
    type=click.IntRange(1),
    help="How many of the strongest parts of a record to show [default: the stored ones].",
)
@click.option(
    "--export", help="Print a record's exhibits in this format: json, svg, dot for a circuit, links for features."
)
@results_option
@plugin_option
def command(name: str, top: int | None, export: str | None, results: Path | None, plugins: tuple[Path, ...]) -> None:
    """A method, a task, or a record (a path, or METHOD/TASK@vN/data-M/seed-N in the results folder)."""
    path = record_path(name, results)
    if path is not None:
        from ..records.store import read_record

        _show_record(read_record(path), path, top, export)
        return
    if export or top:
        raise UsageError(f"--top and --export show records and {name!r} is none; give the path of a record (.json).")
    registry = Registry(plugins)
    for what in ("method", "task", "suite"):
        if name in registry.plugins(what):
            _show_plugin(what, registry.load(what, name))
            return
    raise unknown("method, task, suite or record", name, [n for w in ("method", "task") for n in registry.plugins(w)])


def _show_plugin(what: str, plugin: Any) -> None:
    click.echo(f"{what} {plugin.name}")
    if what == "method":
        click.echo(
            f"kinds: {', '.join(sorted(plugin.kinds))}; deterministic: {'yes' if plugin.deterministic else 'no'}"
        )
        for field in fields(plugin.parameters):
            click.echo(f"parameter {field.name} = {field.default!r} ({field.type})")
        click.echo("\n" + (inspect.getdoc(inspect.getmodule(plugin.function)) or plugin.summary))
    elif what == "task":
        _show_task(plugin)
    else:
        click.echo(f"version {plugin.version}; {plugin.summary}\n\n" + "\n".join(plugin.tasks))
        if plugin.apart:
            click.echo("\nshown apart, outside the overall score:\n" + "\n".join(plugin.apart))


def _show_task(task: Task) -> None:
    level = "" if task.level is None else f", level {task.level}"
    family = f"; family: {task.family}{level}" if level or task.family != task.name else ""
    oracles = f"; made its truth, so a reference here: {', '.join(task.oracles)}" if task.oracles else ""
    click.echo(f"version {task.version}; kind: {task.kind}; tier: {task.tier}{family}{oracles}")
    for asset in task.assets:
        click.echo(f"asset: {asset.name}, {'here' if locate(asset) else f'not here: bench pull {asset.name}'}")
    if task.twin:
        click.echo(f"twin: {task.twin}, which asks the same of another model")
    click.echo(f"\n{task.description}")
    if task.quoted:
        click.echo("\nPublished numbers, quoted and never ranked:")
    for quoted in task.quoted:
        click.echo(f"    {quoted.method:<20} {quoted.value:.3f}  {quoted.measure}")
        for line in (quoted.convention, quoted.source):
            click.echo(fill(line, 116, initial_indent=" " * 8, subsequent_indent=" " * 10))


def _show_record(record: Record, path: Path, top: int | None, form: str | None) -> None:
    exhibits = dict(record.exhibits)
    if top is not None:
        first = next((name for name, e in exhibits.items() if e.has_strongest), next(iter(exhibits), None))
        exhibits = (
            {} if first is None else {first: exhibits[first].strongest(solution_beside(record, path, "--top"), top)}
        )
    if form is None:
        _print_record(record, exhibits)
        return
    if not exhibits:
        raise UsageError(f"{str(path)!r} has nothing to export: its cell is {record.status}; name one that is done.")
    if form == "json":
        document = {"cell": record.cell.model_dump()}
        for exhibit in exhibits.values():
            document |= exhibit.document()
        click.echo(json.dumps(document, indent=1, allow_nan=False))
    else:
        # One picture is one file: that of the first exhibit with such a format.
        every = list(exhibits.values())
        click.echo(next((e for e in every if form in e.exports), every[0]).export(form, record.cell.name))


def _print_record(record: Record, exhibits: Mapping[str, Exhibit]) -> None:
    made = record.provenance
    click.echo(f"{record.cell.name}: {record.status}")
    for name, measure in record.measures.items():
        value = "none" if measure.value is None else f"{measure.value:.4f}"
        mark = "*" if name == record.headline else " "
        click.echo(f" {mark} {name:<44} {value:>10}  {measure.of}  {measure.note}".rstrip())
    for note in record.notes:
        click.echo(f"note: {note}")
    if record.cost:
        cost = record.cost
        passes = f"{_number(cost.forwards)} forwards, {_number(cost.backwards)} backwards"
        click.echo(f"cost: {passes} of {cost.prompts} prompts, {cost.wall_seconds:.2f} s")
    click.echo(f"made: {made.started} by mechboard {made.mechboard}, `{made.command}`")
    if record.error:
        click.echo(record.error.traceback or record.error.message)
    for exhibit in exhibits.values():
        for line in exhibit.lines():
            click.echo(f"  {line}")


def _number(passes: float | None) -> str:
    return "unknown" if passes is None else f"{passes:.1f}"
