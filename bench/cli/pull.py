"""`bench pull NAME`: fetch the assets of a task, or one asset."""

from __future__ import annotations

import click

from ..errors import PluginError, unknown
from ..plugins.registry import Registry


@click.command("pull")
@click.argument("name")
def command(name: str) -> None:
    """Fetch the assets of task NAME (or the asset NAME) into the cache and lock their content."""
    from ..assets import Asset, locate, pull

    registry, wanted, known = Registry(), [], set()
    for task_name in registry.plugins("task"):
        try:
            assets: tuple[Asset, ...] = registry.load("task", task_name).assets
        except PluginError:
            continue
        known |= {task_name, *(a.name for a in assets)}
        wanted += [a for a in assets if name in (task_name, a.name) and a not in wanted]
    if name not in known:
        raise unknown("task or asset", name, known)
    if not wanted:
        click.echo(f"{name} needs nothing: it ships with the package.")
    for asset in wanted:
        here = locate(asset)
        click.echo(f"{asset.name}: already in {here}" if here else f"{asset.name}: fetched into {pull(asset)}")
