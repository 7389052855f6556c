"""Assets: found, missing, altered, fetched; and llama2.c's format."""

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from test_cli import bench  # noqa: F401

from mechboard.assets import Asset, content_hashes, locate, require
from mechboard.errors import AssetError, ModelError
from mechboard.graph.hf import load_checkpoint
from mechboard.tasks.stories.llama2c import convert


def _copy(downloaded, target):
    (target / "out.txt").write_bytes(downloaded["in.txt"].read_bytes())


ASSET = Asset(name="thing", files=("out.txt",), repository="me/thing", sources=("in.txt",), convert=_copy)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MECHBOARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MECHBOARD_ASSETS", raising=False)
    return tmp_path / "cache"


def test_an_asset_that_is_not_here_says_how_to_get_it(cache):
    assert locate(ASSET) is None
    with pytest.raises(AssetError, match="run `bench pull thing`, or put out.txt into MECHBOARD_ASSETS/thing"):
        require(ASSET)


def test_a_local_folder_comes_first_and_is_unverified(cache, tmp_path, monkeypatch):
    local = tmp_path / "local" / "thing"
    local.mkdir(parents=True)
    (local / "out.txt").write_text("mine")
    monkeypatch.setenv("MECHBOARD_ASSETS", str(tmp_path / "local"))
    assert require(ASSET) == local
    assert content_hashes(ASSET)["thing revision"] == "unverified"


def test_a_task_without_its_asset_is_skipped_by_all_and_named(cache, bench):  # noqa: F811
    code, out, err = bench("run", "--method", "random", "--task", "pronoun-stories,compiled-brackets", "--dry-run")
    assert code == 0
    assert "skipped: random x pronoun-stories (assets not here: bench pull stories260K)" in err
    assert "1 cells" in out
    code, _, err = bench("run", "--method", "random", "--task", "pronoun-stories")
    assert code == 4


def test_pull_of_an_unknown_name_lists_the_valid_ones(cache, bench):  # noqa: F811
    code, _, err = bench("pull", "storys")
    assert code == 2
    assert "stories260K" in err
    assert "ships with the package" in bench("pull", "compiled-brackets")[1]


def _write_llama2c(path: Path, folder: Path, positions: int) -> None:
    """The inverse of `convert`, written from the format's description."""
    config, t = json.loads((folder / "config.json").read_text()), load_file(folder / "model.safetensors")
    dim, heads, kv = config["hidden_size"], config["num_attention_heads"], config["num_key_value_heads"]
    layers = range(config["num_hidden_layers"])

    def pairs(matrix, n):
        return matrix.view(n, 2, matrix.shape[0] // n // 2, dim).transpose(1, 2).reshape(matrix.shape)

    def all_layers(name, turn=lambda m: m):
        return [turn(t[f"model.layers.{i}.{name}.weight"]) for i in layers]

    arrays = [t["model.embed_tokens.weight"], *all_layers("input_layernorm")]
    arrays += all_layers("self_attn.q_proj", lambda m: pairs(m, heads))
    arrays += all_layers("self_attn.k_proj", lambda m: pairs(m, kv))
    for name in (
        "self_attn.v_proj",
        "self_attn.o_proj",
        "post_attention_layernorm",
        "mlp.gate_proj",
        "mlp.down_proj",
        "mlp.up_proj",
    ):
        arrays += all_layers(name)
    arrays += [t["model.norm.weight"], torch.zeros(2, positions, dim // heads // 2)]
    header = struct.pack(
        "7i", dim, config["intermediate_size"], len(layers), heads, kv, config["vocab_size"], positions
    )
    path.write_bytes(header + b"".join(a.float().contiguous().numpy().tobytes() for a in arrays))


@pytest.fixture
def llama(tmp_path):
    import transformers as hf

    torch.manual_seed(0)
    model = hf.LlamaForCausalLM(
        hf.LlamaConfig(
            num_hidden_layers=2, hidden_size=32, intermediate_size=40, max_position_embeddings=16, vocab_size=23,
            num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True, rms_norm_eps=1e-5,
        )
    )  # fmt: skip
    model.save_pretrained(tmp_path / "llama")
    return tmp_path / "llama"


def test_a_llama2c_checkpoint_becomes_the_same_model(llama, tmp_path):
    _write_llama2c(tmp_path / "model.bin", llama, positions=16)
    (tmp_path / "converted").mkdir()
    convert(tmp_path / "model.bin", tmp_path / "converted")
    tokens = torch.randint(23, (2, 9))
    assert torch.allclose(load_checkpoint(tmp_path / "converted")(tokens), load_checkpoint(llama)(tokens), atol=1e-5)


def test_stories260k_survives_the_way_through_llama2c(stories, tmp_path):
    _write_llama2c(tmp_path / "model.bin", stories, positions=512)
    (tmp_path / "converted").mkdir()
    convert(tmp_path / "model.bin", tmp_path / "converted")
    original, converted = (
        load_file(stories / "model.safetensors"),
        load_file(tmp_path / "converted" / "model.safetensors"),
    )
    for name, tensor in converted.items():
        assert torch.equal(tensor, original[name]), name


def test_a_truncated_llama2c_file_is_refused(llama, tmp_path):
    _write_llama2c(tmp_path / "model.bin", llama, positions=16)
    (tmp_path / "model.bin").write_bytes((tmp_path / "model.bin").read_bytes()[:-4])
    with pytest.raises(ModelError, match="its header asks for"):
        convert(tmp_path / "model.bin", tmp_path)


def test_pronoun_stories_runs_and_records_the_assets_hash(stories, bench):  # noqa: F811
    code, out, _ = bench("run", "--method", "random", "--task", "pronoun-stories", "--json", "--results", "r")
    assert code == 0
    record = json.loads(Path(json.loads(out)[0]["record"]).read_text())
    assets = record["provenance"]["assets"]
    assert len(assets["stories260K/model.safetensors"]) == 64
    assert assets["stories260K revision"] == "unverified"
    assert record["headline"] == "cmd"


def test_a_tokenizer_that_yields_other_ids_fails_the_cell_with_a_clear_sentence(stories, bench, tmp_path, monkeypatch):  # noqa: F811
    import shutil

    import mechboard.tasks.stories.pronouns as pronouns

    monkeypatch.setenv("MECHBOARD_ASSETS", str(stories.parent))
    monkeypatch.setattr(pronouns, "load_tokenizer", lambda folder: lambda text: [1, 2, 3])
    code, out, _ = bench(
        "run", "--method", "random", "--task", "pronoun-stories", "--json", "--results", "r", "--inline"
    )
    assert code == 3
    assert "reads 'Once upon a time' as [1, 2, 3]; valid: [1, 403" in json.loads(out)[0]["error"]
    shutil.rmtree("r")
