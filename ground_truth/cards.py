"""Model cards: what a checkpoint is, what was measured on it, and the hashes of its files.

A card is `card.json` beside the weights. Weights that differ from what the card was written for are refused, since
nothing that is said about them need be true.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from mechboard.errors import ModelError

CARD = "card.json"
_FILES = ("config.json", "model.safetensors", "tokenizer.json")


def sha256(path: Path) -> str:
    """Hash of a file, computed once as long as it does not change."""
    stat = path.stat()
    return _sha256(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=32)
def _sha256(path: Path, modified: int, size: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def hashes(folder: Path) -> dict[str, str]:
    """Hash of each file that makes the model."""
    return {name: sha256(folder / name) for name in _FILES if (folder / name).is_file()}


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
    found = hashes(folder)
    changed = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if changed:
        raise ModelError(
            f"{', '.join(changed)} in {str(folder)!r} differ from what {CARD} was written for; restore them, or measure "
            "the model again and write its card anew."
        )
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
        read_card(folder)
