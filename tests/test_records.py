"""What no record may say: whoever reads one refuses it, in one sentence that names the file and the field."""

import json
from pathlib import Path

import pytest

from mechboard.errors import RecordError
from mechboard.leaderboard.board import Board
from mechboard.leaderboard.downloads import to_csv, to_json
from mechboard.protocols import Suite
from mechboard.records import Cell, Record, parse
from mechboard.records.store import Store, read_record

REFERENCE = Path(__file__).parent.parent / "results" / "reference"
PATH = Path("eap-ig") / "compiled-redundant@v2" / "data-0" / "seed-0.json"
DONE = read_record(REFERENCE / PATH).model_dump_json()
AUC = "auc[compiled-redundant:program]"


def changed(place, value):
    """The text of a true record with one value changed (removed if `value` is None)."""
    data = json.loads(DONE)
    part = data
    for key in place[:-1]:
        part = part[key]
    if value is None:
        del part[place[-1]]
    else:
        part[place[-1]] = value
    return json.dumps(data)


NAN, INFINITE = float("nan"), float("inf")
LIES = [
    (("measures", AUC, "value"), NAN, "finite number"),
    (("measures", AUC, "value"), INFINITE, "finite number"),
    (("measures", AUC, "value"), 7.5, r"is 7.5; valid: 0 to 1"),
    (("measures", AUC, "value"), "0.9", "valid number"),
    (("measures", AUC, "chance"), 0.8, r"has chance 0.8; valid: 0.5"),
    (("measures", AUC, "oracle"), 0.6, r"has oracle 0.6; valid: 1.0"),
    (("measures", AUC, "oracle"), 0.5, "oracle 0.5 is not better than chance 0.5"),
    (("measures", "cmd-mib", "direction"), "higher", "cmd-mib has direction 'higher'; valid: 'lower'"),
    (
        ("measures", "average-precision[t:s]"),
        {"value": 0.3, "direction": "higher", "oracle": 1.0},
        "has chance None; valid: 0 or more and under 1",
    ),
    (
        ("measures", "average-precision[t:s]"),
        {"value": 0.3, "direction": "higher", "chance": -0.1, "oracle": 1.0},
        "has chance -0.1; valid: 0 or more and under 1",
    ),
    (("measures", "cmd", "chance"), -0.5, "oracle 0.0 is not better than chance -0.5"),
    (("measures", "cpr-clipped", "chance"), 0.1, "cpr-clipped has chance 0.1; valid: None"),
    (("measures", "cmd", "value"), -1.0, "cmd is -1; valid: 0 or more"),
    (("measures", "cpr", "value"), -INFINITE, "finite number"),
    (("measures", AUC), None, "headline .* is not among the measures"),
    (("headline",), "accuracy", "headline 'accuracy' is not among the measures"),
    (("status",), "failed", "a cell that is failed has an error and no measures"),
    (("status",), "splendid", "status"),
    (("cost",), None, "a cell that is done has a cost"),
    (("evaluation_id",), {}, "evaluation_id"),
    (("error",), {"type": "E", "message": "m", "traceback": "t"}, "and no error"),
    (("cell", "seed"), 10**30, "cell.seed: .* less than"),
    (("cell", "seed"), -1, "cell.seed: .* greater than"),
    (("cell", "seed"), True, "cell.seed: .* integer"),
    (("cell", "data_seed"), 10**30, "cell.data_seed"),
    (("cell", "task_version"), 0, "cell.task_version"),
    (("cell", "label"), "the-best", "cell: label 'the-best' and slug 'eap-ig' are not those of 'eap-ig'"),
    (("cell", "slug"), "../..", "slug '../..' are not those"),
    (("cell", "label"), "eap-ig[steps=9]", "are not those"),
    (("cell", "parameters"), {"steps": NAN}, "cell.parameters"),
    (("curves", "faithfulness", "y"), [0.5], r"curves.faithfulness: a curve has \d+ x and 1 y"),
    (("curves", "faithfulness", "x"), [], "at least 1"),
    (("exhibits", "circuit", "edges", 0, "score"), NAN, "exhibits.*finite number"),
    (("exhibits", "circuit", "type"), "cat", "an exhibit has type 'cat'; valid: agreement, circuit, columns"),
    (("cost", "forwards"), -2.0, "cost.forwards"),
    (("cost", "forwards"), INFINITE, "cost.forwards"),
    (("cost", "prompts"), 0, "cost.prompts"),
    (("exhibits", "circuit", "graph", "n_layers"), 10**9, "exhibits.*less than or equal to 1000"),
    (("task", "kind"), "guess", "No kind matches 'guess'.*Install the package"),
    (("task", "family"), None, "task.family"),
    (("cell", "adapter"), "cut", "are not those"),
    (("task", "ranked"), "yes", "task.ranked"),
    (("schema_version",), True, "schema_version True; valid: 1 to 3"),
    (("extra",), 1, "extra"),
]


@pytest.mark.parametrize(("place", "value", "said"), LIES, ids=lambda v: str(v)[:40])
def test_a_record_that_cannot_be_true_is_refused_with_its_file_and_field(place, value, said):
    with pytest.raises(RecordError, match=f"(?s)'somewhere.json' .*{said}") as refused:
        parse(changed(place, value), "somewhere.json")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["[" * 200_000, "{", '{"schema_version": 1}'])
