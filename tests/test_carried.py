"""What features carry, measured: texts in which variables are independent, AUCs, shares, and a dictionary that is known by construction."""

import pytest
import torch
from sklearn.metrics import roc_auc_score

from mechboard.features import Dictionary, Identity, Place
from mechboard.ground_truth.mini import lexicon, model
from mechboard.ground_truth.mini.carried import rule
from mechboard.ground_truth.mini.carried.causal import Ablations
from mechboard.ground_truth.mini.carried.flips import flips
from mechboard.ground_truth.mini.carried.measure import evidence, measure, separated
from mechboard.ground_truth.mini.carried.rule import Evidence, Share, Thresholds
from mechboard.ground_truth.mini.carried.separation import (
    ALL_MARKS,
    Activations,
    areas,
    contrast_areas,
    vectors_at_marks,
)
from mechboard.ground_truth.mini.carried.texts import texts
from mechboard.ground_truth.mini.carried.variables import BEHAVIOURS, CONTRASTS, USES, WORDS, Use
from mechboard.ground_truth.mini.vocabulary import VOCABULARY

EMBED = Place("embed", -1)
NUMBER = {c.name: i for i, c in enumerate(CONTRASTS)}
EVERY_BEHAVIOUR = [name for names in BEHAVIOURS.values() for name in names]
PLURALS = [lexicon.plural(noun) for noun in (*lexicon.NOUNS, *lexicon.THINGS)]


def ids(words):
    return torch.tensor([VOCABULARY.index(word) for word in words])


# -- texts and flips -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def some():
    return texts("test", 600)


def test_variables_of_different_passages_vary_independently(some):
    names = list(some.values)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            both = (some.values[a] >= 0) & (some.values[b] >= 0)
            x, y = (some.values[v][both].float() for v in (a, b))
            assert abs(float(torch.corrcoef(torch.stack([x, y]))[0, 1])) < 0.2, (a, b)


def test_a_mark_is_where_its_word_stands_and_the_value_is_the_words(some):
    plural, male, rude = ids(PLURALS), ids(lexicon.MEN), ids(lexicon.RUDE_ADJECTIVES)
    for mark, value, words in (
        ("subject", "subject-number", plural), ("other", "other-number", plural),
        ("thing", "other-number", plural), ("name", "gender", male), ("register", "register", rude),
    ):  # fmt: skip
        rows = some.at[mark] >= 0
        said = some.tokens[rows, some.at[mark][rows]]
        assert torch.equal(torch.isin(said, words), some.values[value][rows] == 1), mark
    rows = some.at["start"] >= 0
    years = [int(VOCABULARY[i]) for i in some.tokens[rows, some.at["start"][rows]].tolist()]
    assert years == some.values["year"][rows].tolist()
    for mark in ("first", "second", "again", "argument"):
        rows = some.at[mark] >= 0
        assert torch.equal(some.tokens[rows, some.at[mark][rows]], some.words[mark][rows])


def test_texts_of_the_test_split_have_the_words_that_were_held_out(some):
    nouns = ids([form for n in lexicon.HELD_OUT_NOUNS for form in (n, lexicon.plural(n))])
    rows = some.at["subject"] >= 0
    assert torch.isin(some.tokens[rows, some.at["subject"][rows]], nouns).all()
    assert torch.isin(some.words["first"][some.at["first"] >= 0], ids(lexicon.HELD_OUT_NAMES)).all()


@pytest.mark.parametrize("behaviour", [*EVERY_BEHAVIOUR, "name:Anna", "argument:file"])
def test_the_model_tells_every_flip_and_the_prompts_differ_in_the_variable_alone(behaviour):
    asked = flips(behaviour, "test", 16)
    assert float(Ablations(model.load(), asked).plain.min()) > 0
    one, zero = asked.tokens.chunk(2)
    if behaviour != "register":  # whose words and lengths are those of another remark
        n_differ = (one != zero).sum(1)
        assert int(n_differ.min()) == 1
        assert int(n_differ.max()) <= 2


# -- AUCs and shares -------------------------------------------------------------------------------


def test_areas_are_scikit_learns_with_ties_in_the_better_direction():
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 4, (50, 3), generator=generator).float()
    x[:, 2] = 1.0
    values = torch.rand(2, 50, generator=generator) > 0.6
    for row, labels in enumerate(values):
        for unit in range(3):
            one = roc_auc_score(labels, x[:, unit])
            assert float(areas(x, values)[row, unit]) == pytest.approx(max(one, 1 - one))


