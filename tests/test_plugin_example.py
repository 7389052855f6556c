"""A stranger's plugin: scaffolded, installed into a clean environment, and run from its entry point."""

import json
import os
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from mechboard.scaffold import write_method_package

EXAMPLE = Path(__file__).parent.parent / "examples" / "edge-bound"


def test_the_example_is_what_the_scaffold_writes(tmp_path):
    written = write_method_package("edge-bound", tmp_path)
    for path in written.iterdir():
        assert path.read_text() == (EXAMPLE / path.name).read_text(), path.name


def _environment(folder: Path) -> Path:
    """A new virtual environment that sees this one's packages, so that nothing is downloaded."""
    venv.create(folder, with_pip=False)
    own = next((folder / "lib").glob("python3*")) / "site-packages"
    lines = [f"import site; site.addsitedir({path!r})" for path in site.getsitepackages()]
    (own / "shared.pth").write_text("\n".join(lines) + "\n")
    return folder / "bin" / "python"


@pytest.mark.parametrize("name", ["edge-bound", "my-method"])
def test_an_installed_plugin_is_found_by_its_entry_point_and_runs(tmp_path, name):
    package = EXAMPLE if name == "edge-bound" else write_method_package(name, tmp_path)
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

    listed = json.loads(bench("list", "methods", "--json").stdout)
    assert f"mechboard-{name}" in {row["from"] for row in listed}
    ran = bench("run", "--method", name, "--task", "compiled-brackets", "--json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)[0]["value"] > 0.6
    own_test = subprocess.run([python, "-m", "pytest", "-q", str(copy)], cwd=tmp_path, capture_output=True, text=True)
    assert own_test.returncode == 0, own_test.stdout
    assert not any(
        "mechboard-" + name in str(p) for p in Path(sys.prefix).glob("lib/python*/site-packages/*.dist-info")
    )
