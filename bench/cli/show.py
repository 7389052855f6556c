"""`bench show`: a method, a task, or a record with the circuit it found."""

from __future__ import annotations

import inspect
import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mechboard.cli.options import plugin_option, results_option
from mechboard.errors import RecordError, UsageError, unknown
from mechboard.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

    from mechboard.records import EdgeRecord, Record


@click.command("show")
@click.argument("name")
@click.option("--top", type=click.IntRange(1), help="How many edges of a record to show [default: the stored circuit].")
@click.option("--export", type=click.Choice(["json", "dot", "svg"]), help="Print a record's circuit in this format.")
@results_option
@plugin_option
def command(name: str, top: int | None, export: str | None, results: Path | None, plugins: tuple[Path, ...]) -> None:
    """A method, a task, or a record (a path, or METHOD/TASK@vN/data-M/seed-N in the results folder)."""
    path = _record_path(name, results)
    if path is not None:
        from mechboard.store import read_record

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


def _record_path(name: str, results: Path | None) -> Path | None:
    from mechboard.store import default_results

    for path in (Path(name), (results or default_results()) / f"{name}.json", (results or default_results()) / name):
        if path.is_file():
            return path
    if name.endswith(".json"):
        raise UsageError(f"There is no record {name!r}; `bench status` lists records.")
    return None


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
        oracles = f"; made its truth, so a reference here: {', '.join(plugin.oracles)}" if plugin.oracles else ""
        click.echo(
            f"version {plugin.version}; kind: {plugin.kind}; tier: {plugin.tier}{oracles}\n\n{plugin.description}"
        )
    else:
        click.echo(f"version {plugin.version}; {plugin.summary}\n\n" + "\n".join(plugin.tasks))


def _show_record(record: Record, path: Path, top: int | None, export: str | None) -> None:
    edges = record.circuit if top is None else _strongest(record, path, top)
    if export == "json":
        circuit = [{"edge": e.name, "score": e.score, "found": e.found, "known": e.known} for e in edges]
        click.echo(json.dumps({"cell": record.cell.model_dump(), "edges": circuit}, indent=1, allow_nan=False))
    elif export == "dot":
        click.echo(_dot(edges))
    elif export == "svg":
        from mechboard.leaderboard.picture import circuit_svg

        click.echo(circuit_svg(edges, record.task.graph, title=record.cell.name, standalone=True))
    else:
        _print_record(record, edges)


def _strongest(record: Record, path: Path, top: int) -> tuple[EdgeRecord, ...]:
    """The `top` strongest edges, from the scores beside the record."""
    from mechboard.graph import Graph
    from mechboard.metrics.ranking import ranking
    from mechboard.records import EdgeRecord

    beside, graph = path.with_suffix(".safetensors"), record.task.graph
    if graph is None or not beside.is_file():
        raise UsageError(
            f"{str(path)!r} has no scores beside it; --top needs the .safetensors file of a finished cell."
        )
    names = Graph(**graph.model_dump(exclude={"n_edges"})).edges
    scores = _scores(beside, len(names))
    known = {e.name: e.known for e in record.circuit}
    # Stored circuits hold every known edge, so an edge that is not in one is not known, if any is.
    default = False if record.task.truths else None
    order = ranking(scores, signed=False).tolist()[:top]
    return tuple(
        EdgeRecord(
            name=names[i],
            score=None if bool(scores[i].isnan()) else float(scores[i]),
            found=True,
            known=known.get(names[i], default),
        )
        for i in order
    )


def _scores(path: Path, n_edges: int) -> Tensor:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        scores: Tensor | None = load_file(path).get("scores")
    except (OSError, SafetensorError) as error:
        raise RecordError(f"{str(path)!r} cannot be read ({error}); run the cell again with --fresh.") from error
    if scores is None or tuple(scores.shape) != (n_edges,) or bool(scores.isinf().any()):
        raise RecordError(f"{str(path)!r} does not hold {n_edges} finite scores; run the cell again with --fresh.")
    return scores


def _print_record(record: Record, edges: tuple[EdgeRecord, ...]) -> None:
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
        click.echo(f"{record.error.traceback}", file=sys.stdout)
    for edge in edges:
        verdict = {None: "", True: "hit" if edge.found else "missed", False: "false"}[edge.known]
        score = "no opinion" if edge.score is None else f"{edge.score:+.4g}"
        click.echo(f"  {score:>11}  {edge.name:<24} {verdict}".rstrip())


def _number(passes: float | None) -> str:
    return "unknown" if passes is None else f"{passes:.1f}"


def _dot(edges: tuple[EdgeRecord, ...]) -> str:
    lines = ["digraph circuit {", "  rankdir=BT;"]
    for edge in edges:
        source, _, destination = edge.name.partition("->")
        node, _, part = destination.partition("<")
        colour = {None: "black", True: "darkgreen" if edge.found else "orange", False: "crimson"}[edge.known]
        label = part.rstrip(">")
        lines.append(f'  "{source}" -> "{node}" [label="{label}", color={colour}];')
    return "\n".join([*lines, "}"])
