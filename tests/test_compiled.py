"""Each compiled task's truth is proved by exhaustive exact patching, on several instances."""

from dataclasses import replace

import pytest
import torch

from mechboard.graph import Ablation, patch_each_edge, run_patched
from mechboard.ground_truth.compiled.compiler import GAP
from mechboard.ground_truth.compiled.language import Program, match
from mechboard.methods.activation_patching import activation_patching
from mechboard.methods.eap import eap
from mechboard.methods.eap_ig import eap_ig
from mechboard.metrics.circuit import evaluate_edges
from mechboard.plugins.registry import Registry

NAMES = [name for name in Registry().plugins("task") if name.startswith("compiled-")]
INSTANCES = (0, 1, 2)
CLEARLY = 0.05


def _instance(name, seed):
    task = Registry().load("task", name)
    instance = task.load(seed, "cpu")
    model = instance.problem.model.to(dtype=torch.float64)
    return task, instance, model, Ablation(task.ablation, model, instance.problem.pairs)


def _effects(problem, model, ablation):
    """Largest change of any output at any scored position of any prompt, per edge patched alone."""
    clean, ablated = model.embed(problem.pairs.clean), ablation.outputs(problem.pairs)
    before = model.unembed(problem.pairs.read(model.resume(clean)))
    read = problem.pairs.positions
    effect = torch.zeros(problem.graph.n_sources, problem.graph.n_destinations, dtype=torch.float64)
    for destination, sources, finals in patch_each_edge(model, clean, ablated, read):
        effect[sources, destination] = (model.unembed(finals) - before).abs().amax((1, 2, 3))
    return problem.graph.flat(effect)


def _stand_in(task, problem, seed):
    """Edges at the operations that stand in for each other."""
    pair = [task.compiled(seed).node_of[operation] for operation in task.redundant]
    return torch.tensor([any(node in edge for node in pair) for edge in problem.graph.edges])


@pytest.mark.parametrize("seed", INSTANCES)
@pytest.mark.parametrize("name", NAMES)
def test_edges_inside_matter_and_edges_outside_have_no_effect(name, seed):
    task, instance, model, ablation = _instance(name, seed)
    problem, truth = instance.problem, instance.truths[0].edges
    effect = _effects(problem, model, ablation)
    stand_in = _stand_in(task, problem, seed) & truth
    assert effect[~truth].max() == 0
    assert effect[truth & ~stand_in].min() > CLEARLY
    if task.redundant:
        # None of these matters alone, which is what makes the pair redundant; patched together they do.
        assert effect[stand_in].max() == 0
        for end in ("m0", "<k>"):
            both = stand_in & torch.tensor([end in edge for edge in problem.graph.edges])
            assert both.sum() == 2
            clean = model.embed(problem.pairs.clean)
            final = run_patched(model, clean, ablation.outputs(problem.pairs), problem.graph.dense(both))
            change = (model.unembed(final) - model.unembed(model.resume(clean))).abs()
            assert change[:, problem.pairs.positions[0]].max() > CLEARLY


@pytest.mark.parametrize("method", [eap, eap_ig, activation_patching], ids=lambda m: m.name)
@pytest.mark.parametrize("name", NAMES)
def test_what_has_no_effect_scores_zero_to_the_bit(name, method):
    """Noise there would be ranked, and would make AUC depend on how scores are scaled."""
    task = Registry().load("task", name)
    for seed in INSTANCES:
        instance = task.load(seed, "cpu")
        problem = instance.problem
        truth = instance.truths[0].edges
        scores = method(problem, torch.Generator()).scores
        assert scores[~truth].count_nonzero() == 0
        assert scores[_stand_in(task, problem, seed)].count_nonzero() == 0
        assert scores[truth].count_nonzero() > 0


def test_auc_is_the_same_for_scores_and_for_their_tenth_roots():
    from mechboard.tasks.compiled.arithmetic import task

    instance = task.load(0, "cpu")

    problem = instance.problem
    truths, held_out = instance.truths, instance.held_out
    scores = eap_ig(problem, torch.Generator()).scores
    roots = scores.sign() * scores.abs() ** 0.1
    headline = f"auc[{truths[0].name}]"
    plain, rooted = (evaluate_edges(problem, s, held_out, truths).measures[headline].value for s in (scores, roots))
    assert plain == pytest.approx(rooted, abs=1e-9)


def test_mean_ablation_changes_nothing_that_depends_on_the_position_alone():
    """Also in a program that reads positions, which the one with this ablation does not."""
    from mechboard.tasks.compiled.arithmetic import task

    task = replace(task, ablation="mean")
    instance = task.load(0, "cpu")
    problem = instance.problem
    truth = instance.truths[0].edges
    assert truth.sum() < replace(task, ablation="mean-global").load(0, "cpu").truths[0].edges.sum()
    scores = eap(problem, torch.Generator()).scores
    assert scores[~truth].count_nonzero() == 0
    assert scores[truth].count_nonzero() > 0


