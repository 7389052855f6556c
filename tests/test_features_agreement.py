"""Agreement on Pythia-70m: the published prompts as the authors read them and split anew, and a whole run on made weights."""

import json
import re
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import sva_assets
import torch
from loopback_hub import LoopbackHub
from test_cli import bench  # noqa: F401
from test_held_out import prompts

from mechboard.errors import ModelError, UsageError
from mechboard.features import Place
from mechboard.plugins.registry import Registry
from mechboard.tasks.features import assets, figure3, sva
from mechboard.tasks.tokenizers import load_tokenizer, words_of

STRUCTURES = {"simple": (480, 120, 150, 85, 113), "nounpp": (1920, 480, 1727, 469, 83),
              "within_rc": (9600, 2400, 3097, 1728, 2302)}  # fmt: skip
FIT = {
    "simple": (2, 413, 97),
    "nounpp": (5, 1546, 396),
    "within_rc": (5, 6914, 1726),
}  # tokens, pairs to train, to test
NAMES = [f"agreement-{s}-features{end}" for s in ("simple", "across-pp", "within-rc") for end in ("", "-disjoint")]


@pytest.fixture
def made(tmp_path, monkeypatch):
    monkeypatch.setenv("MECHBOARD_CACHE", str(tmp_path / "cache"))
    sva_assets.real("tokenizer-gptneox")
    monkeypatch.setenv("MECHBOARD_ASSETS", str(sva_assets.everything(tmp_path / "assets")))
    return tmp_path / "assets"


@pytest.fixture
def encode():
    return load_tokenizer(sva_assets.real("tokenizer-gptneox"))


def rows(structure):
    folder = sva_assets.real("sva-feature-circuits")
    return [sva.read_rows(folder / f"{structure}_{half}.json") for half in ("train", "test")]


def task_of(name):
    return Registry().load("task", name)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_the_published_files_have_the_rows_and_the_overlap_that_is_known_of_them(structure):
    train, test = rows(structure)
    distinct = [len(set(half)) for half in (train, test)]
    known = set(train)
    shared = sum(row in known for row in test)
    assert (len(train), len(test), *distinct, shared) == STRUCTURES[structure][:5]


@pytest.mark.parametrize("structure", STRUCTURES)
def test_the_pairs_that_fit_are_those_of_the_stated_length_with_answers_of_one_token(structure, encode):
    n_tokens, *expected = FIT[structure]
    for half, n in zip(rows(structure), expected, strict=True):
        fit = sva.drawn(half, encode, n_tokens=n_tokens, n=n, data_seed=0, what="x")
        assert {len(encode(text)) for e in fit for text in (e.clean, e.corrupt)} == {n_tokens}
        with pytest.raises(UsageError, match=f"x holds {n} pairs"):
            sva.drawn(half, encode, n_tokens=n_tokens, n=n + 1, data_seed=0, what="x")
    answers = {answer for row in rows(structure)[0] for answer in (*row.answers, *row.wrong)}
    assert answers == {" is", " are", " has", " have", " do", " does", " go", " goes"}


def test_the_first_data_seed_shuffles_as_the_published_code_does_and_others_otherwise(encode):
    train, _ = rows("simple")
    shuffled = list(train)
    Random(12).shuffle(shuffled)
    expected = [e for e in shuffled if len(encode(e.clean)) == len(encode(e.corrupt)) == 2]
    drawn = [sva.drawn(train, encode, n_tokens=2, n=100, data_seed=seed, what="x") for seed in (0, 1)]
    assert drawn[0] == expected[:100]
    assert drawn[1] != drawn[0]


def test_pairs_of_another_length_and_answers_of_two_tokens_are_passed_over(encode):
    train, _ = rows("simple")
    good = train[0]
    odd = [
        replace(good, clean="The skateboarder"),
        replace(good, answers=(" skateboards",)),
        replace(good, corrupt="The"),
    ]
    assert len(encode(" skateboards")) > 1
    found = sva.drawn([*odd, good, *odd], encode, n_tokens=2, n=1, data_seed=0, what="x")
    assert found == [good]
    with pytest.raises(UsageError, match=r"here holds 1 pairs of 2 tokens .*, of 7; valid: 2 or more"):
        sva.drawn([*odd, good, *odd], encode, n_tokens=2, n=2, data_seed=0, what="here")


@pytest.mark.parametrize("structure", STRUCTURES)
def test_the_disjoint_split_has_no_noun_on_both_sides_and_enough_prompts(structure):
    def nouns(examples):
        return {word.removesuffix("s").replace("men", "man") for e in examples
                for text in (e.clean, e.corrupt) for word in re.findall(r"[Tt]he (\w+)", text)}  # fmt: skip

    found = sva.halves(*rows(structure), "disjoint")
    assert not nouns(found.discovery) & nouns(found.evaluation)
    assert len(found.discovery) >= 100
    assert len(found.evaluation) >= 40
    published = sva.halves(*rows(structure), "published")
    assert nouns(published.discovery) & nouns(published.evaluation)
    assert set(found.discovery) | set(found.evaluation) <= {*published.discovery, *published.evaluation}


def test_a_noun_of_the_clause_and_the_subject_are_both_held_out():
    found = sva.halves(*rows("within_rc"), "disjoint")
    subjects, others = zip(*(re.findall(r"[Tt]he (\w+)", e.clean) for e in found.evaluation), strict=True)
    assert len({word.removesuffix("s").replace("men", "man") for word in subjects}) == 6
    assert len({word.removesuffix("s") for word in others}) == 3


