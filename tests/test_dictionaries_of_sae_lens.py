"""Our arithmetic beside sae_lens'. It takes seconds to import and is optional, so no other file imports it."""

import warnings

import pytest
import torch
from sae_folders import config, save, weights
from safetensors.torch import save_file

from mechboard.errors import FetchError, UsageError
from mechboard.features import Place, all_places, library, splice
from mechboard.features.autoencoder import Autoencoder
from mechboard.features.files import from_folder, read, stored
from mechboard.features.library import Wrapped, from_release
from mechboard.features.stream import walk
from mechboard.ground_truth.mini import dictionaries, model
from mechboard.ground_truth.mini.dictionaries import train

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    try:
        import sae_lens
        from sae_lens.saes.sae import SAEMetadata
    except ImportError as error:
        pytest.skip(f"sae_lens cannot be imported: {error}", allow_module_level=True)

D, N = 16, 40
HOOK = "blocks.1.hook_resid_post"
PLAIN = {"standard": {}, "topk": {"k": 5}, "abstopk": {"k": 5}, "jumprelu": {}, "gated": {}}
NORMALISATIONS = ("none", "expected_average_only_in", "layer_norm", "constant_norm_rescale")


def theirs(architecture, d_in=D, d_sae=N, hook=HOOK, seed=0, **settings):
    """An autoencoder of sae_lens whose every weight is random."""
    kind = sae_lens.registry.get_sae_class(architecture)
    torch.manual_seed(seed)
    sae = kind[0](kind[1](d_in=d_in, d_sae=d_sae, metadata=SAEMetadata(hook_name=hook), **settings))
    with torch.no_grad():
        for parameter in sae.parameters():
            parameter.copy_(0.5 * torch.randn_like(parameter))
    return sae.eval()


def close(found, expected):
    """To 1e-6 of the largest value."""
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6 * max(1.0, float(expected.detach().abs().max())))


@torch.no_grad()
def same(ours, sae, x):
    features = sae.encode(x)
    close(ours.encode(x), features)
    close(ours.decode(ours.encode(x), x), sae.decode(features))
    assert bool((features != 0).any())
    assert bool((features == 0).any())


def rows(seed=1):
    return 3 * torch.randn(7, 5, D, generator=torch.Generator().manual_seed(seed)) + 1


@pytest.mark.parametrize("centred", [True, False], ids=["centred", "as-it-is"])
@pytest.mark.parametrize("normalise", NORMALISATIONS)
@pytest.mark.parametrize("architecture", PLAIN)
def test_the_common_architectures_encode_and_decode_as_sae_lens_does(tmp_path, architecture, normalise, centred):
    sae = theirs(architecture, normalize_activations=normalise, apply_b_dec_to_input=centred, **PLAIN[architecture])
    sae.save_model(tmp_path)
    ours = read(tmp_path)
    assert isinstance(ours, Autoencoder)
    assert stored(tmp_path)[0] == Place("resid", 1)
    same(ours, sae, rows())


@pytest.mark.parametrize("architecture", ["topk", "abstopk"])
def test_features_that_are_chosen_by_decoder_length_are_the_ones_sae_lens_chooses(tmp_path, architecture):
    sae = theirs(architecture, k=5, rescale_acts_by_decoder_norm=True)
    sae.save_model(tmp_path)
    same(read(tmp_path), sae, rows())


@pytest.mark.parametrize("architecture", ["standard", "jumprelu", "gated"])
def test_a_dictionary_whose_decoder_lengths_were_folded_is_read_as_it_was_saved(tmp_path, architecture):
    sae = theirs(architecture)
    sae.fold_W_dec_norm()
    sae.save_model(tmp_path)
    ours = read(tmp_path)
    same(ours, sae, rows())
    torch.testing.assert_close(ours.decoder.norm(dim=1), torch.ones(N))


def test_half_precision_is_read_as_single(tmp_path):
    theirs("standard").to(dtype=torch.bfloat16).save_model(tmp_path)
    same(read(tmp_path), sae_lens.SAE.load_from_disk(tmp_path, dtype="float32"), rows())


