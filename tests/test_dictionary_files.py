import subprocess
import sys
import zipfile

import pytest
import torch
from sae_folders import authors, config, save, save_authors, weights

from mechboard.errors import UsageError
from mechboard.features import Place, library
from mechboard.features.files import from_folder, read, stored
from mechboard.ground_truth.mini import model

CONFIG = model.load().config
RESID = Place("resid", 1)


def expected(tensors, x):
    """ReLU(W_E (x - b) + b_E) and W_D f + b of the authors' tensors."""
    f = ((x - tensors["bias"]) @ tensors["encoder.weight"].T + tensors["encoder.bias"]).relu()
    return f, f @ tensors["decoder.weight"].T + tensors["bias"]


def test_common_architectures_are_read_without_importing_sae_lens(tmp_path):
    save(tmp_path / "one", config(), weights())
    script = (
        "import sys; from pathlib import Path; from mechboard.features.files import read; "
        f"read(Path({str(tmp_path / 'one')!r})); assert not any(m.split('.')[0] == 'sae_lens' for m in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_sizes_are_known_before_weights_are_read(tmp_path):
    folder = save(tmp_path / "one", config(), weights() | {"b_dec": torch.full((128,), torch.nan)})
    place, one = stored(folder)
    assert (place, one.d_in, one.n_features, one.errors) == (RESID, 128, 6, True)
    with pytest.raises(UsageError, match="b_dec holds values that are not finite"):
        one.read()


def test_the_hook_says_the_place_wherever_versions_kept_it(tmp_path):
    old = {"d_in": 128, "d_sae": 6, "hook_point": "blocks.2.hook_mlp_out", "normalize_activations": False}
    place, one = stored(save(tmp_path / "old", old, weights()))
    assert place == Place("mlp", 2)
    new = read(save(tmp_path / "new", config(), weights()))
    x = torch.randn(3, 128)
    assert torch.equal(one.read().encode(x), new.encode(x))


def test_a_standard_dictionary_whose_activation_is_top_k_is_a_top_k_one(tmp_path):
    old = {"d_in": 128, "d_sae": 6, "hook_name": "blocks.2.hook_mlp_out", "activation_fn_str": "topk",
           "activation_fn_kwargs": {"k": 2}}  # fmt: skip
    found = read(save(tmp_path / "old", old, weights()))
    assert int((found.encode(torch.randn(50, 128)) != 0).sum(1).max()) == 2


def test_a_folder_of_folders_has_one_dictionary_per_place_and_other_files_say_nothing(tmp_path):
    save(tmp_path / "a", config("blocks.0.hook_resid_pre"), weights())
    save(tmp_path / "deep" / "b", config("blocks.3.hook_attn_out"), weights(n=6, seed=1))
    (tmp_path / "a" / "sparsity.safetensors").write_bytes(b"anything")
    found = from_folder(CONFIG, tmp_path)
    assert found.sizes == {Place("embed", -1): 6, Place("attn", 3): 6}
    assert len(list(found.tensors())) == 8


def test_dictionaries_that_are_large_together_are_read_when_they_are_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr("mechboard.features.files.HELD_BYTES", 10_000)
    save(tmp_path / "a", config("blocks.0.hook_resid_pre"), weights())
    save(tmp_path / "b", config(), weights())
    found = from_folder(CONFIG, tmp_path)
    assert not list(found.tensors())
    assert found[RESID] is not found[RESID]


def replaced(**tensors):
    return lambda tmp: save(tmp / "one", config(), weights() | tensors)


BAD = {
    "two for one place": (
        lambda tmp: [save(tmp / name, config(), weights()) for name in "ab"],
        "Two dictionaries are for resid_1, in '.*a' and '.*b'",
    ),
    "none": (lambda tmp: (tmp / "other.txt").write_text(""), "There is no dictionary in"),
    "an unknown hook": (lambda tmp: save(tmp / "one", config("blocks.0.hook_q"), weights()), "is no place of a dictionary"),
    "a layer that is not there": (
        lambda tmp: save(tmp / "one", config("blocks.9.hook_mlp_out"), weights()),
        "the model has no such place",
    ),
    "a wrong width": (
        lambda tmp: save(tmp / "one", config(d_in=64), weights(d_in=64)),
        "reads vectors of width 64 and the model's have 128",
    ),
    "weights of another width than said": (replaced(W_dec=torch.ones(6, 64)), r"W_dec has the shape \[6, 64\]"),
    "NaN": (replaced(W_enc=torch.full((128, 6), torch.nan)), "W_enc holds values that are not finite"),
    "a tensor too many": (replaced(threshold=torch.ones(6)), "hold threshold, which the architecture 'standard' has not"),
    "a scale that is not read": (replaced(scaling_factor=torch.full((6,), 2.0)), "a fine-tuned scaling_factor"),
    "a tensor too few": (
        lambda tmp: save(tmp / "one", config(architecture="jumprelu"), weights()),
        "lack threshold, which the architecture 'jumprelu' has",
    ),
    "no weights": (lambda tmp: save(tmp / "one", config()), "no sae_weights.safetensors"),
    "no configuration": (lambda tmp: save(tmp / "one", None, weights()), "no cfg.json"),
    "a configuration that is no JSON": (lambda tmp: save(tmp / "one", "{", weights()), "cfg.json is no JSON"),
    "a configuration that is a list": (lambda tmp: save(tmp / "one", [1], weights()), "no JSON object"),
    "no width": (lambda tmp: save(tmp / "one", config(d_in=None), weights()), "does not say d_in"),
    "no k": (lambda tmp: save(tmp / "one", config(architecture="topk"), weights()), "does not say k"),
    "weights that are cut off": (
        lambda tmp: (save(tmp / "one", config()) / "sae_weights.safetensors").write_bytes(b"\x09cut"),
        "cannot be read",
    ),
    "a transcoder": (
        lambda tmp: save(tmp / "one", config(architecture="skip_transcoder", d_out=128), weights()),
        "transcoder reads at one place and writes at another",
    ),
    "heads": (lambda tmp: save(tmp / "one", config(reshape_activations="hook_z"), weights()), "vectors of single heads"),
    "whitening": (
        lambda tmp: save(tmp / "one", config(normalize_activations="covariance_whitening"), weights()),
        "whitened by a matrix",
    ),
    "an archive with no place in its names": (lambda tmp: save_authors(tmp, "somewhere"), "does not say what place it is for"),
    "an archive file of something else": (
        lambda tmp: save_authors(tmp, "embed", {"other": torch.ones(1)}),
        "is no dictionary of the archive",
    ),
    "an archive file of two shapes": (
        lambda tmp: save_authors(tmp, "embed", authors() | {"bias": torch.ones(3)}),
        r"bias in .* has the shape \[3\]",
    ),
    "NaN in an archive": (
        lambda tmp: save_authors(tmp, "embed", authors() | {"bias": torch.full((128,), torch.nan)}),
        "bias in .* holds values that are not finite",
    ),
    "an archive file that is cut off": (
        lambda tmp: (save_authors(tmp, "embed") / "ae.pt").write_bytes(b"PK\x03\x04"),
        "cannot be read .*; fetch the archive again",
    ),
    "two trainings of one place": (
        lambda tmp: [save_authors(tmp, "embed", trained=name) for name in ("0_8192", "10_32768")],
        "Two dictionaries are for embed",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("make", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_one_clear_sentence(tmp_path, make, message):
    make(tmp_path)
    with pytest.raises(UsageError, match=message) as caught:
        from_folder(CONFIG, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_not_there_and_a_file_that_is_no_archive_are_refused(tmp_path):
    with pytest.raises(UsageError, match="There is no folder of dictionaries"):
        from_folder(CONFIG, tmp_path / "missing")
    (tmp_path / "file").write_text("text")
    with pytest.raises(UsageError, match="is no folder and no zip"):
        from_folder(CONFIG, tmp_path / "file")


def test_an_architecture_that_needs_sae_lens_says_so_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sae_lens", None)
    folder = save(tmp_path / "one", config(architecture="temporal"), weights())
    with pytest.raises(
        UsageError, match=r"needs sae_lens, which cannot be imported .* pip install 'mechboard\[features\]'"
    ):
        read(folder)
    with pytest.raises(UsageError, match="needs sae_lens"):
        library.from_release(CONFIG, "pythia-70m-deduped-res-sm", ["blocks.0.hook_resid_pre"])


@pytest.mark.parametrize("packed", [False, True], ids=["unpacked", "zip"])
def test_the_authors_archive_is_read_as_their_loader_reads_it(tmp_path, packed):
    root = tmp_path / "dictionaries" / "pythia-70m-deduped"
    places = {"embed": Place("embed", -1), "attn_out_layer0": Place("attn", 0), "mlp_out_layer3": Place("mlp", 3),
              "resid_out_layer2": Place("resid", 2)}  # fmt: skip
    for seed, name in enumerate(places):
        save_authors(root, name, authors(seed=seed))
    path = tmp_path
    if packed:
        path = tmp_path / "archive.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for one in root.rglob("*.*"):
                file.write(one, one.relative_to(tmp_path))
    found = from_folder(CONFIG, path)
    assert found.sizes == dict.fromkeys(sorted(places.values(), key=list(found).index), 6)
    x = torch.randn(5, 128)
    for seed, place in enumerate(places.values()):
        f, reconstructed = expected(authors(seed=seed), x)
        lengths = authors(seed=seed)["decoder.weight"].norm(dim=0)
        torch.testing.assert_close(found[place].encode(x), f * lengths, rtol=1e-5, atol=1e-4)
        torch.testing.assert_close(found[place].decode(found[place].encode(x), x), reconstructed, rtol=1e-5, atol=1e-4)
        torch.testing.assert_close(found[place].decoder.norm(dim=1), torch.ones(6))


def test_an_archive_of_code_is_not_run(tmp_path):
    folder = save_authors(tmp_path, "embed")
    torch.save({"bias": subprocess.Popen}, folder / "ae.pt")
    with pytest.raises(UsageError, match="cannot be read"):
        from_folder(CONFIG, tmp_path)
