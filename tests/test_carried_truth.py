"""Truths about features as they are stored, and scores of methods against them."""

import json

import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from mechboard.errors import ModelError, UsageError
from mechboard.features import FeatureTruth, Node, Nodes, Place
from mechboard.ground_truth.mini import dictionaries, model
from mechboard.ground_truth.mini.carried import path, stored, truths
from mechboard.ground_truth.mini.carried.measure import evidence, measure
from mechboard.ground_truth.mini.carried.rule import SHARES, Thresholds, carried, verdict
from mechboard.ground_truth.mini.carried.variables import CONTRASTS, USES
from mechboard.metrics.carried import carried as scored
from mechboard.metrics.carried import strengths, strongest

EMBED, RESID = Place("embed", -1), Place("resid", 0)
NODES = Nodes({EMBED: 5, RESID: 4}, frozenset({EMBED, RESID}), positions=3)


def truth(seed=0, labels=None):
    generator = torch.Generator().manual_seed(seed)
    features = torch.tensor([node.unit is not None for node in map(NODES.summed.__getitem__, range(len(NODES.summed)))])
    universe = (torch.rand(len(NODES.summed), generator=generator) < 0.9) & features
    carries = (torch.rand(len(NODES.summed), generator=generator) < 0.5) & universe
    return FeatureTruth(name="made:up", carries=carries, universe=universe, source="made up", labels=labels or {})


# -- scores against a truth ------------------------------------------------------------------------


def test_auc_and_average_precision_are_scikit_learns_over_the_universe_with_ties_together():
    for seed in range(5):
        known = truth(seed)
        scores = torch.randint(-2, 3, (len(NODES),), generator=torch.Generator().manual_seed(seed)).float()
        parts = NODES.split(scores)
        strength = torch.cat([parts[place].abs().sum(0) for place in (EMBED, RESID)])[known.universe]
        found, is_true = scored(scores, NODES, known), known.carries[known.universe]
        assert found.auc == pytest.approx(roc_auc_score(is_true, strength))
        assert found.average_precision == pytest.approx(average_precision_score(is_true, strength))
        assert (found.n_true, found.n_all) == (int(is_true.sum()), len(is_true))


def test_a_feature_is_as_strong_as_all_its_positions_whatever_their_signs_and_silence_is_last():
    scores = torch.zeros(len(NODES))
    for position, value in enumerate((1.0, -2.0, float("nan"))):
        scores[NODES.index(Node(EMBED, position, 3))] = value
        scores[NODES.index(Node(RESID, position, 1))] = float("nan")
    found = strengths(scores, NODES)
    assert found[NODES.summed.index(Node(EMBED, None, 3))] == 3.0
    assert found[NODES.summed.index(Node(RESID, None, 1))].isnan()
    assert int(found.isnan().sum()) == 1


def test_errors_never_count_however_strong_they_are():
    known = truth()
    scores = torch.rand(len(NODES), generator=torch.Generator().manual_seed(1))
    before = scored(scores, NODES, known)
    for place in (EMBED, RESID):
        for position in range(3):
            scores[NODES.index(Node(place, position, None))] = 1e6
    assert scored(scores, NODES, known) == before
    assert None not in {one.node.unit for one in strongest(scores, NODES, known)}


def test_the_strongest_features_are_told_with_what_they_carry_and_whether_the_behaviour_uses_it():
    scores = torch.zeros(len(NODES))
    order = [(EMBED, 2), (RESID, 0), (EMBED, 4)]
    for rank, (place, unit) in enumerate(order):
        scores[NODES.index(Node(place, 1, unit))] = -10.0 + rank
    scores[NODES.index(Node(RESID, 0, None))] = 99.0
    numbers = [NODES.summed.index(Node(place, None, unit)) for place, unit in order]
    carries, universe = (torch.zeros(len(NODES.summed), dtype=torch.bool) for _ in range(2))
    carries[numbers[0]] = universe[numbers[0]] = universe[numbers[1]] = True
    known = FeatureTruth(
        name="made:up",
        carries=carries,
        universe=universe,
        source="",
        labels={numbers[0]: "gender", numbers[1]: "register"},
    )
    found = strongest(scores, NODES, known, n=3)
    assert [(one.node.place, one.node.unit) for one in found] == order
    assert [one.strength for one in found] == [10.0, 9.0, 8.0]
    assert [(one.label, one.true) for one in found] == [("gender", True), ("register", False), ("", None)]


def test_a_truth_without_false_features_has_no_auc():
    every = truth().universe
    with pytest.raises(UsageError, match="has no ROC"):
        scored(torch.rand(len(NODES)), NODES, FeatureTruth(name="all", carries=every, universe=every, source=""))


# -- what is stored --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own():
    held = dictionaries.load(model.load().config)
    return Nodes(held.sizes, held.errors, positions=7)


@pytest.fixture(scope="module")
def content():
    return json.loads(path(1).read_text(encoding="utf-8"))