@pytest.mark.parametrize("normalise", NORMALISATIONS)
@pytest.mark.parametrize("architecture", PLAIN)
def test_gradients_of_features_are_autograds_through_sae_lens(tmp_path, architecture, normalise):
    sae = theirs(architecture, normalize_activations=normalise, **PLAIN[architecture])
    sae.save_model(tmp_path)
    weight = torch.randn(7, 5, N)
    found = []
    for encode in (read(tmp_path).encode, sae.encode):
        x = rows().requires_grad_()
        found.append(torch.autograd.grad((encode(x) * weight).sum(), x)[0])
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-5)


FOREIGN = {
    "matching_pursuit": {"max_iterations": 6},
    "temporal": {"n_heads": 2, "kval_topk": 5, "bottleneck_factor": 4},
}


@pytest.mark.parametrize("normalise", ["none", "layer_norm", "constant_norm_rescale"])
@pytest.mark.parametrize("architecture", FOREIGN)
def test_any_other_architecture_encodes_through_sae_lens_and_errors_take_what_features_do_not_write(
    tmp_path, architecture, normalise
):
    sae = theirs(architecture, normalize_activations=normalise, **FOREIGN[architecture])
    sae.save_model(tmp_path)
    ours, x = read(tmp_path), rows()
    assert isinstance(ours, Wrapped)
    assert ours.errors
    assert (ours.d_in, ours.n_features) == (D, N)
    same(ours, sae, x)


def test_a_temporal_dictionary_is_scaled_as_it_was_trained_and_its_prediction_is_error(tmp_path):
    settings = FOREIGN["temporal"] | {
        "normalize_activations": "constant_scalar_rescale",
        "activation_normalization_factor": 0.3,
    }
    sae = theirs("temporal", **settings)
    sae.save_model(tmp_path)
    ours, x = read(tmp_path), rows()
    same(ours, sae, x)
    novel, predicted = sae.encode_with_predictions(x)
    error = sae(x) - ours.decode(novel, x)
    torch.testing.assert_close(error, ours.write(predicted, x), rtol=1e-4, atol=1e-3)
    assert float(error.detach().norm()) > 1


def test_an_architecture_that_is_no_ones_and_a_decoder_that_is_not_linear_are_refused(tmp_path):
    with pytest.raises(UsageError, match="sae_lens cannot read it"):
        read(save(tmp_path / "unknown", config(architecture="oracle"), weights()))
    sae = theirs("matching_pursuit")
    plain, sae.decode = sae.decode, lambda features: plain(features).relu()
    with pytest.raises(UsageError, match="decoder is not linear"):
        Wrapped(sae, "none")


def test_errors_of_folders_that_sae_lens_reads_name_the_folder(tmp_path):
    sae = theirs("matching_pursuit")
    with torch.no_grad():
        sae.W_dec[0, 0] = torch.nan
    sae.save_model(tmp_path / "one")
    with pytest.raises(UsageError, match="one' cannot be used: its weights hold values that are not finite"):
        read(tmp_path / "one")


def test_a_transcoder_of_sae_lens_is_refused(tmp_path):
    theirs("transcoder", d_out=D, apply_b_dec_to_input=False).save_model(tmp_path)
    with pytest.raises(UsageError, match="transcoder reads at one place"):
        read(tmp_path)


def test_with_the_error_term_of_sae_lens_upstream_gradients_are_not_the_models_own():
    """Its forward is exact as ours, and so is no reason to think that its gradients are; why `splice` exists."""
    decoder = model.load()
    tokens = torch.randint(1, decoder.config.d_vocab, (3, 9), generator=torch.Generator().manual_seed(0))
    found = {
        place: sae_lens.SAE.load_from_disk(dictionaries.folder() / str(place)) for place in all_places(decoder.config)
    }
    for sae in found.values():
        sae._use_error_term = True  # what HookedSAETransformer.add_sae sets

    def at_embedding(visit):
        x = decoder.embed(tokens).requires_grad_()
        final = walk(decoder, x, visit)
        return final.detach(), torch.autograd.grad(decoder.unembed(final).square().mean(), x)[0].flatten()

    plain, own = at_embedding(lambda place, value: value)
    exact, through_theirs = at_embedding(lambda place, value: found[place](value))
    torch.testing.assert_close(exact, plain, rtol=1e-4, atol=1e-2)
    assert float(torch.cosine_similarity(through_theirs, own, dim=0)) < 0.5
    run = splice(decoder, dictionaries.load(decoder.config), tokens)
    (ours,) = torch.autograd.grad(decoder.unembed(run.final).square().mean(), run.errors[Place("embed", -1)])
    torch.testing.assert_close(ours.flatten(), own, rtol=0, atol=1e-5 * float(own.abs().max()))


