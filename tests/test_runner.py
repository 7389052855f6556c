"""What becomes of cells: records, resume, rescoring, failures; with small fake tasks and methods."""

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from models import random_problem

import mechboard.runs.identity as identity
from mechboard.errors import RecordError, StoreError
from mechboard.files import write_atomically
from mechboard.kinds.circuit import circuit
from mechboard.protocols import EdgeScores, Instance, NoParameters, Task, Truth, method
from mechboard.records.store import Store, read_record
from mechboard.runs.labels import Selected
from mechboard.runs.plan import make_plan
from mechboard.runs.runner import Runner
from mechboard.runs.workers.inline import Inline


class Quiet:
    def __init__(self):
        self.notices = []

    def started(self, planned, number, total): ...

    def ended(self, outcome, number, total): ...

    def reached(self, planned, reached): ...

    def noticed(self, message):
        self.notices.append(message)


class State:
    """What a test changes about its task; private, so no part of the task's identity."""

    def __init__(self):
        self.loads = 0
        self.problem = random_problem("gpt2", dtype=torch.float32)
        self.files, self.effects = dict, {}
        self.n_true, self.broken = 20, False


@dataclass(frozen=True, kw_only=True)
class FakeTask(Task):
    name: str = "fake"
    kind: str = "circuit"
    summary: str = "s"
    _state: State = field(default_factory=State)

    def asset_hashes(self):
        return self._state.files()

    def truth_hashes(self):
        return self._state.effects

    def load(self, data_seed, device):
        state = self._state
        state.loads += 1
        if state.broken:
            raise ZeroDivisionError("broken")
        edges = torch.arange(state.problem.graph.n_edges) < state.n_true
        truth = Truth(name="fake:first", edges=edges, source="made up")
        return Instance(problem=state.problem, held_out=state.problem.pairs, truths=(truth,))


@dataclass(frozen=True)
class Steps:
    steps: int = 3


CALLS = []


@method(name="counted", kinds=("circuit",), deterministic=True)
def counted(problem, generator, parameters: Steps):
    CALLS.append(parameters.steps)
    return EdgeScores(torch.linspace(1, 0, problem.graph.n_edges) * parameters.steps)


@method(name="drawn", kinds=("circuit",), deterministic=False)
def drawn(problem, generator, parameters: NoParameters):
    return EdgeScores(torch.randn(problem.graph.n_edges, generator=generator))


def _unchecked(scores):
    """Scores of any type: shapes in annotations are checked while tests run, and never else."""
    made = EdgeScores(torch.zeros(1))
    object.__setattr__(made, "scores", scores)
    return made


def _returning(value):
    @method(name="odd", kinds=("circuit",), deterministic=True)
    def odd(problem, generator, parameters: NoParameters):
        return value(problem.graph.n_edges)

    return odd


def run(tmp_path, methods, task=None, *, fresh=False, passed=None, seeds=1, data_seeds=1, observer=None):
    selected = [Selected(m, (passed or {}).get(m.name, {})) for m in methods]
    plan = make_plan(selected, [task or FakeTask()], seeds=seeds, data_seeds=data_seeds)
    store = Store(tmp_path)
    runner = Runner(store, [observer or Quiet()], Inline(device="cpu"), device="cpu", fresh=fresh)
    return store, list(runner.run(plan))


def test_a_cell_leaves_a_record_where_the_layout_says_and_reads_back_the_same(tmp_path):
    _, [outcome] = run(tmp_path, [counted], passed={"counted": {"steps": 5}})
    path = tmp_path / "counted+steps=5" / "fake@v1" / "data-0" / "seed-0.json"
    assert read_record(path) == outcome.record
    assert outcome.record.cell.label == "counted[steps=5]"
    assert path.with_suffix(".safetensors").is_file()
    assert outcome.record.cost.prompts == 5
    assert not list(tmp_path.rglob("*.pkl"))
    assert not list(tmp_path.rglob(".*"))


def test_running_again_does_nothing_and_another_parameter_does_only_that(tmp_path):
    CALLS.clear()
    run(tmp_path, [counted])
    _, [again] = run(tmp_path, [counted])
    _, [other] = run(tmp_path, [counted], passed={"counted": {"steps": 4}})
    assert (again.status, other.status) == ("cached", "done")
    assert CALLS == [3, 4]


def test_fresh_runs_what_is_there(tmp_path):
    CALLS.clear()
    run(tmp_path, [counted])
    run(tmp_path, [counted], fresh=True)
    assert CALLS == [3, 3]


