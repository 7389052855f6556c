"""`bench run`: select, plan, run, and say what came out."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mechboard import cli
from mechboard.cli.options import DURATION, SIZE, json_option, open_registry, plugin_option, results_option
from mechboard.errors import PluginError, UsageError
from mechboard.reference import Reference
from mechboard.registry import Registry
from mechboard.selection import parse_parameters, select

if TYPE_CHECKING:
    from mechboard.contract.method import Method
    from mechboard.contract.task import Task
    from mechboard.plan import Plan
    from mechboard.runner import Executor, Observer, Outcome
    from mechboard.store import Store

Find = Callable[[str, str], Reference]


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
@click.option("--jobs", default=1, type=click.IntRange(1), show_default=True,
              help="Cells at a time; with more than one, each uses one thread.")  # fmt: skip
@click.option("--timeout", type=DURATION, help="Kill a method that runs longer: 90, 90s, 15m, 2h [default: no limit].")
@click.option("--memory", type=SIZE, help="Kill a method whose process holds more, torch included: 800MB, 4GB.")
@click.option("--inline", is_flag=True, help="Run methods in this process, for debuggers; nothing is isolated then.")
@click.option("--fresh", is_flag=True, help="Run even what is already there.")
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@results_option
@plugin_option
@json_option
def command(**flags: Any) -> int:
    """Run methods on tasks and leave one record per cell; run again to do only what is missing.

    Each method runs in a process of its own: what it breaks, prints or leaves behind stays there.
    """
    # torch takes seconds to import, which `--help` and a mistyped name need not wait for.
    registry = open_registry(flags["plugins"], inline=flags["inline"])
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
        tasks, find = _own_task(registry, flags["model"].resolve(), flags["pairs"].resolve())
    else:
        aliases = {name: (*suite.tasks, *suite.apart) for name, suite in registry.suites().items()}
        names = select("task", flags["task"], registry.plugins("task"), aliases)
        tasks, find = _load(registry, "task", names, flags["task"], notices), registry.reference
    return _run(methods, tasks, find, flags, notices)


def _own_task(registry: Registry, model: Path, pairs: Path) -> tuple[list[Any], Find]:
    """A task of one's own checkpoint and prompts, and where another process finds it: nobody registers it."""
    where = Reference("mechboard.tasks.own:own_task", (str(model), str(pairs)))
    return [where.load()], lambda what, name: where if what == "task" else registry.reference(what, name)


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


def _run(methods: list[Method], tasks: list[Task], find: Find, flags: dict[str, Any], notices: list[str]) -> int:
    from mechboard.cli import report
    from mechboard.manifest import write_manifest
    from mechboard.plan import make_plan
    from mechboard.store import Store, default_results

    passed = parse_parameters(flags["parameters"], {m.name: m for m in methods})
    plan = make_plan(methods, tasks, passed=passed, seeds=flags["seeds"], data_seeds=flags["data_seeds"])
    for unplanned in plan.unplanned:
        if unplanned.status == "skipped" or "all" not in (flags["task"], flags["method"]):
            notices.append(f"{unplanned.status}: {unplanned.label} x {unplanned.task} ({unplanned.reason})")
    for notice in notices:
        click.echo(f"note: {notice}", err=True)
    if flags["dry_run"]:
        report.print_plan(plan, as_json=flags["as_json"])
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
    outcomes = _outcomes(plan, store, find, flags)
    failed = [o for o in outcomes if o.failed]
    if flags["as_json"]:
        click.echo(json.dumps([report.as_json(o, store) for o in outcomes], indent=1, allow_nan=False))
    else:
        report.print_table(outcomes)
        report.print_next_steps(store, failed)
    return cli.SOME_FAILED if failed else cli.OK


def _outcomes(plan: Plan, store: Store, find: Find, flags: dict[str, Any]) -> list[Outcome]:
    """Run the plan; outcomes in its order."""
    import torch

    from mechboard.cli.progress import make_progress
    from mechboard.runner import Runner
    from mechboard.wandb_tracker import WandbTracker

    threads = 1 if flags["jobs"] > 1 else torch.get_num_threads()
    with make_progress(flags["progress"], plan, jobs=flags["jobs"]) as progress:
        observers: list[Observer] = [progress]
        if flags["wandb"] != "off":
            observers.append(WandbTracker(flags["wandb"], store, progress.noticed))
        executor = _executor(find, flags, threads, progress)
        runner = Runner(store, observers, executor, device=flags["device"], threads=threads, fresh=flags["fresh"])
        if runner.pending(plan):
            _prepare(plan, inline=flags["inline"])
        outcomes = {o.record.cell.name: o for o in runner.run(plan)}
    return [outcomes[planned.cell.name] for planned in plan.cells]


def _executor(find: Find, flags: dict[str, Any], threads: int, progress: Observer) -> Executor:
    if flags["inline"]:
        from mechboard.workers.inline import Inline

        given = [name for name in ("jobs", "timeout", "memory") if flags[name] not in (None, 1)]
        if given:
            raise UsageError(f"--inline was given with --{given[0]}, which takes a process per cell; drop one of them.")
        return Inline(device=flags["device"])
    if not hasattr(os, "fork"):
        raise UsageError("This system cannot fork, so methods cannot have processes of their own; give --inline.")
    from mechboard.workers.pool import Pool
    from mechboard.workers.sandbox import Limits

    limits = Limits(timeout=flags["timeout"], memory=flags["memory"])
    return Pool(find, device=flags["device"], jobs=flags["jobs"], limits=limits, threads=threads)


def _prepare(plan: Plan, *, inline: bool) -> None:
    """What can be done while the first problems are being planned, and what should stop the run before it begins."""
    if not inline:
        from mechboard.workers.server import warm_up

        warm_up()
    for task in {planned.task.name: planned.task for planned in plan.cells}.values():
        if not task.ranked:  # one's own prompts, in which one's own mistakes are likely
            task.load(0, "cpu")


def _check_device(device: str) -> None:
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        available = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        raise UsageError(f"--device {device!r} is not usable here; valid: {', '.join(available)}.") from error
