"""Cards: what a checkpoint or its dictionaries are, what was measured on them, and the hashes of their files.

A card is `card.json` beside the weights. Weights that differ from what the card was written for are refused, since
nothing that is said about them need be true.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mechboard.errors import ModelError
from mechboard.hashing import sha256

CARD = "card.json"
_FILES = ("config.json", "model.safetensors", "tokenizer.json")


def hashes(folder: Path, names: Iterable[str] = _FILES) -> dict[str, str]:
    """Hash of each file that is there, of those that make a model unless others are named."""
    return {name: sha256(folder / name) for name in names if (folder / name).is_file()}


def read_card(folder: Path) -> dict[str, Any]:
    """The card of a checkpoint.

    Raises:
        ModelError: there is none, it cannot be read, or a file differs from the one it was written for.
    """
    try:
        card: dict[str, Any] = json.loads((folder / CARD).read_text(encoding="utf-8"))
        expected: dict[str, str] = card["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"The card in {str(folder)!r} cannot be read ({error}); restore {CARD}.") from error
    _compare(folder, expected)
    return card


def check_card(folder: Path) -> None:
    """Compare a checkpoint with its card, if it has one that names hashes.

    Raises:
        ModelError: a file differs from the one that the card was written for.
    """
    try:
        content = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if isinstance(content, dict) and "files" in content:
        _compare(folder, content["files"])


def _compare(folder: Path, expected: dict[str, str]) -> None:
    found = hashes(folder, sorted({*_FILES, *expected}))
    changed = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if changed:
        raise ModelError(
            f"{', '.join(changed)} in {str(folder)!r} differ from what {CARD} was written for; restore them, or measure "
            "again and write the card anew."
        )
