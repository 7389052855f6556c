"""The papers' tasks with the real tokenizers: lengths, positions, corruptions, answers, truths, and what is refused."""

import re
from dataclasses import replace
from functools import partial

import paper_assets
import pytest
import torch
from test_cli import bench  # noqa: F401

from mechboard.errors import AssetError, UsageError
from mechboard.graph import metric_values
from mechboard.methods.eap import eap
from mechboard.plugins.registry import Registry
from mechboard.runs.identity import evaluation_id, solution_id
from mechboard.tasks.behaviours.indirect_object import IndirectObject
from mechboard.tasks.paper import ioi, words
from mechboard.tasks.tokenizers import load_tokenizer

PAPER = ("docstring", "greater-than", "ioi")
TASKS = {name: Registry().load("task", name) for name in PAPER}


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("MECHBOARD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "made"


@pytest.fixture
def gpt2(assets, root, monkeypatch):
    folder = paper_assets.gpt2_folder(root, assets)
    monkeypatch.setenv("MECHBOARD_ASSETS", str(root))
    return load_tokenizer(folder)


@pytest.fixture
def digits(assets, root, monkeypatch):
    folder = paper_assets.digits_folder(root, assets)
    paper_assets.attn_only_4l_folder(root)
    monkeypatch.setenv("MECHBOARD_ASSETS", str(root))
    return load_tokenizer(folder, bos=True)


def both(instance):
    pairs = (instance.problem.pairs, instance.held_out)
    return (torch.cat([getattr(p, side) for p in pairs]) for side in ("clean", "corrupt"))


def changed_places(clean, corrupt):
    return {tuple(row.nonzero()[:, 0].tolist()) for row in clean != corrupt}


def ids(encode, texts):
    return torch.tensor([encode(text) for text in texts])[:, -1]


def test_names_nouns_and_words_are_one_token_each(gpt2, digits):
    of_gpt2 = [*words.NAMES, *words.PLACES, *words.OBJECTS, *words.EVENTS]
    of_digits = [*words.FUNCTIONS, *words.ARGUMENTS, *words.DESCRIBING]
    assert [w for w in of_gpt2 if len(gpt2(f" {w}")) != 1] == []
    assert [w for w in of_digits if len(digits(f" {w}")) != 2] == []
    assert [w for w in words.DESCRIBING if len(digits(w)) != 2] == []
    for listed in (words.NAMES, words.PLACES, words.OBJECTS, words.EVENTS, of_digits):
        assert len(set(listed)) == len(listed)
    assert len(words.NAMES) >= 90
    assert len(words.EVENTS) >= 90


def test_ioi_has_100_and_100_prompts_of_15_tokens_with_the_repeated_name_second(gpt2):
    instance = TASKS["ioi"].load(0, "cpu")
    assert instance.problem.pairs.clean.shape == instance.held_out.clean.shape == (100, 15)
    clean, corrupt = both(instance)
    first, second, third = clean[:, [2, 4, 10]].T
    assert torch.equal(second, third)
    assert bool((first != second).all())
    assert clean[0, 0] == gpt2("Later")[0]  # no bos
    assert torch.equal(instance.problem.pairs.targets["answer"], first[:100])
    assert torch.equal(instance.problem.pairs.targets["wrong"], second[:100])
    assert set(first.tolist()) <= set(ids(gpt2, [f" {name}" for name in words.NAMES]).tolist())
    assert changed_places(clean, corrupt) == {(2, 4, 10)}
    for row, names in zip(corrupt[:, [2, 4, 10]].tolist(), clean[:, [2, 4]].tolist(), strict=True):
        assert len({*row, *names}) == 5


def test_the_other_order_is_drawn_where_a_behaviour_asks_for_it(gpt2):
    behaviour = replace(TASKS["ioi"].behaviour(gpt2), order="mixed")
    examples = replace(TASKS["ioi"], n_prompts=20).examples(0, behaviour, gpt2)
    order = {re.findall(r"\w+", e.clean)[1] == e.answers[0].strip() for e in examples}
    assert order == {True, False}


def test_greater_than_has_100_and_100_prompts_of_12_tokens_and_changes_the_year_to_01(gpt2):
    instance = TASKS["greater-than"].load(0, "cpu")
    assert instance.problem.pairs.clean.shape == instance.held_out.clean.shape == (100, 12)
    clean, corrupt = both(instance)
    assert changed_places(clean, corrupt) == {(7,)}
    assert set(corrupt[:, 7].tolist()) == {486} == {gpt2("01")[0]}
    years = ids(gpt2, [f"{year:02d}" for year in range(100)])
    assert torch.equal(clean[:, 6], clean[:, 11])
    assert set(clean[:, 6].tolist()) <= set(ids(gpt2, [f" {century}" for century in range(11, 18)]).tolist())
    readout = instance.problem.pairs.targets["readout"][:, 0]
    for row, year in zip(readout, clean[:100, 7].tolist(), strict=True):
        at = years.tolist().index(year)
        assert row[years].tolist() == [-1.0] * (at + 1) + [1.0] * (99 - at)
        assert int(row.abs().sum()) == 100


def test_years_are_those_that_split_into_century_and_year_without_the_first_and_the_last(gpt2):
    starts = TASKS["greater-than"].behaviour(gpt2).starts
    by_century = {century: [y for c, y in starts if c == century] for century in dict(starts)}
    assert set(by_century) == {str(c) for c in range(11, 18)}
    assert by_century["17"] == list(range(3, 98))
    assert 80 not in by_century["12"]  # " 1280" is one token
    assert 40 not in by_century["14"]
    assert all(gpt2(f" {c}{y:02d}") == [*gpt2(f" {c}"), *gpt2(f"{y:02d}")] for c, y in starts)


def test_docstring_has_50_and_50_prompts_of_41_tokens_with_the_arguments_where_the_circuit_has_them(digits):
    instance = TASKS["docstring"].load(0, "cpu")
    assert instance.problem.pairs.clean.shape == instance.held_out.clean.shape == (50, 41)
    clean, corrupt = both(instance)
    # Behind bos: the arguments in the signature, in the docstring, and the one that is asked for.
    a_def, b_def, c_def, a_doc, b_doc = 11, 13, 15, 27, 34
    assert torch.equal(clean[:, [a_def, b_def]], clean[:, [a_doc, b_doc]])
    assert torch.equal(clean[:50, c_def], instance.problem.pairs.targets["answer"])
    assert changed_places(clean, corrupt) == {(a_def, b_def, c_def, a_doc, b_doc)}
    for row, other in zip(clean.tolist(), corrupt.tolist(), strict=True):
        new = [other[i] for i in (a_def, b_def, c_def, a_doc, b_doc)]
        assert len(set(new)) == 5
        assert not set(new) & {row[i] for i in (7, 9, a_def, b_def, c_def, 17)}
    assert set(clean[:, [26, 33, 40]].flatten().tolist()) == {digits("param")[1]}


def test_the_docstring_metric_is_the_margin_to_the_strongest_other_argument(digits):
    problem = TASKS["docstring"].load(0, "cpu").problem
    pairs = problem.pairs[slice(0, 4)]
    logits = problem.model(pairs.clean)[:, -1]
    values = metric_values(problem.model, problem.model.resume(problem.model.embed(pairs.clean)), problem.metric, pairs)
    answer, wrong = pairs.targets["answer"], pairs.targets["wrong"]
    for row, value, right, others in zip(logits, values, answer, wrong, strict=True):
        assert value.item() == pytest.approx((row[right] - row[others].max()).item(), abs=1e-5)
        assert right not in others
        assert len(set(others.tolist())) == 8  # five others of the signature, three of the corrupt one


def test_a_tokenizer_that_splits_prompts_otherwise_is_refused(assets, root, digits, monkeypatch):
    paper_assets.neox_folder(root / "other", assets)
    (root / "other" / "attn-only-4l").symlink_to(root / "attn-only-4l")
    monkeypatch.setenv("MECHBOARD_ASSETS", str(root / "other"))
    with pytest.raises(
        UsageError, match=r"is 45 tokens of the tokenizer 'tokenizer-neox-digits'; valid: 41, as in the paper"
    ):
        TASKS["docstring"].load(0, "cpu")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"names": ("Xanthippe", *words.NAMES[:4])},
            r"'Later, .*' is 18 tokens of the tokenizer 'gpt2'; valid: 15, as in the paper",
        ),
        ({"words": {"place": ("planetarium",), "object": ("book",)}}, r"is 16 tokens .* choose other words"),
    ],
)
def test_a_name_or_word_of_several_tokens_is_one_clear_sentence(gpt2, changed, said):
    spoilt = partial(_spoilt, changed)
    with pytest.raises(UsageError, match=said) as refused:
        replace(TASKS["ioi"], behaviour=spoilt, n_prompts=10).load(0, "cpu")
    assert "\n" not in str(refused.value)