@pytest.mark.parametrize("name", NAMES)
def test_a_task_is_loaded_with_prompts_places_and_scope_of_the_paper(made, name):
    task = task_of(name)
    instance = task.load(0, "cpu")
    problem, held_out = instance.problem, instance.held_out
    assert problem.pairs.clean.shape == (100, task.n_tokens)
    assert held_out.pairs.clean.shape == (40, task.n_tokens)
    assert problem.nodes.positions == task.n_tokens
    assert len(problem.nodes.places) == 19
    assert [str(place) for place in held_out.scope] == [
        f"{part}_{layer}" for layer in (2, 3, 4, 5) for part in ("attn", "mlp", "resid")
    ]
    assert bool(held_out.published) == (not name.endswith("-disjoint"))
    if name.endswith("-disjoint"):
        assert not prompts(problem.pairs) & prompts(held_out.pairs)


def test_contexts_are_the_pairs_in_words_of_the_models_tokenizer(made):
    contexts = task_of("agreement-across-pp-features").load(0, "cpu").held_out.contexts
    texts = ["".join(contexts.words[i] for i in row) for row in contexts.tokens.tolist()]
    assert all(re.fullmatch(r"The \w+ (near|behind|beside) the \w+", text) for text in texts)
    assert len(set(texts)) == len(texts)
    assert len(contexts.words) == 50304
    assert contexts.link(Place("mlp", 4), 7).endswith("/pythia-70m-deduped/4-mlp-sm/7")
    assert contexts.link(Place("embed", -1), 7) == ""


def test_the_paper_tier_runs_from_the_command_line_on_made_weights(made, bench):  # noqa: F811
    arguments = ("--task", "agreement-simple-features", "--results", "r", "--json")
    code, out, err = bench("run", "--method", "atp-features", *arguments)
    assert code == 0, err
    (cell,) = json.loads(out)
    record = json.loads(Path(cell["record"]).read_text())
    assert record["task"]["tier"] == "paper"
    found = record["provenance"]["assets"]
    assert {"sva-feature-circuits/simple_train.json", "pythia-70m-deduped-saes/embed/10_32768/ae.pt"} <= set(found)
    assert "19 places of 24 features, embed to resid_5" in json.dumps(record["task"]["facts"])


def test_a_structure_whose_prompts_are_not_here_is_left_out_by_name(made, bench):  # noqa: F811
    code, _, err = bench("run", "--method", "random", "--task", "agreement-across-rc-features", "--results", "r")
    assert code == 4
    assert "skipped: random x agreement-across-rc-features (assets not here: bench pull sva-feature-circuits)" in err


def test_pull_says_where_prompts_that_are_on_no_hub_come_from_and_go(tmp_path, monkeypatch, bench):  # noqa: F811
    monkeypatch.setenv("MECHBOARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MECHBOARD_ASSETS", raising=False)
    code, _, err = bench("pull", "sva-feature-circuits")
    assert code != 0
    for structure in ("rc", "simple"):
        assert f"put {structure}_train.json, {structure}_test.json into MECHBOARD_ASSETS/sva-feature-circuits" in err
    assert "github.com/saprmarks/feature-circuits" in err


def test_pull_unpacks_the_archive_into_a_folder_for_each_place(tmp_path, monkeypatch, bench):  # noqa: F811
    monkeypatch.setenv("MECHBOARD_CACHE", str(tmp_path / "cache"))
    files = sva_assets.archive_files(tmp_path / "made")
    archive = tmp_path / "dictionaries_pythia-70m-deduped_10.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for name, path in files.items():
            packed.write(path, f"dictionaries/pythia-70m-deduped/{name}")
            packed.writestr(f"dictionaries/pythia-70m-deduped/{name.replace('ae.pt', 'config.json')}", "{}")
    with LoopbackHub() as hub:
        hub.add("saprmarks/pythia-70m-deduped-saes", {archive.name: archive})
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        code, _, err = bench("pull", "pythia-70m-deduped-saes")
    assert code == 0, err
    folder = tmp_path / "cache" / "assets" / "pythia-70m-deduped-saes"
    for name, path in files.items():
        assert (folder / name).read_bytes() == path.read_bytes()


def test_an_archive_without_one_of_the_dictionaries_is_refused(tmp_path):
    archive = tmp_path / "dictionaries_pythia-70m-deduped_10.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("dictionaries/pythia-70m-deduped/embed/10_32768/ae.pt", b"x")
    with pytest.raises(ModelError, match="is not the released archive"):
        assets.unpack({archive.name: archive}, tmp_path / "out")


def test_dictionaries_of_another_width_are_refused_in_a_sentence(made, bench):  # noqa: F811
    path = made / "pythia-70m-deduped-saes" / "mlp_out_layer3" / "10_32768" / "ae.pt"
    torch.save(sva_assets.archive_tensors(0, d_model=8), path)
    code, out, _ = bench("run", "--method", "random", "--task", "agreement-simple-features", "--results", "r", "--json")
    (cell,) = json.loads(out)
    assert code == 3
    assert cell["status"] == "failed"
    assert "The dictionary of mlp_3 reads vectors of width 8 and the model's have 16" in cell["error"]


@pytest.mark.parametrize("structure", [*STRUCTURES, "rc"])
def test_published_curves_rise_in_nodes_and_say_where_they_are_from(structure):
    found = figure3.published(structure)
    assert Counter((name, curve.y_label == "faithfulness") for name, curve in found).most_common(1)[0][1] == 1
    assert {name for name, _ in found} == {"features", "no-attn-mlp-errors", "no-errors", "neurons"}
    for _, curve in found:
        assert list(curve.x) == sorted(set(curve.x))
        assert "Marks et al. 2024 (arXiv 2403.19647), figure 3" in curve.title


def test_words_of_a_sentencepiece_model_are_its_pieces(stories):
    words = words_of(stories, 514)
    assert words[403] == " Once"
    assert words[-1] == "[513]"
