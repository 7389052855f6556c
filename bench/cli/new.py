"""`bench new method NAME` and `bench new task NAME`: an installable package of one's own."""

from __future__ import annotations

from pathlib import Path

import click

_into = click.option("--into", default=".", type=click.Path(path_type=Path), show_default=True, help="Parent folder.")


@click.group("new")
def command() -> None:
    """Write an installable package with a method or a task of your own."""


@command.command("method")
@click.argument("name")
@click.option("--kind", "asked", default="circuit", show_default=True, help="The kind of question that it answers.")
@_into
def method(name: str, asked: str, into: Path) -> None:
    """Write a package with a working method NAME, its registration and a test."""
    from ..errors import UsageError
    from ..kinds import kind, kinds
    from ..plugins.scaffold import write_method_package
    from ..reference import Reference

    template = kind(asked).template
    if not template:
        valid = ", ".join(each.name for each in kinds() if each.template)
        raise UsageError(f"The kind {asked!r} has no method to start from; valid: {valid}.")
    folder = write_method_package(name, into, Reference(template).load())
    _say_next(folder, name, f"bench run --method {name} --task all")


@command.command("task")
@click.argument("name")
@_into
def task(name: str, into: Path) -> None:
    """Write a package with a working task NAME, its registration and a test."""
    from ..plugins.scaffold import write_task_package

    _say_next(write_task_package(name, into), name, f"bench run --method all --task {name}")


def _say_next(folder: Path, name: str, run: str) -> None:
    click.echo(f"Wrote {folder}. Next:\n  pip install -e {folder}\n  bench check {name}\n  {run}")
