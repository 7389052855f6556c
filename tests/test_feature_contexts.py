"""What a feature stands for: the text on which it is most active, and the tokens that it promotes, on planted features."""

import pytest
import torch

from mechboard.features import Autoencoder, Dictionaries, FeatureEdges, FeatureProblem, FeatureScores, Identity, Place
from mechboard.features.autoencoder import Relu
from mechboard.features.stream import record
from mechboard.graph.pairs import PromptPairs
from mechboard.ground_truth.mini import corpus, model, vocabulary
from mechboard.kinds.feature_circuit import feature_circuit
from mechboard.metrics import feature_contexts
from mechboard.metrics.feature_contexts import promoted_tokens, through_unembedding, top_contexts
from mechboard.metrics.feature_examination import Contexts

EMBED, LAST = Place("embed", -1), Place("resid", 3)
DECODER = model.load()
TOKENS = corpus.sequences("held", 0, 70)  # more than one batch


def planted(*directions, bias=0.0):
    """Features that read and write along given directions."""
    rows = torch.stack(directions)
    return Autoencoder(
        rows.T.contiguous(), torch.full((len(rows),), bias), rows, torch.zeros(128), Relu(), centred=False
    )


def at(place, dictionary):
    return Dictionaries(DECODER.config, {place: dictionary})


def word_of(name):
    return vocabulary.VOCABULARY.index(name)


def detector(token):
    """A direction of the embedding along which one token is further than all others."""
    embedded = DECODER.weights.token - DECODER.weights.token.mean(0)
    return torch.linalg.solve(embedded.T @ embedded + 0.1 * torch.eye(128), embedded[token])


def test_a_feature_that_reads_one_word_is_shown_where_that_word_is():
    token = int(TOKENS[3, 20])
    found = top_contexts(DECODER, at(EMBED, planted(detector(token))), TOKENS, [(EMBED, 0)], most=5)[EMBED, 0]
    assert len(found) == 5
    assert {int(TOKENS[each.sequence, each.position]) for each in found} == {token}


@pytest.mark.parametrize("place", [Place("attn", 1), LAST])
def test_contexts_are_the_true_maxima_of_each_sequence_strongest_first(place):
    dictionary = planted(*torch.randn(3, 128, generator=torch.Generator().manual_seed(0)))
    features = dictionary.encode(record(DECODER, DECODER.embed(TOKENS))[place])
    found = top_contexts(DECODER, at(place, dictionary), TOKENS, [(place, 2), (place, 0)], most=4)
    for unit in (2, 0):
        best = features[..., unit].amax(1)
        shown = [each.activation for each in found[place, unit]]
        assert shown == pytest.approx(best.topk(4).values.tolist(), rel=1e-5)
        for each in found[place, unit]:
            assert float(features[each.sequence, each.position, unit]) == pytest.approx(each.activation, rel=1e-5)
            assert each.activation == pytest.approx(float(best[each.sequence]), rel=1e-5)


def test_text_that_reads_alike_is_shown_once():
    same = TOKENS[:1].repeat(6, 1)
    found = top_contexts(DECODER, at(EMBED, planted(detector(int(same[0, 9])))), same, [(EMBED, 0)], most=5)
    assert len(found[EMBED, 0]) == 1


def test_a_feature_is_looked_up_once_for_all_methods_and_anew_in_other_text_or_dictionaries(monkeypatch):
    looked, recorded = [], feature_contexts.record
    monkeypatch.setattr(feature_contexts, "record", lambda *given: looked.append(1) or recorded(*given))
    two = at(EMBED, planted(detector(int(TOKENS[0, 1])), detector(int(TOKENS[1, 1]))))
    first = top_contexts(DECODER, two, TOKENS, [(EMBED, 0)], most=5)
    once = len(looked)
    assert top_contexts(DECODER, two, TOKENS, [(EMBED, 0)], most=2)[EMBED, 0] == first[EMBED, 0][:2]
    assert len(looked) == once > 0
    top_contexts(DECODER, two, TOKENS, [(EMBED, 0), (EMBED, 1)], most=5)
    assert len(looked) == 2 * once
    turned = at(EMBED, planted(detector(int(TOKENS[1, 1])), detector(int(TOKENS[0, 1]))))
    assert top_contexts(DECODER, turned, TOKENS, [(EMBED, 0)], most=5) != first
    assert top_contexts(DECODER, two, TOKENS[:9], [(EMBED, 0)], most=5) != first


def test_a_feature_that_is_never_active_has_no_context():
    dead = planted(torch.zeros(128), bias=-1.0)
    assert top_contexts(DECODER, at(EMBED, dead), TOKENS, [(EMBED, 0)], most=5) == {(EMBED, 0): []}


def test_a_feature_that_writes_a_words_unembedding_promotes_that_word():
    gain, unembed = DECODER.weights.final_norm.gain, DECODER.weights.unembed
    wanted = word_of("are")
    column = unembed[:, wanted] - unembed.mean(1)
    dictionary = planted(torch.zeros(128), column / (1.0 if gain is None else gain))
    [(token, weight), *others] = promoted_tokens(DECODER, at(LAST, dictionary), [(LAST, 1)], 791, 8)[LAST, 1]
    assert token == wanted
    assert len(others) == 7
    assert all(weight > other for _, other in others)


def test_a_promoted_tokens_weight_is_how_its_logit_moves_at_a_scale_of_one():
    """A direction as long as the stream, so that the norm's scale is known."""
    direction = torch.randn(128, generator=torch.Generator().manual_seed(1))
    direction = direction - direction.mean()
    direction = direction / direction.square().mean().sqrt()
    logits = DECODER.unembed(direction[None])[0] - DECODER.unembed(torch.zeros(1, 128))[0]
    assert torch.allclose(through_unembedding(DECODER, direction + 3.0), logits - logits.mean(), atol=1e-4)


