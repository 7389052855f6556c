"""`bench check` finds what a task does wrong, and says what to do; every rule is broken once."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from models import random_decoder, random_pairs
from test_cli import bench  # noqa: F401

from mechboard.assets import locate
from mechboard.conformance import check_names, checks, run_checks, tasks
from mechboard.conformance.circuit_tasks import exact_effects
from mechboard.graph import Ablation, Graph
from mechboard.methods.activation_patching import activation_patching
from mechboard.metrics.answers import logit_difference
from mechboard.plugins.registry import Registry
from mechboard.protocols import CircuitProblem, Instance, Task, Truth

README = (Path(__file__).parent.parent / "README.md").read_text()


def _fair(data_seed):
    """A random model with a truth that is exact: the strongest half of the edges."""
    decoder = random_decoder("gpt2", dtype=torch.float32)
    pairs = random_pairs(prompts=12, seed=10 * data_seed + 1)
    graph = Graph.of(decoder.config)
    problem = CircuitProblem(
        model=decoder, graph=graph, pairs=pairs, metric=logit_difference,
        ablation=Ablation("resample", decoder, pairs), batch_size=5,
    )  # fmt: skip
    held_out = random_pairs(prompts=12, seed=10 * data_seed + 2)
    truth = Truth(name="tiny:exact", edges=torch.arange(graph.n_edges) % 2 == 0, source="made up")
    return Instance(problem=problem, held_out=held_out, truths=(truth,))


@dataclass(frozen=True, kw_only=True)
class Tiny(Task):
    """An instance that is spoilt by `spoil`."""

    kind: str = "circuit"
    spoil: Callable = lambda instance, data_seed: instance

    def load(self, data_seed, device):
        return self.spoil(_fair(data_seed), data_seed)


def outcome(check, spoil=None, **changed):
    task = Tiny(name="tiny", summary="A random model", **({"spoil": spoil} if spoil else {}), **changed)
    [result] = checks(task, [check])
    return result.outcome, result.detail


def _truth(**changed):
    return lambda instance, _: replace(instance, truths=(replace(instance.truths[0], **changed),))


def test_a_fair_task_passes_and_what_it_does_not_claim_is_not_asked():
    results = {r.check: r for r in run_checks(Tiny(name="tiny", summary="A random model"))}
    assert {name for name, r in results.items() if r.outcome != "passed"} == {"exact truth"}
    assert results["exact truth"].outcome == "not asked"
    assert list(results) == check_names(Tiny(name="tiny", summary="s"))


def test_a_summary_of_several_lines_and_a_missing_description_are_caught(monkeypatch):
    task = Tiny(name="tiny", summary="One\ntwo")
    [result] = checks(task, ["declaration"])
    assert "The summary has several lines" in result.detail
    monkeypatch.setattr(Tiny, "description", "")
    assert "no description" in outcome("declaration")[1]


def test_a_load_that_takes_long_is_caught(monkeypatch):
    monkeypatch.setattr(tasks, "_SLOW_SECONDS", 0.05)
    assert "measure what is slow once and store it" in outcome("loading", lambda i, _: (time.sleep(0.1), i)[1])[1]


def _drifting(part):
    count = iter(range(100))

    def spoil(instance, data_seed):
        return replace(instance, **{part: random_pairs(prompts=12, seed=1000 + next(count))})

    return spoil


def test_an_instance_that_is_another_the_second_time_is_caught():
    assert outcome("data seeds", _drifting("held_out"))[0] == "failed"
    assert "gives another held_out the second time" in outcome("data seeds", _drifting("held_out"))[1]


def test_a_data_seed_that_changes_nothing_is_caught():
    assert "gives the same problem and held_out" in outcome("data seeds", lambda i, _: _fair(0))[1]
    fixed = _fair(0).held_out
    assert "gives the same held_out" in outcome("data seeds", lambda i, _: replace(i, held_out=fixed))[1]


def test_a_hash_that_changes_by_itself_is_caught(monkeypatch):
    count = iter(range(100))
    monkeypatch.setattr(Tiny, "truth_hashes", lambda self: {"file": str(next(count))})
    assert "changes by itself" in outcome("hashes")[1]


def test_a_weight_that_is_no_number_is_caught():
    def spoil(instance, _):
        instance.problem.model.weights.unembed[0, 0] = float("nan")
        return instance

    assert "1 of " in outcome("finite", spoil)[1]


@pytest.mark.parametrize(("name", "ok"), [("cmd", True), ("auc", False), ("cdm", False)])
def test_a_chance_of_no_measure_or_of_one_whose_chance_is_fixed_is_caught(name, ok):
    state, detail = outcome("chance", chance={name: 0.5})
    assert state == ("passed" if ok else "failed")
    assert ok or f"chance of {name!r}; valid: " in detail
    assert ok or "cmd" in detail.partition("valid: ")[2]


def test_a_known_answer_that_is_not_perfect_is_caught(monkeypatch):
    from mechboard.conformance import circuit_tasks

    wrong = replace(
        circuit_tasks.TRIALS, known=circuit_tasks.TRIALS.draw and (lambda t: circuit_tasks._drawn(t, torch.Generator()))
    )
    monkeypatch.setattr(circuit_tasks, "TRIALS", wrong)
    assert "whose oracle is 1" in outcome("known answer")[1]


def test_a_prompt_that_is_shown_and_scored_is_caught():
    shown = outcome("prompts", lambda i, _: replace(i, held_out=i.problem.pairs))
    assert shown[0] == "failed"
    assert "12 held-out prompts are discovery prompts too" in shown[1]


def test_a_prompt_that_is_its_own_corruption_is_caught():
    def spoil(instance, _):
        pairs = instance.held_out
        return replace(instance, held_out=replace(pairs, corrupt=pairs.clean))

    assert "12 held-out prompts are their own corruption" in outcome("prompts", spoil)[1]


def test_a_few_pairs_of_no_difference_or_a_clean_prompt_in_both_are_told_and_no_failure():
    def spoil(instance, _):
        shown, scored = instance.problem.pairs, instance.held_out
        clean, corrupt = scored.clean.clone(), scored.corrupt.clone()
        clean[0], corrupt[1] = shown.clean[0], clean[1]
        return replace(instance, held_out=replace(scored, clean=clean, corrupt=corrupt))

    told = "12 for discovery, 12 held out, 1 held-out ones their own corruption, 1 in both with another corruption"
    assert outcome("prompts", spoil) == ("passed", told)


def test_a_prompt_that_is_read_behind_its_end_is_caught():
    def spoil(instance, _):
        return replace(instance, held_out=replace(instance.held_out, lengths=instance.held_out.lengths - 1))

    assert "read behind their end" in outcome("prompts", spoil)[1]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"edges": torch.zeros(10, dtype=torch.bool)}, "holds 0 of 10 edges"),
        ({"edges": torch.ones(len(_fair(0).truths[0].edges), dtype=torch.bool)}, "neither empty nor all"),
        ({"name": "other:exact"}, "valid: 'tiny:...'"),
        ({"source": " "}, "a sentence that says how it was found"),
    ],
)
def test_a_truth_that_is_none_is_caught(changed, said):
    state, detail = outcome("truths", _truth(**changed))
    assert state == "failed"
    assert said in detail


def test_two_truths_of_one_name_are_caught():
    assert "one name" in outcome("truths", lambda i, _: replace(i, truths=i.truths * 2))[1]


def test_an_ablation_that_moves_nothing_is_caught():
    def spoil(instance, _):
        return replace(instance, held_out=replace(instance.held_out, corrupt=instance.held_out.clean))

    assert "invalid-anchor" in outcome("anchor", spoil)[1]


def test_a_truth_that_random_scores_find_is_caught(monkeypatch):
    from mechboard.conformance import circuit_tasks

    monkeypatch.setattr(circuit_tasks, "roc", lambda scores, edges: replace(_roc(scores, edges), trapezoid=0.6))
    assert "where chance is 0.5" in outcome("random scores")[1]


def _roc(scores, edges):
    from mechboard.metrics.roc import roc

    return roc(scores, edges)


# -- what ships with mechboard ---------------------------------------------------------------------

SCORED = ("chance", "known answer", "anchor", "random scores", "exact truth")


@pytest.mark.parametrize("name", Registry().plugins("task"))
def test_every_task_that_is_here_is_a_fair_one(name):
    task = Registry().load("task", name)
    if all(locate(asset) for asset in task.assets):
        assert not [r for r in checks(task, [c for c in check_names(task) if c not in SCORED]) if not r.good]


@pytest.mark.slow
@pytest.mark.parametrize("name", Registry().plugins("task"))
def test_every_task_that_is_here_scores_as_it_must(name):
    task = Registry().load("task", name)
    if all(locate(asset) for asset in task.assets):
        assert not [r for r in checks(task, SCORED) if not r.good]


# -- truths that claim to be exact -----------------------------------------------------------------


def _exact(spoil=lambda effects: effects, threshold=None):
    """The exact effects of the instance's own discovery prompts, spoilt, and the edges from their median on."""

    def made(instance, _):
        effects = exact_effects(instance.problem)[0]
        edges = effects.abs() >= effects.abs().median()
        stated = spoil(effects)
        if threshold is not None:
            edges = threshold(effects)
        return replace(instance, truths=(replace(instance.truths[0], edges=edges, effects=stated),))

    return made


