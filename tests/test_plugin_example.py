"""A stranger's plugins: scaffolded, installed into a clean environment, and run from their entry points."""

import importlib
import json
import os
import site
import subprocess
import sys
import venv
from functools import partial
from pathlib import Path

import pytest

from mechboard.conformance import run_checks
from mechboard.kinds import kinds
from mechboard.plugins.registry import Registry
from mechboard.plugins.scaffold import write_method_package, write_task_package
from mechboard.plugins.scaffold.templates import CIRCUIT
from mechboard.reference import Reference

EXAMPLES = Path(__file__).parent.parent / "examples"
WRITE = {"edge-bound": partial(write_method_package, module=CIRCUIT), "plural-subject": write_task_package}


@pytest.mark.parametrize("name", WRITE)
def test_the_example_is_what_the_scaffold_writes(tmp_path, name):
    written = WRITE[name](name, tmp_path)
    for path in written.iterdir():
        assert path.read_text() == (EXAMPLES / name / path.name).read_text(), path.name


@pytest.mark.parametrize("kind", [kind for kind in kinds() if kind.template], ids=lambda kind: kind.name)
def test_every_kind_has_a_method_to_start_from_that_keeps_its_contract(tmp_path, kind):
    folder = write_method_package("starting-point", tmp_path, Reference(kind.template).load())
    registry = Registry((folder / "mechboard_starting_point.py",))
    assert registry.plugins("method")["starting-point"].describe()["kinds"] == [kind.name]
    results = run_checks(registry.load("method", "starting-point"), registry)
    assert {r.check: r.detail for r in results if not r.good} == {}
    assert len(results) > 5


def test_the_truth_of_the_example_is_what_its_own_measurement_finds(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES / "plural-subject")
    module = importlib.import_module("mechboard_plural_subject")
    assert module.measure(module.plural_subject) == module.EDGES.split()


def _environment(folder: Path) -> Path:
    """A new virtual environment that sees this one's packages, so that nothing is downloaded."""
    venv.create(folder, with_pip=False)
    own = next((folder / "lib").glob("python3*")) / "site-packages"
    lines = [f"import site; site.addsitedir({path!r})" for path in site.getsitepackages()]
    (own / "shared.pth").write_text("\n".join(lines) + "\n")
    return folder / "bin" / "python"


# The examples are what the scaffold writes, as the test above holds, so one of each is enough.
@pytest.mark.parametrize(("what", "name"), [("method", "my-method"), ("task", "plural-subject")])
def test_an_installed_plugin_is_found_by_its_entry_point_and_runs(tmp_path, what, name):
    write = {"method": partial(write_method_package, module=CIRCUIT), "task": write_task_package}[what]
    package = EXAMPLES / name if name in WRITE else write(name, tmp_path)
    copy = tmp_path / "source"
    copy.mkdir()
    for file in package.iterdir():
        if file.is_file():
            (copy / file.name).write_text(file.read_text())
    python = _environment(tmp_path / "venv")
    install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--disable-pip-version-check",
        str(copy),
    ]
    done = subprocess.run([python, *install], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    environment = os.environ | {"OMP_NUM_THREADS": "1"}

    def bench(*arguments):
        return subprocess.run(
            [python, "-m", "mechboard", *arguments], cwd=tmp_path, capture_output=True, text=True, env=environment
        )

    listed = json.loads(bench("list", f"{what}s", "--json").stdout)
    [row] = [row for row in listed if row["from"] == f"mechboard-{name}"]
    assert what == "method" or (row["kind"], row["tier"], row["family"]) == ("circuit", "embedded", name)
    asked = (
        ("--method", name, "--task", "compiled-brackets") if what == "method" else ("--method", "eap", "--task", name)
    )
    ran = bench("run", *asked, "--json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)[0]["value"] > 0.6
    own_test = subprocess.run([python, "-m", "pytest", "-q", str(copy)], cwd=tmp_path, capture_output=True, text=True)
    assert own_test.returncode == 0, own_test.stdout
    assert not any(
        "mechboard-" + name in str(p) for p in Path(sys.prefix).glob("lib/python*/site-packages/*.dist-info")
    )
