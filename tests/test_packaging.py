import ast
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from setuptools import find_packages

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
INNER = ("methods", "tasks", "ground_truth", "leaderboard")
LINKS = {"mechboard": "bench"} | {f"bench/{name}": f"../{name}" for name in INNER}

BELOW = {"errors", "files", "hashing", "reference"}
MAY_IMPORT = {
    "bench/errors.py": set(),
    "bench/files.py": {"errors"},
    "bench/hashing.py": set(),
    "bench/reference.py": {"errors"},
    "bench/assets.py": BELOW,
    "bench/fetching": BELOW | {"fetching", "assets"},
    "bench/contract": {"contract", "assets", "errors", "reference"},
    "bench/graph": {"graph", "errors"},
    "bench/edits": {"edits", "graph", "errors"},
    "bench/features": {"features", "graph", "contract", "errors"},
    "bench/metrics": {"metrics", "edits", "features", "graph", "contract", "errors"},
    "bench/kinds": {"kinds", "metrics", "edits", "features", "graph", "contract", "errors"},
    "bench/drawing": {"drawing", "kinds", "contract"},
    "bench/protocols.py": {"contract", "edits", "features", "graph", "errors"},
    "bench/records": BELOW | {"", "records", "kinds", "contract"},
    "bench/plugins": BELOW | {"plugins", "contract"},
    "bench/runs": BELOW | {"runs", "records", "plugins", "kinds", "contract", "graph", "assets"},
    "bench/conformance": BELOW | {"conformance", "runs", "plugins", "kinds", "contract", "metrics", "edits", "features", "graph"},
    "bench/comparison": BELOW | {"comparison", "records", "contract"},
    "bench/notebook": BELOW | {"notebook", "runs", "records", "plugins", "kinds", "contract", "cli.progress"},
    "bench/cli": BELOW | {"cli", "comparison", "conformance", "runs", "records", "plugins", "kinds", "contract", "assets", "fetching", "leaderboard"},
    "bench/__init__.py": {"errors", "records", "notebook"},
    "bench/__main__.py": {"cli"},
    "methods": {"methods", "edits", "features", "graph", "metrics", "errors", "protocols"},
    "tasks": {"tasks", "edits", "features", "graph", "metrics", "ground_truth", "errors", "protocols", "assets", "hashing"},
    "ground_truth": {"ground_truth", "features", "graph", "errors", "hashing"},
    "leaderboard": {"leaderboard", "drawing", "records", "kinds", "contract", "errors", "files"},
}  # fmt: skip
"""What each folder may import of mechboard; the longest name that holds a file is the one that counts."""


def sources():
    """Every file of the package, by its path from the root, and each once."""
    for folder in ("bench", *INNER):
        for at, _, names in os.walk(ROOT / folder):
            yield from (Path(at, name).relative_to(ROOT) for name in names if name.endswith(".py"))


def module_of(path):
    inside = path.parts[1:] if path.parts[0] == "bench" else path.parts
    return ".".join(["mechboard", *inside]).removesuffix(".py").removesuffix(".__init__")


def package_of(path):
    return module_of(path) if path.stem == "__init__" else module_of(path).rpartition(".")[0]


def imported(source, package):
    """Dotted names of what is imported anywhere in a file, below mechboard: `graph.trace.record`, `errors.BenchError`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level else ""
            base = ".".join(filter(None, (above, node.module)))
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name.partition(".")[2] for name in names if name.partition(".")[0] == "mechboard")


def test_the_links_that_make_the_folders_one_package_are_there():
    assert {link: os.readlink(ROOT / link) for link in LINKS} == LINKS


def test_every_folder_of_modules_is_in_the_wheel():
    settings = PROJECT["tool"]["setuptools"]
    assert settings["package-dir"] == {"": "."}
    assert settings["packages"]["find"]["namespaces"] is False
    found = find_packages(str(ROOT), include=settings["packages"]["find"]["include"])
    assert set(found) == {module_of(path.parent / "__init__.py") for path in sources()}


def test_a_clone_in_a_folder_of_the_packages_name_does_not_hide_the_package(tmp_path):
    (tmp_path / "mechboard").symlink_to(ROOT)
    script = tmp_path / "script.py"
    script.write_text("import mechboard.methods.eap as eap; print(eap.eap.name)")
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert (done.stdout, done.returncode) == ("eap\n", 0), done.stderr


def test_the_engine_is_not_imported_a_second_time_under_its_folders_name():
    done = subprocess.run([sys.executable, "-c", "import bench.protocols"], cwd=ROOT, capture_output=True, text=True)
    assert "This folder is the package `mechboard`" in done.stderr


def test_the_version_is_stated_once_in_two_places():
    from mechboard import __version__

    assert PROJECT["project"]["version"] == __version__
    assert __version__ in (ROOT / "CHANGELOG.md").read_text()
    assert __version__ in (ROOT / "CITATION.cff").read_text()


def test_nothing_imports_against_the_direction_of_dependencies():
    for path in sources():
        folder = max((f for f in MAY_IMPORT if path.is_relative_to(f)), key=len)
        for name in imported((ROOT / path).read_text(), package_of(path)):
            fits = any(f"{name}.".startswith(f"{allowed}.") for allowed in MAY_IMPORT[folder])
            assert fits or name == "__version__", f"{path} imports {name}"


def test_imports_inside_a_folder_are_relative_and_those_of_another_are_not():
    """So that every crossing can be found with grep."""
    for path in sources():
        own = path.parts[0]
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            if isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").startswith("mechboard"):
                top = (node.module or "").split(".")[1:2]
                target = top[0] if top and top[0] in INNER else "bench"
                assert target != own, f"{path}: from {node.module} import"


def test_only_the_file_of_a_kind_knows_it_by_name():
    """What reads the first schema version knows its one kind, and what draws an exhibit knows the exhibit."""
    names = {path.stem for path in (ROOT / "bench" / "kinds").glob("*.py")} - {"__init__"}
    knowing = set()
    for path in sources():
        for name in imported((ROOT / path).read_text(), package_of(path)):
            if name.split(".")[0] == "kinds" and set(name.split(".")[1:2]) & names:
                knowing.add(path.as_posix())
    others = {path for path in knowing if not path.startswith(("bench/kinds/", "bench/drawing/"))}
    assert others == {"bench/records/migrations.py"}
    assert "bench/drawing/circuit.py" in knowing


@pytest.mark.parametrize(
    "statement",
    ["import mechboard.runner", "import mechboard.runner as r", "from mechboard import runner", "def f(): from ... import runner",
     "from mechboard.runner import run", "from ...runner import run", "if x: import os, mechboard.runner"],
)  # fmt: skip
def test_no_way_to_write_an_import_goes_unseen(statement):
    assert [name for name in imported(statement, "mechboard.tasks.mini") if name.startswith("runner")]


def test_no_file_of_maths_names_a_device():
    for path in sources():
        if path.parts[0] in ("methods", "tasks") or path.parts[:2] in (("bench", "graph"), ("bench", "metrics")):
            assert "cuda" not in (ROOT / path).read_text(), path