def test_the_file_is_small_and_says_of_what_it_is_and_how_stable(content):
    assert path(1).stat().st_size < 300_000
    assert {"model", "dictionaries", "rule", "words", "texts", "prompts", "sizes"} <= set(content["about"])
    assert set(content["stability"]) == set(USES)
    for by_share in content["stability"].values():
        assert list(by_share) == [f"{share:.0%}" for share in SHARES]
        for found in by_share.values():
            assert set(found) == {
                "true", "universe", "undecided", "bootstrap", "bootstrap universe", "splits", "splits universe", "thresholds"
            }  # fmt: skip
            assert all(0 <= x <= 1 for x in (*found["bootstrap"], found["splits"], found["splits universe"]))


def test_numbers_that_are_stored_beside_the_evidence_follow_from_it(content):
    found = stored.unpacked(content["features"])
    for task, by_share in content["stability"].items():
        for share in SHARES:
            true, universe = verdict(found, USES[task], Thresholds(share=share))
            told = by_share[f"{share:.0%}"]
            assert (int(true.sum()), int(universe.sum())) == (told["true"], told["universe"])


def test_evidence_survives_being_packed_and_unpacked(content):
    found = stored.unpacked(content["features"])
    assert stored.packed(found) == content["features"]


def test_measuring_a_few_texts_again_finds_what_is_stored():
    decoder, place = model.load(), Place("mlp", 3)
    dictionary = dictionaries.load(decoder.config)[place]
    again = evidence(measure(decoder, {place: dictionary}, "test", n_texts=400, n_prompts=16))
    kept = stored.read(1, stored.hashes()).evidence
    both = [name for name in kept.features if name in again.features]
    assert len(both) > 20
    here, there = ([e.features.index(name) for name in both] for e in (kept, again))
    areas = (kept.own[:, here] - again.own[:, there])[kept.own[:, here] >= 0.9]
    assert float(areas.abs().mean()) < 0.02
    for contrast in CONTRASTS:
        for behaviour in contrast.drives:
            a, b = (e.shares[behaviour].mean[rows] for e, rows in ((kept, here), (again, there)))
            assert float((a - b).abs().max()) < 0.06, behaviour
            strong = a.abs() > 0.02
            torch.testing.assert_close(a[strong], b[strong], rtol=0.5, atol=0.02)


def test_truths_are_masks_over_features_with_names_sources_and_labels(own):
    found = truths("gender-features-mini", 1, own)
    assert found[0].name == "gender-features-mini:carried-2%"
    for one in found:
        assert len(one.carries) == len(one.universe) == len(own.summed)
        assert min(int(one.carries.sum()), int((one.universe & ~one.carries).sum())) >= stored.FEWEST
        errors = torch.tensor([own.summed[i].unit is None for i in one.universe.nonzero().flatten().tolist()])
        assert not errors.any()
        assert {one.labels[i] for i in one.carries.nonzero().flatten().tolist()} == {"gender"}
        assert "Jaccard" in one.source


def test_a_truth_names_the_features_that_the_rule_does(own):
    kept = stored.read(1, stored.hashes()).evidence
    names = {
        f for f, inside in zip(kept.features, carried(kept, "gender", Thresholds()).tolist(), strict=True) if inside
    }
    one = truths("gender-features-mini", 1, own)[0]
    assert {f"{n.place}/{n.unit}" for n in (own.summed[i] for i in one.carries.nonzero().flatten().tolist())} == names


def test_of_some_places_alone_the_truth_is_of_these(own):
    some = {place: size for place, size in own.sizes.items() if place.layer >= 2}
    nodes = Nodes(some, own.errors & frozenset(some), None)
    one, every = (truths("gender-features-mini", 1, n)[0] for n in (nodes, own))
    assert len(one.universe) == len(nodes)
    parts = own.summed.split(every.carries)
    assert torch.equal(one.carries, torch.cat([parts[place].flatten() for place in some]))


def test_a_behaviour_with_too_few_features_or_none_known_has_no_truth(own):
    assert truths("something-features-mini", 1, own) == ()
    few = Nodes({Place("attn", 0): 512}, frozenset(), None)
    assert truths("gender-features-mini", 1, few) == ()


def test_measurements_of_other_weights_and_nodes_of_other_dictionaries_are_refused(monkeypatch, own):
    with pytest.raises(ModelError, match="give the small model's own dictionaries"):
        truths("gender-features-mini", 1, Nodes({RESID: 128}, frozenset(), None))
    real = stored.hashes()
    for what in real:
        monkeypatch.setattr(stored, "hashes", lambda what=what: real | {what: "0" * 64})
        with pytest.raises(ModelError, match=f"measured with {what}"):
            truths("gender-features-mini", 1, own)
        monkeypatch.undo()


def test_the_hash_of_dictionaries_is_of_weights_and_settings(monkeypatch, tmp_path):
    for name in ("cfg.json", "sae_weights.safetensors"):
        (tmp_path / "embed").mkdir(exist_ok=True)
        (tmp_path / "embed" / name).write_bytes(b"one")
    (tmp_path / "card.json").write_text("{}")
    monkeypatch.setattr(dictionaries, "folder", lambda: tmp_path)
    seen = {stored.hashes()["dictionaries"]}
    (tmp_path / "card.json").write_text('{"other": 1}')
    seen.add(stored.hashes()["dictionaries"])
    assert len(seen) == 1
    for name in ("cfg.json", "sae_weights.safetensors"):
        (tmp_path / "embed" / name).write_bytes(b"another")
        seen.add(stored.hashes()["dictionaries"])
    assert len(seen) == 3
