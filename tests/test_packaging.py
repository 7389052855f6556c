import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS = {"mechboard": "bench"} | {f"mechboard.{n}": n for n in ("methods", "tasks", "ground_truth", "leaderboard")}


def test_every_package_in_the_tree_is_listed_for_the_wheel():
    found = set()
    for package, folder in FOLDERS.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            inside = init.parent.relative_to(ROOT / folder).parts
            found.add(".".join([package, *inside]))
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == found
    assert PROJECT["tool"]["setuptools"]["package-dir"] == FOLDERS


def test_the_version_is_stated_once_in_two_places():
    from mechboard import __version__

    assert PROJECT["project"]["version"] == __version__
    assert __version__ in (ROOT / "CHANGELOG.md").read_text()
    assert __version__ in (ROOT / "CITATION.cff").read_text()


def test_nothing_outside_the_kernel_imports_against_the_direction_of_dependencies():
    """methods, tasks -> graph, metrics -> nothing of ours but errors; graph knows nothing of metrics or tasks."""
    allowed = {
        "bench/graph": {"graph", "errors"},
        "ground_truth": {"ground_truth", "graph", "errors", "hashing"},
        "bench/metrics": {"metrics", "graph", "errors", "protocols"},
        "methods": {"methods", "graph", "metrics", "errors", "protocols"},
        "tasks": {"tasks", "graph", "metrics", "ground_truth", "errors", "protocols", "assets", "hashing"},
    }
    for folder, names in allowed.items():
        for path in (ROOT / folder).rglob("*.py"):
            for line in path.read_text().splitlines():
                words = line.split()
                if words[:1] == ["from"] and words[1].startswith("mechboard."):
                    assert words[1].split(".")[1] in names, f"{path}: {line}"


def test_no_file_of_maths_names_a_device():
    for folder in ("bench/graph", "bench/metrics", "methods", "tasks"):
        for path in (ROOT / folder).rglob("*.py"):
            assert "cuda" not in path.read_text(), path
