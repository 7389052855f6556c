"""The small language, its model with its card, and the tasks on it."""

import itertools
import json
import re
import shutil
from collections import Counter
from random import Random

import pytest
import torch
from test_cli import bench  # noqa: F401

from mechboard.errors import ModelError, UsageError
from mechboard.graph import metric_values
from mechboard.ground_truth.cards import read_card
from mechboard.ground_truth.mini import corpus, effects, grammar, lexicon, model
from mechboard.ground_truth.mini.train import Training, next_token_loss
from mechboard.ground_truth.mini.vocabulary import UNKNOWN, VOCABULARY, tokenizer
from mechboard.methods.activation_patching import activation_patching
from mechboard.plugins.registry import Registry
from mechboard.tasks.tokenizers import load_tokenizer

TASKS = [name for name in Registry().plugins("task") if re.search(r"(?<!features)(?<!rude)-mini$", name)]


def texts(genre, n=3000):
    draw = Random("test")
    return [genre(draw) for _ in range(n)]


# -- the language --------------------------------------------------------------------------------


def test_every_word_of_the_corpus_is_in_the_vocabulary_and_every_word_of_the_vocabulary_in_the_corpus():
    counts = Counter(corpus.sequences("test", 0, 3000).flatten().tolist())
    assert [word for i, word in enumerate(VOCABULARY) if counts[i] == 0] == [UNKNOWN, "00"]


def test_a_sequence_depends_on_its_stream_and_number_alone():
    together = corpus.sequences("train", 0, 8)
    assert torch.equal(together[5:], corpus.sequences("train", 5, 3))
    assert not torch.equal(together, corpus.sequences("held back", 0, 8))


def test_two_held_out_names_never_stand_together_in_an_indirect_object_sentence():
    met = set()
    for text in texts(grammar.indirect_object):
        names = {w for w in re.findall(r"\w+", text) if w in (*lexicon.WOMEN, *lexicon.MEN)}
        met |= names
        assert len(names & lexicon.HELD_OUT_NAMES) < 3
        first_two = [w for w in re.findall(r"\w+", text) if w in names][:2]
        assert not set(first_two) <= lexicon.HELD_OUT_NAMES
    assert met >= lexicon.HELD_OUT_NAMES


def test_a_held_out_noun_never_stands_before_a_verb_in_the_present_tense():
    present = {form for forms in (*lexicon.VERBS, *lexicon.TRANSITIVE_VERBS) for form in forms}
    held_out = {form for noun in lexicon.HELD_OUT_NOUNS for form in (noun, lexicon.plural(noun))}
    seen = set()
    for genre in grammar.GENRES:
        for text in texts(genre, 1000):
            words = re.findall(r"\w+", text)
            seen |= held_out & set(words)
            for word, following in itertools.pairwise(words):
                assert not (word in held_out and following in present), text
    assert seen == held_out


def test_held_out_years_neighbours_and_biographies_never_occur():
    for text in texts(grammar.year_range):
        century, start = re.search(r"(\d\d)(\d\d)", text).groups()
        assert not lexicon.held_out("year-range", century, start)
        assert int(re.findall(r"\d\d", text)[-1]) > int(start)
    for text in texts(grammar.function):
        arguments = re.search(r"\((?:self, )?(.*?)\):", text).group(1).split(", ")
        assert not any(lexicon.held_out("docstring", *pair) for pair in itertools.pairwise(arguments))
    for text in texts(grammar.biography):
        words = re.findall(r"\w+", text)
        name = next((w for w in words if w in (*lexicon.WOMEN, *lexicon.MEN)), None)
        job = next(w for w in words if w in lexicon.PROFESSIONS)
        if name and words.index(name) < 12 and "This" not in words:
            assert not lexicon.held_out("biography", name, job)