class TestReleases:
    @pytest.fixture
    def release(self, monkeypatch, tmp_path):
        """Two dictionaries of a release that sae_lens knows, whose files are in a folder instead of on the hub."""
        d = model.load().config.d_model
        theirs("standard", d_in=d, hook="blocks.0.hook_resid_post").save_model(tmp_path / "0-res-sm")
        theirs("standard", d_in=d, seed=1).save_model(tmp_path / "1-res-sm")
        for layer in "01":
            save_file({"sparsity": torch.zeros(N)}, tmp_path / f"{layer}-res-sm" / "sparsity.safetensors")
        monkeypatch.setattr(
            "sae_lens.loading.pretrained_sae_loaders.hf_hub_download",
            lambda repo_id, filename, **_: str(tmp_path / filename),
        )
        return "pythia-70m-deduped-res-sm"

    def test_a_release_is_read_by_name(self, release):
        found = from_release(model.load().config, release, ["blocks.0.hook_resid_post", "blocks.1.hook_resid_post"])
        assert found.sizes == {Place("resid", 0): N, Place("resid", 1): N}
        assert isinstance(found[Place("resid", 0)], Autoencoder)

    def test_large_releases_are_read_one_dictionary_at_a_time(self, release, monkeypatch):
        monkeypatch.setattr(library, "HELD_BYTES", 1)
        found = from_release(model.load().config, release, ["blocks.1.hook_resid_post"])
        assert not list(found.tensors())
        assert found[Place("resid", 1)].n_features == N

    @pytest.mark.parametrize(("name", "ids", "message"), [
        ("no-such", ["x"], "knows no release 'no-such'"),
        (None, ["no-such"], "has no dictionary 'no-such'; valid: such as blocks.0.hook_resid_pre"),
        (None, ["blocks.1.hook_resid_post"] * 2, "Two dictionaries of .* are for resid_1"),
    ])  # fmt: skip
    def test_what_is_not_there_is_refused(self, release, name, ids, message):
        with pytest.raises(UsageError, match=message):
            from_release(model.load().config, name or release, ids)

    def test_without_the_hub_the_error_says_so(self, monkeypatch):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        with pytest.raises(FetchError, match="blocks.0.hook_resid_post of pythia-70m-deduped-res-sm cannot be fetched"):
            from_release(model.load().config, "pythia-70m-deduped-res-sm", ["blocks.0.hook_resid_post"])


def test_the_committed_dictionaries_open_in_sae_lens_and_say_the_same_there():
    config = model.load().config
    ours = from_folder(config, dictionaries.folder())
    x = torch.randn(4, 3, config.d_model)
    for place in (Place("attn", 1), Place("resid", 3)):
        sae = sae_lens.SAE.load_from_disk(dictionaries.folder() / str(place))
        same(ours[place], sae, x)
        assert sae.cfg.metadata.hook_name == place.hook


def test_the_recipe_makes_the_same_dictionary_of_the_same_seed(tmp_path):
    place = Place("resid", 0)
    vectors = torch.randn(2000, 16, generator=torch.Generator().manual_seed(0))
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        train.save(train.trained(vectors, place, steps=3, seed=seed), tmp_path / name)
    one, again, other = (
        {file.name: file.read_bytes() for file in sorted((tmp_path / n).iterdir())} for n in ("one", "again", "other")
    )
    assert one == again
    assert one != other
    assert stored(tmp_path / "one")[0] == place
    assert int((read(tmp_path / "one").encode(vectors) != 0).sum(1).max()) <= train.K
