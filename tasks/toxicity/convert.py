"""Posts as they were released, made into `posts.jsonl`. Prints how many there are and the hash, never a text.

    python -m mechboard.tasks.toxicity.convert posts.jsonl --dump pol_062016-112019_labeled.ndjson
    python -m mechboard.tasks.toxicity.convert posts.jsonl --train train.pkl --test test.pkl

The dump has a thread a line, whose posts carry Perspective scores (`perspectives.TOXICITY`); the first 50,000 threads are read, as in
the released code. The pickles beside that code are lists of (post id, score, text); they are opened by an unpickler that
refuses every class, so that nothing in them runs. Posts under a score of 0.9 or of 20 characters and fewer are left out.
"""

from __future__ import annotations

import argparse
import json
import pickle
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from mechboard.errors import BenchError, UsageError
from mechboard.hashing import sha256

from .corpora import LOWEST, cleaned, read_posts

_THREADS = 50_000


class _Plain(pickle.Unpickler):
    """Lists, tuples, numbers and texts, and nothing that is looked up by name."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        raise pickle.UnpicklingError(f"it holds {module_name}.{global_name}")


def from_dump(path: Path) -> Iterator[dict[str, Any]]:
    """Posts of the dump.

    Raises:
        UsageError: a line is no thread.
    """
    with path.open(encoding="utf-8") as threads:
        for number, line in enumerate(islice(threads, _THREADS), 1):
            try:
                posts = json.loads(line)["posts"]
                for post in posts:
                    score = post.get("perspectives", {}).get("TOXICITY")
                    if score is not None and post.get("com"):
                        yield {"id": post.get("no"), "score": score, "text": post["com"]}
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise UsageError(
                    f"{path.name} line {number} is no thread ({type(error).__name__}); valid: JSON with posts, each with com and "
                    "perspectives.TOXICITY."
                ) from error


def from_pickle(path: Path, split: str) -> Iterator[dict[str, Any]]:
    """Posts of one of the released lists.

    Raises:
        UsageError: it is no list of (id, score, text).
    """
    try:
        with path.open("rb") as file:
            rows = [(int(number), float(score), str(text)) for number, score, text in _Plain(file).load()]
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError) as error:
        raise UsageError(
            f"{path.name} cannot be read ({error}); valid: a pickled list of (id, score, text)."
        ) from error
    for number, score, text in rows:
        yield {"id": number, "score": score, "text": text, "split": split}


def write(posts: Iterator[dict[str, Any]], target: Path) -> int:
    """Write the posts that a task can draw, cleaned; how many they are."""
    with target.open("w", encoding="utf-8") as file:
        for post in posts:
            if post["score"] >= LOWEST and (text := cleaned(post["text"])):
                file.write(json.dumps(post | {"text": text}) + "\n")
    return len(read_posts(target))


def main(given: list[str] | None = None) -> None:
    """Convert, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    for name in ("--dump", "--train", "--test"):
        parser.add_argument(name, type=Path)
    said = parser.parse_args(given)
    if (said.dump is None) == (said.train is None or said.test is None):
        parser.error("give --dump, or --train with --test")
    try:
        posts = [
            *(from_dump(said.dump) if said.dump else ()),
            *(from_pickle(said.train, "train") if said.train else ()),
            *(from_pickle(said.test, "test") if said.test else ()),
        ]
        n = write(iter(posts), said.out)
    except (BenchError, OSError) as error:
        sys.exit(f"error: {error}")
    print(f"{said.out}: {n:,} posts, sha256 {sha256(said.out)}")


if __name__ == "__main__":
    main()