def test_what_is_no_record_is_refused_and_nothing_else_happens(text):
    with pytest.raises(RecordError, match="somewhere.json"):
        parse(text, "somewhere.json")


def test_every_committed_record_is_true():
    found = [record for _, record in Store(REFERENCE).records()]
    assert len(found) > 400
    assert not [str(r) for r in found if isinstance(r, RecordError)]


def test_a_failed_record_needs_its_error_and_may_not_have_measures():
    data = json.loads(DONE) | {"status": "crashed", "error": {"type": "E", "message": "m", "traceback": "t"}}
    with pytest.raises(RecordError, match="crashed has an error and no measures"):
        parse(json.dumps(data), "x.json")
    data |= {"measures": {}, "headline": None}
    assert parse(json.dumps(data), "x.json").status == "crashed"
    del data["error"]
    with pytest.raises(RecordError, match="crashed has an error"):
        parse(json.dumps(data), "x.json")


def test_a_measure_of_a_third_party_keeps_what_its_scorer_says():
    own = {"value": 7.5, "direction": "lower", "chance": 9.0, "oracle": 1.0}
    assert parse(changed(("measures", "their-own"), own), "x.json").measures["their-own"].value == 7.5


@pytest.mark.parametrize("chance", [0.0, 0.03, 0.97])
def test_a_chance_that_depends_on_the_truth_is_taken_as_it_is(chance):
    own = {"value": 0.3, "direction": "higher", "chance": chance, "oracle": 1.0}
    name = "average-precision[t:s]"
    assert parse(changed(("measures", name), own), "x.json").measures[name].chance == chance


def test_a_chance_that_a_task_states_is_taken_as_it_is():
    assert parse(changed(("measures", "cmd", "chance"), 1.25), "x.json").measures["cmd"].chance == 1.25
    assert parse(DONE, "x.json").measures["cmd"].chance == 0.853
    unstated = json.loads(DONE)["measures"]["cmd"] | {"chance": None}
    assert parse(changed(("measures", "cmd"), unstated), "x.json").measures["cmd"].chance is None


def test_a_record_in_the_place_of_another_cell_is_refused(tmp_path):
    store = Store(tmp_path)
    for slug, seed in (("eap-ig", 0), ("eap-ig", 1), ("eap", 0)):
        path = tmp_path / slug / PATH.parts[1] / PATH.parts[2] / f"seed-{seed}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(DONE)
    found = {str(path.relative_to(tmp_path)): record for path, record in store.records()}
    assert isinstance(found.pop(str(PATH)), Record)
    for record in found.values():
        assert isinstance(record, RecordError)
        assert "holds the record of another cell, 'eap-ig x compiled-redundant@v2 data-0 seed-0'" in str(record)
    cell = parse(DONE, "x").cell.model_copy(update={"seed": 1})
    with pytest.raises(RecordError, match="of another cell"):
        store.read(cell)


@pytest.mark.parametrize(
    ("label", "slug", "parameters"),
    [
        ("m", "m", {"a": 1}),
        ("m[a=2]", "m+a=2", {"a": 2, "b": "x"}),
        ("m[a=2,b=x,y]", "m+a=2+b=x,y", {"b": "x,y", "a": 2}),
        ("m[a=10]", "m+a=10", {"a": 10}),
        ("m[a=(1, 2)]", "m+a=(1, 2)", {"a": [1, 2]}),
        ("m[a=1e-05]", "m+a=1e-05", {"a": 1e-5}),
        ("m@cut", "m@cut", {"a": 1}),
        ("m[a=2]@cut", "m+a=2@cut", {"a": 2}),
    ],
)
def test_labels_that_the_harness_writes_are_accepted(label, slug, parameters):
    adapter = "cut" if "@" in label else None
    Cell(method="m", label=label, slug=slug, parameters=parameters, parameters_passed={}, adapter=adapter, task="t",
         task_version=1, data_seed=0, seed=2**63 - 1)  # fmt: skip


def test_downloads_are_strict_json_and_an_unknown_cost_is_not_zero():
    known = parse(DONE, "x")
    unknown = parse(changed(("cost",), json.loads(DONE)["cost"] | {"forwards": None, "backwards": None}), "x")
    assert known.cost.passes > 0
    assert unknown.cost.passes is None

    def refuse(constant):
        raise AssertionError(constant)

    documents = json.loads(to_json([known, unknown]), parse_constant=refuse)["records"]
    assert documents[1]["cost"]["forwards"] is None
    assert to_csv([unknown]).splitlines()[1].endswith(",,,circuit,compiled-redundant,,")


def test_a_method_whose_cost_is_unknown_is_named_and_not_drawn_as_free():
    records = [r for _, r in Store(REFERENCE).records() if r.cell.task == "compiled-redundant"]
    suite = Suite(name="s", version=1, summary="", kind="circuit", tasks=("compiled-redundant",))
    hidden = [
        r.model_copy(update={"cost": r.cost.model_copy(update={"forwards": None})})
        if (r.cell.label, r.cell.data_seed) == ("eap", 1)
        else r
        for r in records
    ]
    drawn = {label for label, _, _ in Board.of(records, [suite]).sections[0].cost_and_quality()}
    (section,) = Board.of(hidden, [suite]).sections
    assert {label for label, _, _ in section.cost_and_quality()} == drawn - {"eap"}
    assert section.of_unknown_cost == ["eap"]
