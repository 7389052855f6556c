"""Files of one's own: what they hold is hashed, a task of them is named after it, and JSON lines are read with their numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mechboard.errors import ModelError, UsageError
from mechboard.hashing import sha256

from .tokenizers import Encode

# What decides about the problem: configuration, weights, and what makes token ids of text.
_CONTENT = (
    "config.json", "*.safetensors", "*.bin",
    "tokenizer*.json", "vocab.*", "merges.txt", "special_tokens_map.json", "added_tokens.json", "*.model",
)  # fmt: skip


def content_hashes(model: Path, files: Mapping[str, Path], valid: str) -> dict[str, str]:
    """Hashes of a checkpoint's configuration, weights and tokenizer, and of files by the flags that name them.

    Files that are called alike stand under their flags too. `valid` says in an error what such a file holds.

    Raises:
        UsageError: a file is missing.
        ModelError: the folder holds no checkpoint.
    """
    for flag, file in files.items():
        if not file.is_file():
            raise UsageError(f"{flag} {str(file)!r} is no file; valid: {valid}.")
    if not (model / "config.json").is_file():
        raise ModelError(f"{str(model)!r} holds no config.json; valid: the folder of a Hugging Face checkpoint.")
    hashes = {path.name: sha256(path) for path in sorted({p for pattern in _CONTENT for p in model.glob(pattern)})}
    for flag, file in files.items():
        hashes[f"{flag} {file.name}" if file.name in hashes else file.name] = sha256(file)
    return hashes


def task_name(model: Path, files: Mapping[str, Path], hashes: Mapping[str, str], *, prefix: str = "own") -> str:
    """`own-<model>-<file>-<hash>`: tells the content, since two folders can be called alike."""
    content = hashlib.sha256(repr(sorted(hashes.items())).encode()).hexdigest()
    return "-".join(
        [prefix, *map(_plain, (model.resolve().name, *(file.stem for file in files.values()))), content[:8]]
    )


def _plain(name: str) -> str:
    return "".join(c if c.isalnum() or c in ".-" else "-" for c in name)


def read_lines(path: Path, flag: str, valid: str, *, fewest: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every JSON object of a file of JSON lines, with where it stands: `pairs.jsonl line 3`. Empty lines are passed over.

    Raises:
        UsageError: the file cannot be read, has too few lines, or a line is no JSON object.
    """
    try:
        lines = path.read_text(encoding="utf-8").split(
            "\n"
        )  # the separators that Unicode knows besides may be in a text
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{flag} {str(path)!r} cannot be read ({error}); valid: {valid}, in UTF-8.") from error
    rows = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if len(rows) < fewest:
        raise UsageError(f"{flag} {str(path)!r} holds {len(rows)} lines; valid: {fewest} or more.")
    for number, line in rows:
        where = f"{path.name} line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{where} is not JSON ({error}); valid: {valid}.") from error
        if not isinstance(row, dict):
            raise UsageError(f"{where} is no JSON object; valid: {valid}.")
        yield where, row


def encoded(encode: Encode, text: str, where: str) -> list[int]:
    """Token ids of a text.

    Raises:
        UsageError: it holds a word that the tokenizer does not know; says where.
    """
    try:
        return encode(text)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error


def is_ids(value: object) -> bool:
    """Whether this is a list of token ids; `true` is an int to isinstance and no token id to anybody.

    >>> is_ids([1, 2]), is_ids([1, True]), is_ids("12")
    (True, False, False)
    """
    return isinstance(value, list) and all(type(i) is int for i in value)
