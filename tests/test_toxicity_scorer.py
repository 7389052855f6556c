"""Detoxify's checkpoint through the own scorer, held to the network called directly."""

import json
import shutil

import pytest
import torch
import transformers as hf
from test_toxicity import root  # noqa: F401
from toxic_assets import PLAIN, STANDING_IN

from mechboard.errors import AssetError
from mechboard.tasks.toxicity.scorer import CHECKPOINT, Toxicity

TEXTS = [
    " ".join(STANDING_IN[:5]),
    " ".join(PLAIN),
    "",
    "river blorty",
    " ".join(PLAIN * 20),
    "words that it does not know",
]


@pytest.fixture
def folder(root, tmp_path):  # noqa: F811
    return shutil.copytree(root / "detoxify-original", tmp_path / "detoxify")


def held(folder):
    return torch.load(folder / CHECKPOINT, weights_only=True)


def test_scores_are_the_networks_own_one_text_at_a_time_cut_off_where_it_ends(folder):
    state = {k: v for k, v in held(folder)["state_dict"].items() if "position_ids" not in k}
    model = hf.BertForSequenceClassification(hf.BertConfig.from_pretrained(folder, num_labels=6))
    model.load_state_dict(state)
    tokenizer = hf.BertTokenizer.from_pretrained(folder)
    with torch.no_grad():
        expected = [
            model.eval()(torch.tensor([tokenizer(t, truncation=True, max_length=64)["input_ids"]]))
            .logits[0, 0]
            .sigmoid()
            .item()
            for t in TEXTS
        ]
    assert Toxicity(folder)(TEXTS) == pytest.approx(expected, abs=1e-5)
    assert Toxicity(folder, batch_size=2)(TEXTS[::-1]) == pytest.approx(expected[::-1], abs=1e-5)
    assert expected[0] > 0.9
    assert expected[1] < 0.1


def test_the_column_is_found_by_name(folder):
    content = held(folder)
    before = Toxicity(folder)(TEXTS)
    content["config"]["dataset"]["args"]["classes"] = [
        "obscene",
        "threat",
        "toxic",
        "insult",
        "severe_toxic",
        "identity_hate",
    ]
    order = torch.tensor([1, 2, 0, 3, 4, 5])
    for name in ("classifier.weight", "classifier.bias"):
        content["state_dict"][name] = content["state_dict"][name][order] * torch.tensor([0.0, 0, 1, 0, 0, 0]).view(-1, *[1] * (content["state_dict"][name].ndim - 1))  # fmt: skip
    torch.save(content, folder / CHECKPOINT)
    assert Toxicity(folder)(TEXTS) == pytest.approx(before, abs=1e-5)


def test_nothing_is_no_text_and_no_score(folder):
    assert Toxicity(folder)([]) == []


class Anything:
    def __reduce__(self):
        return print, ("it ran",)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: (f / CHECKPOINT).write_bytes(b"no checkpoint"), "is no checkpoint of Detoxify"),
        (lambda f: (f / CHECKPOINT).write_bytes(b""), "is no checkpoint of Detoxify"),
        (lambda f: torch.save({"state_dict": {}}, f / CHECKPOINT), r"is no checkpoint of Detoxify .* \(KeyError\)"),
        (lambda f: torch.save(held(f) | {"more": Anything()}, f / CHECKPOINT), "opens as tensors and plain values"),
        (lambda f: torch.save({"config": {"dataset": {"args": {"classes": ["threat"]}}}, "state_dict": {}}, f / CHECKPOINT),
         "scores threat; valid: a checkpoint that scores toxicity"),
        (lambda f: (f / "config.json").write_text("{"), "config.json or vocab.txt in .* cannot be read"),
        (lambda f: (f / "config.json").write_text(json.dumps(json.loads((f / "config.json").read_text()) | {"hidden_size": 8})),
         "are of different models"),
    ],
)  # fmt: skip
def test_what_is_no_classifier_is_refused_and_runs_nothing(folder, spoil, said, capsys):
    spoil(folder)
    with pytest.raises(AssetError, match=said):
        Toxicity(folder)
    assert "it ran" not in capsys.readouterr().out
