"""One's own model and prompts: an unranked task without a known circuit, made by `bench run --model --pairs`.

The pairs are JSON lines of `clean`, `corrupt`, `answer` and `wrong`, all text or all token ids (lists
for prompts, numbers for answers). Metric: logit(answer) - logit(wrong) after the last token. Ablation: resample.
Half of the pairs, drawn by the data seed, are for discovery; the method is scored on the other half,
on faithfulness alone, with CMD as headline.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import torch

from mechboard.errors import UsageError
from mechboard.graph import Ablation, Decoder, Graph, PromptPairs
from mechboard.graph.hf import load_checkpoint
from mechboard.ground_truth.cards import check_card, sha256
from mechboard.metrics.answers import logit_difference
from mechboard.metrics.circuit import evaluate_edges
from mechboard.protocols import CircuitProblem, EdgeScores, Evaluation, Kind, Tier, Truth
from mechboard.tasks.tokens import Encode, answer_id, load_tokenizer

_KEYS = ("clean", "corrupt", "answer", "wrong")
_BUFFER_BYTES = 256 * 2**20
_FEWEST = 4


@dataclass(frozen=True)
class _Pair:
    clean: list[int]
    corrupt: list[int]
    answer: int
    wrong: int


class OwnTask:
    """A local checkpoint and a file of pairs.

    Raises:
        ModelError: the checkpoint is missing, not supported, or not the one that its card was written for.
        UsageError: the pairs are missing, malformed or of unequal length.
    """

    version = 1
    kind: Kind = "circuit"
    tier: Tier = "embedded"
    ranked = False
    has_truth = False
    oracles = ()
    assets = ()
    citation: ClassVar[Mapping[str, str]] = {}

    def __init__(self, model: Path, pairs: Path) -> None:
        self.model_folder, self.pairs_file = model, pairs
        self._decoder = _load(str(model))
        self._pairs = list(_read_pairs(pairs, model, self._decoder))
        self.name = f"own-{_plain(model.resolve().name)}-{_plain(pairs.stem)}"
        self.summary = f"{pairs.name} on {model.resolve().name}: logit difference, no circuit known (resample)"

    @property
    def description(self) -> str:
        """What was given."""
        return (
            f"{len(self._pairs)} pairs of {self.pairs_file.name} on the checkpoint {self.model_folder.resolve().name}.\n"
            "Metric: logit(answer) - logit(wrong) after the last token. Ablation: resample. Half of the pairs are for\n"
            "discovery, half for scoring. No circuit is known, so only faithfulness is measured."
        )

    @cached_property
    def _hashes(self) -> dict[str, str]:
        files = [self.model_folder / "config.json", *sorted(self.model_folder.glob("*.safetensors")), self.pairs_file]
        hashes = {path.name: sha256(path) for path in files}
        # What the tokenizer made of the text, so that another tokenizer is another problem.
        return hashes | {"token ids": hashlib.sha256(repr(self._pairs).encode()).hexdigest()}

    def asset_hashes(self) -> dict[str, str]:
        """Hashes of configuration, weights, pairs and token ids."""
        return self._hashes

    def load(self, data_seed: int, device: str) -> CircuitProblem:
        """The model and the discovery half."""
        decoder = self._decoder.to(device=device)
        graph, pairs = Graph.of(decoder.config), self._half(data_seed, 0).to(device)
        per_prompt = graph.n_sources * pairs.clean.shape[1] * decoder.config.d_model * 4
        batch_size = max(1, min(64, _BUFFER_BYTES // per_prompt))
        return CircuitProblem(
            model=decoder,
            graph=graph,
            pairs=pairs,
            metric=logit_difference,
            ablation=Ablation("resample", decoder, pairs),
            batch_size=batch_size,
            data_seed=data_seed,
        )

    def truths(self, problem: CircuitProblem) -> tuple[Truth, ...]:
        """None is known."""
        return ()

    def evaluate(self, problem: CircuitProblem, solution: EdgeScores) -> Evaluation:
        """Faithfulness on the other half."""
        pairs = self._half(problem.data_seed, 1).to(problem.model.device)
        return evaluate_edges(problem, solution.scores, pairs, ())

    def _half(self, data_seed: int, half: int) -> PromptPairs:
        order = list(self._pairs)
        Random(f"own/{data_seed}").shuffle(order)
        chosen = order[half::2]
        longest = max(len(p.clean) for p in chosen)
        lengths = torch.tensor([len(p.clean) for p in chosen])
        clean, corrupt = (
            torch.tensor([ids + [0] * (longest - len(ids)) for ids in side])
            for side in ([p.clean for p in chosen], [p.corrupt for p in chosen])
        )
        targets = {"answer": torch.tensor([p.answer for p in chosen]), "wrong": torch.tensor([p.wrong for p in chosen])}
        return PromptPairs(clean, corrupt, lengths, (lengths - 1)[:, None], targets)


@lru_cache(maxsize=2)
def _load(folder: str) -> Decoder:
    check_card(Path(folder))
    return load_checkpoint(folder)


def _plain(name: str) -> str:
    return "".join(c if c.isalnum() or c in ".-" else "-" for c in name)


def _read_pairs(path: Path, model: Path, decoder: Decoder) -> Iterator[_Pair]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"--pairs {str(path)!r} cannot be read ({error}); valid: JSON lines of {', '.join(_KEYS)}."
        ) from error
    rows = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if len(rows) < _FEWEST:
        raise UsageError(
            f"--pairs {str(path)!r} holds {len(rows)} pairs; valid: {_FEWEST} or more, half of them for scoring."
        )
    encode: Encode | None = None
    for number, line in rows:
        where = f"{path.name} line {number}"
        row = _parse(line, where)
        if isinstance(row["clean"], str):
            encode = encode or load_tokenizer(model)
            yield _checked(_tokenised(row, encode, where), where, decoder)
        else:
            yield _checked(_Pair(*(row[key] for key in _KEYS)), where, decoder)


def _parse(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{where} is not JSON ({error}); valid: an object with {', '.join(_KEYS)}.") from error
    if not isinstance(row, dict) or set(_KEYS) - set(row):
        raise UsageError(f"{where} lacks {', '.join(k for k in _KEYS if not isinstance(row, dict) or k not in row)}; "
                         f"valid: an object with {', '.join(_KEYS)}.")  # fmt: skip
    is_text = all(isinstance(row[key], str) for key in _KEYS)
    # `true` is an int to isinstance and no token id to anybody.
    is_ids = all(isinstance(row[k], list) and all(type(i) is int for i in row[k]) for k in _KEYS[:2]) and all(
        type(row[k]) is int for k in _KEYS[2:]
    )
    if not (is_text or is_ids):
        raise UsageError(f"{where} mixes types; valid: four texts, or two lists of token ids and two token ids.")
    return row


def _tokenised(row: dict[str, str], encode: Encode, where: str) -> _Pair:
    def ids(text: str) -> list[int]:
        try:
            return encode(text)
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from error

    answers = [answer_id(ids, row["clean"], row[key], where) for key in ("answer", "wrong")]
    return _Pair(ids(row["clean"]), ids(row["corrupt"]), *answers)


def _checked(pair: _Pair, where: str, decoder: Decoder) -> _Pair:
    if len(pair.clean) != len(pair.corrupt):
        raise UsageError(
            f"{where}: clean is {len(pair.clean)} tokens and corrupt {len(pair.corrupt)}; both must have the same "
            "number of tokens, so that every position has a counterpart; reword one."
        )
    if pair.clean == pair.corrupt:
        raise UsageError(f"{where}: clean and corrupt are the same tokens, so no edge can matter; change one of them.")
    config = decoder.config
    if not 1 <= len(pair.clean) <= config.n_ctx:
        raise UsageError(f"{where}: {len(pair.clean)} tokens; valid for this model: 1 to {config.n_ctx}.")
    worst = max([*pair.clean, *pair.corrupt, pair.answer, pair.wrong])
    if worst >= config.d_vocab or min([*pair.clean, *pair.corrupt, pair.answer, pair.wrong]) < 0:
        raise UsageError(f"{where}: token id {worst} is outside this model's vocabulary of {config.d_vocab}.")
    if pair.answer == pair.wrong:
        raise UsageError(f"{where}: answer and wrong are the same token; valid: two different tokens.")
    return pair