def test_a_contrast_is_looked_at_where_it_has_been_said_already(some):
    earlier = (some.order["register"] >= 0) & (some.order["register"] < some.order["year"])
    values = torch.zeros(len(some.tokens), len(ALL_MARKS), 1)
    values[earlier, ALL_MARKS.index("start"), 0] = some.values["register"][earlier].float()
    found = contrast_areas(Activations(some, values))
    assert float(found.anywhere[NUMBER["register"]]) == 1.0
    assert float(found.own[NUMBER["register"]]) == 0.5  # the first year is no mark of its own


def test_a_share_is_what_a_neuron_at_its_mean_takes_along_in_a_plain_pass():
    decoder, place, unit = model.load(), Place("resid", 1), 5
    asked = flips("register", "train", 6)  # prompts of different lengths
    found = Ablations(decoder, asked).shares(place, Identity(128), torch.tensor([unit, 9]))

    x = decoder.embed(asked.tokens)
    for layer in (0, 1):
        x = decoder.after_heads(layer, x, decoder.attention(layer, x))
    real = torch.arange(x.shape[1]) < asked.lengths[:, None]
    ablated = x.clone()
    ablated[..., unit] = x[..., unit][real].mean()

    def differences(stream):
        for layer in (2, 3):
            stream = decoder.after_heads(layer, stream, decoder.attention(layer, stream))
        logits = decoder.unembed(stream)[torch.arange(len(x)), asked.lengths - 1].log_softmax(-1)
        odds = [torch.tensor([row[a].logsumexp(0) for row, a in zip(logits, answers, strict=True)])
                for answers in (asked.one, asked.zero)]  # fmt: skip
        metric = odds[0] - odds[1]
        return metric[:6] - metric[6:]

    plain = differences(x)
    torch.testing.assert_close(found[0], (plain - differences(ablated)) / plain.mean(), atol=1e-4, rtol=1e-3)


# -- the rule --------------------------------------------------------------------------------------


def made(own=None, anywhere=None, words=None, shares=None, word_shares=None, on=True):
    """The evidence of one feature: what is not given is nothing."""

    def column(given, keys, nothing):
        return torch.tensor([[(given or {}).get(key, nothing)] for key in keys])

    def share(given, key):
        return Share(torch.tensor([(given or {}).get(key, 0.0)]), torch.tensor([0.0]))

    at_own = column(own, NUMBER, 0.5)
    return Evidence(
        ("resid_0/7",),
        at_own,
        torch.maximum(at_own, column(anywhere, NUMBER, 0.5)),
        dict.fromkeys(WORDS, ("",)),
        {v: torch.tensor([(words or {}).get(v, 0.5)]) for v in WORDS},
        {name: share(shares, name) for name in EVERY_BEHAVIOUR},
        {name: share(word_shares, name) for name in WORDS},
        {name: torch.tensor([on]) for name in EVERY_BEHAVIOUR},
    )


GENDER = {"own": {"gender": 0.91}, "shares": {"gender": 0.04}}


@pytest.mark.parametrize(
    ("what", "carries"),
    [
        ({}, True),
        ({"own": {"gender": 0.89}}, False),
        ({"anywhere": {"register": 0.66}}, False),
        ({"anywhere": {"register": 0.64}}, True),
        ({"words": {"argument": 0.81}}, False),
        ({"words": {"argument": 0.79}}, True),
        ({"shares": {"gender": 0.019}}, False),
        ({"shares": {"gender": -0.04}}, False),
        ({"shares": {"gender": 0.04, "year>50": -0.011}}, False),
        ({"shares": {"gender": 0.04, "year>50": -0.009}}, True),
    ],
)
def test_each_requirement_alone_keeps_a_feature_from_carrying(what, carries):
    assert bool(rule.carried(made(**{**GENDER, **what}), "gender", Thresholds())) == carries


def test_a_feature_of_any_noun_is_true_of_both_agreements_and_one_of_another_noun_false_of_one():
    both = {"agreement-across-rc": 0.05, "agreement-within-rc": 0.05}
    any_noun = made(own={"subject-number": 1.0, "other-number": 1.0}, shares=both)
    other = made(own={"other-number": 1.0}, shares={"agreement-within-rc": 0.05})
    for found, expected in ((any_noun, ((1, 1), (1, 1))), (other, ((0, 1), (1, 1)))):
        for task, (true, universe) in zip(("agreement-across-rc", "agreement-within-rc"), expected, strict=True):
            verdict = rule.verdict(found, USES[task], Thresholds())
            assert (int(verdict.true), int(verdict.universe)) == (true, universe)


def test_what_carries_a_used_variable_but_drives_another_behaviour_is_neither_true_nor_false():
    found = made(own={"subject-number": 1.0}, shares={"agreement-simple": 0.05})
    assert int(rule.verdict(found, USES["agreement-simple"], Thresholds()).true) == 1
    assert int(rule.verdict(found, USES["agreement-across-rc"], Thresholds()).universe) == 0