def test_exact_effects_are_those_of_activation_patching():
    problem = _fair(0).problem
    mean, error = exact_effects(problem)
    assert torch.allclose(mean, activation_patching(problem, torch.Generator()).scores, atol=1e-6)
    assert (error >= 0).all()


def test_a_truth_that_is_exact_passes():
    state, detail = outcome("exact truth", _exact())
    assert state == "passed", detail
    assert "no edge clearly on the wrong side" in detail


def test_effects_of_the_wrong_sign_or_order_are_caught():
    assert "mind the sign" in outcome("exact truth", _exact(lambda e: -e))[1]
    assert "mind the sign" in outcome("exact truth", _exact(lambda e: e.roll(1)))[1]


def test_a_set_that_is_not_all_from_a_threshold_on_is_caught():
    def drop_the_strongest(effects):
        edges = effects.abs() >= effects.abs().median()
        edges[effects.abs().argmax()] = False
        return edges

    assert "is all from a threshold on" in outcome("exact truth", _exact(threshold=drop_the_strongest))[1]


def test_an_edge_that_patching_puts_clearly_on_the_other_side_is_caught():
    mean, error = exact_effects(_fair(0).problem)
    weakest = (mean.abs() + 3 * error).argmin()

    def state_it_as_true(effects):
        stated = effects.clone()
        stated[weakest] = effects.abs().median() * 1.01
        return stated

    def hold_it(effects):
        edges = effects.abs() >= effects.abs().median()
        edges[weakest] = True
        return edges

    state, detail = outcome("exact truth", _exact(state_it_as_true, hold_it))
    assert state == "failed"
    assert "1 edges of tiny:exact stand clearly on the wrong side" in detail


