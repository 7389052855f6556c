"""Controls of removal: random edges, the largest ones, none, and the known ones."""

from dataclasses import replace

import pytest
import torch
from models import random_problem
from test_learned_mask import generator, planted, spoken

from mechboard.graph import record_outputs
from mechboard.methods.ground_truth import ground_truth
from mechboard.methods.magnitude import magnitude
from mechboard.methods.random_scores import random_scores
from mechboard.methods.unedited import unedited


def test_random_cuts_differ_by_seed_and_are_nested():
    problem = spoken()
    first, same, other = (random_scores(problem, generator(seed)).cut for seed in (0, 0, 1))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert first.sum(1).tolist() == list(problem.budgets)
    assert (first[0] <= first[1]).all()


def test_unedited_cuts_nothing_at_any_budget():
    problem = spoken()
    assert unedited(problem, generator()).cut.tolist() == [[False] * problem.model.n_edges] * len(problem.budgets)


def test_the_known_edges_are_cut_and_no_other():
    problem = planted(budgets=(1, 2, 6))
    truth = torch.zeros(problem.model.n_edges, dtype=torch.bool)
    truth[[3, 9]] = True
    edit = ground_truth(replace(problem, truth=truth), generator())
    assert edit.cut.sum(1).tolist() == [1, 2, 2]
    assert torch.equal(edit.cut[-1], truth)
    assert torch.equal(edit.scores, truth.float())


def test_the_largest_weight_times_the_spread_of_its_input_is_cut_first():
    problem = planted()
    problem.keep.inputs[:, 6] = torch.randn(64, generator=generator()) * 1e5  # 1e-3 of it is more than any other
    edit = magnitude(problem, generator())
    assert edit.cut[0].nonzero().flatten().tolist() == [problem.model.edges.index("x6->h3")]
    constant = [i for i, name in enumerate(problem.model.edges) if name.startswith(("x5", "x7"))]
    assert not edit.scores[constant].any()  # however large the weight


@pytest.mark.parametrize("ablation", ["resample", "zero"])
def test_the_magnitude_of_an_edge_is_its_share_of_what_is_read(ablation):
    problem = random_problem("gpt2", ablation=ablation, batch_size=2)
    graph, pairs = problem.graph, problem.pairs
    clean = record_outputs(problem.model, problem.model.embed(pairs.clean))
    change = clean - problem.ablation.outputs(pairs)
    scores = magnitude(problem, generator()).scores
    for edge in range(0, graph.n_edges, 13):
        source, destination = int(graph.edge_sources[edge]), int(graph.edge_destinations[edge])
        stream = clean[: int(graph.valid[:, destination].sum())].sum(0)
        share = (change[source].norm(dim=-1) / stream.norm(dim=-1)).mean()
        assert scores[edge].item() == pytest.approx(share.item())


def test_padding_has_no_part_in_magnitude():
    problem = random_problem("gpt2")
    short = replace(problem.pairs, lengths=problem.pairs.lengths - 2, positions=problem.pairs.positions - 2)
    noise = torch.randint(19, (len(short), 2), generator=generator())
    other = replace(short, clean=torch.cat([short.clean[:, :-2], noise], 1))
    found = [magnitude(replace(problem, pairs=pairs), generator()).scores for pairs in (short, other)]
    assert torch.allclose(*found)


def test_a_decoder_to_be_edited_is_measured_on_what_is_to_stay():
    problem = spoken()
    scores = magnitude(problem, generator()).scores
    assert torch.equal(magnitude(replace(problem, bad=problem.keep), generator()).scores, scores)
    assert not torch.equal(magnitude(replace(problem, keep=problem.bad), generator()).scores, scores)
