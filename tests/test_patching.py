import pytest
import torch
from models import FAMILIES, random_decoder, random_pairs, random_problem
from naive import rerun

from mechboard.graph import Ablation, PromptPairs, metric_values, patch_each_edge, record_outputs, run_patched
from mechboard.methods.activation_patching import activation_patching
from mechboard.metrics.answers import logit_difference

EVERYWHERE = torch.arange(6).expand(5, 6)


def _setting(family):
    decoder, pairs = random_decoder(family), random_pairs()
    graph = decoder.graph
    ablated = Ablation("resample", decoder, pairs).outputs(pairs)
    named = {name: ablated[row] for row, name in enumerate(graph.sources)}
    return decoder, graph, pairs, ablated, named


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_any_edge_set_equals_a_plain_rerun_with_those_edges_changed(family, share):
    decoder, graph, pairs, ablated, named = _setting(family)
    patched = torch.rand(graph.n_edges, generator=torch.Generator().manual_seed(3)) < share
    final = run_patched(decoder, decoder.embed(pairs.clean), ablated, graph.dense(patched))
    names = {name for name, chosen in zip(graph.edges, patched, strict=True) if chosen}
    _, logits = rerun(decoder, graph, pairs.clean, named, names)
    assert torch.allclose(decoder.unembed(final), logits, atol=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_cell_that_is_no_edge_changes_nothing(family):
    decoder, graph, pairs, ablated, _ = _setting(family)
    edges = graph.dense(torch.rand(graph.n_edges, generator=torch.Generator().manual_seed(3)) < 0.4)
    clean = decoder.embed(pairs.clean)
    alone = run_patched(decoder, clean, ablated, edges)
    assert torch.equal(run_patched(decoder, clean, ablated, edges | ~graph.valid), alone)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_single_edge_equals_a_plain_rerun_that_changes_it(family):
    decoder, graph, pairs, ablated, named = _setting(family)
    seen = set()
    for destination, sources, finals in patch_each_edge(
        decoder, decoder.embed(pairs.clean), ablated, EVERYWHERE, max_elements=3500
    ):
        for source, final in zip(range(sources.start, sources.stop), finals, strict=True):
            edge = f"{graph.sources[source]}->{graph.destinations[destination]}"
            seen.add(edge)
            if hash(edge) % 4 == 0 or "logits" in edge:
                _, logits = rerun(decoder, graph, pairs.clean, named, {edge})
                assert torch.allclose(decoder.unembed(final), logits, atol=1e-9), edge
    assert seen == set(graph.edges)


@pytest.mark.parametrize("family", FAMILIES)
def test_streams_at_the_positions_that_are_read_are_those_of_all_positions(family):
    decoder, _, pairs, ablated, _ = _setting(family)
    read = torch.tensor([[4], [2], [4], [0], [1]])
    x = decoder.embed(pairs.clean)
    everywhere = patch_each_edge(decoder, x, ablated, EVERYWHERE)
    narrow = patch_each_edge(decoder, x, ablated, read, max_elements=10**9)
    wide_by_edge = {
        (d, s): f for d, rows, fs in everywhere for s, f in zip(range(rows.start, rows.stop), fs, strict=True)
    }
    compared = 0
    for destination, rows, finals in narrow:
        for source, final in zip(range(rows.start, rows.stop), finals, strict=True):
            expected = wide_by_edge[destination, source][torch.arange(5)[:, None], read]
            assert torch.allclose(final, expected, atol=1e-10)
            compared += 1
    assert compared == decoder.graph.n_edges


@pytest.mark.parametrize("family", FAMILIES)
def test_patching_nothing_is_the_clean_run_and_everything_the_ablated_one(family):
    decoder, graph, pairs, ablated, _ = _setting(family)
    clean = decoder.embed(pairs.clean)
    nothing = torch.zeros(graph.n_edges, dtype=torch.bool)
    kept = run_patched(decoder, clean, ablated, graph.dense(nothing))
    gone = run_patched(decoder, clean, ablated, graph.dense(~nothing))
    assert torch.allclose(decoder.unembed(kept), decoder(pairs.clean), atol=1e-10)
    assert torch.allclose(decoder.unembed(gone), decoder(pairs.corrupt), atol=1e-10)


@pytest.mark.parametrize("ablation", ["mean", "mean-global", "zero"])
def test_other_ablations_carry_what_they_say(ablation):
    decoder, pairs = random_decoder("gpt2"), random_pairs()
    corrupt = record_outputs(decoder, decoder.embed(pairs.corrupt))
    expected = {
        "mean": corrupt.mean(1, keepdim=True).expand_as(corrupt),
        "mean-global": corrupt.mean((1, 2), keepdim=True).expand_as(corrupt),
        "zero": torch.zeros_like(corrupt),
    }[ablation]
    assert torch.allclose(Ablation(ablation, decoder, pairs, batch_size=2).outputs(pairs), expected, atol=1e-12)


def test_means_leave_padding_out():
    decoder, pairs = random_decoder("gpt2"), random_pairs()
    pairs.lengths[0] = 3
    corrupt = record_outputs(decoder, decoder.embed(pairs.corrupt))
    outputs = Ablation("mean", decoder, pairs).outputs(pairs)
    assert torch.allclose(outputs[:, 0, 5], corrupt[:, 1:, 5].mean(1), atol=1e-12)
    assert torch.allclose(outputs[:, 0, 2], corrupt[:, :, 2].mean(1), atol=1e-12)


@pytest.mark.parametrize("batch_size", [2, 7, 64])
def test_the_mean_of_a_value_that_all_prompts_share_is_that_value_to_the_bit(batch_size):
    decoder = random_decoder("gpt2", dtype=torch.float32)
    corrupt = torch.randint(decoder.config.d_vocab, (37, 6), generator=torch.Generator().manual_seed(0))
    corrupt[:, 2], corrupt[:3, 5], corrupt[3:, 5] = 4, 1, 9
    lengths = torch.full((37,), 6)
    lengths[:3] = 4  # the first prompts end before position 5, which all others share
    pairs = PromptPairs(corrupt, corrupt, lengths, lengths[:, None] - 1, {})
    means = Ablation("mean", decoder, pairs, batch_size=batch_size).outputs(pairs[:1])[0, 0]
    embedded = decoder.embed(corrupt)
    assert torch.equal(means[2], embedded[0, 2])
    assert torch.equal(means[5], embedded[3, 5])
    assert not torch.equal(embedded[:, 2].sum(0) / 37, embedded[0, 2])
    assert torch.allclose(means[3], embedded[:, 3].mean(0), atol=1e-6)


def test_scores_are_the_drop_of_the_metric():
    problem = random_problem("gpt2")
    scores = activation_patching(problem, torch.Generator()).scores
    model, graph, pairs = problem.model, problem.graph, problem.pairs
    ablated = problem.ablation.outputs(pairs)
    edge = torch.zeros(graph.n_edges, dtype=torch.bool)
    edge[7] = True
    clean = model.embed(pairs.clean)
    before = metric_values(model, model.resume(clean), logit_difference, pairs).mean()
    final = run_patched(model, clean, ablated, graph.dense(edge))
    after = metric_values(model, final, logit_difference, pairs).mean()
    assert scores[7].item() == pytest.approx((before - after).item(), abs=1e-10)
