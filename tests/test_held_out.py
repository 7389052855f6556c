"""Methods are scored on prompts that they have not seen: other ones and, on the miniatures, other words."""

import re

import pytest
import torch

from mechboard.ground_truth.mini import lexicon
from mechboard.ground_truth.mini.vocabulary import VOCABULARY
from mechboard.plugins.registry import Registry

NAMES = [
    name
    for name in Registry().plugins("task")
    if name.startswith(("compiled-", "trained-")) or re.search(r"(?<!features)(?<!rude)-mini$", name)
]
MINI = [name for name in NAMES if name.endswith("-mini")]


def both(task, data_seed=0):
    instance = task.load(data_seed, "cpu")
    return instance.problem.pairs, instance.held_out


def prompts(pairs):
    """Each pair as tokens, without padding."""
    rows = zip(pairs.clean.tolist(), pairs.corrupt.tolist(), pairs.lengths.tolist(), strict=True)
    return {(tuple(clean[:n]), tuple(corrupt[:n])) for clean, corrupt, n in rows}


def words(pairs):
    return [
        [VOCABULARY[i] for i in row[:n]] for row, n in zip(pairs.clean.tolist(), pairs.lengths.tolist(), strict=True)
    ]


@pytest.mark.parametrize("name", NAMES)
def test_no_prompt_that_a_method_is_shown_is_one_that_it_is_scored_on(name):
    discovery, evaluation = both(Registry().load("task", name))
    assert not prompts(discovery) & prompts(evaluation)


@pytest.mark.parametrize("name", MINI)
def test_evaluation_prompts_of_a_miniature_come_from_a_stream_of_their_own(name):
    """Else they repeat templates and fillers of the discovery prompts with other words in them."""
    task = Registry().load("task", name)
    _, evaluation = both(task)
    again = task.pairs(0, part="discovery", split="test", n=len(evaluation))
    assert not torch.equal(evaluation.clean, again.clean)


def _held_out(name, sentence, answer):
    """Whether what the model was never trained on stands in a sentence; None if some of it does and some does not."""
    if name == "ioi-mini":
        found = {w in lexicon.HELD_OUT_NAMES for w in sentence if w in (*lexicon.WOMEN, *lexicon.MEN)}
    elif name.startswith("agreement-"):
        nouns = {form: noun for noun in lexicon.NOUNS for form in (noun, lexicon.plural(noun))}
        found = {nouns[w] in lexicon.HELD_OUT_NOUNS for w in sentence if w in nouns}
    elif name == "greater-than-mini":
        at = next(i for i, w in enumerate(sentence) if w.isdigit())
        found = {lexicon.held_out("year-range", *sentence[at : at + 2])}
    else:
        arguments = [w for w in sentence[: sentence.index(")")] if w != ","]
        found = {lexicon.held_out("docstring", arguments[arguments.index(answer) - 1], answer)}
    return found.pop() if len(found) == 1 else None


@pytest.mark.parametrize("name", MINI)
def test_a_miniature_is_discovered_on_words_of_its_training_and_scored_on_words_held_out_of_it(name):
    for pairs, expected in zip(both(Registry().load("task", name)), (False, True), strict=True):
        answers = pairs.targets.get("answer", torch.zeros(len(pairs), dtype=torch.long)).tolist()
        found = [_held_out(name, s, VOCABULARY[a]) for s, a in zip(words(pairs), answers, strict=True)]
        assert set(found) == {expected}
