"""`bench doctor`: does this installation work, and what to mend if not."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, distributions, entry_points, version
from pathlib import Path

import click

from .. import cli
from ..errors import BenchError
from ..kinds import GROUP as KINDS
from ..kinds import kind
from ..plugins.registry import GROUPS, Registry
from .options import json_option, results_option

_REQUIRED = ("torch", "transformer-lens", "transformers", "safetensors", "scipy", "pandas")
_OPTIONAL = {"sae-lens": "features", "detoxify": "toxicity", "wandb": "wandb"}


@click.command("doctor")
@results_option
@json_option
def command(results: Path | None, as_json: bool) -> int:
    """Check packages, device, results folder and plugins; exits 1 if something must be mended."""
    checks = [*_packages(), _installation(), *_device(), _folder(results), *_plugins()]
    if as_json:
        click.echo(json.dumps([{"check": n, "state": s, "detail": d} for n, s, d in checks], indent=1, allow_nan=False))
    else:
        for name, state, detail in checks:
            click.echo(f"{state:<8} {name:<18} {detail}")
    return cli.REGRESSION if any(state == "broken" for _, state, _ in checks) else cli.OK


def _packages() -> list[tuple[str, str, str]]:
    checks = []
    for package in _REQUIRED:
        try:
            checks.append((package, "ok", version(package)))
        except PackageNotFoundError:
            checks.append((package, "broken", f"not installed; pip install {package}"))
    for package, extra in _OPTIONAL.items():
        try:
            checks.append((package, "ok", version(package)))
        except PackageNotFoundError:
            checks.append((package, "absent", f"optional; pip install 'mechboard[{extra}]'"))
    return checks


def _installation() -> tuple[str, str, str]:
    """A build leaves a description of the package in a clone; an older one than is installed hides new plugins."""
    described = {
        str(found.locate_file("")): {(e.group, e.name, e.value) for e in found.entry_points}
        for found in distributions(name="mechboard")
    }
    if any(entries != next(iter(described.values())) for entries in described.values()):
        places = ", ".join(described)
        return "mechboard", "broken", f"described differently in {places}; delete the older mechboard.egg-info"
    return "mechboard", "ok", version("mechboard")


def _device() -> list[tuple[str, str, str]]:
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    where = ", ".join(gpus) if gpus else "no GPU; everything embedded runs on the CPU"
    return [("device", "ok", f"{torch.get_num_threads()} CPU threads; {where}")]


def _folder(results: Path | None) -> tuple[str, str, str]:
    from ..records.store import Store, default_results

    store = Store(results or default_results())
    if not store.root.exists():
        return "results", "ok", f"{store.root} does not exist yet; `bench run` makes it"
    try:
        store.check_writable()
    except BenchError as error:
        return "results", "broken", str(error)
    broken = [path for path, record in store.records() if isinstance(record, BenchError)]
    if broken:
        return (
            "results",
            "broken",
            f"{len(broken)} unreadable records, the first is {broken[0]}; delete or restore them",
        )
    return "results", "ok", str(store.root)


def _plugins() -> list[tuple[str, str, str]]:
    registry, checks = Registry(), []
    for entry in entry_points(group=KINDS):
        try:
            kind(entry.name)
        except BenchError as error:
            checks.append((f"kind {entry.name}", "broken", str(error)))
    for what in GROUPS:
        for name in registry.plugins(what):
            try:
                registry.load(what, name)
            except BenchError as error:
                checks.append((f"{what} {name}", "broken", str(error)))
    return checks or [("plugins", "ok", "all load")]
