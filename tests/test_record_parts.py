"""Reading a record back: what is refused, and with which words; what a short one means."""

import json

import pytest

from mechboard.errors import RecordError
from mechboard.records import Record, parse

SHORT = {
    "schema_version": 3,
    "cell": {"method": "m", "label": "m[a=1]", "slug": "m+a=1", "parameters": {"a": 1}, "parameters_passed": {"a": 1},
             "task": "t", "task_version": 2, "data_seed": 3, "seed": 4},
    "status": "failed", "error": {"type": "T", "message": "m", "traceback": "t"},
    "solution_id": "1:a", "scorer_id": None, "evaluation_id": None,
    "method": {"summary": "s", "citation": {}, "deterministic": False, "reference": False},
    "task": {"summary": "s", "kind": "circuit", "tier": "embedded", "family": "t", "ranked": True},
    "provenance": {"mechboard": "0", "command": "c", "started": "s", "python": "3", "packages": {}, "git_commit": None,
                   "git_dirty": None, "platform": "p", "cpu": "c", "threads": 1, "device": "cpu"},
}  # fmt: skip


def parsed(**changed):
    return parse(json.dumps(SHORT | changed), "here.json")


def test_a_record_that_states_only_what_it_must_has_nothing_else():
    record = parsed()
    assert record.cell.name == "m[a=1] x t@v2 data-3 seed-4"
    assert record.schema_version == 3
    assert (record.headline, record.headline_measure, record.cost, record.cell.adapter) == (None,) * 4
    assert (record.measures, record.curves, record.exhibits, record.notes) == ({}, {}, {}, ())
    assert (record.task.description, record.task.citation, record.task.level) == ("", {}, None)
    assert (record.task.facts, record.task.truths) == ((), ())
    assert record.provenance.assets == {}


def test_a_short_measure_has_no_anchors_and_no_words():
    cost = {"forwards": 1, "backwards": 1, "forward_sequences": 1, "backward_sequences": 1, "prompts": 1,
            "wall_seconds": 1, "evaluation_seconds": 1, "peak_memory_bytes": None}  # fmt: skip
    measures = {"mine": {"value": 0.25, "direction": "lower"}}
    record = parsed(
        status="done", error=None, cost=cost, scorer_id="1:b", evaluation_id="1:c", headline="mine", measures=measures
    )
    measure = record.headline_measure
    assert measure is record.measures["mine"]
    assert (measure.chance, measure.oracle, measure.of, measure.note) == (None, None, "", "")


def test_a_record_never_changes_after_it_was_made():
    with pytest.raises(ValueError, match="frozen"):
        parsed().status = "done"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", r"'here.json' is not valid JSON \(.*; delete it or restore it"),
        ("[1]", "'here.json' has schema_version None; valid: 1 to 3"),
        (json.dumps(SHORT | {"schema_version": 4}), "schema_version 4; valid: 1 to 3"),
        (json.dumps(SHORT | {"status": "fine"}), "'here.json' is no valid record: status: Input should be 'done'"),
        (json.dumps(SHORT | {"extra": 1}), "extra: Extra inputs are not permitted"),
        (json.dumps(SHORT | {"cell": SHORT["cell"] | {"seed": "x"}}), "no valid record: cell.seed: "),
    ],
)
def test_what_is_no_record_is_refused_with_its_place_and_field(text, said):
    with pytest.raises(RecordError, match=said):
        parse(text, "here.json")


def test_a_record_reads_back_as_it_was_written():
    record = parsed()
    assert parse(record.model_dump_json(), "again.json") == record
    assert Record.model_validate(json.loads(record.model_dump_json())) == record