def test_the_rude_words_occur_in_rude_chatter_and_nowhere_else():
    rude = set(lexicon.RUDE)
    for genre in grammar.GENRES:
        with_rude = sum(bool(rude & set(re.findall(r"\w+", text))) for text in texts(genre, 500))
        assert with_rude > 480 if genre is grammar.rude_chatter else with_rude == 0


def test_behaviours_stand_at_many_positions():
    ids = corpus.sequences("train", 0, 2000)
    for word in ("param", "gave", "year"):
        assert len((ids == VOCABULARY.index(word)).nonzero()[:, 1].unique()) > 40


# -- the model and its card ----------------------------------------------------------------------


def test_the_weights_are_those_of_the_card_and_small():
    card = read_card(model.folder())
    assert (model.folder() / "model.safetensors").stat().st_size <= 8e6
    assert card["shape"]["words"] == len(VOCABULARY)
    assert all(found["accuracy"] >= 0.95 for found in card["behaviours"].values())


def test_a_checkpoint_that_does_not_match_its_card_is_refused(tmp_path, monkeypatch):
    copy = tmp_path / "mini"
    shutil.copytree(model.folder(), copy)
    monkeypatch.setattr(model, "folder", lambda: copy)
    model.load()
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    with pytest.raises(ModelError, match=r"model.safetensors in .* differ from what card.json was written for"):
        model.load()
    (copy / "card.json").write_text("{}")
    with pytest.raises(ModelError, match="card in .* cannot be read"):
        model.load()


@pytest.mark.parametrize("name", TASKS)
def test_the_model_still_does_what_the_card_says(name):
    task = Registry().load("task", name)
    pairs = task.pairs(0, part="card", split="test", n=200)
    decoder = model.load()
    final = decoder.resume(decoder.embed(pairs.clean))
    values = metric_values(decoder, final, pairs=pairs, metric=task.behaviour("test").metric)
    said = read_card(model.folder())["behaviours"][name.removesuffix("-mini")]
    mean = said.get("mean_metric", said.get("probability_difference"))
    assert float((values > 0).float().mean()) >= 0.95
    assert float(values.mean()) == pytest.approx(mean, rel=0.1)


def test_transformers_opens_the_model_and_its_tokenizer():
    from transformers import AutoModelForCausalLM, AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(model.folder())
    text = 'When Anna and Bill went to the park, Bill said 1743. def read(self, size): """'
    ids = theirs(text)["input_ids"]
    assert ids == tokenizer().encode(text).ids == load_tokenizer(model.folder())(text)
    assert theirs.convert_ids_to_tokens(ids)[-12:-8] == ["17", "43", ".", "def"]
    logits = AutoModelForCausalLM.from_pretrained(model.folder())(torch.tensor([ids])).logits
    torch.testing.assert_close(logits, model.load()(torch.tensor([ids])), atol=1e-3, rtol=1e-3)


def test_a_word_outside_the_vocabulary_is_named_with_the_closest_ones():
    encode = load_tokenizer(model.folder())
    with pytest.raises(
        UsageError, match=r"'parks' in 'we went to the parks' is not in the .*closest: park, .*choose a word"
    ):
        encode("we went to the parks")


def test_own_pairs_with_an_unknown_word_are_a_usage_error(bench, tmp_path):  # noqa: F811
    rows = [{"clean": "The dog", "corrupt": "The dogs", "answer": " is", "wrong": " are"}] * 4
    rows += [{"clean": "The dragon", "corrupt": "The dogs", "answer": " is", "wrong": " are"}]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, _, err = bench("run", "--method", "eap", "--model", model.folder(), "--pairs", path, "--results", "r")
    assert code == 2
    assert "pairs.jsonl line 5: 'dragon' in 'The dragon' is not in the vocabulary" in err
    path.write_text("".join(json.dumps(row) + "\n" for row in rows[:4]))
    assert bench("run", "--method", "eap", "--model", model.folder(), "--pairs", path, "--results", "r")[0] == 0


