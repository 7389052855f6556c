"""Which small mutations of the source do the tests not notice?

    python benchmarks/mutants.py [FILE ...] [--sample N] [--seed S] [--jobs J]

Mutates the files (by default all of `TESTS`) one change at a time, runs the tests that belong to each file until the
first fails, prints the mutants that survive, and a score: the share that was killed of those that could be. `--sample`
takes N mutants at random, always the same ones for a seed. Exit code 1 if any survives.

The working tree is only read: every job has a copy of it made of links, in which one file at a time is a real one.
Tests run in forks of a process that has imported torch and the like. What no test can tell from the original is listed
with its reason in `mutants.equivalent.toml`; an entry that matches no mutant any more is an error.

A killed mutant costs about a second, one that survives as long as its tests: eight minutes for the 400 of `bench/metrics`
on one core. Why not a known tool: mutmut 3 takes
a module's name from the path of its file, which is in the folder `bench` here, so that no mutant meets a test; it
imports before the shapes of annotations can be watched, and leaves out what is decorated. cosmic-ray writes the mutant
into the working tree and starts an interpreter for each.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import resource
import signal
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from queue import SimpleQueue

from mutations import Mutation, mutations

ROOT = Path(__file__).resolve().parent.parent
EQUIVALENT = ROOT / "benchmarks" / "mutants.equivalent.toml"
_OF_CELLS = ("test_identity.py", "test_kept_answers.py", "test_closure.py", "test_runner.py")
TESTS = {
    "bench/metrics/feature_contexts.py": ("test_feature_contexts.py",),
    "bench/kinds/feature_*.py": ("test_feature_exhibits.py", "test_feature_contexts.py"),
    "bench/metrics/*.py": ("test_answers.py", "test_measures.py", "test_metrics.py"),
    "bench/contract/measures.py": ("test_metrics.py", "test_measures.py", "test_records.py"),
    "bench/contract/task.py": ("test_kinds.py", "test_declarations.py", "test_runner.py"),
    "bench/graph/processing.py": ("test_processing.py",),
    "ground_truth/published.py": ("test_published.py",),
    "bench/kinds/circuit.py": (
        "test_kinds.py",
        "test_runner.py",
        "test_metrics.py",
        "test_measures.py",
        "test_migrations.py",
    ),
    "bench/records/migrations.py": ("test_migrations.py",),
    "bench/runs/plan.py": ("test_kinds.py", "test_runner.py"),
    "bench/records/record.py": ("test_record*.py", "test_runner.py"),
    "bench/comparison/compare.py": ("test_compare.py",),
    "bench/comparison/wanted.py": ("test_compare.py",),
    "bench/comparison/noise.py": ("test_compare.py",),
    "bench/records/answer.py": _OF_CELLS,
    "bench/runs/closure.py": _OF_CELLS,
    "bench/files.py": _OF_CELLS,
    "bench/runs/identity.py": _OF_CELLS,
    "bench/runs/runner.py": _OF_CELLS,
    "bench/runs/workers/cell.py": _OF_CELLS,
    "bench/runs/workers/inline.py": _OF_CELLS,
    "bench/runs/estimate.py": ("test_progress.py",),
    **{
        f"leaderboard/{name}.py": ("test_board.py", "test_leaderboard.py")
        for name in ("board", "consensus", "families", "groups", "ranks", "standings", "tables")
    },
    **{f"leaderboard/{name}.py": ("test_task_page.py",) for name in ("figures", "task_page", "twins", "weights")},
    **{
        f"bench/drawing/{name}.py": ("test_drawing.py",)
        for name in ("agreement", "axes", "distribution", "interpolation", "operating_points")
    },
    **{
        f"bench/drawing/{name}.py": ("test_feature_exhibits.py",)
        for name in ("explanation", "feature_circuit", "feature_circuit_layout", "feature_circuit_text", "linearity")
    },
}
"""The tests that belong to a file: what should notice a change of it."""
_WARM = ["torch", "numpy", "pandas", "scipy.stats", "sklearn.metrics", "hypothesis", "jaxtyping", "beartype"]
_WARM += ["pydantic", "click", "rich.table", "jinja2", "safetensors.torch", "pytest", "xdist.plugin", "_pytest.doctest"]
_MEMORY = 8 * 2**30


@dataclass(frozen=True)
class Suite:
    """Tests of some files, in the order in which they run, and how long they take on the original."""

    arguments: tuple[str, ...]
    order: dict[str, float]
    seconds: float

    @property
    def patience(self) -> float:
        """Seconds after which a run is taken for one that never ends."""
        return 20 + 5 * self.seconds


class Tree:
    """A copy of the repository made of links, importable as it is installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        _link(ROOT, folder)

    @contextmanager
    def mutated(self, mutation: Mutation) -> Iterator[None]:
        """The mutation in its place, and the original again afterwards."""
        path = self.folder / mutation.path
        original = path.readlink()
        for stale in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
            stale.unlink()
        path.unlink()
        path.write_text(mutation.text, encoding="utf-8")
        try:
            yield
        finally:
            path.unlink()
            path.symlink_to(original)

    def test(self, suite: Suite) -> str:
        """`passed`, `failed` or `timeout`, in a process of its own with everything that it starts."""
        process = multiprocessing.get_context("forkserver").Process(target=_run_tests, args=(self.folder, suite))
        process.start()
        process.join(suite.patience)
        alive = process.is_alive()
        if process.pid and alive:
            os.killpg(process.pid, signal.SIGKILL)
            process.join()
        return "timeout" if alive else "failed" if process.exitcode else "passed"


