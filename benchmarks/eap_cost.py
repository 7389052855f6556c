"""Time and peak memory of EAP beside the bare passes it cannot do without.

    OMP_NUM_THREADS=1 python benchmarks/eap_cost.py

The floor is a corrupt forward, a clean forward and a backward to the activations of the same model
(no parameter gradients), in two versions: with logits at all positions, as a plain language model
computes them, and with logits at the read position only. For GPT-2 the plain version is also
Hugging Face's. Prompts share nothing, or as many tokens as those of greater-than and docstring do,
of which EAP makes use and the floor does not. EAP and floor take batches of the same size and alternate in
one process, the best of several rounds counts, and only ratios mean anything; seconds are those of the CPU,
since others may use the machine. Peak memory is measured in a process of its own, above that process with the model loaded.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from mechboard.graph import Ablation, Decoder, DecoderConfig, PromptPairs
from mechboard.graph.weights import DecoderWeights, LayerWeights, NormWeights
from mechboard.methods.eap import eap
from mechboard.metrics.answers import logit_difference
from mechboard.protocols import CircuitProblem

SHAPES = {
    # name: (layers, heads, d_model, d_mlp, vocabulary)
    "gpt2-small": (12, 12, 768, 3072, 50257),
    "attn-only-4l": (4, 8, 512, 0, 48262),
}
WORK = {
    # name: (shape, prompts, tokens, shared tokens)
    "gpt2-small, 15 tokens": ("gpt2-small", 50, 15, 0),
    "gpt2-small, greater-than": ("gpt2-small", 50, 12, 7),
    "docstring, nothing shared": ("attn-only-4l", 50, 41, 0),
    "docstring": ("attn-only-4l", 50, 41, 13),
}
BATCHES = (25, 50)


def random_decoder(layers: int, heads: int, d_model: int, d_mlp: int, vocabulary: int) -> Decoder:
    torch.manual_seed(0)
    d_head = d_model // heads

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape) * 0.02

    def norm() -> NormWeights:
        return NormWeights(torch.ones(d_model), torch.zeros(d_model))

    def layer() -> LayerWeights:
        mlp = {
            "mlp_norm": norm(),
            "mlp_in": draw(d_model, d_mlp),
            "mlp_in_bias": torch.zeros(d_mlp),
            "mlp_out": draw(d_mlp, d_model),
            "mlp_out_bias": torch.zeros(d_model),
        }
        return LayerWeights(
            attention_norm=norm(),
            **{name: draw(heads, d_model, d_head) for name in "qkv"},
            **{f"{name}_bias": torch.zeros(heads, d_head) for name in "qkv"},
            o=draw(heads, d_head, d_model),
            o_bias=torch.zeros(d_model),
            **(mlp if d_mlp else {}),
        )

    config = DecoderConfig(
        n_layers=layers, n_heads=heads, n_kv_heads=heads, d_model=d_model, d_head=d_head, d_mlp=d_mlp,
        d_vocab=vocabulary, d_vocab_out=vocabulary, n_ctx=64, norm="layer", norm_eps=1e-5, positions="learned",
        parallel=False, gated=False, activation="gelu_new", attention_scale=d_head**-0.5,
    )  # fmt: skip
    weights = DecoderWeights(
        token=draw(vocabulary, d_model),
        position=draw(64, d_model),
        layers=tuple(layer() for _ in range(layers)),
        final_norm=norm(),
        unembed=draw(d_model, vocabulary),
    )
    return Decoder(config, weights)


def make_problem(name: str, batch: int) -> CircuitProblem:
    shape, prompts, tokens, shared = WORK[name]
    decoder = random_decoder(*SHAPES[shape])
    vocabulary = decoder.config.d_vocab
    clean, corrupt = (torch.randint(vocabulary, (prompts, tokens)) for _ in range(2))
    corrupt[:, :shared] = clean[:, :shared]
    answer, wrong = (torch.randint(vocabulary, (prompts,)) for _ in range(2))
    pairs = PromptPairs(
        clean,
        corrupt,
        torch.full((prompts,), tokens),
        torch.full((prompts, 1), tokens - 1),
        {"answer": answer, "wrong": wrong},
    )
    return CircuitProblem(
        model=decoder,
        graph=decoder.graph,
        pairs=pairs,
        metric=logit_difference,
        ablation=Ablation("resample", decoder, pairs),
        batch_size=batch,
    )


def run_eap(problem: CircuitProblem) -> None:
    eap(problem, torch.Generator())


def run_floor(problem: CircuitProblem, *, all_positions: bool) -> None:
    decoder = problem.model

    def logits(x: torch.Tensor) -> torch.Tensor:
        final = decoder.resume(x)
        return decoder.unembed(final if all_positions else final[:, -1:])

    for pairs in problem.batches():
        with torch.no_grad():
            logits(decoder.embed(pairs.corrupt))
        x = decoder.embed(pairs.clean).requires_grad_()
        logit_difference(logits(x)[:, -1:], pairs).sum().backward()


def hugging_face_floor(problem: CircuitProblem) -> Callable[[], None]:
    from mechboard.graph.export import to_huggingface

    model = to_huggingface(problem.model).requires_grad_(False)

    def run() -> None:
        for pairs in problem.batches():
            with torch.no_grad():
                model(pairs.corrupt)
            x = model.transformer.wte(pairs.clean).requires_grad_()
            logit_difference(model(inputs_embeds=x).logits[:, -1:], pairs).sum().backward()

    return run


def measure_time(problem: CircuitProblem, rounds: int) -> dict[str, float]:
    """CPU seconds, the least of all rounds."""
    candidates: dict[str, Callable[[], None]] = {
        "eap": lambda: run_eap(problem),
        "floor, all logits": lambda: run_floor(problem, all_positions=True),
        "floor, read logits": lambda: run_floor(problem, all_positions=False),
    }
    if problem.model.config.has_mlp:
        candidates["floor, Hugging Face"] = hugging_face_floor(problem)
    best = dict.fromkeys(candidates, float("inf"))
    for _ in range(rounds):
        for key, candidate in candidates.items():
            begun = time.process_time()
            candidate()
            best[key] = min(best[key], time.process_time() - begun)
    return best


def measure_peak(name: str, batch: int, what: str) -> float:
    """MiB above the process with the model loaded."""
    command = [sys.executable, __file__, "--peak", name, str(batch), what]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def _peak(name: str, batch: str, what: str) -> None:
    from mechboard.records.provenance import peak_memory, reset_peak_memory

    problem = make_problem(name, int(batch))
    status = Path("/proc/self/status").read_text(encoding="ascii")
    before = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) * 1024
    reset_peak_memory()
    if what == "eap":
        run_eap(problem)
    else:
        run_floor(problem, all_positions=what == "floor, all logits")
    print(json.dumps(((peak_memory() or 0) - before) / 2**20))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        _peak(*arguments.peak)
        return
    for name in WORK:
        for batch in BATCHES:
            problem = make_problem(name, batch)
            seconds = measure_time(problem, arguments.rounds)
            print(f"{name}, batches of {batch}: {problem.graph.n_edges:,} edges", flush=True)
            for key, value in seconds.items():
                peak = "" if "Hugging" in key else f"  {measure_peak(name, batch, key):8.0f} MiB"
                print(f"  {key:<22}{value:8.2f} s  eap / this {seconds['eap'] / value:5.2f}{peak}", flush=True)


if __name__ == "__main__":
    main()
