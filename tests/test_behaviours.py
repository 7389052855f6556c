"""The papers' prompts: what is changed by a corruption, what is not, and what the metric reads."""

import re
from pathlib import Path
from random import Random

import pytest
import torch

from mechboard.errors import UsageError
from mechboard.graph import PromptPairs
from mechboard.metrics.answers import logit_difference, logit_margin, probability_difference
from mechboard.plugins.registry import Registry
from mechboard.tasks.behaviours.examples import Example, as_pairs
from mechboard.tasks.behaviours.greater_than import GreaterThan
from mechboard.tasks.behaviours.indirect_object import IndirectObject
from mechboard.tasks.mini import agreement, docstring, greater_than, ioi
from mechboard.tasks.tokenizers import load_tokenizer

SPLITS = ("train", "test")


def drawn(behaviour, n=200):
    draw = Random("test")
    return [behaviour.draw(draw) for _ in range(n)]


def words(text):
    return re.findall(r'"""|\w+|[^\w\s]', text)


def changed(example):
    clean, corrupt = words(example.clean), words(example.corrupt)
    assert len(clean) == len(corrupt)
    return [(i, a, b) for i, (a, b) in enumerate(zip(clean, corrupt, strict=True)) if a != b]


@pytest.mark.parametrize("split", SPLITS)
def test_indirect_object_corruption_replaces_three_names_by_three_unrelated_ones(split):
    orders = set()
    for example in drawn(ioi.behaviour(split)):
        (_, first, _), (_, second, _), (_, third, _) = changed(example)
        assert third in (first, second)
        orders.add(third == first)
        new = {b for _, _, b in changed(example)}
        assert len(new) == 3
        assert not new & {first, second}
        answer, wrong = example.answers[0].strip(), example.wrong[0].strip()
        assert {answer, wrong} == {first, second}
        assert wrong == third
    assert orders == {True, False}


def test_discovery_and_evaluation_prompts_of_indirect_objects_share_no_name():
    used = [{n for e in drawn(ioi.behaviour(s)) for n in (*e.answers, *e.wrong)} for s in SPLITS]
    assert not used[0] & used[1]


@pytest.mark.parametrize("split", SPLITS)
def test_greater_than_corruption_is_the_year_01_and_the_answers_are_all_later_years(split):
    for example in drawn(greater_than.behaviour(split)):
        clean, corrupt = (re.search(r"\d\d(\d\d)", text).group(1) for text in (example.clean, example.corrupt))
        assert corrupt == "01"
        assert example.clean.replace(clean, "01", 1)[-2:] == example.corrupt[-2:]
        assert all(int(a) > int(clean) for a in example.answers)
        assert all(int(w) <= int(clean) for w in example.wrong)
        assert len(example.answers) + len(example.wrong) == 100


@pytest.mark.parametrize("split", SPLITS)
def test_docstring_corruption_replaces_what_matches_and_nothing_else(split):
    for example in drawn(docstring.behaviour(split)):
        sides = []
        for text in (example.clean, example.corrupt):
            signature = re.search(r"\(self, (.*)\):", text).group(1).split(", ")
            sides.append((signature, re.findall(r":param (\w+):", text)))
        (clean, documented), (corrupt, other) = sides
        assert clean[:2] == corrupt[:2]
        assert clean[5:] == corrupt[5:]
        assert clean[2:4] == documented
        assert not set(corrupt[2:5]) & set(clean)
        assert not set(other) & {*clean, *corrupt}
        assert example.answers == (f" {clean[4]}",)
        assert {w.strip() for w in example.wrong} == {*clean, *corrupt} - {clean[4]}
        assert len(changed(example)) == 5


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("structure", ["simple", "within-rc", "across-rc", "across-pp"])
def test_agreement_corruption_changes_the_number_of_the_governing_noun_alone(structure, split):
    place = {"within-rc": 4}.get(structure, 1)
    for example in drawn(agreement.behaviour(structure, split)):
        ((index, clean, corrupt),) = changed(example)
        assert index == place
        plural = len(clean) > len(corrupt)
        assert {clean, corrupt} == {min(clean, corrupt, key=len), min(clean, corrupt, key=len) + "s"}
        forms = dict(agreement.behaviour(structure, split).verbs)
        answer, wrong = example.answers[0].strip(), example.wrong[0].strip()
        assert (forms[wrong] == answer) if plural else (forms[answer] == wrong)


