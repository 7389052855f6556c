"""One's own complaint: a checkpoint, what it should no longer say, and what it should go on saying."""

import json
import math
from pathlib import Path
from random import Random

import pytest
import torch
import transformers as hf
from test_cli import bench  # noqa: F401

from mechboard.edits import Edited
from mechboard.errors import UsageError
from mechboard.ground_truth.mini import model as mini
from mechboard.ground_truth.mini.grammar import document, rude_chatter
from mechboard.tasks.own_removal import own_removal

GOOD = {"tokens": [1, 2, 3]}


def lines(path, rows):
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


@pytest.fixture(scope="session")
def complaint(tmp_path_factory):
    """Rude chatter in the package's language, whose rude words are invented, and all else that it says."""
    folder, draw = tmp_path_factory.mktemp("complaint"), Random(0)
    bad = list(dict.fromkeys(rude_chatter(draw) for _ in range(12)))
    keep = [t for t in dict.fromkeys(document(draw) for _ in range(60)) if t not in bad]
    return (
        mini.folder(),
        *(lines(folder / f"{n}.jsonl", [{"text": t} for t in rows]) for n, rows in (("bad", bad), ("keep", keep))),
    )


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """A GPT-2 that writes 1 2 3 4 ... more often than not, so that it does better than a guess."""
    folder = tmp_path_factory.mktemp("own") / "model"
    torch.manual_seed(0)
    model = hf.GPT2LMHeadModel(
        hf.GPT2Config(
            n_layer=2, n_head=2, n_embd=32, n_positions=16, vocab_size=30, bos_token_id=None, eos_token_id=None
        )
    )
    optimiser, rows = (
        torch.optim.Adam(model.parameters(), 0.01),
        (torch.arange(8) + torch.randint(30, (64, 1))).remainder(30),
    )
    for _ in range(60):
        optimiser.zero_grad()
        model(rows, labels=rows).loss.backward()
        optimiser.step()
    model.save_pretrained(folder)
    return folder


def counting(n, length=6, first=0):
    return [{"tokens": [(start + i) % 30 for i in range(length)]} for start in range(first, first + n)]


def own(checkpoint, tmp_path, bad, keep=None):
    keep = counting(12, first=12) if keep is None else keep
    return own_removal(checkpoint, lines(tmp_path / "bad.jsonl", bad), lines(tmp_path / "keep.jsonl", keep))


def test_text_becomes_a_task_that_circuit_methods_and_controls_answer(complaint, bench):  # noqa: F811
    folder, bad, keep = complaint
    flags = ("--model", folder, "--bad", bad, "--keep", keep, "--results", "r", "--json")
    code, out, _ = bench("run", "--method", "eap,random", *flags, "--progress", "quiet")
    cells = json.loads(out)
    assert (code, len(cells)) == (0, 2)
    for cell in cells:
        record = json.loads(Path(cell["record"]).read_text())
        assert cell["headline"] == "frontier"
        assert record["task"]["kind"] == "removal"
        assert not record["task"]["ranked"]
        assert {"bad-loss", "incoherence", "frontier"} <= set(record["measures"])
        assert {"bad.jsonl", "keep.jsonl", "model.safetensors"} <= set(record["provenance"]["assets"])
    code, out, _ = bench("run", "--method", "eap", *flags)
    assert [c["status"] for c in json.loads(out)] == ["cached"]


def test_each_form_counts_the_tokens_that_it_says(checkpoint, tmp_path):
    rows = [{"tokens": list(range(6)), "scored": [5, 2]}, *counting(7, first=1)]
    problem = own(checkpoint, tmp_path, rows).load(0, "cpu")
    both = problem.problem.bad.joined(problem.held_out.texts["bad-loss"])
    found = dict(zip(map(tuple, both.tokens.tolist()), both.scored.tolist(), strict=True))
    assert found[0, 1, 2, 3, 4, 5] == [False, False, True, False, False, True]
    assert found[1, 2, 3, 4, 5, 6] == [False, True, True, True, True, True]


