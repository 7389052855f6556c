"""What makes an answer stale, and what must not: identities under edits of the source, and answers that are kept."""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import torch
from test_cli import bench  # noqa: F401
from test_runner import CALLS, FakeTask, Quiet, _returning, counted, drawn, run

import mechboard
from mechboard import closure, identity
from mechboard.closure import tree_hash
from mechboard.errors import RecordError
from mechboard.protocols import EdgeScores
from mechboard.registry import Registry
from mechboard.store import Store, read_record
from mechboard.tasks.own import OwnTask
from mechboard.workers import cell

ROOT = Path(mechboard.__file__).resolve().parent.parent
TASKS = ("compiled-fraction", "trained-ioi", "ioi-mini", "pronoun-stories")


def _ids(task_name, method_name="eap"):
    """Solution and evaluation identity of a cell; assets aside, which other tests see to."""
    registry = Registry()
    method, task = registry.load("method", method_name), registry.load("task", task_name)
    solution = identity.solution_id(method, {}, task, {}, 0, 0)
    scorer = "no asset here" if task.assets else identity.evaluation_id("fixed", task)
    return solution, scorer


@pytest.fixture
def edited(monkeypatch):
    """Identities as they would be if the text of one file read otherwise; nothing is written."""
    original = Path.read_text

    def edit(file, change):
        path = next(p for p in (ROOT / file, ROOT / "mechboard" / file) if p.is_file()).resolve()
        before = original(path, encoding="utf-8")
        after = change(before)
        assert after != before
        closure._read.cache_clear()
        monkeypatch.setattr(
            Path, "read_text", lambda self, *a, **k: after if self.resolve() == path else original(self, *a, **k)
        )

    yield edit
    monkeypatch.undo()
    closure._read.cache_clear()


def _code(text):
    return text + "\n_ADDED = 1\n"


def _comment(text):
    lines = text.replace("return ", "return  ", 1).splitlines()  # layout
    return "# a comment\n" + "\n".join(lines) + "\n\n# another\n'''A string that nothing reads.'''\n"


SOLUTION = [
    # method, task, file whose code changes
    ("eap", "compiled-fraction", "methods/eap.py"),
    ("eap", "compiled-fraction", "methods/_products.py"),
    ("activation-patching", "compiled-fraction", "methods/activation_patching.py"),
    ("eap", "compiled-fraction", "bench/graph/trace.py"),
    ("eap", "compiled-fraction", "bench/graph/ablation.py"),
    ("eap", "compiled-fraction", "bench/metrics/answers.py"),
    ("eap", "compiled-fraction", "tasks/compiled/fraction.py"),
    ("eap", "compiled-fraction", "tasks/compiled/compiler.py"),
    ("eap", "compiled-fraction", "tasks/compiled/task.py"),
    ("eap", "trained-ioi", "bench/metrics/answers.py"),
    ("eap", "trained-ioi", "ground_truth/trained/behaviours.py"),
    ("eap", "trained-ioi", "tasks/trained/ioi.py"),
    ("eap", "ioi-mini", "bench/metrics/answers.py"),
    ("eap", "ioi-mini", "tasks/mini/ioi.py"),
    ("eap", "ioi-mini", "tasks/behaviours/indirect_object.py"),
    ("eap", "ioi-mini", "tasks/behaviours/prompts.py"),
    ("eap", "ioi-mini", "tasks/tokens.py"),
    ("eap", "ioi-mini", "ground_truth/mini/lexicon.py"),
    ("eap", "ioi-mini", "bench/graph/hf.py"),
    ("eap", "pronoun-stories", "tasks/own.py"),
    ("eap", "pronoun-stories", "tasks/tokens.py"),
    ("eap", "pronoun-stories", "bench/metrics/answers.py"),
]


@pytest.mark.parametrize(("method", "task", "file"), SOLUTION)
def test_changed_code_that_an_answer_rests_on_makes_it_stale_and_a_comment_does_not(edited, method, task, file):
    before = _ids(task, method)
    edited(file, _comment)
    assert _ids(task, method) == before
    edited(file, _code)
    assert _ids(task, method)[0] != before[0]