@pytest.mark.parametrize("name", NAMES)
def test_a_variable_is_mixed_over_scattered_coordinates_that_no_other_has(name):
    task, places = Registry().load("task", name), []
    for seed in INSTANCES:
        weights = task.compiled(seed).decoder.weights
        token, position = weights.token != 0, weights.position != 0
        assert not (token.any(0) & position.any(0)).any()
        # No coordinate means one value: each value has a share of each coordinate of its variable.
        assert (token.sum(1) == len(token)).all()
        assert token.any(0).sum() == len(token)
        places.append(token.any(0))
    assert not places[0].equal(places[1])
    assert not any(p[: int(p.sum())].all() for p in places)


@pytest.mark.parametrize("name", NAMES)
def test_the_graph_is_large_enough_for_random_scores_to_have_a_narrow_spread(name):
    task = Registry().load("task", name)
    instance = task.load(0, "cpu")
    problem = instance.problem
    assert problem.graph.n_edges >= 300
    assert int(instance.truths[0].edges.sum()) >= 10


@pytest.mark.parametrize("seed", INSTANCES)
@pytest.mark.parametrize("name", NAMES)
def test_the_model_computes_what_the_program_says(name, seed):
    task = Registry().load("task", name)
    instance = task.load(seed, "cpu")
    problem = instance.problem
    index = problem.pairs.positions[:, :, None].expand(-1, -1, problem.model.config.d_vocab_out)
    meant = task.build().interpret(problem.pairs.clean).gather(1, index)
    computed = problem.model(problem.pairs.clean).gather(1, index)
    assert (meant - computed).abs().max() < 0.2
    assert (meant - computed).abs().mean() < 0.02


def test_reverse_reverses():
    task = Registry().load("task", "compiled-reverse")
    program = task.build()
    prompt = ["<bos>", "a1+", "b2-", "a2+", "<rev>", *["_"] * 7]
    tokens = torch.tensor([[program.vocabulary.index(t) for t in prompt]])
    symbols = program.operations[-1].out.values
    answers = task.compiled(0).decoder(tokens)[0, 5:8].argmax(-1)
    assert [symbols[i] for i in answers] == ["a2+", "b2-", "a1+"]


def test_arithmetic_adds():
    task = Registry().load("task", "compiled-arithmetic")
    program = task.build()
    prompt = ["<bos>", ".", "B", "4", "C", "3", ".", "A", "2", ".", ".", "="]
    tokens = torch.tensor([[program.vocabulary.index(t) for t in prompt]])
    assert int(task.compiled(0).decoder(tokens)[0, -1].argmax()) == (4 + 3 + 2) % 5


@pytest.mark.parametrize("name", NAMES)
def test_no_attention_logit_of_the_program_exceeds_the_gap(name):
    """Gradients exist because softmax is not saturated; the program's heads score at most GAP apart."""
    task = Registry().load("task", name)
    compiled = task.compiled(0)
    decoder, tokens = compiled.decoder, task.load(0, "cpu").problem.pairs.clean
    x = decoder.embed(tokens)
    heads = {node for node in compiled.node_of.values() if node.startswith("a")}
    for layer in range(decoder.config.n_layers):
        q, k, _ = decoder.project(layer, x)
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k) * decoder.config.attention_scale
        for head in range(decoder.config.n_heads):
            if f"a{layer}.h{head}" in heads:
                assert scores[:, head].max() - scores[:, head].min() <= GAP * 1.05
        x = x + decoder.attention(layer, x)
        x = x + decoder.mlp(layer, x)
    assert GAP <= 10


def test_instances_differ_and_one_instance_is_always_the_same():
    task = Registry().load("task", "compiled-reverse")
    again = type(task)(**{f: getattr(task, f) for f in task.__dataclass_fields__})
    first, second = task.compiled(0).decoder, task.compiled(1).decoder
    assert not torch.equal(first.weights.token, second.weights.token)
    assert torch.equal(again.compiled(0).decoder.weights.token, first.weights.token)
    discovery, evaluation = (task.pairs(0, part=p, n=64).clean for p in ("discovery", "evaluation"))
    assert not torch.equal(discovery[: len(evaluation)], evaluation[: len(discovery)])


def test_a_lookup_to_a_value_that_does_not_exist_is_an_error():
    program = Program(vocabulary=("a", "b"), length=3)
    with pytest.raises(ValueError, match="'c' was computed"):
        program.lookup("x", layer=0, reads=[program.token], values=("d",), function=lambda _: "c")


def test_interpretation_shares_attention_between_equal_matches():
    program = Program(vocabulary=("a", "b"), length=3)
    is_a = match(None, program.token, lambda _, token: token == "a")
    where = program.head("where", layer=0, matches=[is_a], value=program.position, values=(0, 1, 2))
    program.output(where)
    assert program.interpret(torch.tensor([[0, 1, 0]]))[0, 2].tolist() == [0.5, 0.0, 0.5]
