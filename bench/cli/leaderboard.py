"""`bench leaderboard build|serve`: the static page, from records alone."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .. import cli
from ..contract.task import Suite
from ..errors import BenchError, RecordError, UsageError
from ..plugins.registry import Registry
from .options import results_option

if TYPE_CHECKING:
    from mechboard.leaderboard.declared import Declared


@click.group("leaderboard")
def command() -> None:
    """Build or serve the leaderboard page."""


def _build(results: Path | None, out: Path | None, suites: tuple[str, ...]) -> tuple[Path, int]:
    """Write the site; returns its folder and the number of records, 0 (said on standard error) if there are none."""
    from mechboard.leaderboard.site import build_site

    from ..records.store import Store, default_results

    store = Store(results or default_results())
    records, unreadable = [], []
    for _, record in store.records():
        if isinstance(record, RecordError):
            unreadable.append(str(record))
            click.echo(f"note: {record}", err=True)
        else:
            records.append(record)
    if not records:
        click.echo(
            f"error: {store.root} holds no readable record; `bench run --method eap --task all` makes some.", err=True
        )
        return store.root, 0
    target = out or Path("site")
    registry = Registry()
    tasks = {record.cell.task for record in records}
    chosen = [registry.load("suite", name) for name in suites] or _of_these(registry.suites().values(), tasks)
    build_site(records, chosen, target, unreadable, _declared(registry, tasks))
    return target, len(records)


def _declared(registry: Registry, with_records: set[str]) -> list[Declared]:
    """Every task that there is and of which there is no record; one that does not load is told of and left out."""
    from mechboard.leaderboard.declared import Declared

    from ..runs.workers.cell import task_info

    found = []
    for name in sorted(registry.plugins("task").keys() - with_records):
        try:
            task = registry.load("task", name)
            found.append(Declared(name, task.version, task_info(task)))
        except BenchError as error:
            click.echo(f"note: {error}", err=True)
    return found


def _of_these(suites: Iterable[Suite], tasks: set[str]) -> list[Suite]:
    """Of each kind the suite that holds most of the tasks of which there are records; of equal ones the newest."""
    best: dict[str, tuple[int, int, str, Suite]] = {}
    for suite in suites:
        held = len(tasks & {*suite.tasks, *suite.apart})
        if held:
            best[suite.kind] = max(best.get(suite.kind, (0, 0, "", suite)), (held, suite.version, suite.name, suite))
    return [suite for *_, suite in best.values()]


def _out_option(function: click.decorators.FC) -> click.decorators.FC:
    return click.option("--out", type=click.Path(path_type=Path), help="Folder to write [default: ./site].")(function)


def _suite_option(function: click.decorators.FC) -> click.decorators.FC:
    return click.option(
        "suites",
        "--suite",
        multiple=True,
        metavar="NAME",
        help="Suite of the overall score, one for each kind; repeatable [default: those of which there are records].",
    )(function)


@command.command("build")
@results_option
@_out_option
@_suite_option
def build(results: Path | None, out: Path | None, suites: tuple[str, ...]) -> int:
    """Write the site."""
    target, count = _build(results, out, suites)
    if not count:
        return cli.NOTHING
    click.echo(f"{count} records -> {target / 'index.html'}")
    return cli.OK


@command.command("serve")
@results_option
@_out_option
@_suite_option
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0 picks a free one.")
def serve(results: Path | None, out: Path | None, suites: tuple[str, ...], port: int) -> int:
    """Build the site and serve it on this machine until interrupted."""
    target, count = _build(results, out, suites)
    if not count:
        return cli.NOTHING
    handler = partial(SimpleHTTPRequestHandler, directory=str(target))
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as error:
        raise UsageError(
            f"Port {port} is taken ({error.strerror}); choose another with --port, 0 picks a free one."
        ) from error
    click.echo(f"{count} records; leaderboard at http://127.0.0.1:{server.server_address[1]}/ (Ctrl-C stops)")
    with server:
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return cli.OK
    return cli.OK
