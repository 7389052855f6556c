"""What each metric reads off the logits, on logits made by hand."""

import pytest
import torch

from mechboard.graph import PromptPairs
from mechboard.metrics.answers import AnswerIds, linear_readout, logit_difference, logit_margin, probability_difference

LOGITS = torch.tensor([[[1.0, 5.0, 2.0, 9.0], [7.0, 0.0, 4.0, 0.5]], [[0.0, 1.0, 2.0, 3.0], [6.0, 2.0, 8.0, 1.0]]])


def pairs(**targets):
    ids = torch.zeros(2, 3, dtype=torch.long)
    return PromptPairs(ids, ids, torch.full((2,), 3), torch.tensor([[1, 2]] * 2), targets)


def test_the_logit_difference_is_of_each_prompts_own_answers_at_the_first_position_read():
    targets = {"answer": torch.tensor([1, 3]), "wrong": torch.tensor([2, 0])}
    assert logit_difference(LOGITS, pairs(**targets)).tolist() == [3.0, 3.0]


def test_the_margin_is_to_the_strongest_wrong_answer_of_each_prompt():
    targets = {"answer": torch.tensor([1, 0]), "wrong": torch.tensor([[0, 2], [3, 1]])}
    assert logit_margin(LOGITS, pairs(**targets)).tolist() == [3.0, -3.0]


@pytest.mark.parametrize(
    ("metric", "made_of"), [(linear_readout, LOGITS), (probability_difference, LOGITS.softmax(-1))]
)
def test_a_readout_weighs_every_position_and_every_word_of_one_prompt(metric, made_of):
    readout = torch.zeros(2, 2, 4)
    readout[0, 0, 1], readout[0, 1, 2], readout[1, 1, 0] = 1.0, -2.0, 3.0
    expected = [made_of[0, 0, 1] - 2 * made_of[0, 1, 2], 3 * made_of[1, 1, 0]]
    assert metric(LOGITS, pairs(readout=readout)).tolist() == pytest.approx([float(e) for e in expected])


P = LOGITS[:, 0].softmax(-1)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (logit_difference, [5 - 2, 3 - 0]),
        (logit_margin, [5 - 9, 3 - 0]),
        (probability_difference, [P[0, 1] - P[0, 2] - P[0, 3], P[1, 3] + P[1, 1] - P[1, 0]]),
    ],
)
def test_a_metric_reads_the_targets_that_it_makes_of_answers(metric, expected):
    targets = metric.targets([AnswerIds([1], [2, 3]), AnswerIds([3, 1], [0])], 4)
    assert metric(LOGITS[:, :1], pairs(**targets)).tolist() == pytest.approx([float(e) for e in expected])