def test_a_changed_scorer_rescores_without_running_the_method_again(tmp_path, monkeypatch):
    CALLS.clear()
    _, [first] = run(tmp_path, [counted])
    monkeypatch.setattr(identity, "evaluation_id", lambda solution, task: f"{solution} and another scorer")
    _, [second] = run(tmp_path, [counted])
    assert second.status == "rescored"
    assert CALLS == [3]
    assert second.record.evaluation_id != first.record.evaluation_id
    assert second.record.solution_id == first.record.solution_id
    assert second.record.measures == first.record.measures
    assert second.record.cost.wall_seconds == first.record.cost.wall_seconds


def test_changed_files_of_the_truth_rescore_and_other_truths_are_another_scorer(tmp_path):
    CALLS.clear()
    task = FakeTask()
    _, [first] = run(tmp_path, [counted], task)
    task._state.effects, task._state.n_true = {"effects.json": "another hash"}, 21
    _, [second] = run(tmp_path, [counted], task)
    assert second.status == "rescored"
    assert CALLS == [3]
    assert second.record.scorer_id != first.record.scorer_id
    assert second.record.task.truths[0].n_true == 21


def test_identities_do_not_depend_on_versions_or_time(tmp_path):
    _, [first] = run(tmp_path / "a", [counted])
    _, [second] = run(tmp_path / "b", [counted])
    assert first.record.solution_id == second.record.solution_id
    assert first.record.evaluation_id == second.record.evaluation_id


@pytest.mark.parametrize(
    ("value", "status", "said"),
    [
        (lambda n: None, "invalid", "returned NoneType; valid: mechboard.protocols.EdgeScores"),
        (lambda n: torch.zeros(n), "invalid", "returned Tensor"),
        (lambda n: EdgeScores(torch.zeros(n + 1)), "invalid", "shape"),
        (lambda n: _unchecked(torch.zeros(n, dtype=torch.long)), "invalid", "int64"),
        (lambda n: EdgeScores(torch.full((n,), float("inf"))), "invalid", "infinite"),
        (lambda n: EdgeScores(torch.full((n,), float("nan"))), "invalid", "NaN for every edge"),
        (lambda n: 1 / 0, "failed", "division by zero"),
    ],
)
def test_a_method_that_misbehaves_fails_its_own_cell_and_the_others_go_on(tmp_path, value, status, said):
    store, outcomes = run(tmp_path, [_returning(value), counted])
    assert [o.record.status for o in outcomes] == [status, "done"]
    assert said in outcomes[0].record.error.message
    assert store.read(outcomes[0].record.cell).status == status
    assert "Traceback" in outcomes[0].record.error.traceback


def test_a_failure_is_never_cached(tmp_path):
    run(tmp_path, [_returning(lambda n: None)])
    _, [again] = run(tmp_path, [_returning(lambda n: EdgeScores(torch.ones(n)))])
    assert again.status == "done"


def test_some_edges_without_opinion_are_valid(tmp_path):
    nan = float("nan")
    _, [outcome] = run(tmp_path, [_returning(lambda n: EdgeScores(torch.tensor([1.0] * 50 + [nan] * (n - 50))))])
    assert outcome.record.status == "done"
    assert outcome.record.measures["coverage"].of.startswith("50 /")


def test_a_task_that_does_not_load_fails_its_cells_with_the_reason(tmp_path):
    task = FakeTask()
    task._state.broken = True
    _, outcomes = run(tmp_path, [counted, drawn], task)
    assert [o.record.status for o in outcomes] == ["failed", "failed"]
    assert outcomes[0].record.error.type == "ZeroDivisionError"


def test_a_deterministic_method_runs_one_seed_and_others_as_many_as_asked(tmp_path):
    task = FakeTask()
    _, outcomes = run(tmp_path, [counted, drawn], task, seeds=3, data_seeds=2)
    assert [(o.record.cell.method, o.record.cell.data_seed, o.record.cell.seed) for o in outcomes] == [
        ("counted", 0, 0), ("drawn", 0, 0), ("drawn", 0, 1), ("drawn", 0, 2),
        ("counted", 1, 0), ("drawn", 1, 0), ("drawn", 1, 1), ("drawn", 1, 2),
    ]  # fmt: skip
    assert task._state.loads == 2
    values = [o.record.headline_measure.value for o in outcomes if o.record.cell.method == "drawn"]
    assert len(set(values)) == 6


def test_an_interrupt_leaves_a_record_says_so_and_stops(tmp_path):
    def interrupt(n):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, [_returning(interrupt), counted])
    record = read_record(tmp_path / "odd" / "fake@v1" / "data-0" / "seed-0.json")
    assert record.status == "interrupted"


