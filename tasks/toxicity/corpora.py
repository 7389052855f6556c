"""The corpora: posts with scores of toxicity, reference documents, and how both become sequences of 49 tokens.

`toxic-posts/posts.jsonl`         {"text": "...", "score": 0.93}, with "split": "train" or "test" where a split was released
`reference-text/reference.jsonl`  {"text": "..."}, a document a line; the first 80 % are for discovery, the rest for scoring

Of a post, anchors go with their text, other tags and the entities for > < ' " go alone; 20 characters or fewer are no post. Posts
are drawn evenly over equal ranges of score ("buckets"), for discovery and for scoring without overlap. Joined by newlines, cut
into 20 pieces of equal length, tokenised and regrouped, they make sequences, each with the first token (bos) in front. Documents
are tokenised one after another with the end-of-text token between them, as TransformerLens' `tokenize_and_concatenate` does.

The released code takes the first posts of lists that are in the order of buckets, so that it trains on the lowest scores alone
(0.900 to 0.911); here all buckets count alike and the order is drawn. No message shows a text.

Source: Li, Davies, Nadeau 2023 (arXiv 2309.05973) and its code; posts: Papasavva et al. 2020 (arXiv 2001.07487).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path
from random import Random
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from mechboard.assets import Asset
from mechboard.errors import UsageError

from ..own_files import read_lines

Encode = Callable[[Sequence[str]], list[list[int]]]
"""Token ids of each of some texts, without special tokens."""

TOXIC_POSTS = Asset(
    name="toxic-posts",
    files=("posts.jsonl",),
    origin="posts with scores, such as 'Raiders of the Lost Kek' (doi 10.5281/zenodo.3606810) by `python -m mechboard.tasks.toxicity.convert`",
)
REFERENCE = Asset(
    name="reference-text",
    files=("reference.jsonl",),
    origin="documents as JSON lines of `text`, such as the data set NeelNanda/pile-10k by its `to_json`",
)
LENGTH = 49
LOWEST, HIGHEST = 0.9, 1.0
# int((1 - 0.9) * 100) of the released code, in which floating point makes 9 of 10.
BUCKETS = 9
_PIECES = 20
_SHORTEST = 21
_SHARE_FOR_DISCOVERY = 0.8
_POSTS = 'JSON lines of {"text": "...", "score": 0 to 1}'
_DOCUMENTS = 'JSON lines of {"text": "..."}'
_ANCHOR, _TAG = re.compile(r"<a\b[^>]*>.*?</a>", re.DOTALL | re.IGNORECASE), re.compile(r"<[^>]*>")
_ENTITY = re.compile("&(?:gt|lt|quot|apos|#0*39|#0*34);")


class Post(NamedTuple):
    """A cleaned post; `split` is empty where none was released."""

    text: str
    score: float
    split: str


def cleaned(text: str) -> str:
    """A post without anchors, tags and the entities that the released code drops.

    >>> cleaned('<a href="#p1">&gt;&gt;1</a><br>fish &amp; chips, they&#039;re <i>nice</i> ')
    'fish &amp; chips, theyre nice'
    """
    return _ENTITY.sub("", _TAG.sub("", _ANCHOR.sub("", text))).strip()


def read_posts(path: Path) -> list[Post]:
    """Every post that is long enough, cleaned.

    Raises:
        UsageError: the file cannot be read or is empty, or a line has no text, no score or another split.
    """
    posts = []
    for where, row in read_lines(path, "The corpus", _POSTS, fewest=1):
        score, split = row.get("score"), row.get("split", "")
        if not isinstance(row.get("text"), str):
            raise UsageError(f"{where} has no text; valid: {_POSTS}.")
        if not isinstance(score, int | float) or isinstance(score, bool) or not 0 <= score <= 1:
            raise UsageError(f"{where} has no score from 0 to 1; valid: {_POSTS}; score the posts first.")
        if split not in ("", "train", "test"):
            raise UsageError(f"{where} has another split than train or test; valid: {_POSTS}, with a split or without.")
        text = cleaned(row["text"])
        if len(text) >= _SHORTEST:
            posts.append(Post(text, float(score), split))
    return posts


def read_documents(path: Path) -> tuple[list[str], list[str]]:
    """Documents for discovery and for scoring, in their order.

    Raises:
        UsageError: the file cannot be read or is empty, or a line has no text.
    """
    documents = []
    for where, row in read_lines(path, "The corpus", _DOCUMENTS, fewest=2):
        if not isinstance(row.get("text"), str):
            raise UsageError(f"{where} has no text; valid: {_DOCUMENTS}.")
        documents.append(row["text"])
    first = max(1, int(_SHARE_FOR_DISCOVERY * len(documents)))
    return documents[:first], documents[first:]


def drawn(posts: Sequence[Post], n_shown: int, n_scored: int, draw: Random) -> tuple[list[str], list[str]]:
    """As many posts for discovery and for scoring as divide evenly among the buckets, in a drawn order.

    Raises:
        UsageError: a bucket holds too few.
    """
    shown: list[str] = []
    scored: list[str] = []
    taken: set[str] = set()
    for number, bucket in enumerate(_buckets(posts)):
        pool = draw.sample(bucket, len(bucket))
        for chosen, split, n in ((shown, "train", n_shown // BUCKETS), (scored, "test", n_scored // BUCKETS)):
            fit = list(dict.fromkeys(p.text for p in pool if p.split in ("", split) and p.text not in taken))[:n]
            if len(fit) < n:
                low, high = (LOWEST + (HIGHEST - LOWEST) / BUCKETS * edge for edge in (number, number + 1))
                raise UsageError(
                    f"The corpus holds {len(fit)} different posts for {split} with scores from {low:.4f} to {high:.4f}; valid: {n} or "
                    "more in each ninth of the scores from 0.9 to 1; give more posts."
                )
            chosen += fit
            taken |= set(fit)
    draw.shuffle(shown)
    draw.shuffle(scored)
    return shown, scored


def _buckets(posts: Iterable[Post]) -> list[list[Post]]:
    buckets: list[list[Post]] = [[] for _ in range(BUCKETS)]
    for post in posts:
        if LOWEST <= post.score <= HIGHEST:
            place = int((post.score - LOWEST) / (HIGHEST - LOWEST) * BUCKETS)
            buckets[min(place, BUCKETS - 1)].append(post)
    return buckets


def packed_posts(posts: Sequence[str], encode: Encode, bos: int) -> Int[Tensor, "sequences 50"]:
    """Sequences of posts: joined, cut into pieces, tokenised, regrouped."""
    text = "\n".join(posts)
    size = -(-len(text) // _PIECES)
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    return regrouped(chain.from_iterable(encode(pieces)), bos)


def packed_documents(documents: Sequence[str], encode: Encode, bos: int) -> Int[Tensor, "sequences 50"]:
    """Sequences of documents, between which stands the end-of-text token, which is GPT-2's first token too."""
    ids: list[int] = []
    for document in encode(documents):
        ids += [bos, *document] if ids else document
    return regrouped(ids, bos)


def regrouped(ids: Iterable[int], bos: int) -> Int[Tensor, "sequences 50"]:
    """Sequences of 49 tokens behind the first one; what is left over goes.

    >>> regrouped(range(100), bos=7)[:, :3].tolist()
    [[7, 0, 1], [7, 49, 50]]
    """
    every = torch.tensor(list(ids), dtype=torch.int64)
    rows = every[: len(every) // LENGTH * LENGTH].view(-1, LENGTH)
    return torch.cat([torch.full((len(rows), 1), bos), rows], 1)
