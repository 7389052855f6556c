"""One's own checkpoint and pairs."""

import json

import pytest
import torch
import transformers as hf
from test_cli import bench  # noqa: F401

from mechboard.errors import ModelError, UsageError
from mechboard.graph import metric_values
from mechboard.tasks.own import own_task

GOOD = {"clean": [1, 2, 3], "corrupt": [1, 4, 3], "answer": 5, "wrong": 6}


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    model = hf.GPT2LMHeadModel(
        hf.GPT2Config(
            n_layer=2, n_head=2, n_embd=16, n_positions=16, vocab_size=30, bos_token_id=None, eos_token_id=None
        )
    )
    for parameter in model.parameters():
        parameter.data = torch.randn_like(parameter) * 0.4
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def pairs_file(folder, rows):
    path = folder / "pairs.jsonl"
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def varied(n=12):
    generator = torch.Generator().manual_seed(0)
    rows = []
    for i in range(n):
        length = 4 + i % 3
        clean, corrupt = torch.randint(30, (2, length), generator=generator).tolist()
        rows.append({"clean": clean, "corrupt": corrupt, "answer": i % 7, "wrong": 8 + i % 5})
    return rows


def test_pairs_of_token_ids_of_different_lengths_are_scored(checkpoint, tmp_path, bench):  # noqa: F811
    path = pairs_file(tmp_path, varied())
    code, out, _ = bench("run", "--method", "all", "--model", checkpoint, "--pairs", path, "--results", "r", "--json")
    cells = {c["method"]: c for c in json.loads(out)}
    assert code == 0
    assert set(cells) == {
        "acdc", "activation-patching", "eap", "eap-acdc", "eap-ig", "ground-truth", "hard-concrete", "learned-mask", "magnitude", "random",
    }  # fmt: skip
    declined = cells.pop("ground-truth")
    assert (declined["status"], declined["error"]) == ("unsupported", "no circuit is known for this task")
    assert all(c["headline"] == "cmd" and c["task"].startswith("own-model-pairs-") for c in cells.values())
    record = json.loads((tmp_path / cells["eap"]["record"]).read_text())
    assert set(record["provenance"]["assets"]) == {"config.json", "model.safetensors", "pairs.jsonl"}
    assert not record["task"]["ranked"]


def test_the_metric_reads_the_last_real_token_of_each_prompt(checkpoint, tmp_path):
    rows = varied()
    task = own_task(checkpoint, pairs_file(tmp_path, rows))
    model = hf.AutoModelForCausalLM.from_pretrained(checkpoint).eval()
    expected = {}
    for row in rows:
        with torch.no_grad():
            last = model(torch.tensor([row["clean"]])).logits[0, -1]
        expected[tuple(row["clean"])] = (last[row["answer"]] - last[row["wrong"]]).item()
    problem = task.load(0, "cpu").problem
    final = problem.model.resume(problem.model.embed(problem.pairs.clean))
    values = metric_values(problem.model, final, problem.metric, problem.pairs)
    for prompt, length, value in zip(problem.pairs.clean, problem.pairs.lengths, values, strict=True):
        assert value.item() == pytest.approx(expected[tuple(prompt[:length].tolist())], abs=1e-4)


def test_another_data_seed_discovers_on_other_pairs_and_the_same_one_on_the_same(checkpoint, tmp_path):
    task = own_task(checkpoint, pairs_file(tmp_path, varied(40)))
    first, again, other = (
        {tuple(prompt) for prompt in task.load(seed, "cpu").problem.pairs.clean.tolist()} for seed in (0, 0, 1)
    )
    assert first == again
    assert 0 < len(first & other) < len(first)