def test_discovery_and_evaluation_prompts_of_agreement_share_no_noun():
    used = []
    for split in SPLITS:
        prompts = [e.clean for e in drawn(agreement.behaviour("across-rc", split))]
        used.append({w.removesuffix("s") for p in prompts for w in (p.split()[1], p.split()[4])})
    assert not used[0] & used[1]


def encode(text):
    return [0, *(len(word) for word in text.split())]


def test_answers_become_the_targets_of_their_metric():
    examples = [
        Example("a bb", "c dd", (" eee",), (" ffff", " ggggg")),
        Example("a bb ccc", "c dd eee", (" hhhh",), (" i",)),
    ]
    one = as_pairs(examples, logit_difference, encode, d_vocab=9)
    assert one.targets["answer"].tolist() == [3, 4]
    assert one.targets["wrong"].tolist() == [4, 1]
    assert one.lengths.tolist() == [3, 4]
    assert one.positions.tolist() == [[2], [3]]
    assert as_pairs(examples, logit_margin, encode, d_vocab=9).targets["wrong"].tolist() == [[4, 5], [1, 1]]
    readout = as_pairs(examples, probability_difference, encode, d_vocab=9).targets["readout"]
    assert readout[0, 0].tolist() == [0, 0, 0, 1, -1, -1, 0, 0, 0]


def test_a_pair_of_unequal_length_is_refused():
    with pytest.raises(UsageError, match="is 3 tokens and its corruption 'c' 2; a pair must have equally many"):
        as_pairs([Example("a b", "c", (" d",), (" e",))], logit_difference, encode, d_vocab=9)


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused():
    with pytest.raises(UsageError, match="gives token 9 and the model knows 9; it belongs to another model"):
        as_pairs([Example("a bb", "c ddddddddd", (" d",), (" e",))], logit_difference, encode, d_vocab=9)


def test_the_margin_is_to_the_strongest_wrong_answer():
    logits = torch.tensor([[[1.0, 5.0, 2.0, 9.0]], [[0.0, 1.0, 2.0, 3.0]]])
    targets = {"answer": torch.tensor([1, 0]), "wrong": torch.tensor([[0, 2], [3, 3]])}
    ids = torch.zeros(2, 1, dtype=torch.long)
    pairs = PromptPairs(ids, ids, torch.ones(2, dtype=torch.long), ids, targets)
    assert logit_margin(logits, pairs).tolist() == [3.0, -3.0]


def test_the_same_behaviours_make_prompts_for_gpt2s_own_tokenizer(assets, tmp_path):
    folder = assets / "tokenizer-gpt2"
    if not folder.is_dir():
        pytest.skip(f"no tokenizer-gpt2 in {assets}")
    for name in ("vocab.json", "merges.txt"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "GPT2TokenizerFast"}')
    gpt2 = load_tokenizer(Path(tmp_path))
    template = "When {A} and {B} went to the {place}, {S} gave a {object} to {IO}"
    objects = {"place": ("store", "park"), "object": ("ring", "book")}
    names = IndirectObject((template,), ("Mary", "John", "Tom", "James", "Kate", "Anna"), objects)
    pairs = as_pairs(drawn(names, 20), names.metric, gpt2, d_vocab=50257)
    assert pairs.clean.shape == (20, 14)
    years = GreaterThan(
        ("The {event} lasted from the year {century}{start} to the year {century}",), ("war",), (("17", 43),)
    )
    assert int(as_pairs(drawn(years, 1), years.metric, gpt2, d_vocab=50257).targets["readout"].abs().sum()) == 100


def test_each_miniature_draws_the_same_prompts_for_one_data_seed_and_others_for_another():
    task = Registry().load("task", "ioi-mini")
    a, b, c = (task.pairs(seed, part="x", split="train", n=20).clean for seed in (0, 0, 1))
    assert torch.equal(a, b)
    assert a.shape != c.shape or not torch.equal(a, c)
