"""`bench gate`: both sides run their own code, whatever is installed here, and leave the clone as it was."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_cli import bench  # noqa: F401

from mechboard.comparison import gate
from mechboard.errors import UsageError

ROOT = Path(__file__).parent.parent
RUN = ["--task", "compiled-brackets", "--results", "../records"]
METHODS = '''"""{summary}"""

import torch

import helpers_of_the_gates_test
from mechboard.protocols import EdgeScores, NoParameters, method


@method(name="steady", kinds=("circuit",), deterministic=True)
def steady(problem, generator, parameters: NoParameters):
    return EdgeScores(helpers_of_the_gates_test.SIGN * torch.linspace(1, 2, problem.graph.n_edges))


@method(name="fragile", kinds=("circuit",), deterministic=True)
def fragile(problem, generator, parameters: NoParameters):
    if helpers_of_the_gates_test.SIGN < 0:
        raise RuntimeError("no such luck")
    return EdgeScores(torch.linspace(1, 2, problem.graph.n_edges))
'''
PROJECT = """[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "gates-test"
version = "{version}"

[project.entry-points."mechboard.methods"]
steady = "methods_of_the_gates_test:steady"
fragile = "methods_of_the_gates_test:fragile"

[tool.setuptools]
py-modules = ["methods_of_the_gates_test", "helpers_of_the_gates_test"]
"""


def git(*arguments):
    identity = ["-c", "user.name=Nobody", "-c", "user.email=nobody@example.org"]
    done = subprocess.run(["git", *identity, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def write(version, *, sign):
    Path("pyproject.toml").write_text(PROJECT.format(version=version))
    Path("methods_of_the_gates_test.py").write_text(METHODS.format(summary=f"Version {version}."))
    Path("helpers_of_the_gates_test.py").write_text(f"SIGN = {sign}\n")


@pytest.fixture
def plugin(bench, monkeypatch):  # noqa: F811
    """The clone of a plugin: a branch left main at version 1 and is at 2, main went on to 3, the working tree is at 4."""
    Path("clone").mkdir()
    monkeypatch.chdir("clone")
    git("init", "--quiet", "--initial-branch", "main")
    git("config", "core.hooksPath", "/dev/null")
    for version, switch in ((1, []), (2, ["--create", "mine"]), (3, ["main"])):
        if switch:
            git("switch", "--quiet", *switch)
        write(version, sign=1)
        git("add", "--all")
        git("commit", "--quiet", "--message", f"Version {version}")
    git("switch", "--quiet", "mine")
    write(4, sign=-1)
    Path("new.txt").write_text("not yet known to git")
    return bench


def test_each_side_runs_its_own_code_and_the_clone_stays_as_it_was(plugin):
    before = git("status", "--porcelain")
    code, out, err = plugin("gate", "--base", "main", "--method", "steady,fragile", *RUN, "--json")
    assert code == 1
    records = {
        (side, method): json.loads(
            Path("../records", side, method, "compiled-brackets@v2/data-0/seed-0.json").read_text()
        )
        for side in ("base", "head")
        for method in ("steady", "fragile")
    }
    assert records["base", "steady"]["method"]["summary"] == "Version 1."
    assert records["head", "steady"]["method"]["summary"] == "Version 4."
    verdicts = {(v["label"], v["measure"]): v["verdict"] for v in json.loads(out)["cells"]}
    assert verdicts["steady", "auc[compiled-brackets:program]"] == "same"
    signs = {side: records[side, "steady"]["exhibits"]["circuit"]["edges"][0]["score"] for side in ("base", "head")}
    assert signs["base"] > 0 > signs["head"], "the module beside the method's is that of its side too"
    assert verdicts["fragile", None] == "newly failing"
    assert records["base", "fragile"]["status"] == "done"
    assert re.search(r"BASE: gates-test 1 at [0-9a-f]{10}$", err, re.M)
    assert re.search(r"HEAD: gates-test 4 at [0-9a-f]{10} with uncommitted changes$", err, re.M)
    assert git("status", "--porcelain") == before
    assert len(git("worktree", "list").splitlines()) == 1
    assert not Path("build").exists()


def test_a_run_that_cannot_start_is_an_error_with_its_own_words(plugin):
    code, out, err = plugin("gate", "--base", "main", "--method", "steadyy", *RUN)
    assert (code, out) == (2, "")
    assert "The run of BASE stopped with exit code 2: error: No method matches 'steadyy'; closest: steady" in err
    assert len(git("worktree", "list").splitlines()) == 1


def test_a_side_that_does_not_install_is_an_error_and_leaves_no_tree(plugin):
    Path("pyproject.toml").write_text("[build-system]\nrequires = ['nothing-of-the-kind']\nbuild-backend = 'nothing'\n")
    code, _, err = plugin("gate", "--base", "main", "--method", "steady", *RUN)
    assert code == 2
    assert re.search(r"pip cannot install HEAD \(.*\); .* must have pip, nothing-of-the-kind\.", err)
    assert len(git("worktree", "list").splitlines()) == 1


def _start_anew():
    git("checkout", "--quiet", "--orphan", "alone")
    git("commit", "--quiet", "--all", "--message", "Another beginning")


@pytest.mark.parametrize(
    ("prepare", "base", "said"),
    [
        (lambda: None, "origin/main", r"git cannot use 'origin/main'; valid: a branch, tag or commit that is here; .*fetch-depth"),
        (_start_anew, "main", "git cannot use 'main'; it shares no history with HEAD; valid: "),
        (lambda: Path("pyproject.toml").unlink(), "main", "has no pyproject.toml in or above it"),
        (lambda: shutil.rmtree(".git"), "main", "valid: a folder of a git repository"),
    ],
)  # fmt: skip
def test_where_there_is_nothing_to_run_it_says_what_to_do(plugin, prepare, base, said):
    prepare()
    code, out, err = plugin("gate", "--base", base, "--method", "steady", *RUN)
    assert (code, out) == (2, "")
    assert re.search(said, err), err


def test_a_side_that_would_import_the_other_sides_code_is_refused(tmp_path, monkeypatch):
    """An import hook of the environment, such as some editable installs leave, comes before every path."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    write(1, sign=1)
    (tmp_path / "elsewhere" / "helpers_of_the_gates_test.py").write_text("SIGN = -1\n")
    side = gate._install("BASE", tmp_path, tmp_path / "base")
    assert gate._checked(side) == "gates-test 1"
    hooked = f"{tmp_path / 'elsewhere'}:{side.environment['PYTHONPATH']}"
    with pytest.raises(
        UsageError, match="BASE would take helpers_of_the_gates_test from .*elsewhere.* uninstall gates-test"
    ):
        gate._checked(gate._Side("BASE", side.folder, {**side.environment, "PYTHONPATH": hooked}))


def test_the_current_folder_is_not_where_modules_come_from(tmp_path, monkeypatch):
    """`python -m` looks there first, and a plugin's repository holds HEAD's modules."""
    monkeypatch.chdir(tmp_path)
    write(1, sign=1)
    side = gate._install("BASE", tmp_path, tmp_path / "base")
    code = "import methods_of_the_gates_test as found; print(found.__file__)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=dict(side.environment), capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).is_relative_to(tmp_path / "base")


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no clone")
def test_a_clone_of_mechboard_is_compared_with_itself(bench, monkeypatch):  # noqa: F811
    git("clone", "--quiet", "--local", str(ROOT), "clone")
    monkeypatch.chdir("clone")
    git("switch", "--quiet", "--create", "mine")
    eap = Path("methods/eap.py")
    eap.write_text(
        eap.read_text().replace("EdgeScores(sign * ", "EdgeScores(-sign * ").replace('"""EAP: ', '"""Mine: ')
    )
    code, out, err = bench("gate", "--base", "HEAD", "--method", "eap", *RUN, "--format", "markdown")
    assert code == 1, err
    assert "| ❌ | worse | `eap` | `compiled-brackets` | `cpr-clipped` |" in out
    path = "eap/compiled-brackets@v2/data-0/seed-0.json"
    summaries = [
        json.loads(Path("../records", side, path).read_text())["method"]["summary"] for side in ("base", "head")
    ]
    assert [summary.partition(":")[0] for summary in summaries] == ["EAP", "Mine"]
    assert git("status", "--porcelain") == " M methods/eap.py\n"
