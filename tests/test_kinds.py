"""A kind is one file: engine, store, records and command line serve one that they have never heard of.

The toy kind asks for one number; its method of another kind, `circuit`, reaches it through an adapter.
"""

import json
import os
import sys
from pathlib import Path

import pytest
from test_cli import bench  # noqa: F401

import mechboard.kinds as kinds
from mechboard.contract.kind import Adapter
from mechboard.errors import InvalidSolution, SelectionError
from mechboard.plugins.registry import Registry
from mechboard.runs.labels import Selected, label, slug
from mechboard.runs.plan import make_plan

HERE = Path(__file__).parent / "data" / "toy-kind"
METADATA = """[mechboard.kinds]
number = toy_kind:number

[mechboard.tasks]
guess = toy_kind:guess
guess-again = toy_kind:guess_again

[mechboard.methods]
sayer = toy_kind:sayer
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The toy kind as an installed package, in this process and in those that it starts."""
    info = tmp_path / "site" / "toy-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1\n")
    (info / "entry_points.txt").write_text(METADATA)
    (tmp_path / "site" / "toy_kind.py").write_text((HERE / "toy_kind.py").read_text())
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")]))
    _forget_kinds()
    yield __import__("toy_kind")
    sys.modules.pop("toy_kind", None)
    _forget_kinds()


def _forget_kinds():
    kinds.kind.cache_clear()
    kinds.kinds.cache_clear()


def cells(out):
    return {(c["label"], c["task"]): c for c in json.loads(out)}


@pytest.mark.parametrize("inline", [["--inline"], []], ids=["inline", "in processes"])
def test_a_kind_that_nobody_was_told_of_runs_is_cached_and_shown(toy, bench, inline):  # noqa: F811
    run = ("run", "--method", "sayer,eap", "--task", "guess", "--results", "r", "--json", *inline)
    status, out = bench(*run)[:2] if inline else _elsewhere(*run)
    assert status == 0, out
    found = cells(out)
    assert found["sayer", "guess"]["value"] == 1.0
    assert found["eap@total", "guess"]["status"] == "done"
    assert Path("r/eap@total/guess@v1/data-0/seed-0.json").is_file()
    again = cells(bench(*run, *(["--inline"] if not inline else []))[1])
    assert {c["status"] for c in again.values()} == {"cached"}
    out = bench("show", "r/sayer/guess@v1/data-0/seed-0.json")[1]
    assert "closeness" in out
    assert "says 7" in out
    assert "kind: number" in bench("show", "guess")[1]
    assert bench("status", "--results", "r")[0] == 0


def _elsewhere(*arguments):
    """The command line in a process of its own, whose server of processes sees the toy's package too."""
    import subprocess

    done = subprocess.run([sys.executable, "-m", "mechboard", *arguments], capture_output=True, text=True)
    return done.returncode, done.stdout


def test_a_method_that_declines_is_unsupported_with_its_reason_and_nothing_failed(toy, bench):  # noqa: F811
    run = ("run", "--method", "sayer", "--task", "guess,guess-again", "--results", "r", "--inline", "--json")
    code, out, _ = bench(*run)
    found = cells(out)
    assert code == 0
    assert found["sayer", "guess"]["status"] == "done"
    assert found["sayer", "guess-again"]["status"] == "unsupported"
    assert found["sayer", "guess-again"]["error"] == "says nothing twice"
    record = json.loads(Path("r/sayer/guess-again@v1/data-0/seed-0.json").read_text())
    assert (record["status"], record["error"]["traceback"], record["measures"]) == ("unsupported", "", {})
    toy.CALLS.clear()
    assert cells(bench(*run)[1])["sayer", "guess-again"]["status"] == "unsupported"
    assert toy.CALLS == []
    bench(*run, "--fresh")
    assert toy.CALLS == ["guess", "guess-again"]


def test_a_method_that_needs_to_see_what_a_kind_does_not_show_is_unsupported_on_it(toy, bench):  # noqa: F811
    code, out, _ = bench("run", "--method", "ground-truth", "--task", "guess", "--results", "r", "--inline", "--json")
    cell = cells(out)["ground-truth@total", "guess"]
    assert (code, cell["status"]) == (0, "unsupported")
    assert cell["error"] == "it needs to see truth, which number tasks do not show"


def test_a_solution_that_its_kind_refuses_is_invalid_and_the_adapted_ones_are_checked_by_their_own_kind(toy):
    problem = toy.guess.load(0, "cpu").problem
    with pytest.raises(InvalidSolution, match="returned str"):
        toy.number.check("seven", problem)
    adapter = toy.number.adapters[0]
    with pytest.raises(InvalidSolution, match="shape"):
        adapter(toy.wrong_shape)(problem, None)


