"""The papers' models as assets: fetched over HTTP from a hub on this machine, converted, and opened."""

import json
import resource
import subprocess
import sys

import pytest
import torch
from loopback_hub import LoopbackHub
from made_checkpoints import attn_only_4l, attn_only_4l_model, gpt2, tokenizer_digits

from mechboard.assets import content_hashes, require
from mechboard.errors import ModelError
from mechboard.fetching.pull import Watcher, list_asset, pull
from mechboard.tasks.paper.assets import ATTN_ONLY_4L, GPT2, NEOX_DIGITS, convert_native, load_attn_only_4l, load_gpt2
from mechboard.tasks.tokenizers import load_tokenizer


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setenv("MECHBOARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MECHBOARD_ASSETS", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))
    with LoopbackHub() as served:
        monkeypatch.setenv("HF_ENDPOINT", served.address)
        yield served


def fetched(asset):
    folder = pull(list_asset(asset), Watcher())
    assert require(asset) == folder
    return folder


def native(tmp_path, **said):
    files = attn_only_4l(tmp_path / "native", **said)
    (tmp_path / "config.json").write_bytes(files["config.json"])
    return {"config.json": tmp_path / "config.json", "model_final.pth": files["model_final.pth"]}


def test_gpt2_is_fetched_and_opened_without_a_hub(hub, tmp_path, monkeypatch):
    import transformers as hf

    files = gpt2(tmp_path / "made")
    commit = hub.add("openai-community/gpt2", files)
    folder = fetched(GPT2)
    assert content_hashes(GPT2)["gpt2 revision"] == f"{commit} from {hub.address}"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    decoder = load_gpt2(folder)
    assert decoder.graph.n_edges == 32491
    tokens = torch.randint(200, (2, 9))
    with torch.no_grad():
        theirs = hf.GPT2LMHeadModel.from_pretrained(folder)(tokens).logits
    assert torch.allclose(decoder(tokens), theirs, atol=1e-5)
    end = json.loads(files["vocab.json"])["<|endoftext|>"]
    ids = load_tokenizer(folder)("When Mary and John<|endoftext|>")
    assert ids[-1] == end
    if end == 50256:  # the real vocabulary
        assert ids[:-1] == [2215, 5335, 290, 1757]


def test_a_native_attention_only_checkpoint_becomes_the_same_model(hub, tmp_path):
    hub.add("NeelNanda/Attn_Only_4L512W_C4_Code", attn_only_4l(tmp_path / "made"))
    decoder = load_attn_only_4l(fetched(ATTN_ONLY_4L))
    tokens = torch.randint(300, (3, 11))
    with torch.no_grad():
        theirs = attn_only_4l_model()(tokens)
    assert (decoder(tokens) - theirs).abs().max() < 1e-5 * theirs.abs().max()
    assert decoder.graph.n_edges == 1281


def test_the_digits_tokenizer_opens_from_its_folder(hub):
    hub.add("NeelNanda/gpt-neox-tokenizer-digits", tokenizer_digits())
    folder = fetched(NEOX_DIGITS)
    assert load_tokenizer(folder)("<|BOS|>def port") == [2, 4, 5]


@pytest.mark.parametrize(
    ("said", "match"),
    [({"tokenizer_name": "gpt2"}, "names the tokenizer 'gpt2'; valid: 'NeelNanda/gpt-neox-tokenizer-digits'"),
     ({"final_rms": True}, "final_rms"),
     ({"shortformer_pos": True}, "positional_embedding_type='shortformer'"),
     ({"normalization": "Other"}, "normalization_type='Other'"),
     ({"n_layers": 5}, "it lacks 'blocks.4")],
)  # fmt: skip
def test_a_native_checkpoint_of_other_arithmetic_is_refused(tmp_path, said, match):
    with pytest.raises(ModelError, match=match):
        convert_native(native(tmp_path, **said), tmp_path)
    assert not (tmp_path / "model.safetensors").exists()


def test_a_native_configuration_without_its_sizes_is_refused(tmp_path):
    files = native(tmp_path)
    files["config.json"].write_text('{"n_layers": 4}')
    with pytest.raises(ModelError, match="no state dict with a configuration of TransformerLens"):
        convert_native(files, tmp_path)


class Sneaky:
    def __reduce__(self):
        return (print, ("this ran",))


@pytest.mark.parametrize("content", [{"embed.W_E": Sneaky()}, [1, 2], "text"])
def test_a_checkpoint_that_is_no_state_dict_is_refused_and_nothing_in_it_runs(tmp_path, content, capsys):
    files = native(tmp_path)
    torch.save(content, files["model_final.pth"])
    with pytest.raises(ModelError, match="'model_final.pth' is no state dict"):
        convert_native(files, tmp_path)
    files["model_final.pth"].write_bytes(b"<html>")
    with pytest.raises(ModelError, match="'model_final.pth' is no state dict"):
        convert_native(files, tmp_path)
    assert "this ran" not in capsys.readouterr().out


def test_a_checkpoint_of_another_shape_is_refused(tmp_path):
    import transformers as hf

    small = hf.GPT2Config(n_layer=2, n_head=2, n_embd=8, vocab_size=20, n_positions=16, bos_token_id=0, eos_token_id=0)
    hf.GPT2LMHeadModel(small).save_pretrained(tmp_path / "gpt2")
    with pytest.raises(
        ModelError, match="has 2 layers of 2 heads with MLPs; valid: 12 layers of 12 heads with MLPs; .*pull gpt2"
    ):
        load_gpt2(tmp_path / "gpt2")
    files, target = native(tmp_path), tmp_path / "attn-only-4l"
    target.mkdir()
    state = torch.load(files["model_final.pth"])
    torch.save({n: t for n, t in state.items() if not n.startswith("blocks.3")}, files["model_final.pth"])
    config = json.loads(files["config.json"].read_text()) | {"n_layers": 3}
    files["config.json"].write_text(json.dumps(config))
    convert_native(files, target)
    with pytest.raises(
        ModelError, match="has 3 layers of 8 heads without MLPs; valid: 4 layers of 8 heads without MLPs"
    ):
        load_attn_only_4l(target)
    with pytest.raises(ModelError, match="cannot be opened"):
        load_attn_only_4l(tmp_path / "nowhere")


@pytest.mark.slow
def test_a_gpt2_of_the_real_size_is_fetched_in_less_memory_than_its_file(hub, tmp_path):
    files = gpt2(tmp_path / "made", small=False)
    hub.add("openai-community/gpt2", files)
    hub.fault("model.safetensors", breaks=[100_000_000, 200_000_000])
    script = (
        "import resource, sys\n"
        "from mechboard.tasks.paper.assets import GPT2\n"
        "from mechboard.fetching.pull import Watcher, list_asset, pull\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024\n"
        "before = peak(); pull(list_asset(GPT2), Watcher()); print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    size = files["model.safetensors"].stat().st_size
    assert size > 3.9e8  # 548 MB with the real vocabulary
    assert int(done.stdout) < size / 4
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert load_gpt2(require(GPT2)).graph.n_edges == 32491
    print(f"load: {(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3:.0f} MB above the peak so far")