@pytest.mark.parametrize("file", ["circuit", "faithfulness", "roc", "ranking", "correlation"])
def test_changed_code_of_a_measure_changes_the_evaluation_and_no_answer(edited, file):
    before = {task: _ids(task) for task in TASKS}
    edited(f"bench/metrics/{file}.py", _comment)
    assert {task: _ids(task) for task in TASKS} == before
    edited(f"bench/metrics/{file}.py", _code)
    for task in TASKS:
        solution, evaluation = _ids(task)
        assert solution == before[task][0]
        assert evaluation != before[task][1] or task == "pronoun-stories"


@pytest.mark.parametrize(
    "file",
    ["methods/eap_ig.py", "tasks/compiled/reverse.py", "tasks/mini/ioi.py", "bench/runner.py", "bench/cli/run.py",
     "bench/records.py", "bench/store.py", "leaderboard/board.py", "bench/__init__.py"],
)  # fmt: skip
def test_changed_code_that_an_answer_does_not_rest_on_leaves_it(edited, file):
    before = {task: _ids(task) for task in ("compiled-fraction", "trained-ioi")}
    edited(file, _code)
    assert {task: _ids(task) for task in before} == before


def test_a_syntax_tree_is_hashed_without_docstrings_comments_and_layout():
    assert tree_hash("def f(a, b):\n    'Doc.'\n    return (a\n      + b)  # c") == tree_hash("def f(a,b): return a+b")
    for other in ("def f(a, b): return a - b", "def f(b, a): return a + b", "def g(a, b): return a + b"):
        assert tree_hash("def f(a, b): return a + b") != tree_hash(other)
    assert tree_hash("x = 'text'") != tree_hash("x = 'other'")
    assert tree_hash("x = 1") != tree_hash("x = 1.0")


def _write(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)


def _plugin(folder):
    return Registry((folder / "mine.py",)).load("method", "mine")


MINE = (
    '"""Mine."""\nfrom beside import scale\nfrom mechboard.protocols import EdgeScores, NoParameters, method\n'
    '@method(name="mine", kinds=("circuit",), deterministic=True)\n'
    "def mine(problem, generator, parameters: NoParameters):\n    return EdgeScores(scale(problem))\n"
)


def test_a_loose_plugin_is_hashed_with_what_it_imports_from_beside_it(tmp_path, monkeypatch):
    import sys

    task = Registry().load("task", "compiled-fraction")
    monkeypatch.syspath_prepend(str(tmp_path))
    _write(tmp_path, mine=MINE, beside="import further\nscale = 1", further="x = 1", stranger="x = 1")
    ids = []
    for edit in ({}, {"beside": "import further\nscale = 2"}, {"further": "x = 2"}, {"stranger": "x = 2"}):
        _write(tmp_path, **edit)
        for name in ("beside", "further", "mechboard_scratch_mine"):
            sys.modules.pop(name, None)
        closure._search.cache_clear()
        closure._read.cache_clear()
        ids.append(identity.solution_id(_plugin(tmp_path), {}, task, {}, 0, 0))
    assert len(set(ids)) == 3
    assert ids[2] == ids[3]


def test_a_task_is_told_apart_by_its_fields_and_not_by_what_describes_it():
    @dataclass
    class Declared:
        name: str
        size: int
        draw: object
        version: int = 1
        summary: str = ""
        _cache: int = 0

        def truth_hashes(self):
            return {}

    def same(x, by=1):
        return x

    def solution(**fields):
        task = Declared(**({"name": "t", "size": 3, "draw": partial(same, by=2)} | fields))
        return identity.solution_id(counted, {}, task, {}, 0, 0)

    assert solution(summary="other", _cache=5) == solution()
    others = [solution(size=4), solution(draw=partial(same, by=3)), solution(name="u"), solution(version=2)]
    assert len({solution(), *others}) == 5


