"""Answers that are kept: when they are scored again, when computed again, and which files are none."""

import json
from dataclasses import replace

import pytest
import torch
from test_runner import CALLS, FakeTask, Quiet, counted, drawn, run

from mechboard.errors import RecordError
from mechboard.kinds.circuit import CircuitKind
from mechboard.protocols import EdgeScores
from mechboard.records.answer import pack, unpack
from mechboard.records.store import Store, read_record
from mechboard.runs import identity


def _answer_of(folder, name="counted"):
    return folder / name / "fake@v1" / "data-0" / "seed-0.safetensors"


def _changed_scorer(monkeypatch, word="another"):
    monkeypatch.setattr(identity, "evaluation_id", lambda solution, task: f"{solution} {word}")


def test_when_scoring_fails_the_answer_is_kept_and_not_computed_again(tmp_path, monkeypatch):
    CALLS.clear()
    monkeypatch.setattr(CircuitKind, "score", lambda *a, **k: 1 / 0)
    _, [first] = run(tmp_path, [counted])
    assert (first.status, first.record.error.type) == ("failed", "ZeroDivisionError")
    monkeypatch.undo()
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
    changed = replace(other, solution_id="2:another", tensors={"scores": -other.tensors["scores"]})
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

    monkeypatch.setattr(CircuitKind, "score", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, [counted])
    assert read_record(_answer_of(tmp_path).with_suffix(".json")) == first.record


def test_a_cached_run_loads_no_instance(tmp_path, monkeypatch):
    task = FakeTask()
    run(tmp_path, [counted, drawn], task, seeds=2)
    monkeypatch.setattr(FakeTask, "load", lambda *a: pytest.fail("a problem was loaded"))
    _, outcomes = run(tmp_path, [counted, drawn], FakeTask(), seeds=2)
    assert [o.status for o in outcomes] == ["cached"] * 3


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
    with pytest.raises(RecordError, match="cannot be read"):
        unpack(b"PK\x03\x04 not an answer at all")


def test_an_answer_reads_back_as_it_was_kept_also_one_that_is_a_view(tmp_path):
    _, [first] = run(tmp_path, [counted])
    kept = Store(tmp_path).read_answer(first.record.cell, first.record.solution_id)
    view = replace(kept, tensors={"scores": torch.arange(6.0)[::2], "more": torch.tensor(7, dtype=torch.bfloat16)})
    again = unpack(pack(view))
    assert (again.solution_id, again.cost, again.provenance) == (view.solution_id, view.cost, view.provenance)
    assert again.tensors["scores"].tolist() == [0.0, 2.0, 4.0]
    assert again.tensors["more"] == view.tensors["more"]


def _relabelled(content, change):
    """The content of a safetensors file with another header."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    text = json.dumps(change(header)).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def _about(**changes):
    return lambda header: header | {"__metadata__": {**header["__metadata__"], **changes}}


@pytest.mark.parametrize(
    "change",
    [
        lambda header: [header],
        lambda header: {k: v for k, v in header.items() if k != "__metadata__"},
        lambda header: header | {"__metadata__": None},
        lambda header: {"__metadata__": header["__metadata__"], "other": header["scores"]},
        lambda header: header | {"scores": header["scores"] | {"shape": [10**6]}},
        _about(cost="{}"),
        _about(provenance="no JSON"),
        _about(content="another hash"),
    ],
    ids=["a list", "no metadata", "null metadata", "no scores", "another shape", "no cost", "no provenance", "hash"],
)
def test_a_file_that_is_no_answer_is_said_to_be_none(tmp_path, change):
    run(tmp_path, [counted])
    content = _answer_of(tmp_path).read_bytes()
    unpack(_relabelled(content, lambda header: header))
    with pytest.raises(RecordError, match="kept answer .* its cell runs again"):
        unpack(_relabelled(content, change))
