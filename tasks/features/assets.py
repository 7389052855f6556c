"""What the paper's tasks rest on: Pythia-70m-deduped, its 19 dictionaries, and the prompts.

`pythia-70m-deduped`       EleutherAI/pythia-70m-deduped: config.json, model.safetensors, and the three files of its tokenizer.
`pythia-70m-deduped-saes`  saprmarks/pythia-70m-deduped-saes, one zip of about 2.5 GB, of which the 19 `ae.pt` are unpacked (134 MB each).
                           The releases pythia-70m-deduped-{res,mlp,att}-sm of sae_lens are the same dictionaries by count and place;
                           that their weights are the same to the bit has not been seen.
`sva-feature-circuits`     `<structure>_train.json` and `<structure>_test.json` of the authors' repository (its folder `data`), which is on
                           GitHub and no hub. A task needs the two of its structure alone; `rc` are the largest.

Dictionaries were trained on what the raw model computes, so weights are taken as they are.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from mechboard.assets import Asset
from mechboard.errors import ModelError
from mechboard.features import Place
from mechboard.graph import Decoder
from mechboard.graph.hf import load_checkpoint

from ..paper.assets import placed, shaped

LAYERS, HEADS = 6, 8
_MODEL = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
_ARCHIVE = "dictionaries_pythia-70m-deduped_10.zip"
_PARTS = ("attn_out", "mlp_out", "resid_out")
_PLACES = ("embed", *(f"{part}_layer{layer}" for layer in range(LAYERS) for part in _PARTS))
_NEURONPEDIA = "https://www.neuronpedia.org/pythia-70m-deduped"
_CALLED = {"attn": "att", "mlp": "mlp", "resid": "res"}


def unpack(downloaded: Mapping[str, Path], target: Path) -> None:
    """Take the dictionaries out of the released archive, each into the folder of its place.

    Raises:
        ModelError: it is no zip, or one of them is not in it.
    """
    try:
        with zipfile.ZipFile(downloaded[_ARCHIVE]) as packed:
            held = {PurePosixPath(name).parts[-3:]: name for name in packed.namelist()}
            for name in SAES.files:
                (target / name).parent.mkdir(parents=True)
                with packed.open(held[PurePosixPath(name).parts]) as source, (target / name).open("wb") as copy:
                    shutil.copyfileobj(source, copy, 1 << 20)
    except (zipfile.BadZipFile, KeyError) as error:
        raise ModelError(
            f"{_ARCHIVE} is not the released archive ({type(error).__name__}: {error}); valid: a zip with "
            f"{SAES.files[0]}, {SAES.files[1]} and so on; pull it again."
        ) from error


PYTHIA = Asset(
    name="pythia-70m-deduped",
    files=_MODEL,
    repository="EleutherAI/pythia-70m-deduped",
    sources=_MODEL,
    convert=placed,
)
SAES = Asset(
    name="pythia-70m-deduped-saes",
    files=tuple(f"{place}/10_32768/ae.pt" for place in _PLACES),
    repository="saprmarks/pythia-70m-deduped-saes",
    sources=(_ARCHIVE,),
    convert=unpack,
)


def prompts(structure: str) -> Asset:
    """The prompts of a structure, by the name of its files."""
    return Asset(
        name="sva-feature-circuits",
        files=(f"{structure}_train.json", f"{structure}_test.json"),
        origin="the prompts of Marks et al. 2024 from `data` of https://github.com/saprmarks/feature-circuits",
    )


def load_pythia(folder: Path, *, device: str = "cpu") -> Decoder:
    """The decoder of the folder of `pythia-70m-deduped`, weights as they are.

    Raises:
        ModelError: the folder holds no checkpoint that can be read, or one of another shape than 6 layers of 8 heads.
    """
    return shaped(load_checkpoint(folder, device=device), folder, layers=LAYERS, heads=HEADS, mlp=True)


def neuronpedia(place: Place, feature: int) -> str:
    """Where a feature is shown on the web; empty for the embedding, which sae_lens and Neuronpedia name differently.

    >>> neuronpedia(Place("resid", 3), 1)
    'https://www.neuronpedia.org/pythia-70m-deduped/3-res-sm/1'
    """
    if place.part == "embed":
        return ""
    return f"{_NEURONPEDIA}/{place.layer}-{_CALLED[place.part]}-sm/{feature}"