def problem(by_position=True):
    clean = TOKENS[:4, :6]
    pairs = PromptPairs(clean, TOKENS[4:8, :6], torch.full((4,), 6), torch.full((4, 1), 5), {})
    generator = torch.Generator().manual_seed(2)
    held = {place: planted(*torch.randn(5, 128, generator=generator)) for place in (EMBED, LAST)}
    return FeatureProblem(
        model=DECODER, dictionaries=Dictionaries(DECODER.config, held), pairs=pairs,
        metric=lambda logits, pairs: logits[:, 0, 3] - logits[:, 0, 4], by_position=by_position,
    )  # fmt: skip


def contexts(**more):
    return Contexts(tokens=TOKENS, words=vocabulary.VOCABULARY, **more)


def test_the_circuit_holds_the_strongest_nodes_and_the_strongest_edges_among_them():
    asked = problem()
    scores = torch.zeros(len(asked.nodes))
    scores[[3, 5, 40, 50]] = torch.tensor([0.5, -2.0, 1.0, torch.nan])
    edges = FeatureEdges(torch.tensor([3, 5, 5, 7]), torch.tensor([40, 40, 3, 40]), torch.tensor([0.1, -0.7, 0.0, 9.0]))
    carries = asked.nodes.summed.index(asked.nodes[40]._replace(position=None))
    found = feature_circuit(asked, FeatureScores(scores, edges=edges), contexts(), labels={carries: "number"})
    assert [node.label for node in found.nodes] == ["", "number", ""]
    assert [(node.name, node.score) for node in found.nodes] == [
        ("embed/error@0", -2.0),
        (str(asked.nodes[40]), 1.0),
        ("embed/3@0", 0.5),
    ]
    assert [(e.source, e.target, round(e.effect, 3)) for e in found.edges] == [(0, 1, -0.7), (2, 1, 0.1)]
    assert found.words == tuple(vocabulary.VOCABULARY[t] for t in asked.pairs.clean[0].tolist())
    assert not found.nodes[0].contexts
    assert found.nodes[2].contexts[0].token in vocabulary.VOCABULARY
    assert len(found.nodes[2].promoted) == 6


def test_a_context_is_text_around_its_token_and_words_with_their_own_white_space_are_joined_as_they_are():
    asked = problem(by_position=False)
    solution = FeatureScores(torch.nn.functional.one_hot(torch.tensor(2), 12).float())
    [where] = top_contexts(DECODER, asked.dictionaries, TOKENS, [(EMBED, 2)], most=1)[EMBED, 2]
    tokens = TOKENS[where.sequence].tolist()
    before, behind = tokens[max(where.position - 12, 0) : where.position], tokens[where.position + 1 :][:3]
    spaced = tuple(f" {word}" for word in vocabulary.VOCABULARY)
    for words, between in ((vocabulary.VOCABULARY, " "), (spaced, "")):
        shown = feature_circuit(asked, solution, Contexts(tokens=TOKENS, words=words)).nodes[0].contexts[0]
        assert shown.token == words[tokens[where.position]]
        assert shown.before == "".join(words[t] + between for t in before)
        assert shown.behind == "".join(between + words[t] for t in behind)


def test_top_takes_only_as_many_and_a_longer_list_is_made_of_the_solution():
    asked = problem(by_position=False)
    solution = FeatureScores(torch.arange(1.0, 13.0))
    found = feature_circuit(asked, solution, contexts(link=lambda place, unit: f"https://x.org/{place}/{unit}"), top=3)
    assert [node.name for node in found.nodes] == ["resid_3/error", "resid_3/4", "resid_3/3"]
    assert found.nodes[1].link == "https://x.org/resid_3/4"
    longer = found.strongest(solution, 5)
    assert longer.nodes[:3] == found.nodes
    assert [node.name for node in longer.nodes[3:]] == ["resid_3/2", "resid_3/1"]
    assert len(found.strongest(solution, 1).nodes) == 1


def test_without_text_there_are_nodes_alone_and_neurons_have_contexts_too():
    asked = problem(by_position=False)
    bare = feature_circuit(asked, FeatureScores(torch.ones(12)), None)
    assert not any(node.contexts or node.promoted for node in bare.nodes)
    neurons = FeatureProblem(
        model=DECODER, dictionaries=Dictionaries(DECODER.config, {LAST: Identity(128)}), pairs=asked.pairs,
        metric=asked.metric, by_position=False,
    )  # fmt: skip
    found = feature_circuit(neurons, FeatureScores(torch.arange(128.0)), contexts(), top=2)
    assert [node.feature for node in found.nodes] == [127, 126]
    assert found.nodes[0].contexts


def test_nodes_with_equal_scores_keep_their_order_and_a_record_holds_the_strongest_200_edges():
    asked = problem()
    chosen = torch.arange(36)
    source, target = torch.cartesian_prod(chosen, chosen)[chosen.repeat_interleave(36) != chosen.repeat(36)][:300].T
    edges = FeatureEdges(source, target, torch.linspace(-1.0, 2.0, 300))
    found = feature_circuit(asked, FeatureScores(torch.ones(len(asked.nodes)), edges=edges), None)
    assert [node.name for node in found.nodes] == [str(asked.nodes[i]) for i in range(30)]
    assert len(found.edges) == 200
    assert [abs(e.effect) for e in found.edges] == sorted((abs(e.effect) for e in found.edges), reverse=True)
    assert found.edges[0].effect == 2.0