def test_an_adapted_run_is_no_native_one_by_label_path_and_identity(toy):
    from mechboard.runs.identity import solution_id

    eap = Registry().load("method", "eap")
    adapter = toy.number.adapters[0]
    plan = make_plan([Selected(eap)], [toy.guess], seeds=1, data_seeds=1)
    [planned] = plan.cells
    assert (planned.adapter, planned.cell.adapter) == (adapter, "total")
    assert (planned.cell.label, planned.cell.slug) == ("eap@total", "eap@total")
    assert label(eap, eap.parameters()) == slug(eap, eap.parameters()) == "eap"
    one, other = (solution_id(eap, {}, toy.guess, {}, 0, 0, adapter=a) for a in (adapter, None))
    renamed = Adapter(name="sum", inner=adapter.inner, down=adapter.down, up=adapter.up)
    rewired = Adapter(name="total", inner=adapter.inner, down=adapter.down, up=toy.other_up)
    ids = {one, other, *(solution_id(eap, {}, toy.guess, {}, 0, 0, adapter=a) for a in (renamed, rewired))}
    assert len(ids) == 4


def test_a_method_that_answers_a_kind_itself_is_not_adapted_to_it(toy):
    sayer = Registry().load("method", "sayer")
    both = toy.both
    plan = make_plan([Selected(sayer), Selected(both)], [toy.guess], seeds=1, data_seeds=1)
    assert [planned.adapter for planned in plan.cells] == [None, None]
    [unplanned] = make_plan(
        [Selected(sayer)], [Registry().load("task", "compiled-reverse")], seeds=1, data_seeds=1
    ).unplanned
    assert unplanned.reason == "sayer answers number tasks, this is a circuit task"


def test_an_adapted_method_draws_from_a_generator_of_its_own(toy):
    from mechboard.runs.workers.cell import generator_seed

    random = Registry().load("method", "random")
    [adapted] = make_plan([Selected(random)], [toy.guess], seeds=1, data_seeds=1).cells
    native = adapted.__class__(adapted.cell.model_copy(update={"adapter": None}), random, None, toy.guess)
    assert generator_seed(adapted) != generator_seed(native)


def test_conformance_asks_a_kind_for_its_own_trials(toy):
    from mechboard.conformance import run_checks

    found = {r.check: r.outcome for r in run_checks(toy.sayer)}
    assert found["a number at all"] == "passed"
    assert "head level" not in found
    assert set(found.values()) == {"passed"}


def test_a_kind_that_is_not_here_names_those_that_are():
    with pytest.raises(SelectionError, match="No kind matches 'circus'; closest: circuit"):
        kinds.kind("circus")


def test_methods_and_tasks_are_called_what_a_path_and_a_label_can_hold():
    from mechboard.errors import PluginError
    from mechboard.protocols import method

    for name in ("eap@cut", "a/b", "", "../x", "a b", "[x]"):
        with pytest.raises(PluginError, match="is called .*; valid: letters, digits"):
            method(name=name, kinds=("circuit",), deterministic=True)(lambda problem, generator, parameters: None)


@pytest.mark.parametrize("name", ["a@b", "a/b", ""])
def test_a_kind_whose_adapter_cannot_be_part_of_a_path_does_not_load(toy, monkeypatch, name):
    from mechboard.errors import PluginError

    monkeypatch.setattr(toy.Number, "adapters", (Adapter(name=name, inner=kinds.kind("circuit"), down=id, up=id),))
    kinds.kind.cache_clear()
    with pytest.raises(PluginError, match="The kind 'number' has an adapter .*; valid: letters"):
        kinds.kind("number")


def test_a_task_may_state_the_chance_of_no_measure_that_has_its_own(toy):
    from mechboard.errors import PluginError

    task = toy.Guess(name="sure", summary="s", chance={"closeness": 0.9})
    with pytest.raises(PluginError, match="'sure' states the chance of 'closeness'; valid: none"):
        make_plan([Selected(toy.sayer)], [task], seeds=1, data_seeds=1)


def test_the_strongest_edges_of_an_answer_are_told_from_scores_of_another_graph():
    import torch

    from mechboard.protocols import EdgeScores
    from mechboard.records.store import read_record

    reference = Path(__file__).parent.parent / "results" / "reference"
    circuit = read_record(reference / "eap" / "compiled-fraction@v2" / "data-0" / "seed-0.json").exhibits["circuit"]
    graph = circuit.graph.rebuild()
    with pytest.raises(InvalidSolution, match=f"3 scores for a graph of {graph.n_edges} edges"):
        circuit.strongest(EdgeScores(torch.zeros(3)), 2)
    known = {edge.name for edge in circuit.edges if edge.known}
    every = circuit.strongest(EdgeScores(torch.arange(float(graph.n_edges))), graph.n_edges)
    assert {edge.name for edge in every.edges if edge.known} == known
    assert [edge["known"] for edge in every.document()["edges"]] == [edge.name in known for edge in every.edges]
