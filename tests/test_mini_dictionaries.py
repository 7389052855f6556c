import json
import shutil
from dataclasses import replace

import mini_dictionaries
import pytest
import torch

from mechboard.errors import ModelError, UsageError
from mechboard.features import Place, all_places, gradients, splice
from mechboard.features.stream import record
from mechboard.graph import PromptPairs
from mechboard.ground_truth.cards import read_card
from mechboard.ground_truth.mini import dictionaries, model
from mechboard.ground_truth.mini.corpus import sequences
from mechboard.ground_truth.mini.dictionaries import train

DECODER = model.load()
FOUND = dictionaries.load(DECODER.config)
CARD = read_card(dictionaries.folder())


def test_there_is_one_for_every_place_and_together_they_are_small():
    assert tuple(FOUND) == all_places(DECODER.config)
    assert sum(file.stat().st_size for file in dictionaries.folder().rglob("*")) < 8e6


def test_they_say_nothing_of_the_machine_that_trained_them():
    for place in FOUND:
        settings = json.loads((dictionaries.folder() / str(place) / "cfg.json").read_text())
        assert settings["metadata"]["hook_name"] == place.hook
        assert "/" not in json.dumps(settings)


def test_every_place_keeps_what_the_rule_asks_of_the_models_loss():
    assert min(found["loss_recovered"] for found in CARD["places"].values()) >= mini_dictionaries.ACCEPTED
    assert CARD["together"]["loss_recovered"] >= mini_dictionaries.ACCEPTED


@pytest.mark.parametrize("place", FOUND, ids=str)
def test_they_meet_their_card_on_other_text(place):
    rows = train.activations(DECODER, [place], "tests", 128)[place]
    behind_bos = torch.arange(len(rows)) % 64 != 0
    found, said = mini_dictionaries.quality(FOUND[place], rows[behind_bos]), CARD["places"][str(place)]
    assert found["variance_explained"] == pytest.approx(said["variance_explained"], abs=0.005)
    assert found["l0"] == pytest.approx(said["l0"], abs=0.3)


@pytest.mark.parametrize("place", [Place("attn", 2), Place("resid", 1)], ids=str)
def test_the_loss_that_they_keep_is_what_their_card_says(place):
    ids = sequences("tests", 0, 128)
    mean = {place: train.activations(DECODER, [place], "tests", 128)[place].mean(0)}
    plain = mini_dictionaries.loss(DECODER, ids, mini_dictionaries.constant({}))
    found = mini_dictionaries.recovered(DECODER, ids, mini_dictionaries.spliced({place: FOUND[place]}), mean, plain)
    assert found["loss_recovered"] == pytest.approx(CARD["places"][str(place)]["loss_recovered"], abs=0.01)
    assert plain == pytest.approx(CARD["loss"], abs=0.1)


def test_spliced_everywhere_the_model_and_every_gradient_are_its_own():
    """Exact forward; at errors the model's gradients, at features what the decoder makes of them, to 1e-5."""
    tokens = sequences("tests", 0, 4)[:, :12]
    pairs = PromptPairs(tokens, tokens, torch.full((4,), 12), torch.full((4, 1), 11), {})
    own = gradients(DECODER, lambda logits, pairs: logits[:, 0].square().mean(-1), pairs)
    run = splice(DECODER, FOUND, tokens)
    torch.testing.assert_close(run.final, DECODER.resume(DECODER.embed(tokens)), rtol=1e-5, atol=1e-3)
    total = DECODER.unembed(run.final[:, 11]).square().mean(-1).sum()
    wanted = [*run.errors.values(), *run.features.values()]
    found = torch.autograd.grad(total, wanted)
    recorded = record(DECODER, DECODER.embed(tokens))
    for at_error, at_features, place in zip(found[: len(FOUND)], found[len(FOUND) :], FOUND, strict=True):
        scale = float(own[place].abs().max())
        torch.testing.assert_close(at_error, own[place], rtol=0, atol=1e-5 * scale)
        pulled = FOUND[place].pull(own[place], recorded[place])
        torch.testing.assert_close(at_features, pulled, rtol=0, atol=1e-5 * float(pulled.abs().max()))


def test_changed_files_and_other_models_are_refused(tmp_path, monkeypatch):
    copied = tmp_path / "dictionaries"
    shutil.copytree(dictionaries.folder(), copied)
    monkeypatch.setattr(dictionaries, "folder", lambda: copied)
    weights = copied / "mlp_1" / "sae_weights.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(
        ModelError, match="mlp_1/sae_weights.safetensors in .* differ from what card.json was written for"
    ):
        dictionaries.load(DECODER.config)
    weights.write_bytes(content)
    assert dictionaries.load(DECODER.config).sizes == FOUND.sizes
    with pytest.raises(UsageError, match="of another model"):
        dictionaries.load(replace(DECODER.config, d_model=64))
    monkeypatch.setattr(dictionaries, "model_hash", lambda: "0" * 64)
    with pytest.raises(ModelError, match="were trained on weights .* train them again"):
        dictionaries.load(DECODER.config)
