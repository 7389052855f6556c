"""Subject-verb agreement on Pythia-70m-deduped with its 19 dictionaries, in four structures: "The boys near the car" -> " are".

Metric: logit(verb in the right number) - logit(the same verb in the other) after the last token; no first token (bos). Corrupt: the noun that
governs the verb, in the other number. 100 pairs for discovery and 40 for scoring, all of one length, so nodes are features and errors at
positions. A node that is ablated has its value on the corrupt prompt; what is not in a circuit has its mean over the corrupt
prompts for scoring. Circuits are taken apart in layers 2 to 5: the embedding and the first two layers run free.

    agreement-simple-features      The SUBJ                      2 tokens
    agreement-across-pp-features   The SUBJ PREP the NOUN        5
    agreement-within-rc-features   The SUBJ that the DIST        5, the verb agrees with DIST
    agreement-across-rc-features   The SUBJ that the DIST VERB   6

Those are of the published split, in which prompts for scoring are also in the file for discovery (nearly all of simple and within_rc, a sixth
of nounpp); of each there is a `-disjoint` one, in which the two have no noun in common (`sva.py`). Uses: number of the noun that governs the verb. Does not use: number of the other noun.

Assets: `pythia-70m-deduped`, `pythia-70m-deduped-saes`, `sva-feature-circuits` (`assets.py`). Dictionaries are read one at a time. Contexts to
illustrate features with are the pairs for discovery alone; the web has more (Neuronpedia, whose numbers are those of sae_lens' copies).
"""

from __future__ import annotations

from dataclasses import dataclass

from mechboard.assets import content_hashes, require
from mechboard.features import all_places
from mechboard.features.files import from_folder
from mechboard.metrics.answers import logit_difference
from mechboard.metrics.feature_examination import Contexts, FeatureExamination
from mechboard.protocols import FeatureProblem, Instance, Task

from ..behaviours.examples import Example, as_pairs
from ..own_pairs import different
from ..tokenizers import Encode, load_tokenizer, words_of
from . import figure3
from .assets import PYTHIA, SAES, load_pythia, neuronpedia, prompts
from .mini_features import MARKS
from .sva import Split, drawn, halves, read_rows

_DISCOVERY, _EVALUATION = 100, 40
_FIRST_LAYER = 2


@dataclass(frozen=True, kw_only=True)
class AgreementFeatures(Task):
    """Agreement in one structure.

    Args:
        structure: what its files are called after.
        n_tokens: how long its prompts are.
        split: where prompts for discovery and for scoring are from.
    """

    kind: str = "features"
    tier: str = "paper"
    family: str = "agreement-features"
    structure: str
    n_tokens: int
    split: Split = "published"

    def asset_hashes(self) -> dict[str, str]:
        """Hashes of model, tokenizer, dictionaries and prompts."""
        return {name: value for asset in self.assets for name, value in content_hashes(asset).items()}

    def load(self, data_seed: int, device: str) -> Instance[FeatureProblem]:
        """The model with its dictionaries and discovery prompts, and prompts for scoring.

        Raises:
            AssetError: an asset is not here or has changed.
            ModelError: the model is not the paper's.
            UsageError: a dictionary is not the model's, or the files hold too few prompts.
        """
        folder = require(PYTHIA)
        decoder, encode = load_pythia(folder), load_tokenizer(folder)
        d_vocab = decoder.config.d_vocab_out
        discovery, evaluation = (
            as_pairs(half, logit_difference, encode, d_vocab=d_vocab).to(device)
            for half in self.examples(data_seed, encode)
        )
        problem = FeatureProblem(
            model=decoder.to(device=device),
            dictionaries=from_folder(decoder.config, require(SAES)),
            pairs=discovery,
            metric=logit_difference,
            batch_size=_DISCOVERY,
        )
        examination = FeatureExamination(
            pairs=evaluation,
            scope=tuple(place for place in all_places(decoder.config) if place.layer >= _FIRST_LAYER),
            contexts=Contexts(
                tokens=different(discovery.clean, discovery.corrupt), words=words_of(folder, d_vocab), link=neuronpedia
            ),
            published=figure3.published(self.structure) if self.split == "published" else (),
        )
        return Instance(problem=problem, held_out=examination)

    def examples(self, data_seed: int, encode: Encode) -> tuple[list[Example], list[Example]]:
        """Pairs for discovery and for scoring, in words."""
        folder = require(prompts(self.structure))
        files = [folder / name for name in prompts(self.structure).files]
        train, test = map(read_rows, files)
        split = halves(train, test, self.split)
        discovery, evaluation = (
            drawn(
                rows, encode, n_tokens=self.n_tokens, n=n, data_seed=data_seed, what=" and ".join(f.name for f in files)
            )
            for rows, n in zip(split, (_DISCOVERY, _EVALUATION), strict=True)
        )
        return discovery, evaluation


