"""`bench check NAME`: does a method or task keep the contract?"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .. import cli
from ..errors import SelectionError, unknown
from ..plugins.registry import Registry
from ..runs.selection import select
from .options import DURATION, json_option, open_registry, plugin_option

if TYPE_CHECKING:
    from ..conformance import Result

_CHECKED = ("method", "task")


@click.command("check")
@click.argument("name")
@click.option("--timeout", type=DURATION, default="10m", show_default=True, help="Kill a check that runs longer.")
@click.option("--inline", is_flag=True, help="Run the checks in this process, for debuggers.")
@plugin_option
@json_option
def command(name: str, timeout: float, inline: bool, plugins: tuple[Path, ...], as_json: bool) -> int:
    """Run the checks of methods and tasks: names, globs, comma lists or `all`; exits 1 if a check fails.

    `method:NAME` and `task:NAME` say which is meant.
    """
    from ..conformance import check_names, checks
    from ..conformance.elsewhere import checks_elsewhere

    registry = open_registry(plugins, inline=inline)
    chosen = _chosen(name, registry)
    loaded = {pair: registry.load(*pair) for pair in chosen}  # what does not load is an error of its own
    results: dict[str, list[Result]] = {}
    for pair, subject in loaded.items():
        names, found = check_names(subject), results.setdefault(_called(pair, chosen), [])
        elsewhere = () if inline else checks_elsewhere(registry.reference(*pair), names, timeout=timeout)
        if not as_json:
            click.echo(_called(pair, chosen))
        for result in checks(subject, names, registry) if inline else elsewhere:
            found.append(result)
            if not as_json:
                click.echo(f"  {result.outcome:<9} {result.check:<22} {result.detail}")
    if as_json:
        told = {called: [asdict(r) for r in found] for called, found in results.items()}
        click.echo(json.dumps(told, indent=1, allow_nan=False))
    return cli.OK if all(r.good for found in results.values() for r in found) else cli.REGRESSION


def _chosen(given: str, registry: Registry) -> list[tuple[str, str]]:
    """Methods and tasks of these names, as (`method` or `task`, name).

    Raises:
        SelectionError: a pattern matches neither.
    """
    chosen: dict[tuple[str, str], None] = {}
    for part in given.split(","):
        prefix, _, rest = part.strip().partition(":")
        kinds, pattern = ((prefix,), rest) if prefix in _CHECKED and rest else (_CHECKED, part.strip())
        matched = [(what, name) for what in kinds for name in _matching(what, pattern, registry)]
        if not matched:
            raise unknown(" or ".join(kinds), pattern, [name for what in kinds for name in registry.plugins(what)])
        chosen |= dict.fromkeys(matched)
    return list(chosen)


def _matching(what: str, pattern: str, registry: Registry) -> list[str]:
    try:
        return select(what, pattern, registry.plugins(what))
    except SelectionError:
        return []


def _called(pair: tuple[str, str], chosen: list[tuple[str, str]]) -> str:
    """A name, with what it names in front where a method and a task share it."""
    what, name = pair
    return f"{what}:{name}" if sum(other == name for _, other in chosen) > 1 else name
