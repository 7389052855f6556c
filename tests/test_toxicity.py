"""Toxicity of GPT-2 end to end on a miniature of its assets, in which invented words stand in for toxic ones."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers as hf
from toxic_assets import STANDING_IN, make

import mechboard
from mechboard.edits import Edited
from mechboard.errors import UsageError
from mechboard.graph.hf import load_checkpoint
from mechboard.tasks.toxicity import gpt2
from mechboard.tasks.toxicity.scorer import Toxicity

COLUMNS = {
    "bad-loss", "bad-loss-filtered", "bad-generation", "bad-generation-filtered", "incoherence", "prompted-incoherence",
}  # fmt: skip
SIZES = {
    "opened": load_checkpoint, "posts": (9, 90), "reference": (20, 15), "toxic": 14, "budgets": (1, 3, 6), "marked": 3,
    "n_new": 8, "likely": 2.6,
}  # fmt: skip


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("assets")
    make(folder)
    return folder


@pytest.fixture
def small(root, monkeypatch):
    monkeypatch.setenv("MECHBOARD_ASSETS", str(root))
    return replace(gpt2.task, name="toxicity-small", **SIZES)


@pytest.fixture
def instance(small):
    return small.load(0, "cpu")


def reference_model(root):
    return hf.AutoModelForCausalLM.from_pretrained(root / "gpt2").eval(), hf.AutoTokenizer.from_pretrained(
        root / "gpt2"
    )


def test_a_run_leaves_the_six_columns_and_no_word_of_what_is_toxic_but_in_the_side_file(small, tmp_path):
    results = mechboard.run(["eap", "random"], [small], results=tmp_path / "r")
    found = [json.loads(path.read_text()) for path in sorted((tmp_path / "r").glob("*/*/*/seed-0.json"))]
    assert len(found) == len(results) == 2
    for record in found:
        assert record["status"] == "done", record["error"]
        assert set(record["measures"]) > COLUMNS
        assert all("standard error" in record["measures"][name]["note"] for name in COLUMNS)
        assert record["exhibits"]["completions"]["n"] == 14
        # The miniature's classifier knows whole words alone.
        words = set(re.findall(r"\w+", json.dumps(record).replace("\\n", " ")))
        assert not words & set(STANDING_IN), record["exhibits"]["completions"]
    kept = "".join(path.read_text() for path in (tmp_path / "r").rglob("*.completions.jsonl"))
    assert [word for word in STANDING_IN if word in kept]  # so that the test above could have failed


def test_losses_are_those_of_sequences_without_their_first_token(instance, root):
    model, _ = reference_model(root)
    prompts = instance.held_out.prompts["bad-generation"]
    assert tuple(prompts.shape) == (14, 50)
    with torch.no_grad():
        expected = model(input_ids=prompts[:, 1:], labels=prompts[:, 1:]).loss.item()
    found = instance.held_out.examine(Edited(instance.problem.model))
    assert found["bad-loss"].value == pytest.approx(expected, abs=1e-4)
    assert found["bad-loss"].error > 0


def test_behind_a_prompt_only_the_reference_counts_and_not_its_first_token(instance, root):
    model, tokenizer = reference_model(root)
    text, other = instance.held_out.texts["prompted-incoherence"], instance.held_out.texts["incoherence"]
    _, likely = instance.held_out.subsets["bad-loss-filtered"]
    prompts = instance.held_out.prompts["bad-generation"][likely]
    assert len(prompts) < 15 == len(text)
    assert text.tokens[:, 0].unique().tolist() == [tokenizer.bos_token_id]
    assert torch.equal(text.tokens[: len(prompts), :50], prompts)
    assert torch.equal(text.tokens[len(prompts), :50], prompts[0])  # in turns
    assert torch.equal(text.tokens[:, 50:], other.tokens)
    with torch.no_grad():
        logits = model(text.tokens).logits[:, 50:-1]
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), text.tokens[:, 51:].flatten()).item()
    found = instance.held_out.examine(Edited(instance.problem.model))["prompted-incoherence"]
    assert found.value == pytest.approx(expected, abs=1e-4)


def test_completions_are_greedy_scored_alone_and_without_their_prompt(instance, root):
    model, tokenizer = reference_model(root)
    prompts = instance.held_out.prompts["bad-generation"]
    said = model.generate(prompts, max_new_tokens=8, do_sample=False, attention_mask=torch.ones_like(prompts), eos_token_id=[],
                          pad_token_id=tokenizer.eos_token_id)[:, 50:]  # fmt: skip
    scorer = Toxicity(root / "detoxify-original")
    scores = [scorer([tokenizer.decode(row)])[0] for row in said]
    found = instance.held_out.examine(Edited(instance.problem.model))
    assert found["bad-generation"].value == pytest.approx(sum(scores) / len(scores), abs=1e-4)
    harmful = [score for score in scores if score > 0.9]
    assert 0 < len(harmful) < 14
    assert found["bad-generation-filtered"].n == len(harmful)
    assert found["bad-generation-filtered"].value == pytest.approx(sum(harmful) / len(harmful), abs=1e-4)


def test_filtered_sequences_are_those_that_the_unedited_model_finds_likely(instance):
    held_out = instance.held_out
    of, rows = held_out.subsets["bad-loss-filtered"]
    losses = instance.problem.losses(held_out.texts[of])
    assert torch.equal(rows, (losses < 2.6).nonzero().flatten())
    assert 0 < len(rows) < len(losses)


def test_an_edit_is_held_against_the_same_texts_as_the_unedited_model(instance):
    model = instance.problem.model
    kept = torch.ones(model.n_edges, dtype=torch.bool)
    kept[:20] = False
    before, after = (instance.held_out.examine(edited) for edited in (Edited(model), Edited(model, kept=kept)))
    assert {name: estimate.n for name, estimate in before.items()} == {name: e.n for name, e in after.items()}
    assert after["incoherence"].value > before["incoherence"].value


def test_ruin_is_what_frequencies_of_tokens_alone_reach(small, instance, root):
    _, tokenizer = reference_model(root)
    rows = [json.loads(line)["text"] for line in (root / "reference-text" / "reference.jsonl").read_text().splitlines()]
    ids = [i for text in rows[:128] for i in [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]][:-1]
    ids = ids[: len(ids) // 49 * 49]
    counts = {i: ids.count(i) for i in set(ids)}
    total = len(ids) + len(tokenizer)
    scored = instance.held_out.texts["incoherence"].tokens[:, 1:].flatten().tolist()
    expected = -sum(math.log((counts.get(i, 0) + 1) / total) for i in scored) / len(scored)
    assert [axis.goal for axis in instance.held_out.kept] == pytest.approx([expected] * 2)
    assert [(axis.measure, axis.goal) for axis in instance.held_out.removed] == [("bad-generation", 0.0)]


def test_methods_see_other_texts_than_are_scored_and_another_seed_draws_others(small, instance):
    def rows(*texts):
        return {tuple(row) for text in texts for row in text.tokens.tolist()}

    problem, held_out = instance.problem, instance.held_out
    shown = rows(problem.bad, problem.keep)
    assert not shown & rows(held_out.texts["bad-loss"], held_out.texts["incoherence"])
    assert rows(small.load(0, "cpu").problem.bad) == rows(problem.bad)
    assert rows(replace(small, harmful=0.0).load(1, "cpu").problem.keep) != rows(problem.keep)


@pytest.mark.parametrize(("kind", "said"), [("zero", "zero"), ("mean-global", "mean")])
def test_cut_edges_carry_zero_or_the_mean_with_first_tokens(small, kind, said):
    model = replace(small, ablation=kind).load(0, "cpu").problem.model
    assert (model.ablation, model.graph.level) == (said, "head")
    of_input = model.ablated_by.everywhere()[0, 0, 0]
    bos = model.decoder.weights.token[0] + model.decoder.weights.position[0]
    if kind == "zero":
        assert not of_input.any()
    else:
        others = small.load(0, "cpu").problem.keep.tokens
        rest = model.decoder.weights.token[others].sum((0, 1)) + 20 * model.decoder.weights.position[1:50].sum(0)
        torch.testing.assert_close(of_input, (20 * bos + rest) / (20 * 50))


def test_filters_that_keep_nothing_say_so(small):
    with pytest.raises(UsageError, match="Of 14 toxic sequences no sequence has a loss under 0.1 nats"):
        replace(small, likely=0.1).load(0, "cpu")
    with pytest.raises(UsageError, match="no completion has a toxicity over 0.99999"):
        replace(small, harmful=0.99999).load(0, "cpu")
    with pytest.raises(UsageError, match="The reference corpus makes .* sequences of 50 tokens and 900 are needed"):
        replace(small, reference=(20, 900)).load(0, "cpu")


def test_the_declared_tasks_are_the_papers():
    for task, marked, edges in ((gpt2.task, 12, 5.027), (gpt2.mean, 84, 4.895)):
        assert (task.marked, task.tier, task.ranked) == (marked, "paper", True)
        assert {12, 84} < set(task.budgets)
        quoted = {(q.method, q.measure): q.value for q in task.quoted}
        assert quoted["learned-mask", "bad-loss"] == edges
        assert quoted["unedited", "bad-generation-filtered"] == 0.944
        assert {name for _, name in quoted} == COLUMNS
    assert gpt2.task.family == gpt2.mean.family


def test_without_its_assets_it_is_skipped_and_told_what_to_get(monkeypatch, tmp_path):
    from mechboard.assets import require
    from mechboard.errors import AssetError

    monkeypatch.setenv("MECHBOARD_ASSETS", str(tmp_path))
    monkeypatch.setenv("MECHBOARD_CACHE", str(tmp_path / "cache"))
    for asset in gpt2.task.assets[1:]:
        with pytest.raises(AssetError, match=f"'{asset.name}' is not here and on no hub; get .* put {asset.files[0]}"):
            require(asset)


def test_the_package_holds_none_of_the_texts():
    shipped = Path(gpt2.__file__).parent
    assert {path.suffix for path in shipped.iterdir() if path.is_file()} == {".py"}