@pytest.mark.parametrize("data_seed", [0, 1])
def test_discovery_and_scoring_share_no_pair(checkpoint, tmp_path, data_seed):
    task = own_task(checkpoint, pairs_file(tmp_path, varied()))
    instance = task.load(data_seed, "cpu")
    halves = [{tuple(p) for p in pairs.clean.tolist()} for pairs in (instance.problem.pairs, instance.held_out)]
    assert not halves[0] & halves[1]
    assert len(halves[0]) + len(halves[1]) == 12


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (GOOD | {"corrupt": [1, 4]}, "line 2: clean is 3 tokens and corrupt 2"),
        (GOOD | {"clean": [1, 99, 3]}, "token id 99 is outside this model's vocabulary of 30"),
        (GOOD | {"clean": [1] * 17, "corrupt": [2] * 17}, "17 tokens; valid for this model: 1 to 16"),
        (GOOD | {"answer": True}, "line 2 mixes types"),
        (GOOD | {"clean": [1, True, 3]}, "line 2 mixes types"),
        (GOOD | {"corrupt": [1, 2, 3]}, "line 2: clean and corrupt are the same tokens"),
        (GOOD | {"wrong": 5}, "answer and wrong are the same token"),
        (GOOD | {"answer": "x"}, "line 2 mixes types"),
        ({"clean": [1], "corrupt": [2]}, "lacks answer, wrong"),
        ("{not json", "line 2 is not JSON"),
        ("[]", "line 2 is no JSON object"),
        (dict.fromkeys(GOOD, "text"), "holds no tokenizer"),
    ],
)
def test_a_bad_pair_is_named_by_its_line(checkpoint, tmp_path, row, said):
    with pytest.raises(UsageError, match=said):
        own_task(checkpoint, pairs_file(tmp_path, [GOOD, row, GOOD, GOOD])).load(0, "cpu")


def test_too_few_pairs_and_a_missing_file_say_what_is_valid(checkpoint, tmp_path):
    with pytest.raises(UsageError, match="holds 1 lines; valid: 4 or more"):
        own_task(checkpoint, pairs_file(tmp_path, [GOOD])).load(0, "cpu")
    with pytest.raises(UsageError, match="is no file"):
        own_task(checkpoint, tmp_path / "absent.jsonl")
    with pytest.raises(ModelError, match="holds no config.json"):
        own_task(tmp_path, pairs_file(tmp_path, [GOOD]))


def test_stories260k_text_is_tokenised_with_the_right_ids(stories):
    from mechboard.tasks.tokenizers import answer_id, load_tokenizer

    encode = load_tokenizer(stories)
    assert encode("Once upon a time") == [1, 403, 407, 261, 378]
    assert answer_id(encode, "One day,", " she", "here") != answer_id(encode, "One day,", " he", "here")
    with pytest.raises(UsageError, match="here: ' girl' is 3 tokens"):
        answer_id(encode, "One day,", " girl", "here")


def test_stories260k_chooses_the_pronoun_and_eap_finds_a_circuit_for_it(stories, bench):  # noqa: F811
    from pathlib import Path

    pairs = Path(__file__).parent.parent / "tasks" / "stories" / "pronouns.jsonl"
    code, out, _ = bench("run", "--method", "eap", "--model", stories, "--pairs", pairs, "--results", "r", "--json")
    assert code == 0
    record = json.loads(Path(json.loads(out)[0]["record"]).read_text())
    assert record["measures"]["metric-model"]["value"] > 2
    assert record["measures"]["metric-empty"]["value"] < -2
    assert record["measures"]["cmd"]["value"] < 0.15
    assert "2,461 edges" in record["task"]["facts"][0]["text"]


def test_gpt2_text_is_tokenised_by_the_checkpoints_own_tokenizer(assets, checkpoint):
    import shutil

    source = assets / "tokenizer-gpt2"
    if not source.is_dir():
        pytest.skip(f"no tokenizer-gpt2 in {assets}")
    from mechboard.tasks.tokenizers import load_tokenizer

    for file in source.iterdir():
        shutil.copy(file, checkpoint)
    assert load_tokenizer(checkpoint)("When Mary and John") == [2215, 5335, 290, 1757]
