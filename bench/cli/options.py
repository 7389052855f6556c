"""Options that several commands share."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ..errors import UsageError
from ..plugins.registry import Registry
from ..reference import Reference

F = TypeVar("F", bound=Callable[..., Any])


class _Scaled(click.ParamType):  # type: ignore[type-arg]  # generic only in later versions of click
    """A number with a unit behind it, such as 15m or 4GB; without one, the smallest unit."""

    def __init__(self, name: str, units: dict[str, float], example: str) -> None:
        self.name, self._units, self._example = name, units, example

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)
        found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([a-z]*)", str(value).strip().lower())
        number = float(found[1]) * self._units.get(found[2], 0.0) if found else 0.0
        if not number:
            self.fail(f"{value!r} was given; valid: a number above 0 with a unit, such as {self._example}.", param, ctx)
        return number


DURATION = _Scaled("duration", {"": 1, "s": 1, "m": 60, "h": 3600}, "90s, 15m, 2h")
SIZE = _Scaled(
    "size", {"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 2**10, "mib": 2**20, "gib": 2**30}, "800MB, 4GB"
)


def open_registry(plugins: tuple[Path, ...], *, inline: bool) -> Registry:
    """The registry with the loose files of the command line, which other processes try first unless all is inline.

    Raises:
        PluginError: a file ends or hangs the process that imports it.
    """
    if plugins and not inline and hasattr(os, "fork"):
        from ..runs.workers.server import probe

        for path in plugins:
            if path.is_file():
                probe(path.resolve())
    return Registry(plugins)


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


def model_option(command: F) -> F:
    """`--model DIR`."""
    return click.option(
        "--model",
        type=click.Path(path_type=Path),
        help="A checkpoint folder of your own; needs --pairs, or --bad and --keep.",
    )(command)


def samples_options(command: F) -> F:
    """`--bad FILE` and `--keep FILE`."""
    command = click.option(
        "--keep", type=click.Path(path_type=Path), help="What it should go on saying, in the same form."
    )(command)
    return click.option(
        "--bad",
        type=click.Path(path_type=Path),
        help='What the model should no longer say: JSON lines of {"text": ...}, of {"prompt": ..., "completion": ...} where '
        'only the completion counts, or of {"tokens": [ids], "scored": [places that count]}.',
    )(command)


def own_tasks(
    model: Path | None,
    *,
    pairs: Path | None = None,
    bad: Path | None = None,
    keep: Path | None = None,
    dictionaries: Path | None = None,
) -> dict[str, Reference]:
    """Where tasks of one's own files are made, by their kind, for this process and others; empty if no file was given.

    Raises:
        UsageError: the files given make no task.
    """
    given = {"--model": model, "--pairs": pairs, "--bad": bad, "--keep": keep, "--dictionaries": dictionaries}
    paths = {flag: str(path.resolve()) for flag, path in given.items() if path is not None}
    values = tuple(paths.values())
    if not paths:
        return {}
    if set(paths) - {"--dictionaries"} == {"--model", "--pairs"}:
        return {
            "circuit": Reference("mechboard.tasks.own:own_task", values[:2]),
            "features": Reference("mechboard.tasks.own_features:own_features", values),
        }
    if set(paths) == {"--model", "--bad", "--keep"}:
        return {"removal": Reference("mechboard.tasks.own_removal:own_removal", values)}
    raise UsageError(
        f"{', '.join(paths)} {'was' if len(paths) == 1 else 'were'} given; valid: --model with --pairs, or --model with "
        "--bad and --keep; --dictionaries go with --pairs."
    )
