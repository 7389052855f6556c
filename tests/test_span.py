"""What clean and corrupt prompts share is run once, and the last layer where it is read alone: scores stay what they were."""

from dataclasses import replace

import pytest
import torch
from models import FAMILIES, random_decoder, random_pairs

from mechboard.graph import (
    Ablation,
    PromptPairs,
    Span,
    counting,
    input_gradients,
    metric_gradient,
    record_outputs,
    record_tape,
)
from mechboard.methods import eap as eap_module
from mechboard.methods._products import EdgeProducts
from mechboard.methods.eap import eap
from mechboard.methods.eap_ig import eap_ig
from mechboard.metrics.answers import logit_difference
from mechboard.protocols import CircuitProblem

G = torch.Generator()
CORRUPT = eap_module.Parameters(at="corrupt")


def sharing(n: int, pairs: PromptPairs | None = None) -> PromptPairs:
    """Pairs that share their first `n` tokens, and differ in the next."""
    pairs = random_pairs() if pairs is None else pairs
    corrupt = pairs.corrupt.clone()
    corrupt[:, :n] = pairs.clean[:, :n]
    if n < corrupt.shape[1]:
        corrupt[:, n] = (pairs.clean[:, n] + 1) % 19
    return replace(pairs, corrupt=corrupt)


def problem_of(
    pairs, *, family="gpt2", dtype=torch.float64, metric=logit_difference, ablation="resample", batch_size=5
):
    decoder = random_decoder(family, dtype=dtype)
    return CircuitProblem(
        model=decoder,
        graph=decoder.graph,
        pairs=pairs,
        metric=metric,
        ablation=Ablation(ablation, decoder, pairs),
        batch_size=batch_size,
    )


def over_all_positions(problem, points=(1.0,)):
    """EAP with every node at every position, with the mean gradient at points between ablated (0) and clean (1) input."""
    model, pairs = problem.model, problem.pairs
    products, clean = EdgeProducts(problem.graph, model), model.embed(pairs.clean)
    ablated = problem.ablation.outputs(pairs)
    differences = record_outputs(model, clean) - ablated
    for t in points:
        tape = record_tape(model, ablated[0] + t * (clean - ablated[0]))
        at_end = metric_gradient(model, tape.final, problem.metric, pairs)
        for block in input_gradients(model, tape, at_end):
            products.add(differences, block)
    return products.sums() / (len(pairs) * len(points))


def assert_same(problem):
    tolerance = 1e-10 if problem.model.dtype == torch.float64 else 1e-4
    for found, meant in (
        (eap(problem, G), over_all_positions(problem)),
        (eap_ig(problem, G), over_all_positions(problem, (0, 0.2, 0.4, 0.6, 0.8))),
        *(
            [(eap(problem, G, CORRUPT), over_all_positions(problem, (0,)))]
            if problem.ablation.kind == "resample"
            else []
        ),
    ):
        scale = max(1.0, float(meant.abs().max()))
        assert torch.allclose(found.scores, meant, atol=tolerance * scale, rtol=0)


@pytest.mark.parametrize("shared", [0, 1, 3, 5])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_those_of_the_full_computation(family, dtype, shared):
    pairs = sharing(shared)
    assert pairs.n_shared() == shared
    assert_same(problem_of(pairs, family=family, dtype=dtype))


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_scores_are_those_of_the_full_computation_where_prompts_have_different_lengths(family):
    pairs = sharing(2)
    lengths = torch.tensor([6, 4, 5, 6, 3])
    padding = torch.arange(6) >= lengths[:, None]
    pairs = replace(
        pairs,
        clean=pairs.clean.masked_fill(padding, 0),
        corrupt=pairs.corrupt.masked_fill(padding, 0),
        lengths=lengths,
        positions=lengths[:, None] - 1,
    )
    assert pairs.n_shared() == 2
    assert_same(problem_of(pairs, family=family))


def test_a_prefix_is_run_by_itself_from_a_quarter_of_the_prompt_on():
    decoder, pairs = random_decoder("gpt2"), random_pairs(length=8)
    assert [Span.of(decoder, sharing(n, pairs)).start for n in (1, 2, 3)] == [0, 2, 3]


@pytest.mark.parametrize("ablation", ["mean", "mean-global", "zero"])
def test_other_ablations_share_no_prefix(ablation):
    problem = problem_of(sharing(3), ablation=ablation)
    assert problem.ablation.span(problem.pairs).start == 0
    assert_same(problem)


