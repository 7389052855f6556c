"""What every package of one's own has around its module: registration, a test, a README."""

from __future__ import annotations

import re
from pathlib import Path

from mechboard.errors import UsageError, WriteError

_PYPROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "mechboard-{name}"
version = "0.1.0"
description = "The {what} {name} for mechboard"
requires-python = ">=3.11"
dependencies = ["mechboard"]

# This line is the whole registration: name = "module:attribute".
[project.entry-points."mechboard.{what}s"]
{name} = "{module}:{attribute}"

[tool.setuptools]
py-modules = ["{module}"]
"""

_README = """\
# {name}

A {what} for mechboard.

    pip install -e .
    bench check {name}
    {run}
    pytest
"""


def write_package(what: str, name: str, parent: Path, *, module: str, test: str, run: str) -> Path:
    """Write a package into `parent/name`; returns that folder.

    The texts of module and test are templates of `name`, `attribute`, `module` and `title`; `run` is the command to try.

    Raises:
        UsageError: the name is not usable, or the folder exists.
        WriteError: it cannot be written.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise UsageError(
            f"A {what} cannot be named {name!r}; valid: lower-case words joined by '-', such as 'my-{what}'."
        )
    folder = parent / name
    if folder.exists():
        raise UsageError(f"{str(folder)!r} exists already; choose another name or --into DIR.")
    attribute = name.replace("-", "_")
    words = {
        "what": what,
        "name": name,
        "attribute": attribute,
        "module": f"mechboard_{attribute}",
        "title": name.replace("-", " ").capitalize(),
        "run": run.format(name=name),
    }
    files = {
        "pyproject.toml": _PYPROJECT,
        f"{words['module']}.py": module,
        f"test_{attribute}.py": test,
        "README.md": _README,
    }
    try:
        folder.mkdir(parents=True)
        for file, text in files.items():
            (folder / file).write_text(text.format(**words), encoding="utf-8")
    except OSError as error:
        raise WriteError(
            f"{str(folder)!r} cannot be written ({error.strerror}); choose another place with --into DIR."
        ) from error
    return folder
