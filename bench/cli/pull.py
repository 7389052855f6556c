"""`bench pull NAME`: fetch the assets of tasks, or assets by their own names."""

from __future__ import annotations

import click

from ..assets import Asset, locate, pulled_folder, read_lock, require
from ..errors import BenchError, PluginError
from ..plugins.registry import Registry
from ..runs.selection import select


@click.command("pull")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def command(names: tuple[str, ...]) -> None:
    """Fetch the assets of task NAME (or the asset NAME) into the cache and lock their content.

    Globs and comma lists are names too; `all` is every asset. A pull that breaks off goes on from there when the same
    command is run again. HF_ENDPOINT names another hub than https://huggingface.co.
    """
    by_name = _assets_by_name()
    chosen = select("task or asset", ",".join(names), by_name)
    missing: list[Asset] = []
    for name in chosen:
        if not by_name[name]:
            click.echo(f"{name} needs nothing: it ships with the package.")
    for asset in dict.fromkeys(asset for name in chosen for asset in by_name[name]):
        here = _here(asset)
        if here:
            click.echo(f"{asset.name}: {here}")
        else:
            missing.append(asset)
    if missing:
        _pull(missing)


def _assets_by_name() -> dict[str, tuple[Asset, ...]]:
    """What every task that loads needs, by its name, and each asset by its own."""
    registry = Registry()
    found: dict[str, tuple[Asset, ...]] = {}
    for task in registry.plugins("task"):
        try:
            assets: tuple[Asset, ...] = registry.load("task", task).assets
        except PluginError:
            continue
        found[task] = assets
        for asset in assets:  # tasks may want other files of one folder
            found[asset.name] = tuple(dict.fromkeys((*found.get(asset.name, ()), asset)))
    return found


def _here(asset: Asset) -> str:
    """Where the asset is, empty if it must be fetched: it is not here, or altered since it was pulled.

    Raises:
        AssetError: it is altered in a folder that is not ours to write.
    """
    folder = locate(asset)
    if folder is None:
        return ""
    if asset.name not in read_lock():
        return f"already in {folder}" + (", never pulled; remove the folder to fetch it" if asset.repository else "")
    from ..fetching.pull import is_whole

    if folder == pulled_folder(asset):
        return f"already in {folder}" if is_whole(asset) else ""
    return f"already in {require(asset)}"


def _pull(assets: list[Asset]) -> None:
    """Fetch each; one that fails does not keep the others."""
    from ..fetching.pull import Listing, list_asset, pull
    from .pull_progress import make_watcher, size_text

    failed: list[BenchError] = []

    def told(error: BenchError) -> None:
        if failed:
            click.echo(f"error: {failed[-1]}", err=True)
        failed.append(error)

    listings: list[Listing] = []
    for asset in assets:
        try:
            listings.append(list_asset(asset))
        except BenchError as error:
            told(error)
    if len(listings) > 1:
        sizes = [listing.size for listing in listings]
        whole = None if None in sizes else sum(filter(None, sizes))
        click.echo(f"{', '.join(listing.asset.name for listing in listings)}: {size_text(whole)} in all", err=True)
    for listing in listings:
        with make_watcher(listing) as watcher:
            try:
                folder = pull(listing, watcher)
            except BenchError as error:
                told(error)
                continue
        click.echo(f"{listing.asset.name}: fetched into {folder}")
    if failed:
        raise failed[-1]
