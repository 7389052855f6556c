"""`bench check` finds what a method does wrong, and says what to do."""

import json

import pytest
import torch
from test_cli import bench  # noqa: F401

from mechboard.conformance import check_names, checks, conformance_test, run_checks
from mechboard.methods.eap import eap
from mechboard.plugins.registry import Registry
from mechboard.protocols import EdgeScores, NoParameters, method

test_eap_conforms = conformance_test("eap")


def _method(function, *, deterministic=True, name="odd"):
    @method(name=name, kinds=("circuit",), deterministic=deterministic)
    def wrapped(problem, generator, parameters: NoParameters):
        return function(problem, generator)

    return wrapped


def outcome(m, check):
    [result] = checks(m, [check])
    return result.outcome, result.detail


def _scores(problem):
    return eap(problem, torch.Generator()).scores


def test_a_method_that_lies_about_determinism_is_caught():
    liar = _method(lambda p, g: EdgeScores(_scores(p) + 0.01 * torch.rand(p.graph.n_edges, generator=g)))
    assert outcome(liar, "determinism") == (
        "failed", "It declares deterministic=True and another seed gives another answer; declare False.",
    )  # fmt: skip


def test_a_method_that_draws_from_the_global_generator_is_caught():
    hidden = _method(lambda p, g: EdgeScores(torch.rand(p.graph.n_edges)), deterministic=False)
    assert "draw only from the generator" in outcome(hidden, "determinism")[1]


def test_a_flipped_sign_is_caught():
    flipped = _method(lambda p, g: EdgeScores(-_scores(p)))
    state, detail = outcome(flipped, "sign and orientation")
    assert state == "failed"
    assert "*drop* under ablation" in detail


def test_exchanged_source_and_destination_are_caught():
    def exchanged(problem, generator):
        order = torch.argsort(problem.graph.edge_sources * 1000 + problem.graph.edge_destinations, stable=True)
        return EdgeScores(_scores(problem)[order])

    assert "exchanged" in outcome(_method(exchanged), "sign and orientation")[1]


def test_a_method_that_changes_the_model_is_caught():
    def vandal(problem, generator):
        scores = _scores(problem)
        problem.model.weights.layers[0].o.mul_(1.001)
        return EdgeScores(scores)

    assert outcome(_method(vandal), "model unchanged")[0] == "failed"


def test_scores_that_depend_on_batch_size_are_caught():
    def dependent(problem, generator):
        return EdgeScores(_scores(problem) / len(list(problem.batches())))

    assert "divide by their number once" in outcome(_method(dependent), "batch size")[1]


def test_scores_of_another_shape_are_caught():
    assert outcome(_method(lambda p, g: EdgeScores(torch.zeros(3))), "solution")[0] == "failed"


def test_a_method_that_only_knows_q_k_and_v_is_caught():
    def fixed(problem, generator):
        return EdgeScores(torch.linspace(1, 0, 370))

    assert "sum_qkv" in outcome(_method(fixed), "head level")[1]


def test_a_method_that_raises_is_reported_and_ends_nothing():
    broken = _method(lambda p, g: 1 / 0)
    results = run_checks(broken)
    assert [r.check for r in results] == check_names(broken)
    assert {r.outcome for r in results} <= {"passed", "error"}
    assert "ZeroDivisionError" in results[1].detail


def test_the_command_exits_1_on_a_failed_check(bench, tmp_path):  # noqa: F811
    (tmp_path / "bad.py").write_text(
        "import torch\nfrom mechboard.protocols import EdgeScores, NoParameters, method\n"
        '@method(name="bad", kinds=("circuit",), deterministic=True)\n'
        "def bad(problem, generator, parameters: NoParameters):\n"
        "    return EdgeScores(torch.rand(problem.graph.n_edges, generator=generator))\n"
    )
    code, out, _ = bench("check", "bad", "--plugin", "bad.py")
    assert code == 1
    assert "failed    determinism" in out
    assert "The module has no docstring" in out
    code, out, _ = bench("check", "eap")
    assert code == 0, out
    assert bench("check", "nobody")[0] == 2
    assert {r["outcome"] for r in json.loads(bench("check", "random", "--json")[1])["random"]} == {
        "passed",
        "not asked",
    }


@pytest.mark.parametrize("name", list(Registry().plugins("method")))
def test_every_builtin_conforms(name):
    registry = Registry()
    bad = [r for r in run_checks(registry.load("method", name), registry) if r.outcome not in ("passed", "not asked")]
    assert not bad