simple = AgreementFeatures(
    name="agreement-simple-features",
    summary="Features of Pythia-70m for the verb after its subject",
    structure="simple",
    n_tokens=2,
    assets=(PYTHIA, SAES, prompts("simple")),
    twin="agreement-simple-features-mini",
    quoted=figure3.quoted("simple"),
    citation=MARKS,
)
across_pp = AgreementFeatures(
    name="agreement-across-pp-features",
    summary="Features of Pythia-70m for the verb across a prepositional phrase",
    structure="nounpp",
    n_tokens=5,
    assets=(PYTHIA, SAES, prompts("nounpp")),
    twin="agreement-across-pp-features-mini",
    quoted=figure3.quoted("nounpp"),
    citation=MARKS,
)
within_rc = AgreementFeatures(
    name="agreement-within-rc-features",
    summary="Features of Pythia-70m for the verb within a relative clause",
    structure="within_rc",
    n_tokens=5,
    assets=(PYTHIA, SAES, prompts("within_rc")),
    twin="agreement-within-rc-features-mini",
    quoted=figure3.quoted("within_rc"),
    citation=MARKS,
)
across_rc = AgreementFeatures(
    name="agreement-across-rc-features",
    summary="Features of Pythia-70m for the verb across a relative clause",
    structure="rc",
    n_tokens=6,
    assets=(PYTHIA, SAES, prompts("rc")),
    twin="agreement-across-rc-features-mini",
    quoted=figure3.quoted("rc"),
    citation=MARKS,
)
simple_disjoint = AgreementFeatures(
    name="agreement-simple-features-disjoint",
    summary="Features of Pythia-70m for the verb after its subject, scored on other nouns",
    structure="simple",
    n_tokens=2,
    split="disjoint",
    assets=(PYTHIA, SAES, prompts("simple")),
    citation=MARKS,
)
across_pp_disjoint = AgreementFeatures(
    name="agreement-across-pp-features-disjoint",
    summary="Features of Pythia-70m for the verb across a prepositional phrase, scored on other nouns",
    structure="nounpp",
    n_tokens=5,
    split="disjoint",
    assets=(PYTHIA, SAES, prompts("nounpp")),
    citation=MARKS,
)
within_rc_disjoint = AgreementFeatures(
    name="agreement-within-rc-features-disjoint",
    summary="Features of Pythia-70m for the verb within a relative clause, scored on other nouns",
    structure="within_rc",
    n_tokens=5,
    split="disjoint",
    assets=(PYTHIA, SAES, prompts("within_rc")),
    citation=MARKS,
)
across_rc_disjoint = AgreementFeatures(
    name="agreement-across-rc-features-disjoint",
    summary="Features of Pythia-70m for the verb across a relative clause, scored on other nouns",
    structure="rc",
    n_tokens=6,
    split="disjoint",
    assets=(PYTHIA, SAES, prompts("rc")),
    citation=MARKS,
)