def product_of_two(logits, pairs):
    return logits[:, 0, 3] * logits[:, 1, 4]


@pytest.mark.parametrize("positions", [(1, 5), (4, 2), (5, 5)], ids=["one shared", "backwards", "twice"])
def test_a_metric_may_read_in_the_prefix_and_one_position_twice(positions):
    pairs = replace(sharing(3), positions=torch.tensor([positions] * 5))
    assert_same(problem_of(pairs, metric=product_of_two))


@pytest.mark.parametrize("shared", [0, 4])
def test_a_position_that_is_read_twice_counts_twice(shared):
    once = problem_of(sharing(shared), metric=lambda logits, pairs: logits[:, 0, 3])
    twice = replace(sharing(shared), positions=torch.full((5, 2), 5))
    twice = problem_of(twice, metric=lambda logits, pairs: logits[:, 0, 3] + logits[:, 1, 3])
    assert torch.allclose(eap(twice, G).scores, 2 * eap(once, G).scores, atol=1e-12)


def test_where_all_positions_are_read_nothing_is_left_out_of_the_last_layer():
    pairs = replace(sharing(2), positions=torch.arange(6).repeat(5, 1))
    problem = problem_of(pairs, metric=lambda logits, pairs: logits.square().sum((1, 2)))
    assert problem.ablation.span(pairs).read is None
    assert_same(problem)


def test_what_differs_behind_the_position_that_is_read_has_no_score():
    problem = problem_of(replace(sharing(4), positions=torch.full((5, 1), 2)))
    assert eap(problem, G).scores.abs().max() < 1e-12


def test_a_pair_that_is_its_own_corruption_adds_nothing():
    pairs = sharing(6)
    assert eap(problem_of(pairs), G).scores.abs().max() < 1e-12
    differing, mixed = sharing(3), sharing(3)
    mixed.corrupt[1:] = mixed.clean[1:]
    first = eap(problem_of(differing[:1]), G).scores
    assert torch.allclose(eap(problem_of(mixed), G).scores, first / 5, atol=1e-12)


def test_each_batch_has_the_prefix_of_its_own_prompts():
    early, late = sharing(1)[:3], sharing(4)[3:]
    pairs = replace(early, **{n: torch.cat([getattr(early, n), getattr(late, n)]) for n in
                              ("clean", "corrupt", "lengths", "positions")},
                    targets={n: torch.cat([early.targets[n], late.targets[n]]) for n in early.targets})  # fmt: skip
    for method in (eap, eap_ig):
        whole, parts = (method(problem_of(pairs, batch_size=n), G).scores for n in (5, 3))
        assert torch.allclose(whole, parts, atol=1e-12)


def test_runs_hold_no_position_of_the_prefix_and_the_last_layer_only_what_is_read():
    problem = problem_of(sharing(2))
    span, model = problem.ablation.span(problem.pairs), problem.model
    assert problem.ablation.outputs(problem.pairs, span=span).shape == (16, 5, 4, 32)
    tape = record_tape(model, span.embed(model, problem.pairs.clean), span=span)
    blocks = list(input_gradients(model, tape, torch.ones_like(tape.final)))
    names = [problem.graph.destinations[block.destinations.start] for block in blocks]
    assert names == ["logits", "m2", "a2.h0<q>", "a2.h0<k>", "m1", "a1.h0<q>", "m0", "a0.h0<q>"]
    assert [block.gradients.shape[2] for block in blocks] == [1, 1, 1, 4, 4, 4, 4, 4]
    assert all(keys.shape == (5, 2, 4, 8) for keys, _ in span.past)


def test_the_prefix_is_no_pass_of_its_own():
    with counting() as cost:
        eap(problem_of(sharing(3)), G)
    assert (cost.forward_sequences, cost.backward_sequences) == (10, 5)


@pytest.mark.parametrize("family", FAMILIES)
def test_runs_behind_a_prefix_give_the_outputs_of_whole_runs(family):
    pairs, decoder = sharing(3), random_decoder(family)
    span = Span.of(decoder, pairs)
    for tokens in (pairs.clean, pairs.corrupt):
        whole = record_outputs(decoder, decoder.embed(tokens))
        late = record_outputs(decoder, span.embed(decoder, tokens), span=replace(span, read=None))
        assert torch.allclose(late, whole[:, :, 3:], atol=1e-12)
