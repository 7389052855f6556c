"""Records of earlier schema versions are read as today's, with every number that they hold."""

import json
from pathlib import Path

import pytest

from mechboard.errors import RecordError
from mechboard.records import parse

OLD = sorted((Path(__file__).parent / "data" / "records-v1").glob("*.json"))


@pytest.fixture(params=OLD, ids=lambda path: path.stem)
def old(request):
    return json.loads(request.param.read_text())


def test_a_record_of_version_1_keeps_its_cell_measures_cost_and_identities(old):
    new = json.loads(parse(json.dumps(old), "x").model_dump_json())
    assert new["schema_version"] == 3
    for name in ("status", "solution_id", "scorer_id", "evaluation_id", "headline", "measures", "cost", "provenance"):
        assert new[name] == old[name], name
    assert {name: new["cell"][name] for name in old["cell"]} == old["cell"]
    assert new["cell"]["adapter"] is None
    assert {name: (c["x"], c["y"]) for name, c in new["curves"].items()} == {
        name: (c["x"], c["y"]) for name, c in old["curves"].items()
    }


def test_what_version_1_said_of_graph_and_circuit_is_facts_and_an_exhibit(old):
    new = parse(json.dumps(old), "x")
    assert f"{old['task']['graph']['n_edges']:,} edges" in new.task.facts[0].text
    assert [truth.n_all for truth in new.task.truths] == [old["task"]["graph"]["n_edges"]] * len(new.task.truths)
    assert [edge.model_dump() for edge in new.exhibits["circuit"].edges] == old["circuit"]
    assert new.exhibits["circuit"].graph.n_layers == old["task"]["graph"]["n_layers"]
    assert new.task.family == old["cell"]["task"]
    assert all(curve.title for curve in new.curves.values())
    assert new.curves["faithfulness"].log_x


def test_a_record_of_version_1_that_was_no_cell_is_read_and_one_that_is_cut_off_is_refused(old):
    failed = old | {"status": "crashed", "headline": None, "measures": {}, "curves": {}, "circuit": [], "cost": None}
    failed["error"] = {"type": "E", "message": "m", "traceback": "t"}
    failed["task"] = {**old["task"], "graph": None, "truths": []}
    assert parse(json.dumps(failed), "x").exhibits == {}
    with pytest.raises(RecordError, match="'somewhere' is no valid record: what version 1 always had is missing"):
        parse(json.dumps({name: old[name] for name in ("schema_version", "cell")}), "somewhere")


def test_a_record_of_version_2_is_the_same_without_a_twin_or_quoted_figures():
    old = json.loads((Path(__file__).parent / "data" / "records-v2" / "eap.json").read_text())
    assert old["schema_version"] == 2
    new = json.loads(parse(json.dumps(old), "x").model_dump_json())
    assert (new["task"].pop("twin"), new["task"].pop("quoted")) == ("", [])
    assert not any(curve.pop("whole") for curve in new["curves"].values())
    assert new | {"schema_version": 2} == old