def test_a_method_made_by_a_factory_is_told_apart_by_what_it_closes_over():
    one, two = (_returning(partial(torch.full, (3,), value)) for value in (1.0, 2.0))
    task = FakeTask()
    assert identity.solution_id(one, {}, task, {}, 0, 0) != identity.solution_id(two, {}, task, {}, 0, 0)


@pytest.mark.parametrize(
    "change", [{"parameters": {"steps": 4}}, {"assets": {"a": "b"}}, {"data_seed": 1}, {"seed": 1}]
)
def test_parameters_files_and_seeds_are_part_of_the_solution(change):
    given = {"parameters": {"steps": 3}, "assets": {}, "data_seed": 0, "seed": 0}
    a, b = (identity.solution_id(counted, task=FakeTask(), **(given | extra)) for extra in ({}, change))
    assert a != b


def test_own_tasks_are_told_apart_by_content_not_by_the_names_of_folders(tmp_path):
    for name, text in (("a", "1"), ("b", "2")):
        (tmp_path / name / "ckpt").mkdir(parents=True)
        (tmp_path / name / "ckpt" / "config.json").write_text(text)
    (tmp_path / "ids.jsonl").write_text("{}")
    names = [OwnTask(tmp_path / name / "ckpt", tmp_path / "ids.jsonl").name for name in "ab"]
    assert names[0] != names[1]
    assert all(name.startswith("own-ckpt-ids-") for name in names)
    (tmp_path / "b" / "ckpt" / "config.json").write_text("1")
    assert OwnTask(tmp_path / "b" / "ckpt", tmp_path / "ids.jsonl").name == names[0]
    (tmp_path / "b" / "ckpt" / "tokenizer.json").write_text("{}")
    assert OwnTask(tmp_path / "b" / "ckpt", tmp_path / "ids.jsonl").name != names[0]


# -- kept answers ---------------------------------------------------------------------------------


def _answer_of(folder, name="counted"):
    return folder / name / "fake@v1" / "data-0" / "seed-0.safetensors"


def _changed_scorer(monkeypatch, word="another"):
    monkeypatch.setattr(identity, "evaluation_id", lambda solution, task: f"{solution} {word}")


def test_when_scoring_fails_the_answer_is_kept_and_not_computed_again(tmp_path, monkeypatch):
    CALLS.clear()
    real = cell.evaluate_edges
    monkeypatch.setattr(cell, "evaluate_edges", lambda *a, **k: 1 / 0)
    _, [first] = run(tmp_path, [counted])
    assert (first.status, first.record.error.type) == ("failed", "ZeroDivisionError")
    monkeypatch.setattr(cell, "evaluate_edges", real)
    _, [second] = run(tmp_path, [counted])
    assert (second.status, second.record.status) == ("rescored", "done")
    assert CALLS == [3]
    assert second.record.cost.wall_seconds > 0


def test_an_answer_of_another_solution_is_never_rescored(tmp_path, monkeypatch):
    """A run is interrupted after its answer is written over that of an older record; then the scorer changes."""
    _, [first] = run(tmp_path, [counted])
    record = _answer_of(tmp_path).with_suffix(".json")
    older, text = first.record, record.read_text()
    other = Store(tmp_path).read_answer(older.cell, older.solution_id)
    changed = type(other)("2:another", -other.scores, other.cost, other.provenance)
    Store(tmp_path).write_answer(older.cell, changed)
    record.write_text(text)
    CALLS.clear()
    _changed_scorer(monkeypatch)
    _, [second] = run(tmp_path, [counted])
    assert second.status == "done"
    assert CALLS == [3]
    assert second.record.measures == older.measures


