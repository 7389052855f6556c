"""`bench run`: select, plan, run, and say what came out."""

from __future__ import annotations

import json
import tomllib
from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import Any

import click

from mechboard import cli
from mechboard.cli.options import json_option, plugin_option, results_option
from mechboard.errors import PluginError, UsageError
from mechboard.registry import Registry
from mechboard.selection import parse_parameters, select


def _read_config(ctx: click.Context, parameter: click.Parameter, path: Path | None) -> None:
    """Values of a TOML file become defaults, so that a flag that is typed wins."""
    if path is None:
        return
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"--config {str(path)!r} cannot be read ({error}); valid: TOML with the names of flags."
        ) from error
    known = {p.opts[-1].removeprefix("--"): p.name for p in ctx.command.params if p.name != "config"}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise UsageError(f"--config {str(path)!r} sets {', '.join(unknown)}; valid keys: {', '.join(sorted(known))}.")
    ctx.default_map = {known[key]: value for key, value in values.items()}


@click.command("run")
@click.option("--config", type=click.Path(path_type=Path), callback=_read_config, is_eager=True, expose_value=False,
              help="TOML file with the same keys as these flags; a flag wins if typed.")  # fmt: skip
@click.option("--method", required=True, help="Names, globs, comma lists or `all`.")
@click.option("--task", help="Names, globs, suites, comma lists or `all`.")
@click.option("--param", "parameters", multiple=True, help="METHOD.NAME=VALUE, such as eap-ig.steps=10. Repeatable.")
@click.option("--seeds", default=1, type=click.IntRange(1), show_default=True, help="Seeds of methods that draw.")
@click.option("--data-seeds", default=1, type=click.IntRange(1), show_default=True, help="Instances of each task.")
@click.option("--model", type=click.Path(path_type=Path), help="A checkpoint folder of your own; needs --pairs.")
@click.option("--pairs", type=click.Path(path_type=Path), help="JSON lines of clean, corrupt, answer, wrong.")
@click.option("--wandb", default="off", type=click.Choice(["off", "offline", "online"]), show_default=True,
              help="Send every cell to Weights & Biases as well.")  # fmt: skip
@click.option("--progress", default="auto", type=click.Choice(["auto", "live", "plain", "quiet", "jsonl"]),
              show_default=True, help="What to show on standard error while it runs.")  # fmt: skip
@click.option("--device", default="cpu", show_default=True, help="A torch device.")
@click.option("--fresh", is_flag=True, help="Run even what is already there.")
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@results_option
@plugin_option
@json_option
def command(**flags: Any) -> int:
    """Run methods on tasks and leave one record per cell; run again to do only what is missing."""
    # torch takes seconds to import, which `--help` and a mistyped name need not wait for.
    registry = Registry(flags["plugins"])
    notices: list[str] = []
    method_names = select("method", flags["method"], registry.plugins("method"))
    own = flags["model"] is not None or flags["pairs"] is not None
    if own and (flags["model"] is None or flags["pairs"] is None or flags["task"] is not None):
        raise UsageError(
            "--model and --pairs make a task together and take the place of --task; give both and no --task."
        )
    if not own and flags["task"] is None:
        raise UsageError(
            "Neither --task nor --model with --pairs was given; `bench run --method eap --task all` runs all."
        )
    methods = _load(registry, "method", method_names, flags["method"], notices)
    if own:
        from mechboard.tasks.own import OwnTask

        tasks: list[Any] = [OwnTask(flags["model"], flags["pairs"])]
    else:
        aliases = {name: suite.tasks for name, suite in registry.suites().items()}
        names = select("task", flags["task"], registry.plugins("task"), aliases)
        tasks = _load(registry, "task", names, flags["task"], notices)
    return _run(methods, tasks, flags, notices)


