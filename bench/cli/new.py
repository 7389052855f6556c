"""`bench new method NAME`: an installable package with a method of one's own."""

from __future__ import annotations

from pathlib import Path

import click


@click.group("new")
def command() -> None:
    """Write an installable package with a method of your own."""


@command.command("method")
@click.argument("name")
@click.option("--into", default=".", type=click.Path(path_type=Path), show_default=True, help="Parent folder.")
def method(name: str, into: Path) -> None:
    """Write a package with a working method NAME, its registration and a test."""
    from mechboard.scaffold import write_method_package

    folder = write_method_package(name, into)
    click.echo(
        f"Wrote {folder}. Next:\n  pip install -e {folder}\n  bench check {name}\n  bench run --method {name} --task all"
    )