@pytest.mark.parametrize("changed", [False, True], ids=["same scorer", "changed scorer"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(path.read_bytes()[:-8]),
        lambda path: path.write_bytes(b"\x00" * 40),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1])),
    ],
    ids=["missing", "truncated", "zeros", "empty", "one bit"],
)
def test_a_damaged_answer_is_computed_again_whatever_the_record_says(tmp_path, monkeypatch, damage, changed):
    _, [first] = run(tmp_path, [counted])
    damage(_answer_of(tmp_path))
    CALLS.clear()
    if changed:
        _changed_scorer(monkeypatch)
    _, [second] = run(tmp_path, [counted])
    assert second.status == "done"
    assert CALLS == [3]
    assert second.record.measures == first.record.measures


def test_a_rescored_record_keeps_the_provenance_and_cost_of_its_answer(tmp_path, monkeypatch):
    _, [first] = run(tmp_path, [counted])
    _changed_scorer(monkeypatch)
    monkeypatch.setattr("sys.argv", ["bench", "another command"])
    _, [second] = run(tmp_path, [counted])
    assert second.status == "rescored"
    assert second.record.provenance == first.record.provenance
    assert second.record.cost.wall_seconds == first.record.cost.wall_seconds
    assert read_record(_answer_of(tmp_path).with_suffix(".json")) == second.record


def test_an_interrupted_rescoring_leaves_the_finished_record(tmp_path, monkeypatch):
    _, [first] = run(tmp_path, [counted])
    _changed_scorer(monkeypatch)

    def interrupt(*a, **k):
        raise KeyboardInterrupt

    monkeypatch.setattr(cell, "evaluate_edges", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, [counted])
    assert read_record(_answer_of(tmp_path).with_suffix(".json")) == first.record


def test_a_cached_run_loads_no_problem_and_asks_for_no_truth(tmp_path, monkeypatch):
    task = FakeTask()
    run(tmp_path, [counted, drawn], task, seeds=2)
    monkeypatch.setattr(FakeTask, "load", lambda *a: pytest.fail("a problem was loaded"))
    monkeypatch.setattr(FakeTask, "truths", lambda *a: pytest.fail("truths were asked for"))
    _, outcomes = run(tmp_path, [counted, drawn], FakeTask(), seeds=2)
    assert [o.status for o in outcomes] == ["cached"] * 3


def test_a_cached_run_of_the_command_starts_no_process_and_imports_no_model_code(bench, monkeypatch):  # noqa: F811
    arguments = ("run", "--method", "eap,random", "--task", "compiled-fraction,ioi-mini", "--results", "r", "--json")
    assert bench(*arguments)[0] == 0
    from mechboard.workers import server

    monkeypatch.setattr(server, "server", lambda: pytest.fail("a process was started"))
    monkeypatch.setattr("mechboard.graph.hf.load_checkpoint", lambda *a, **k: pytest.fail("a model was loaded"))
    cells = json.loads(bench(*arguments)[1])
    assert {c["status"] for c in cells} == {"cached"}


def test_only_a_method_that_declares_it_is_shown_the_truth(tmp_path):
    from mechboard.protocols import NoParameters, method

    seen = {}

    def make(name, sees):
        @method(name=name, kinds=("circuit",), deterministic=True, sees=sees)
        def looks(problem, generator, parameters: NoParameters):
            seen[name] = problem.truth
            return EdgeScores(torch.ones(problem.graph.n_edges))

        return looks

    run(tmp_path, [make("blind", ()), make("sighted", ("truth",)), make("blind-too", ())])
    assert seen["blind"] is None
    assert seen["blind-too"] is None
    assert int(seen["sighted"].sum()) == 20


def test_a_record_that_cannot_be_read_does_not_make_its_answer_untrusted(tmp_path):
    run(tmp_path, [counted])
    CALLS.clear()
    _answer_of(tmp_path).with_suffix(".json").write_text("{")
    observer = Quiet()
    _, [again] = run(tmp_path, [counted], observer=observer)
    assert again.status == "rescored"
    assert CALLS == []
    assert "was renamed" in observer.notices[0]


def test_a_foreign_file_is_no_answer():
    from mechboard.answer import unpack

    with pytest.raises(RecordError, match="cannot be read"):
        unpack(b"PK\x03\x04 not an answer at all")
