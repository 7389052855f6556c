"""`bench check METHOD`: does a method keep the contract?"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from mechboard import cli
from mechboard.cli.options import DURATION, json_option, open_registry, plugin_option
from mechboard.selection import select


@click.command("check")
@click.argument("method")
@click.option("--timeout", type=DURATION, default="10m", show_default=True, help="Kill a check that runs longer.")
@click.option("--inline", is_flag=True, help="Run the checks in this process, for debuggers.")
@plugin_option
@json_option
def command(method: str, timeout: float, inline: bool, plugins: tuple[Path, ...], as_json: bool) -> int:
    """Run METHOD (names, globs, comma lists or `all`) through small problems; exits 1 if a check fails."""
    from mechboard.conformance.methods import check_names, run_checks
    from mechboard.workers.checks import checks_elsewhere

    registry = open_registry(plugins, inline=inline)
    names = select("method", method, registry.plugins("method"))
    methods = {name: registry.load("method", name) for name in names}  # what does not load is an error of its own
    results = {
        name: run_checks(loaded, registry)
        if inline
        else list(checks_elsewhere(registry.reference("method", name), check_names(loaded), timeout=timeout))
        for name, loaded in methods.items()
    }
    if as_json:
        click.echo(
            json.dumps({name: [asdict(r) for r in found] for name, found in results.items()}, indent=1, allow_nan=False)
        )
    else:
        for name, found in results.items():
            click.echo(name)
            for r in found:
                click.echo(f"  {r.outcome:<9} {r.check:<22} {r.detail}")
    bad = any(r.outcome in ("failed", "error") for found in results.values() for r in found)
    return cli.REGRESSION if bad else cli.OK