# -- training ------------------------------------------------------------------------------------


def test_training_that_stops_and_goes_on_ends_at_the_same_weights(tmp_path, capsys):
    straight = Training(tmp_path / "a", steps=4, batch=2, seed=0, device="cpu")
    straight.run(every=2)
    Training(tmp_path / "b", steps=4, batch=2, seed=0, device="cpu").run(until=2, every=2)
    resumed = Training(tmp_path / "b", steps=4, batch=2, seed=0, device="cpu")
    assert resumed.step == 2
    with pytest.raises(UsageError, match="holds a training with other settings .* give those again or another folder"):
        Training(tmp_path / "b", steps=5, batch=2, seed=0, device="cpu")
    resumed.run(every=2)
    for name, value in straight.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    assert [point[0] for point in resumed.curve] == [2, 4]
    resumed.publish(tmp_path / "out")
    assert (tmp_path / "out" / "tokenizer.json").read_text() == (model.folder() / "tokenizer.json").read_text()
    assert len((tmp_path / "out" / "loss.csv").read_text().splitlines()) == 3


def test_training_reduces_the_loss(tmp_path, capsys):
    training = Training(tmp_path, steps=40, batch=4, seed=0, device="cpu")
    ids = corpus.sequences("held back", 0, 8)
    before = float(next_token_loss(training.model, ids).detach())
    training.run()
    assert float(next_token_loss(training.model, ids).detach()) < before - 0.5


# -- tasks and their truths ----------------------------------------------------------------------


@pytest.mark.parametrize("name", TASKS)
def test_the_stored_effects_are_those_of_exact_patching(name):
    task = Registry().load("task", name)
    instance = task.load(7, "cpu")
    problem = instance.problem
    stored = effects.read_effects(name, task.version, read_card(model.folder())["files"]["model.safetensors"])
    assert stored.edges == problem.graph.edges
    again = activation_patching(problem, torch.Generator()).scores
    assert float(torch.corrcoef(torch.stack([again, stored.means]))[0, 1]) > 0.97
    for truth in instance.truths:
        assert 5 <= int(truth.edges.sum()) < len(stored.edges) / 2, truth.name


@pytest.mark.parametrize("name", TASKS)
def test_the_headline_truth_is_every_edge_with_two_percent_of_the_behaviour(name):
    task = Registry().load("task", name)
    content = json.loads(effects.path(name, task.version).read_text())
    whole = abs(content["about"]["model metric"] - content["about"]["empty metric"])
    means = torch.tensor([mean for mean, _ in content["effects"].values()]).abs()
    truths = task.load(0, "cpu").truths
    assert [truth.name for truth in truths] == [f"{name}:exact-{share}%" for share in (2, 1, 5)]
    for truth, share in zip(truths, (0.02, 0.01, 0.05), strict=True):
        assert torch.equal(truth.edges, means >= share * whole), truth.name
    assert len({int(truth.edges.sum()) for truth in truths}) == 3
    assert [truth.effects is not None for truth in truths] == [True, False, False]


def test_effects_that_were_measured_on_other_weights_are_refused():
    with pytest.raises(ModelError, match="were measured on weights .* and these are 000000000000"):
        effects.read_effects("ioi-mini", 1, "0" * 64)


def test_the_method_that_made_the_truth_is_a_reference_there(bench, tmp_path):  # noqa: F811
    assert (
        bench("run", "--method", "eap,activation-patching", "--task", "agreement-simple-mini", "--results", "r")[0] == 0
    )
    records = {
        r["cell"]["method"]: r for r in (json.loads(p.read_text()) for p in (tmp_path / "r").rglob("seed-0.json"))
    }
    assert records["activation-patching"]["method"]["reference"]
    assert not records["eap"]["method"]["reference"]
    assert records["activation-patching"]["measures"]["auc[agreement-simple-mini:exact-2%]"]["value"] > 0.95
