"""`bench run`: flags and a config file in front of a session, and what is printed when it has ended."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import cli
from ..errors import UsageError
from ..reference import Reference
from ..runs.labels import Selected, with_parameters
from ..runs.selection import parse_parameters
from ..runs.session import Find, Session, Settings, in_order, pick, pick_methods
from .options import (
    DURATION,
    SIZE,
    json_option,
    model_option,
    open_registry,
    own_tasks,
    plugin_option,
    results_option,
    samples_options,
)

if TYPE_CHECKING:
    from ..records.store import Store
    from ..runs.plan import Plan
    from ..runs.runner import Observer, Outcome
    from ..runs.wandb_tracker import Mode as WandbMode
    from .progress import Mode


@dataclass(frozen=True, kw_only=True)
class Flags:
    """What was typed, or stood in the config file."""

    method: str
    task: str | None
    parameters: tuple[str, ...]
    seeds: int
    data_seeds: int
    model: Path | None
    pairs: Path | None
    dictionaries: Path | None
    bad: Path | None
    keep: Path | None
    wandb: WandbMode
    progress: Mode
    device: str
    jobs: int
    timeout: float | None
    memory: float | None
    inline: bool
    fresh: bool
    dry_run: bool
    results: Path | None
    plugins: tuple[Path, ...]
    as_json: bool

    @property
    def settings(self) -> Settings:
        """What of it says how cells are run."""
        return Settings(
            device=self.device,
            jobs=self.jobs,
            timeout=self.timeout,
            memory=self.memory,
            fresh=self.fresh,
            inline=self.inline,
            typed=True,
        )


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
@click.option("--method", required=True,
              help="Names, globs, labels such as 'eap-ig[rule=midpoint,steps=10]', comma lists or `all`.")  # fmt: skip
@click.option("--task", help="Names, globs, suites, comma lists or `all`.")
@click.option("--param", "parameters", multiple=True, 
              help="METHOD.NAME=VALUE for a method selected by name, such as eap-ig.steps=10. Repeatable.")  # fmt: skip
@click.option("--seeds", default=1, type=click.IntRange(1), show_default=True, help="Seeds of methods that draw.")
@click.option("--data-seeds", default=1, type=click.IntRange(1), show_default=True, help="Instances of each task.")
@model_option
@click.option("--pairs", type=click.Path(path_type=Path),
              help="JSON lines of clean, corrupt, answer, wrong: a circuit task, and one of neurons for methods of features that are "
              "named, so `--method eap,ig-features` gives both.")  # fmt: skip
@click.option("--dictionaries", type=click.Path(path_type=Path),
              help="Sparse autoencoders for --pairs, a sae_lens folder per place: a features task in place of that of neurons.")  # fmt: skip
@samples_options
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
def command(**given: Any) -> int:
    """Run methods on tasks and leave one record per cell; run again to do only what is missing.

    Each method runs in a process of its own: what it breaks, prints or leaves behind stays there.
    """
    flags = Flags(**given)
    own = _own(flags)
    registry = open_registry(flags.plugins, inline=flags.inline)
    notices: list[str] = []
    selected = pick_methods(registry, flags.method, notices)
    if own:
        # Nobody registers them, so other processes are told where they are.
        made = {task.name: (task, where) for where in _wanted(own, selected, flags) for task in [where.load()]}
        tasks: list[Any] = [task for task, _ in made.values()]
        find: Find = lambda what, name: made[name][1] if what == "task" else registry.reference(what, name)  # noqa: E731
    else:
        tasks, find = pick(registry, "task", flags.task or "", notices), registry.reference
    from ..runs.plan import make_plan

    selected = with_parameters(selected, parse_parameters(flags.parameters, selected))
    plan = make_plan(selected, tasks, seeds=flags.seeds, data_seeds=flags.data_seeds)
    return _run(plan, find, flags, notices)


def _own(flags: Flags) -> dict[str, Reference]:
    """Tasks of one's own checkpoint and files by their kind, none where `--task` names tasks."""
    own = own_tasks(flags.model, pairs=flags.pairs, bad=flags.bad, keep=flags.keep, dictionaries=flags.dictionaries)
    if not own and flags.task is None:
        raise UsageError(
            "Neither --task nor --model with --pairs, or with --bad and --keep, was given; "
            "`bench run --method eap --task all` runs all."
        )
    if own and flags.task is not None:
        raise UsageError("--model makes a task of its own and takes the place of --task; give one of them.")
    return own


def _wanted(own: dict[str, Reference], selected: Sequence[Selected], flags: Flags) -> list[Reference]:
    """Of pairs, the circuit task, unless only features are asked for: by dictionaries, or by methods that answer nothing else."""
    if "features" not in own:
        return list(own.values())
    named = [] if flags.method == "all" else [one.method.kinds & set(own) for one in selected]
    features = flags.dictionaries is not None or {"features"} in named
    circuit = not features or {"circuit"} in named
    return [where for kind, where in own.items() if (features if kind == "features" else circuit)]


def _run(plan: Plan, find: Find, flags: Flags, notices: list[str]) -> int:
    from ..records.store import Store, default_results
    from . import report

    # Of several tasks of one's own each is for some of the methods.
    answers = {planned.cell.label for planned in plan.cells} if flags.model is not None else set[str]()
    for unplanned in plan.unplanned:
        if unplanned.status == "skipped" or (
            "all" not in (flags.task, flags.method) and unplanned.label not in answers
        ):
            notices.append(f"{unplanned.status}: {unplanned.label} x {unplanned.task} ({unplanned.reason})")
    for notice in notices:
        click.echo(f"note: {notice}", err=True)
    if flags.dry_run:
        report.print_plan(plan, as_json=flags.as_json)
    if not plan.cells:
        click.echo(
            "error: Nothing to run: no selected method answers a selected task; `bench list` shows both.", err=True
        )
        return cli.NOTHING
    if flags.dry_run:
        return cli.OK
    store = Store(flags.results or default_results())
    outcomes = _outcomes(plan, Session(plan, store, find, flags.settings, own=flags.model is not None), store, flags)
    failed = [o for o in outcomes if o.failed]
    if flags.as_json:
        click.echo(json.dumps([report.as_json(o, store) for o in outcomes], indent=1, allow_nan=False))
    else:
        report.print_table([o.record for o in outcomes])
        report.print_next_steps(store, failed)
    if failed and all(o.by_environment for o in failed):
        return cli.ENVIRONMENT
    return cli.SOME_FAILED if failed else cli.OK


def _outcomes(plan: Plan, session: Session, store: Store, flags: Flags) -> list[Outcome]:
    """Run the plan; outcomes in its order."""
    from ..runs.wandb_tracker import WandbTracker
    from .progress import make_progress

    with make_progress(flags.progress, plan, jobs=flags.jobs) as progress:
        observers: list[Observer] = [progress]
        if flags.wandb != "off":
            observers.append(WandbTracker(flags.wandb, store, progress.noticed))
        return in_order(plan, list(session.run(observers)))