def test_only_the_completion_of_a_prompt_counts(complaint, tmp_path):
    folder, _, keep = complaint
    asked = [
        {"prompt": "You are a", "completion": f" grobby {word}."}
        for word in ("snarkwit", "grubnik", "dunklet", "moffler")
    ]
    task = own_removal(folder, lines(tmp_path / "asked.jsonl", asked), keep)
    instance = task.load(0, "cpu")
    text = instance.problem.bad.joined(instance.held_out.texts["bad-loss"])
    assert text.scored.sum(1).tolist() == [3] * 4
    assert not text.scored[:, :4].any()  # bos and the three words of the prompt


def test_a_loss_is_that_of_the_checkpoint_in_transformers(checkpoint, tmp_path):
    rows = [{"tokens": [*range(start, start + 6)], "scored": [3, 5]} for start in range(8)]
    instance = own(checkpoint, tmp_path, rows).load(0, "cpu")
    text, model = instance.held_out.texts["bad-loss"], hf.AutoModelForCausalLM.from_pretrained(checkpoint)
    with torch.no_grad():
        said = model.eval()(text.tokens).logits.log_softmax(-1)
    expected = -torch.stack([said[:, t - 1].gather(1, text.tokens[:, [t]])[:, 0] for t in (3, 5)]).mean()
    found = instance.held_out.examine(Edited(instance.problem.model))["bad-loss"]
    assert found.value == pytest.approx(expected.item(), abs=1e-5)


@pytest.mark.parametrize("data_seed", [0, 1])
def test_no_sample_is_shown_to_methods_and_scored(checkpoint, tmp_path, data_seed):
    instance = own(checkpoint, tmp_path, counting(9)).load(data_seed, "cpu")
    shown, scored = (
        {tuple(row) for text in texts for row in text.tokens.tolist()}
        for texts in ((instance.problem.bad, instance.problem.keep), instance.held_out.texts.values())
    )
    assert not shown & scored
    assert len(shown | scored) == 9 + 12


def test_another_data_seed_discovers_on_other_samples(checkpoint, tmp_path):
    task = own(checkpoint, tmp_path, counting(10))
    first, again, other = (task.load(seed, "cpu").problem.bad.tokens.tolist() for seed in (0, 0, 1))
    assert first == again
    assert sorted(first) != sorted(other)


def test_goal_and_ruin_are_a_guess_among_all_tokens_and_budgets_are_shares_of_the_graph(checkpoint, tmp_path):
    instance = own(checkpoint, tmp_path, counting(10)).load(0, "cpu")
    [removed], [kept] = instance.held_out.removed, instance.held_out.kept
    assert (removed.measure, kept.measure) == ("bad-loss", "incoherence")
    assert removed.goal == kept.goal == pytest.approx(math.log(30))
    assert instance.problem.model.graph.level == "head"
    assert instance.problem.model.ablation == "mean"
    n = instance.problem.model.n_edges
    assert instance.problem.budgets == (1, round(0.1 * n))
    assert instance.held_out.marked == 1


