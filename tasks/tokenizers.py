"""Tokenising prompts: text by the checkpoint's own tokenizer.

Two formats are read: what `AutoTokenizer` opens, and a lone sentencepiece `*.model`, which
`AutoTokenizer` would refuse or read with wrong ids; there the bos token goes in front.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mechboard.errors import UsageError, closest

Encode = Callable[[str], list[int]]
_HUGGING_FACE = ("tokenizer.json", "tokenizer_config.json", "vocab.json")


def load_tokenizer(folder: Path, *, bos: bool = False) -> Encode:
    """A function from text to token ids.

    The function raises UsageError if the text holds a word that the tokenizer does not know.

    Args:
        folder: what holds the tokenizer.
        bos: whether the tokenizer's own first token goes in front of every text, where it does not by itself.

    Raises:
        UsageError: the folder holds no tokenizer, one that does not open, or one without the first token asked for.
    """
    if _is_hugging_face(folder):
        tokenizer = _opened(folder)
        if not bos:
            return lambda text: _known_ids(tokenizer, text)
        if tokenizer.bos_token_id is None:
            raise UsageError(f"The tokenizer in {str(folder)!r} has no first token (bos); fetch the model's own.")
        return lambda text: [tokenizer.bos_token_id, *_known_ids(tokenizer, text)]
    return _sentencepiece(_model(folder), folder)


def words_of(folder: Path, n: int) -> tuple[str, ...]:
    """How each of `n` tokens is shown: its text, or its number where it has none.

    Raises:
        UsageError: the folder holds no tokenizer, or one that does not open.
    """
    if _is_hugging_face(folder):
        tokenizer = _opened(folder)
        texts = tokenizer.batch_decode([[i] for i in range(min(n, len(tokenizer)))])
    else:
        from sentencepiece import SentencePieceProcessor

        processor = SentencePieceProcessor(model_file=str(_model(folder)))
        texts = [processor.id_to_piece(i).replace("\u2581", " ") for i in range(min(n, processor.vocab_size()))]
    return tuple(text or f"[{i}]" for i, text in enumerate([*texts, *[""] * (n - len(texts))]))


def _is_hugging_face(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _HUGGING_FACE)


def _opened(folder: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"The tokenizer in {str(folder)!r} does not open ({error}); give token ids instead."
        ) from error


def _model(folder: Path) -> Path:
    models = sorted(folder.glob("*.model"))
    if len(models) != 1:
        raise UsageError(
            f"{str(folder)!r} holds no tokenizer ({', '.join(_HUGGING_FACE)} or one sentencepiece *.model); "
            "give lists of token ids in place of text."
        )
    return models[0]


def _known_ids(tokenizer: Any, text: str) -> list[int]:
    ids = list(tokenizer(text)["input_ids"])
    if tokenizer.unk_token_id in ids and tokenizer.unk_token_id != tokenizer.bos_token_id:
        start, end = tokenizer(text, return_offsets_mapping=True)["offset_mapping"][ids.index(tokenizer.unk_token_id)]
        word = text[start:end]
        raise UsageError(
            f"{word!r} in {text!r} is not in the vocabulary of {len(tokenizer)} words; "
            f"{closest(word, tokenizer.get_vocab())}choose a word that is."
        )
    return ids


def _sentencepiece(path: Path, folder: Path) -> Encode:
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor(model_file=str(path))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    bos, size = config.get("bos_token_id", processor.bos_id()), processor.vocab_size()
    if size > config["vocab_size"]:
        raise UsageError(
            f"{path.name!r} has {size} tokens and the model {config['vocab_size']}; it belongs to another model."
        )
    return lambda text: [bos, *processor.encode(text)]


def answer_id(encode: Encode, prompt: str, answer: str, where: str) -> int:
    """The one token that `answer` adds to `prompt`.

    Raises:
        UsageError: it adds none, several, or changes how the prompt itself is split.
    """
    before, after = encode(prompt), encode(prompt + answer)
    if after[: len(before)] != before or len(after) != len(before) + 1:
        raise UsageError(
            f"{where}: {answer!r} is {len(after) - len(before)} tokens after {prompt[-20:]!r}; valid: exactly one "
            "(mind the space in front); choose another answer."
        )
    return after[-1]
