"""The corpus: documents of the small language, packed into sequences of equal length.

    python -m mechboard.ground_truth.mini.corpus --sequences 5

A sequence is `<bos>` and as many documents as fit, the last one cut off, so that every behaviour occurs at
every position. Sequence `i` of a stream depends on the seed, the stream's name and `i` alone, so that
training can stop and go on anywhere.
"""

from __future__ import annotations

import argparse
from random import Random

import torch
from jaxtyping import Int
from torch import Tensor

from .grammar import document
from .vocabulary import tokenizer

SEED, LENGTH = 0, 64


def sequence_text(stream: str, index: int) -> str:
    """Documents of one sequence, more than fit."""
    draw = Random(f"mini/{SEED}/{stream}/{index}")
    texts: list[str] = []
    while sum(len(text.split()) for text in texts) < LENGTH:
        texts.append(document(draw))
    return " ".join(texts)


def sequences(stream: str, first: int, n: int) -> Int[Tensor, "n 64"]:
    """Token ids of `n` consecutive sequences of a stream, from number `first` on."""
    texts = [sequence_text(stream, index) for index in range(first, first + n)]
    return torch.tensor([encoding.ids[:LENGTH] for encoding in tokenizer().encode_batch(texts)])


def main() -> None:
    """Print some sequences."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sequences", type=int, default=5)
    for index in range(parser.parse_args().sequences):
        print(sequence_text("train", index) + "\n")


if __name__ == "__main__":
    main()
