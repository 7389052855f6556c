"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def results_option(command: F) -> F:
    """`--results DIR`."""
    return click.option(
        "--results",
        type=click.Path(path_type=Path, file_okay=False),
        help="Results folder [default: results/local in a clone, else ./mechboard-results].",
    )(command)


def json_option(command: F) -> F:
    """`--json`."""
    return click.option("as_json", "--json", is_flag=True, help="Print JSON on standard output.")(command)


def plugin_option(command: F) -> F:
    """`--plugin FILE`."""
    return click.option(
        "plugins",
        "--plugin",
        multiple=True,
        type=click.Path(path_type=Path, dir_okay=False),
        help="A Python file that defines methods or tasks. Repeatable.",
    )(command)