def test_what_touches_a_used_contrast_without_separating_it_is_neither_true_nor_false():
    found = made(own={"other-number": 1.0}, anywhere={"subject-number": 0.7}, shares={"agreement-within-rc": 0.05})
    assert int(rule.verdict(found, USES["agreement-across-rc"], Thresholds()).universe) == 0


def test_a_contrast_is_used_through_the_behaviour_that_it_drives():
    for cut, true in ((25, 0), (75, 1)):
        found = made(own={f"year>{cut}": 0.95}, shares={"year>75": 0.05})
        assert int(rule.verdict(found, USES["greater-than"], Thresholds()).true) == true


def test_what_moves_the_behaviour_is_not_called_false():
    at_rc = made(own={"other-number": 1.0}, shares={"agreement-within-rc": 0.05, "agreement-across-rc": 0.02})
    assert int(rule.verdict(at_rc, USES["agreement-across-rc"], Thresholds()).universe) == 0


def test_what_is_never_on_in_the_prompts_of_a_behaviour_is_not_called_false():
    register = {"own": {"register": 1.0}, "shares": {"register": 0.05}}
    for on in (True, False):
        assert bool(rule.verdict(made(**register, on=on), USES["gender"], Thresholds()).universe) == on


def test_a_word_is_carried_by_the_share_of_its_own_behaviour():
    found = made(words={"name": 0.95}, shares={"name": 0.001}, word_shares={"name": 0.05})
    assert int(rule.verdict(found, USES["ioi"], Thresholds()).true) == 1
    assert int(rule.verdict(found, USES["docstring"], Thresholds()).true) == 0
    assert int(rule.verdict(found, Use(("gender",), ("gender",)), Thresholds()).universe) == 1


# -- a dictionary known by construction ------------------------------------------------------------


class Planted(Dictionary):
    """Plural nouns; those and rude words; noise, which token and position determine; plural nouns again, which write nothing."""

    def __init__(self, decoder):
        self.token = decoder.weights.token
        plural, rude = ids(PLURALS), ids(lexicon.RUDE_ADJECTIVES)
        singular = ids([*lexicon.NOUNS, *lexicon.THINGS])
        of_number = self.token[plural].mean(0) - self.token[singular].mean(0)
        of_rude = self.token[rude].mean(0) - self.token.mean(0)
        every = torch.arange(len(self.token))
        is_plural, is_rude = torch.isin(every, plural), torch.isin(every, rude)
        self.table = torch.stack([is_plural, is_plural | is_rude, is_plural, is_plural], 1).float()
        self.decoder = torch.stack([of_number, of_number + of_rude, of_rude, torch.zeros_like(of_rude)])

    def encode(self, x):
        nearest = x @ self.token.T - self.token.square().sum(1) / 2
        features = self.table[nearest.argmax(-1)]
        features[..., 2] = (1000 * x[..., 0]).sin()
        return features

    def origin(self, x):
        return torch.zeros(1, 1, 128)


def test_of_a_planted_dictionary_the_feature_that_is_a_variable_carries_it_and_mixture_noise_and_idle_one_do_not():
    decoder = model.load()
    planted = Planted(decoder)
    asked = texts("test", 400)
    vectors = vectors_at_marks(decoder, asked)[EMBED]
    told = separated((Activations.of(planted, vectors, asked),))
    number, register = NUMBER["subject-number"], NUMBER["register"]
    assert told.own[number, [0, 1, 3]].tolist() == [1.0, 1.0, 1.0]
    assert told.own[number, 2] < 0.9
    assert told.anywhere[register, 1] > 0.9  # so it is of two variables
    assert told.anywhere[register, 0] < 0.65

    found = evidence(measure(decoder, {EMBED: planted}, "test", n_texts=400, n_prompts=8))
    assert found.features == ("embed/0", "embed/3")
    assert rule.carried(found, "subject-number", Thresholds()).tolist() == [True, False]
    assert rule.carried(found, "other-number", Thresholds()).tolist() == [True, False]
    assert found.separates("subject-number", Thresholds()).all()
    assert found.selective("number", Thresholds()).all()
    assert not rule.carried(found, "register", Thresholds()).any()


def test_marks_of_activations_are_in_their_order_and_chosen_units_are_the_chosen():
    decoder, asked = model.load(), texts("train", 40)
    vectors = vectors_at_marks(decoder, asked)[EMBED]
    every = Activations.of(Identity(128), vectors, asked)
    rows = (asked.at["start"] >= 0).nonzero().squeeze(1)
    x = decoder.embed(asked.tokens)[rows, asked.at["start"][rows]]
    torch.testing.assert_close(every.values[rows, ALL_MARKS.index("start")], x)
    some_units = Activations.of(Identity(128), vectors, asked, torch.tensor([7, 3]))
    assert torch.equal(some_units.values, every.values[..., [7, 3]])