def test_an_interrupt_does_not_replace_a_finished_record(tmp_path):
    run(tmp_path, [_returning(lambda n: EdgeScores(torch.ones(n)))])

    def interrupt(n):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, [_returning(interrupt)], fresh=True)
    assert read_record(tmp_path / "odd" / "fake@v1" / "data-0" / "seed-0.json").status == "done"


@pytest.mark.parametrize("text", ["{", '{"schema_version": 1}', '{"schema_version": 99}', "[]", "\x00"])
def test_an_unreadable_record_is_set_aside_unchanged_and_the_cell_runs(tmp_path, text):
    path = tmp_path / "counted" / "fake@v1" / "data-0" / "seed-0.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    observer = Quiet()
    _, [outcome] = run(tmp_path, [counted], observer=observer)
    assert outcome.record.status == "done"
    assert path.with_name("seed-0.json.unreadable-1").read_text() == text
    assert "was renamed" in observer.notices[0]


def test_an_unreadable_record_says_what_it_is(tmp_path):
    path = tmp_path / "r.json"
    path.write_text('{"schema_version": 7}')
    with pytest.raises(RecordError, match="schema_version 7; valid: 1 to 3"):
        read_record(path)


def test_a_read_only_folder_is_never_written(tmp_path):
    (tmp_path / "READ_ONLY").touch()
    with pytest.raises(StoreError, match="is read-only"):
        Store(tmp_path).check_writable()