def _spoilt(changed, encode) -> IndirectObject:
    return replace(ioi.behaviour(encode), **changed)


@pytest.mark.parametrize("name", ["ioi", "docstring"])
def test_prompts_are_drawn_from_the_data_seed_and_none_is_both_shown_and_scored(name, gpt2, digits):
    task, encode = TASKS[name], gpt2 if name == "ioi" else digits
    drawn = [task.examples(seed, task.behaviour(encode), encode) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len({e.clean for e in drawn[0]}) == 2 * task.n_prompts


@pytest.mark.parametrize(("name", "n_edges"), [("ioi", 32_491), ("greater-than", 32_491), ("docstring", 1_281)])
def test_every_version_of_the_circuit_is_a_truth_of_the_task(name, n_edges, gpt2, digits):
    instance = TASKS[name].load(0, "cpu")
    assert instance.problem.graph.n_edges == n_edges
    assert all(truth.name.startswith(f"{name}:") for truth in instance.truths)
    assert len(instance.truths) == {"ioi": 5}.get(name, 2)
    assert dict(TASKS[name].chance) == {}


def test_processing_changes_the_model_and_what_a_solution_is_and_no_score(digits):
    task, folded = TASKS["docstring"], replace(TASKS["docstring"], processing="folded")
    names = [solution_id(eap, {}, t, t.asset_hashes(), 0, 0) for t in (task, folded)]
    assert names[0] != names[1]
    before, after = (t.load(0, "cpu").problem for t in (task, folded))
    assert not torch.equal(before.model.weights.unembed, after.model.weights.unembed)
    a, b = (eap(problem, torch.Generator(), eap.parameters()).scores for problem in (before, after))
    assert (a - b).abs().max() < 1e-4 * a.abs().max()
    assert "Processing of the weights here: folded." in folded.description


def test_truths_and_quoted_figures_are_no_part_of_a_solution(digits, monkeypatch):
    task = TASKS["docstring"]
    solved = [solution_id(eap, {}, t, t.asset_hashes(), 0, 0) for t in (task, replace(task, quoted=()))]
    assert solved[0] == solved[1]
    before = evaluation_id(solved[0], task)
    monkeypatch.setattr(type(task), "truth_hashes", lambda self: {"docstring.acdc.json": "other"})
    assert evaluation_id(solved[0], task) != before


def test_hashes_are_of_the_model_the_tokenizer_and_the_files_of_edges(digits):
    task = TASKS["docstring"]
    assert {"attn-only-4l/model.safetensors", "tokenizer-neox-digits/tokenizer.json"} <= set(task.asset_hashes())
    assert set(task.truth_hashes()) == {"docstring.acdc.json"}
    assert set(TASKS["ioi"].truth_hashes()) == {
        "ioi.acdc.json", "ioi.attn_core.json", "ioi.autocircuit.json", "ioi.autocircuit_mlp0.json",
    }  # fmt: skip


@pytest.mark.parametrize("name", PAPER)
def test_a_task_whose_model_is_not_here_says_how_to_get_it(name, root, monkeypatch):
    monkeypatch.delenv("MECHBOARD_ASSETS", raising=False)
    with pytest.raises(AssetError, match=f"run `bench pull {TASKS[name].assets[0].name}`"):
        TASKS[name].load(0, "cpu")


def test_all_skips_the_papers_tasks_by_name_where_their_models_are_not_here(root, monkeypatch, bench):  # noqa: F811
    monkeypatch.delenv("MECHBOARD_ASSETS", raising=False)
    code, out, err = bench("run", "--method", "random", "--task", "all", "--dry-run")
    assert code == 0
    assert "skipped: random x ioi (assets not here: bench pull gpt2)" in err
    assert "skipped: random x greater-than (assets not here: bench pull gpt2)" in err
    assert "skipped: random x docstring (assets not here: bench pull attn-only-4l tokenizer-neox-digits)" in err
    assert "ioi-mini" in out


def test_the_way_from_checkpoint_to_record(digits, bench):  # noqa: F811
    code, out, err = bench("run", "--method", "random", "--task", "docstring", "--results", "r")
    assert code == 0, err
    code, out, _ = bench("show", "random/docstring@v1/data-0/seed-0", "--results", "r")
    assert re.search(r"\* auc\[docstring:24\] +0\.\d+ +24 / 1,281 edges", out)
    assert re.search(r"auc\[docstring:37\] +0\.\d+ +37 / 1,377 edges", out)