def test_a_set_that_is_another_is_caught_by_name_of_the_oracle_alone():
    state, detail = outcome("exact truth", oracles=("activation-patching",))
    assert state == "failed"
    assert "is not what exact patching finds: AUC 0." in detail


# -- the command -----------------------------------------------------------------------------------


def test_the_command_checks_tasks_beside_methods_and_exits_1_on_a_failed_check(bench, tmp_path):  # noqa: F811
    [code] = [b for b in README.split("```") if b.startswith("python") and "(Task):" in b]
    (tmp_path / "bad.py").write_text(code.removeprefix("python\n").replace('"held out": (', '"held out": ("farmer", '))
    state, out, _ = bench("check", "agreement,task:agree*ment", "--plugin", "bad.py")
    assert state == 1
    assert out.count("held-out prompts are discovery prompts too") == 1
    assert "passed    data seeds" in out
    state, _, err = bench("check", "method:agreement", "--plugin", "bad.py")
    assert state == 2
    assert "No method matches 'agreement'" in err
    assert "No method or task matches 'nobody'" in bench("check", "nobody")[2]


def test_a_name_that_a_method_and_a_task_share_is_both_and_can_be_told_apart(bench, tmp_path):  # noqa: F811
    (tmp_path / "twins.py").write_text(
        "from mechboard.protocols import NoParameters, Task, method\n"
        '@method(name="twin", kinds=("circuit",), deterministic=True)\n'
        "def one(problem, generator, parameters: NoParameters):\n    return None\n"
        "class Other(Task):\n    def load(self, data_seed, device):\n        return None\n"
        'other = Other(name="twin", kind="circuit", summary="s")\n'
    )
    out = bench("check", "twin", "--plugin", "twins.py")[1]
    assert [line for line in out.splitlines() if not line.startswith(" ")] == ["method:twin", "task:twin"]
    out = bench("check", "task:twin", "--plugin", "twins.py")[1]
    assert [line for line in out.splitlines() if not line.startswith(" ")] == ["twin"]