def test_a_folder_that_cannot_be_made_says_so(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        Store(tmp_path / "file" / "inside").check_writable()


def test_a_write_that_fails_leaves_the_old_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "f.json"
    write_atomically(path, b"old")
    monkeypatch.setattr("os.replace", lambda a, b: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(StoreError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["f.json"]


def test_the_methods_generator_depends_on_the_cell_and_on_nothing_else(tmp_path):
    _, first = run(tmp_path / "a", [drawn], seeds=2)
    _, second = run(tmp_path / "b", [counted, drawn], seeds=2)
    values = [o.record.headline_measure.value for o in first]
    assert values == [o.record.headline_measure.value for o in second if o.record.cell.method == "drawn"]


def test_the_record_schema_in_the_docs_is_the_models(tmp_path):
    from mechboard.records import schema

    written = Path(__file__).parent.parent / "docs" / "record.schema.json"
    assert json.loads(written.read_text()) == schema()


class Watching(Quiet):
    def __init__(self):
        super().__init__()
        self.seen = []

    def started(self, planned, number, total):
        self.seen.append(("started", planned.cell.method, number, total))

    def ended(self, outcome, number, total):
        self.seen.append((outcome.status, outcome.record.cell.method, number, total))


def test_observers_count_cells_begun_and_ended_with_the_kept_ones(tmp_path):
    others = [_returning(lambda n: None)]
    run(tmp_path, [counted, drawn], seeds=1)
    observer = Watching()
    run(tmp_path, [counted, drawn, *others], observer=observer, seeds=2)
    assert observer.seen == [
        ("cached", "counted", 1, 4), ("cached", "drawn", 2, 4),
        ("started", "drawn", 3, 4), ("done", "drawn", 3, 4), ("started", "odd", 4, 4), ("invalid", "odd", 4, 4),
    ]  # fmt: skip


def test_an_outcome_tells_how_long_its_cell_took(tmp_path):
    begun = time.perf_counter()
    outcomes = [*run(tmp_path, [counted])[1], *run(tmp_path, [counted])[1]]
    assert [o.status for o in outcomes] == ["done", "cached"]
    assert 0 < sum(o.seconds for o in outcomes) < time.perf_counter() - begun
    assert all(o.seconds > 0 for o in outcomes)


def test_a_record_says_what_its_method_and_its_task_are_and_which_files_it_rests_on(tmp_path):
    @method(name="cited", kinds=("circuit",), deterministic=False, citation={"title": "On drawing"})
    def cited(problem, generator, parameters: NoParameters):
        return EdgeScores(torch.randn(problem.graph.n_edges, generator=generator))

    task = FakeTask(oracles=("counted",))
    task._state.files = lambda: {"weights": "abc"}
    for methods in ([cited, counted], [_returning(lambda n: None)]):
        for outcome in run(tmp_path, methods, task)[1]:
            record = outcome.record
            assert record.provenance.assets == {"weights": "abc"}
            assert record.method.reference == (record.cell.method == "counted")
            assert record.method.deterministic == (record.cell.method != "cited")
            assert record.task.summary == task.summary
            if record.cell.method == "cited":
                assert record.method.citation == {"title": "On drawing"}
                assert record.method.summary == cited.summary != ""
            assert record.solution_id.startswith("3:")
            assert record.evaluation_id.startswith("3:")


def test_a_record_holds_all_that_the_scorer_said(tmp_path):
    task = FakeTask()
    _, [outcome] = run(tmp_path, [_returning(lambda n: EdgeScores(torch.zeros(n)))], task)
    instance = task.load(0, "cpu")
    said = circuit.score(task, instance, EdgeScores(torch.zeros(instance.problem.graph.n_edges)))
    record = outcome.record
    assert record.headline == said.headline == "auc[fake:first]"
    assert {n: (m.value, m.of) for n, m in record.measures.items()} == {n: (m.value, m.of) for n, m in said.measures.items()}  # fmt: skip
    assert {n: (c.x, c.y) for n, c in record.curves.items()} == {n: (c.x, c.y) for n, c in said.curves.items()}
    assert record.exhibits == said.exhibits != {}
    assert record.notes == said.notes != ()
    assert record.cost.evaluation_seconds > 0


def test_an_interrupted_cell_says_what_happened_also_where_a_failure_stood_before(tmp_path):
    def interrupt(n):
        raise KeyboardInterrupt

    path = tmp_path / "odd" / "fake@v1" / "data-0" / "seed-0.json"
    run(tmp_path, [_returning(lambda n: None)])
    assert read_record(path).status == "invalid"
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, [_returning(interrupt)])
    record = read_record(path)
    assert (record.status, record.error.type) == ("interrupted", "KeyboardInterrupt")
    assert record.error.message == "The run was interrupted."
    assert "in interrupt" in record.error.traceback


def test_a_plan_is_pending_as_long_as_one_of_its_cells_has_no_record(tmp_path):
    task = FakeTask()

    def pending(methods, **fresh):
        plan = make_plan([Selected(m) for m in methods], [task], seeds=1, data_seeds=1)
        return Runner(Store(tmp_path), [], Inline(device="cpu"), device="cpu", **fresh).pending(plan)

    assert pending([counted])
    run(tmp_path, [counted], task)
    assert not pending([counted])
    assert pending([counted, drawn])
    assert pending([counted], fresh=True)


def test_a_task_whose_files_cannot_be_hashed_fails_its_own_cells_before_they_begin(tmp_path):
    broken, observer = FakeTask(name="broken"), Watching()
    broken._state.files = lambda: 1 / 0
    plan = make_plan([Selected(counted)], [broken, FakeTask()], seeds=1, data_seeds=1)
    outcomes = list(Runner(Store(tmp_path), [observer], Inline(device="cpu"), device="cpu").run(plan))
    assert [(o.status, o.record.cell.task) for o in outcomes] == [("failed", "broken"), ("done", "fake")]
    assert Store(tmp_path).read(outcomes[0].record.cell).error.type == "ZeroDivisionError"
    assert broken._state.loads == 0


def test_a_log_is_of_the_run_that_made_the_answer_and_no_other(tmp_path, monkeypatch):
    _, [first] = run(tmp_path, [counted])
    log = Store(tmp_path).path(first.record.cell).with_suffix(".log")
    log.write_text("said while solving")
    monkeypatch.setattr(identity, "evaluation_id", lambda solution, task: f"{solution} and another scorer")
    _, [again] = run(tmp_path, [counted])
    assert again.status == "rescored"
    assert log.read_text() == "said while solving"
    run(tmp_path, [counted], fresh=True)
    assert not log.exists()
    log = tmp_path / "odd" / "fake@v1" / "data-0" / "seed-0.log"
    log.parent.mkdir(parents=True)
    log.write_text("said by another version")
    run(tmp_path, [_returning(lambda n: None)])
    assert not log.exists()


def test_a_file_is_on_the_disk_before_it_takes_its_place(tmp_path, monkeypatch):
    path, synced = tmp_path / "new" / "folder" / "f.json", []
    monkeypatch.setattr("os.fsync", lambda handle: synced.append((os.fstat(handle).st_size, path.exists())))
    write_atomically(path, b"content")
    assert synced == [(7, False)]
    assert path.read_bytes() == b"content"
    assert path.stat().st_mode & 0o777 == 0o644
    write_atomically(path, b"other")
    assert [p.name for p in path.parent.iterdir()] == ["f.json"]


def test_an_interrupt_while_writing_leaves_nothing_behind_and_goes_on_as_an_interrupt(tmp_path, monkeypatch):
    def interrupt(handle):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "f.json", b"content")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_made_beside_its_place_under_a_name_that_no_listing_takes_for_a_record(tmp_path, monkeypatch):
    made = []
    real = os.replace
    monkeypatch.setattr("os.replace", lambda a, b: (made.append(Path(a)), real(a, b)))
    write_atomically(tmp_path / "seed-0.json", b"content")
    assert [p.parent for p in made] == [tmp_path]
    assert made[0].name.startswith(".seed-0.json.")