def test_means_are_of_the_samples_to_keep_that_methods_see(checkpoint, tmp_path):
    problem = own(checkpoint, tmp_path, counting(8)).load(0, "cpu").problem
    model = problem.model
    expected = model.decoder.embed(problem.keep.tokens).mean((0, 1))
    torch.testing.assert_close(model.ablated_by.everywhere()[0, 0, 0], expected)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{not json", "bad.jsonl line 2 is not JSON"),
        ("[1, 2]", "bad.jsonl line 2 is no JSON object"),
        ({"txt": "a"}, "line 2 has 'txt'; valid: JSON lines"),
        ({"text": "a", "scored": [1]}, "line 2 has 'text', 'scored'; valid"),
        ({"tokens": "1 2"}, "no lists of whole numbers"),
        ({"tokens": [1, True]}, "no lists of whole numbers"),
        ({"tokens": [1, 2], "scored": [0]}, r"places that count are \[0\] of 2 tokens; valid: 1 to 1"),
        ({"tokens": [1, 2], "scored": [2]}, r"places that count are \[2\] of 2 tokens"),
        ({"tokens": [1, 2], "scored": []}, r"places that count are \[\] of 2 tokens"),
        ({"tokens": [1]}, "line 2: 1 tokens; valid for this model: 2 to 16"),
        ({"tokens": [1] * 17}, "line 2: 17 tokens"),
        ({"tokens": [1, 30]}, "token id 30 is outside this model's vocabulary of 30"),
        ({"tokens": [1, -1]}, "token id -1 is outside"),
        ({"text": "words"}, "holds no tokenizer"),
        ({"prompt": "words", "completion": 3}, "a value that is no text"),
        (GOOD, "2 samples are there twice, such as bad.jsonl line 2, which repeats bad.jsonl line 1"),
    ],
)
def test_a_bad_sample_is_named_by_its_line(checkpoint, tmp_path, row, said):
    rows = [GOOD, row, {"tokens": [4, 5]}, {"tokens": [5, 6]}]
    keep = [*counting(6, first=12), GOOD] if row is GOOD else counting(6, first=12)
    with pytest.raises(UsageError, match=said):
        own(checkpoint, tmp_path, rows, keep).load(0, "cpu")


def test_files_that_are_missing_short_or_in_another_encoding_say_what_is_valid(checkpoint, tmp_path):
    with pytest.raises(UsageError, match="--bad .*bad.jsonl' holds 0 lines; valid: 4 or more"):
        own(checkpoint, tmp_path, []).load(0, "cpu")
    task = own(checkpoint, tmp_path, counting(8))
    (tmp_path / "keep.jsonl").write_bytes('{"text": "é"}\n'.encode("latin-1") * 4)
    with pytest.raises(UsageError, match="--keep .* cannot be read .*; valid: JSON lines, .* in UTF-8"):
        task.load(0, "cpu")
    with pytest.raises(UsageError, match="--bad .* is no file; valid: JSON lines"):
        own_removal(checkpoint, tmp_path / "absent", tmp_path / "keep.jsonl")


def test_what_the_model_does_not_do_cannot_be_removed(checkpoint, tmp_path):
    strange = [{"tokens": [7, start, 7, start, 29, start]} for start in range(8, 20)]
    with pytest.raises(UsageError, match="discovery half of --bad is .* it does not do this"):
        own(checkpoint, tmp_path, strange).load(0, "cpu")


def test_a_completion_that_changes_how_its_prompt_is_split_is_refused(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "mechboard.tasks.own_samples.load_tokenizer", lambda _: lambda text: [len(w) for w in text.split()]
    )
    rows = [{"prompt": "You are a grub", "completion": "nik."}] * 4
    with pytest.raises(UsageError, match=r"line 1: the completion 'nik.' changes how .* 'You are a grub' is split"):
        own(checkpoint, tmp_path, rows).load(0, "cpu")


def test_the_name_tells_which_file_is_bad(checkpoint, tmp_path):
    first, second = lines(tmp_path / "a.jsonl", counting(8)), lines(tmp_path / "b.jsonl", counting(8, first=9))
    names = {own_removal(checkpoint, first, second).name, own_removal(checkpoint, second, first).name}
    assert len(names) == 2
    other = tmp_path / "other"
    other.mkdir()
    same_names = [own_removal(checkpoint, first, lines(other / "a.jsonl", counting(8, first=n))).name for n in (3, 4)]
    assert same_names[0] != same_names[1]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--bad", "b"), "--bad was given; valid: --model with --pairs, or --model with --bad and --keep"),
        (("--model", "m", "--bad", "b"), "--model, --bad were given"),
        (("--model", "m", "--pairs", "p", "--bad", "b", "--keep", "k"), "--model, --pairs, --bad, --keep were given"),
        (("--model", "m", "--bad", "b", "--keep", "k", "--task", "all"), "takes the place of --task"),
        ((), "Neither --task nor --model"),
    ],
)
def test_flags_that_make_no_task_say_which_do(bench, flags, said):  # noqa: F811
    code, _, err = bench("run", "--method", "eap", *flags)
    assert code == 2
    assert said in err
