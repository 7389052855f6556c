"""Runs the same cells with the code of two trees of one repository, each installed apart from the other.

BASE is the commit at which the working tree left a branch, HEAD the working tree as it stands. Either tree is
installed with pip into a folder of its own, without its dependencies, and that folder comes first on the path of a
`bench run` in a new process, so that the package's entry points and modules are that tree's, and everything else is
this environment's. The same holds for a plugin's repository and for a clone of mechboard. Where the modules really
come from is asked before anything runs: an environment in which BASE would import HEAD's code makes no comparison.

Cells always run anew: a gate is no place to trust what an earlier run has kept.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

from ..errors import UsageError
from ..records import Record
from ..records.store import read_record
from .trees import Repository

Say = Callable[[str], None]
_OK, _SOME_FAILED = 0, 3

_WHERE = """
import json, sys
from importlib.metadata import distribution
from importlib.util import find_spec
name, *modules = sys.argv[1:]
places = {name: str(distribution(name).locate_file(""))}
for module in modules:
    spec = find_spec(module)
    if spec is not None:
        places[module] = spec.origin or list(spec.submodule_search_locations)[0]
print(json.dumps(places))
"""


@dataclass(frozen=True)
class _Side:
    """One of the two installations: its word in messages, its folder, and the environment in which it comes first."""

    word: str
    folder: Path
    environment: Mapping[str, str]


def run_both(
    repository: Repository, base: str, arguments: Sequence[str], results: Path, say: Say
) -> tuple[list[Record], list[Record]]:
    """Run `bench run ARGUMENTS` with the code of BASE and of HEAD; the records of either, from `results/base` and `/head`.

    Raises:
        UsageError: a tree cannot be made, installed or kept apart, or a run ends without records.
    """
    commits = {"BASE": repository.commit(base), "HEAD": repository.commit("HEAD")}
    with tempfile.TemporaryDirectory(prefix="mechboard-gate-") as name, ExitStack() as trees:
        work, sides = Path(name).resolve(), []
        for word, commit in commits.items():
            tree = trees.enter_context(repository.tree(commit, work / f"{word.lower()}-tree"))
            changed = word == "HEAD" and repository.overlay_changes(tree, without=results)
            side = _install(word, tree / repository.package, work / word.lower())
            say(f"{word}: {_checked(side)} at {commit[:10]}{' with uncommitted changes' if changed else ''}")
            sides.append(side)
        old, new = (_run(side, arguments, results / side.word.lower(), say) for side in sides)
    return old, new


def _install(word: str, package: Path, folder: Path) -> _Side:
    if not (package / "pyproject.toml").is_file():
        raise UsageError(
            f"{word} has no pyproject.toml where HEAD has one; compare two results folders by `bench compare`."
        )
    pip = ("install", "--quiet", "--no-deps", "--no-build-isolation", "--no-input", "--disable-pip-version-check")
    command = [sys.executable, "-m", "pip", *pip, "--target", str(folder), str(package)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()] or ["it says nothing"]
        build = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8")).get("build-system", {})
        needs = ", ".join(["pip", *build.get("requires", ["setuptools"])])
        raise UsageError(
            f"pip cannot install {word} ({said[-1]}); it builds in this environment, which must have {needs}."
        )
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    # Python would look in the current folder first, which in a plugin's repository holds HEAD's modules.
    return _Side(word, folder, {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"})


def _checked(side: _Side) -> str:
    """Name and version of what was installed.

    Raises:
        UsageError: some module of it would be imported from elsewhere.
    """
    installed = next(iter(distributions(path=[str(side.folder)])))
    name = installed.metadata["Name"]
    command = [sys.executable, "-c", _WHERE, name, *sorted(_modules(installed))]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(side.environment))
    if done.returncode:
        raise UsageError(
            f"{side.word} cannot be looked at in this environment ({' '.join(done.stderr.split()[-12:])}); see `bench doctor`."
        )
    for module, place in json.loads(done.stdout).items():
        if not Path(place).resolve().is_relative_to(side.folder):
            raise UsageError(
                f"{side.word} would take {module} from {place!r} and not from its own tree; uninstall {name} here, or "
                "run `bench gate` in an environment of its own."
            )
    return f"{name} {installed.version}"


def _modules(installed: Distribution) -> set[str]:
    """Names of the top-level modules and packages of a distribution."""
    files = [file for file in installed.files or () if file.suffix in (".py", ".so", ".pyd")]
    return {name for file in files if (name := file.parts[0].partition(".")[0]).isidentifier()}


def _run(side: _Side, arguments: Sequence[str], results: Path, say: Say) -> list[Record]:
    """The records that one run leaves, failed ones included; its progress is passed on line by line."""
    flags = ("--results", str(results), "--fresh", "--json", "--progress", "plain")
    command = [sys.executable, "-m", "mechboard", "run", *arguments, *flags]
    last = ""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as printed:
        with subprocess.Popen(
            command, stdout=printed, stderr=subprocess.PIPE, text=True, env=dict(side.environment)
        ) as running:
            assert running.stderr is not None
            for line in running.stderr:
                last = line.strip() or last
                say(f"{side.word}: {line.rstrip()}")
        if running.returncode not in (_OK, _SOME_FAILED):
            raise UsageError(f"The run of {side.word} stopped with exit code {running.returncode}: {last}")
        printed.seek(0)
        return [read_record(Path(cell["record"])) for cell in json.load(printed)]