def _link(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for entry in source.iterdir():
        if (
            entry.is_symlink()
        ):  # one inside the repository: the same in the copy, so that a file has one place there too
            (target / entry.name).symlink_to(entry.readlink())
        elif entry.is_dir() and not entry.name.startswith(".") and entry.name not in ("__pycache__", "results"):
            _link(entry, target / entry.name)
        elif entry.is_file() or entry.name == "results":
            (target / entry.name).symlink_to(entry)


class _Watch:
    """A pytest plugin: quick tests first, and how long each took."""

    def __init__(self, order: dict[str, float]) -> None:
        self.order, self.seconds = order, dict[str, float]()

    def pytest_collection_modifyitems(self, items: list[object]) -> None:
        """Sort within files, and the files; a file's fixtures are made once."""
        of_file: dict[str, float] = {}
        for name, seconds in self.order.items():
            of_file[name.partition("::")[0]] = of_file.get(name.partition("::")[0], 0.0) + seconds

        def cost(item: object) -> tuple[float, float]:
            name: str = item.nodeid  # type: ignore[attr-defined]
            return of_file.get(name.partition("::")[0], 0.0), self.order.get(name, 0.0)

        items.sort(key=cost)

    def pytest_runtest_logreport(self, report: object) -> None:
        """Note what the test itself took; its fixtures serve others too."""
        if report.when == "call":  # type: ignore[attr-defined]
            self.seconds[report.nodeid] = report.duration  # type: ignore[attr-defined]


def _run_tests(folder: Path, suite: Suite) -> None:
    """In the child: import from `folder`, run, leave with pytest's exit code and the durations in a file."""
    import importlib.util

    import pytest
    import torch

    os.setsid()
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    os.environ["PYTHONPATH"] = str(folder)
    for name in [name for name in sys.modules if name.partition(".")[0] == "mechboard"]:
        del sys.modules[name]  # the server may serve others as well, who had it import the original
    found = importlib.util.find_spec("mechboard")
    if found is None or not str(found.origin).startswith(str(folder)):
        raise SystemExit(f"mechboard is imported from {found and found.origin}, not from {folder}")
    sys.dont_write_bytecode = bool(suite.order)
    with (folder / "output.txt").open("w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    watch = _Watch(suite.order)
    code = pytest.main(
        ["-x", "-q", "-p", "no:cacheprovider", "--disable-warnings", "--hypothesis-seed=0", *suite.arguments],
        plugins=[watch],
    )
    (folder / "seconds.json").write_text(json.dumps(watch.seconds))
    sys.stdout.flush()
    os._exit(int(code))


def measure(tree: Tree, patterns: tuple[str, ...], paths: list[str]) -> Suite:
    """The tests that belong to the files of one entry, run on the original."""
    files = sorted({path for pattern in patterns for path in (ROOT / "tests").glob(pattern)})
    examples = (f"tests/test_doctests.py::test_examples_in_docstrings_hold[{_module(path)}]" for path in paths)
    arguments = (*(str(path.relative_to(ROOT)) for path in files), *examples)
    begun = time.perf_counter()
    result = tree.test(Suite(arguments, {}, 300.0))
    if result != "passed":
        raise SystemExit(f"{(tree.folder / 'output.txt').read_text()}\nThe tests of {', '.join(paths)}: {result}.")
    order = json.loads((tree.folder / "seconds.json").read_text())
    return Suite(arguments, order, time.perf_counter() - begun)


def _module(path: str) -> str:
    name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    top, _, rest = name.partition(".")
    return f"mechboard.{rest}" if top == "bench" else f"mechboard.{name}"


def _equivalent() -> dict[tuple[str, str, str], str]:
    entries = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8"))
    return {(path, e["before"], e["after"]): e["why"] for path, listed in entries.items() for e in listed}


def _chosen(files: list[str], sample: int | None, seed: int) -> tuple[list[Mutation], int]:
    """The mutants to try, and how many were left out as equivalent."""
    listed = _equivalent()
    every = [m for path in files for m in mutations(path, (ROOT / path).read_text(encoding="utf-8"))]
    known = {(m.path, m.before, m.after) for m in every}
    stale = [key for key in listed if key[0] in files and key not in known]
    if stale:
        raise SystemExit(f"{EQUIVALENT.name} lists mutants that do not exist: {stale}")
    kept = [m for m in every if (m.path, m.before, m.after) not in listed]
    if sample is not None and sample < len(kept):
        picked = sorted(random.Random(seed).sample(range(len(kept)), sample))
        return [kept[i] for i in picked], len(every) - len(kept)
    return kept, len(every) - len(kept)


def run(files: list[str], *, sample: int | None, seed: int, jobs: int) -> int:
    """Try the mutants of some files and print what survives; the number of survivors."""
    chosen, equivalent = _chosen(files, sample, seed)
    multiprocessing.get_context("forkserver").set_forkserver_preload(_WARM)
    with tempfile.TemporaryDirectory(prefix="mutants-") as temporary, ThreadPoolExecutor(jobs) as pool:
        trees: SimpleQueue[Tree] = SimpleQueue()
        for job in range(jobs):
            trees.put(Tree(Path(temporary) / str(job)))
        suites = _suites(trees, files)

        def killed(mutation: Mutation) -> bool:
            tree = trees.get()
            try:
                with tree.mutated(mutation):
                    return tree.test(suites[mutation.path]) != "passed"
            finally:
                trees.put(tree)

        results = list(_reported(chosen, pool.map(killed, chosen)))
    for path in files:
        of_file = [dead for mutation, dead in zip(chosen, results, strict=True) if mutation.path == path]
        if of_file:
            print(f"{path}: {sum(of_file)} of {len(of_file)} killed, {sum(of_file) / len(of_file):.1%}")
    print(f"all: {sum(results)} of {len(results)} killed, {sum(results) / max(1, len(results)):.1%}; "
          f"{equivalent} equivalent left out")  # fmt: skip
    return len(results) - sum(results)


def _suites(trees: SimpleQueue[Tree], files: list[str]) -> dict[str, Suite]:
    """The suite of each file; files with the same tests share one."""
    tree, suites = trees.get(), dict[str, Suite]()
    sharing: dict[tuple[str, ...], list[str]] = {}
    for path in files:
        tests = next(tests for pattern, tests in TESTS.items() if fnmatch(path, pattern))
        sharing.setdefault(tests, []).append(path)
    for tests, paths in sharing.items():
        suite = measure(tree, tests, paths)
        print(f"{', '.join(paths)}: {len(suite.order)} tests, {suite.seconds:.0f} s", flush=True)
        suites |= dict.fromkeys(paths, suite)
    trees.put(tree)
    return suites


def _reported(chosen: list[Mutation], results: Iterator[bool]) -> Iterator[bool]:
    begun = time.perf_counter()
    for number, (mutation, dead) in enumerate(zip(chosen, results, strict=True), 1):
        if not dead:
            print(f"survived: {mutation}", flush=True)
        if sys.stderr.isatty():
            left = (time.perf_counter() - begun) / number * (len(chosen) - number)
            print(f"\r{number} of {len(chosen)}, {left:.0f} s left ", end="", file=sys.stderr, flush=True)
        yield dead


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", help="files or globs, as in TESTS")
    parser.add_argument("--sample", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    known = sorted({str(path.relative_to(ROOT)) for pattern in TESTS for path in ROOT.glob(pattern)})
    files = [path for path in known if any(fnmatch(path, asked) for asked in arguments.files or ["*"])]
    if not files:
        parser.error(f"no tests are known for these files; valid: {', '.join(known)}")
    os.environ["OMP_NUM_THREADS"] = "1"
    raise SystemExit(1 if run(files, sample=arguments.sample, seed=arguments.seed, jobs=arguments.jobs) else 0)


if __name__ == "__main__":
    main()