def _load(registry: Registry, what: str, names: list[str], given: str, notices: list[str]) -> list[Any]:
    """Load plugins; one that is broken stops the run only if it was asked for by name."""
    loaded = []
    for name in names:
        try:
            loaded.append(registry.load(what, name))
        except PluginError as error:
            if name in given.split(","):
                raise
            notices.append(f"skipped (broken plugin): {error}")
    return loaded


def _run(methods: list[Any], tasks: list[Any], flags: dict[str, Any], notices: list[str]) -> int:
    from mechboard.cli.progress import make_progress
    from mechboard.manifest import write_manifest
    from mechboard.plan import make_plan
    from mechboard.runner import Observer, Runner
    from mechboard.store import Store, default_results
    from mechboard.track import WandbTracker

    passed = parse_parameters(flags["parameters"], {m.name: m for m in methods})
    plan = make_plan(methods, tasks, passed=passed, seeds=flags["seeds"], data_seeds=flags["data_seeds"])
    for unplanned in plan.unplanned:
        if unplanned.status == "skipped" or "all" not in (flags["task"], flags["method"]):
            notices.append(f"{unplanned.status}: {unplanned.label} x {unplanned.task} ({unplanned.reason})")
    for notice in notices:
        click.echo(f"note: {notice}", err=True)
    if flags["dry_run"]:
        _print_plan(plan, flags["as_json"])
    if not plan.cells:
        click.echo(
            "error: Nothing to run: no selected method answers a selected task; `bench list` shows both.", err=True
        )
        return cli.NOTHING
    if flags["dry_run"]:
        return cli.OK
    _check_device(flags["device"])
    store = Store(flags["results"] or default_results())
    store.check_writable()
    write_manifest(store, plan)
    outcomes = []
    with make_progress(flags["progress"]) as progress:
        observers: list[Observer] = [progress]
        if flags["wandb"] != "off":
            observers.append(WandbTracker(flags["wandb"], store, progress.noticed))
        runner = Runner(store, observers, device=flags["device"], fresh=flags["fresh"])
        for outcome in runner.run(plan):
            outcomes.append(outcome)
    failed = [o for o in outcomes if o.record.status != "done"]
    if flags["as_json"]:
        click.echo(json.dumps([_outcome_json(o, store) for o in outcomes], indent=1))
    else:
        _print_table(outcomes)
        _print_next_steps(store, failed)
    return cli.SOME_FAILED if failed else cli.OK


def _check_device(device: str) -> None:
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        available = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        raise UsageError(f"--device {device!r} is not usable here; valid: {', '.join(available)}.") from error


def _print_plan(plan: Any, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([p.cell.model_dump() for p in plan.cells], indent=1))
        return
    for planned in plan.cells:
        click.echo(planned.cell.name)
    click.echo(f"{len(plan.cells)} cells; nothing was run.")


def _outcome_json(outcome: Any, store: Any) -> dict[str, Any]:
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


def _print_table(outcomes: list[Any]) -> None:
    """Methods x tasks; the mean where a cell has several seeds."""
    from rich.console import Console
    from rich.table import Table

    cells: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for outcome in outcomes:
        cells[outcome.record.cell.task][outcome.record.cell.label].append(outcome.record)
    labels = sorted({label for row in cells.values() for label in row})
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


def _cell_text(records: list[Any]) -> str:
    if not records:
        return ""
    bad = [r.status for r in records if r.status != "done"]
    if bad:
        return f"{bad[0]} {len(bad)}/{len(records)}" if len(records) > 1 else str(bad[0])
    measures = [r.headline_measure for r in records]
    values = [m.value for m in measures if m is not None and m.value is not None]
    return f"{fmean(values):.3f}" if len(values) == len(records) else "no value"


def _print_next_steps(store: Any, failed: list[Any]) -> None:
    where = f" --results {store.root}"
    if failed:
        click.echo(
            f"\n{len(failed)} cells failed; `bench show {store.path(failed[0].record.cell)}` shows the first error."
        )
    click.echo(f"\nRecords: {store.root}\nLeaderboard: bench leaderboard serve{where}")
