"""Time and peak memory of one step on a mask of all edges, beside a plain pass of the same batch.

    OMP_NUM_THREADS=1 python benchmarks/mask_step.py

A mask step is a masked forward with zero ablation, the loss of every token but the first, the backward to the mask and AdamW's
update. Plain is the same loss of the same model without a mask: with a backward to the activations, and with one to all weights.
All alternate in one process, the least CPU seconds of several rounds count, and only ratios mean anything. Peak memory is of a
whole process that did one of them only. AutoCircuit's step: `python benchmarks/autocircuit --venv DIR --tasks mask --shapes
gpt2-small-mask docstring`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from eap_cost import SHAPES, random_decoder

from mechboard.edits import EditableDecoder, Text
from mechboard.graph import Ablation, Graph, PromptPairs
from mechboard.graph.token_losses import token_losses
from mechboard.records.provenance import peak_memory

WORK = {"gpt2-small": (10, 49), "attn-only-4l": (10, 41)}
STEPS = ("plain, activations", "plain, weights", "mask of heads", "mask of q, k, v")


def make_step(shape: str, what: str) -> Callable[[], None]:
    decoder = random_decoder(*SHAPES[shape])
    tokens = torch.randint(decoder.config.d_vocab, WORK[shape])
    text = Text.whole(tokens)
    level = "qkv" if "q, k, v" in what else "head"
    unused = PromptPairs(tokens, tokens, text.lengths, text.lengths[:, None] - 1, {})
    model = EditableDecoder(decoder, Graph.of(decoder.config, level), Ablation("zero", decoder, unused))
    kept = torch.ones(model.n_edges, requires_grad=True)
    optimizer = torch.optim.AdamW([kept], lr=0.05, weight_decay=0)

    def mask() -> None:
        optimizer.zero_grad()
        model.losses(text, kept=kept).mean().backward()
        optimizer.step()

    def plain() -> None:
        final = decoder.resume(decoder.embed(tokens).requires_grad_())
        token_losses(decoder, final[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()).mean().backward()

    def plain_weights() -> None:
        parameters = {name: tensor.requires_grad_() for name, tensor in model.parameters().items()}
        model.losses(text, parameters=parameters).mean().backward()

    return mask if "mask" in what else plain_weights if "weights" in what else plain


def measure_time(shape: str, rounds: int) -> dict[str, float]:
    """CPU seconds, the least of all rounds."""
    steps = {what: make_step(shape, what) for what in STEPS}
    best = dict.fromkeys(STEPS, float("inf"))
    for _ in range(rounds):
        for what, step in steps.items():
            begun = time.process_time()
            step()
            best[what] = min(best[what], time.process_time() - begun)
    return best


def measure_peak(shape: str, what: str) -> float:
    """GB of a process that did two steps of one sort."""
    command = [sys.executable, __file__, "--peak", shape, what]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shapes", nargs="+", choices=WORK, default=list(WORK))
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        step = make_step(*arguments.peak)
        for _ in range(2):
            step()
        print((peak_memory() or 0) / 1e9)
        return
    for shape in arguments.shapes:
        print(f"{shape}, {WORK[shape][0]} texts of {WORK[shape][1]} tokens", flush=True)
        seconds = measure_time(shape, arguments.rounds)
        peaks = {what: measure_peak(shape, what) for what in STEPS}
        for what in STEPS:
            time_ratio, memory_ratio = (of[what] / of[STEPS[0]] for of in (seconds, peaks))
            print(f"  {what:<20}{seconds[what]:6.2f} s {time_ratio:5.2f}x {peaks[what]:6.2f} GB {memory_ratio:5.2f}x")


if __name__ == "__main__":
    main()
