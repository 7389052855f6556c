"""What attribution of features costs at the size of Pythia-70m, beside a bare pass and beside hooks that run every dictionary.

    OMP_NUM_THREADS=1 python benchmarks/feature_cost.py

Random weights of that architecture (6 layers, width 512, 50,304 tokens), 19 random dictionaries of 32,768 features of which about 100 are
active on a vector, 100 prompts of 6 tokens. Each measurement runs in a process of its own, so that its peak memory is its own:

- `bare`: one forward and one backward of the model alone, logits where the metric reads them;
- `atp-features`, `ig-features`: the methods, without edges; dictionaries read from disk one place at a time;
- `held`: `atp-features` with all dictionaries in memory;
- `hooks`: the plain way: dictionaries spliced into the pass, one backward through all of it, all features dense;
- `hooks-ig`: the same with 10 points per place, each place spliced alone.

CPU seconds, and seconds that passed.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch

D, FEATURES, LAYERS, VOCABULARY, PROMPTS, LENGTH, ACTIVE = 512, 32_768, 6, 50_304, 100, 6, 100
CASES = ("bare", "atp-features", "held", "ig-features", "hooks", "hooks-ig")


def decoder():
    """The model, random."""
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    from mechboard.graph.hf import from_huggingface

    torch.manual_seed(0)
    config = GPTNeoXConfig(
        hidden_size=D, num_hidden_layers=LAYERS, num_attention_heads=8, intermediate_size=4 * D,
        vocab_size=VOCABULARY, max_position_embeddings=64, rotary_pct=0.25, use_parallel_residual=True,
    )  # fmt: skip
    return from_huggingface(GPTNeoXForCausalLM(config).eval())


def pairs():
    """Prompts in pairs that differ from their second token on."""
    from mechboard.graph import PromptPairs

    generator = torch.Generator().manual_seed(1)
    clean, corrupt = (torch.randint(VOCABULARY, (PROMPTS, LENGTH), generator=generator) for _ in range(2))
    corrupt[:, 0] = clean[:, 0]
    targets = {"answer": torch.zeros(PROMPTS, dtype=torch.int64), "wrong": torch.ones(PROMPTS, dtype=torch.int64)}
    return PromptPairs(clean, corrupt, torch.full((PROMPTS,), LENGTH), torch.full((PROMPTS, 1), LENGTH - 1), targets)


def dictionary_at(index):
    """A random dictionary in which about ACTIVE features are active on a vector of the stream."""
    from mechboard.features import Autoencoder
    from mechboard.features.autoencoder import Relu

    generator = torch.Generator().manual_seed(index)
    directions = torch.nn.functional.normalize(torch.randn(FEATURES, D, generator=generator), dim=1)
    # <x, direction> of a vector of length r is normal with deviation r / sqrt(d); the bias is the quantile of ACTIVE / FEATURES
    bias = torch.full((FEATURES,), -2.74 * SCALES[index] / D**0.5)
    return Autoencoder(directions.T.contiguous(), bias, directions, torch.zeros(D), Relu(), centred=False)


SCALES: list[float] = []
"""Typical length of the vectors at each place, by its number."""


def problem(folder: Path | None):
    """The problem, dictionaries in memory, or read from a folder when they are needed."""
    from safetensors.torch import load_file, save_file

    from mechboard.features import Autoencoder, Dictionaries, FeatureProblem, Stored, all_places
    from mechboard.features.autoencoder import Relu
    from mechboard.features.stream import record
    from mechboard.metrics.answers import logit_difference

    model, given = decoder(), pairs()
    SCALES[:] = [float(x.norm(dim=-1).mean()) for x in record(model, model.embed(given.clean)).values()]
    held = {}
    for index, place in enumerate(all_places(model.config)):
        if folder is None:
            held[place] = dictionary_at(index)
            continue
        path = folder / f"{place}.safetensors"
        if not path.exists():
            made = dictionary_at(index)
            save_file(
                {"encoder": made.encoder, "bias": made.offset, "decoder": made.decoder, "b": made.decoder_bias}, path
            )

        def read(path=path):
            weights = load_file(path)
            return Autoencoder(
                weights["encoder"], weights["bias"], weights["decoder"], weights["b"], Relu(), centred=False
            )

        held[place] = Stored(D, FEATURES, True, read)
    return FeatureProblem(
        model=model, dictionaries=Dictionaries(model.config, held), pairs=given, metric=logit_difference, batch_size=50
    )


def bare(asked):
    """One forward, one backward."""
    from mechboard.features import gradients

    for batch in asked.batches():
        gradients(asked.model, asked.metric, batch)


def hooks(asked):
    """Dictionaries in the pass, dense gradients at every feature, then the same products."""
    from mechboard.features import splice

    totals = {}
    for batch in asked.batches():
        run = splice(asked.model, asked.dictionaries, batch.clean)
        with torch.no_grad():
            other = splice(asked.model, asked.dictionaries, batch.corrupt)
        total = asked.metric(asked.model.unembed(batch.read(run.final)), batch).sum()
        places = list(run.features)
        at = torch.autograd.grad(total, [run.features[p] for p in places])
        for place, gradient in zip(places, at, strict=True):
            score = -(gradient * (other.features[place] - run.features[place]).detach()).sum(0)
            totals[place] = totals.get(place, 0) + score
    return totals


def hooks_ig(asked, steps=10):
    """The same, each place spliced alone, at points on the way of its features and its error."""
    from mechboard.features.stream import walk

    totals = {}
    for batch in asked.batches():
        for place, dictionary in asked.dictionaries.items():
            ends = []
            for side in (batch.clean, batch.corrupt):
                seen = {}
                with torch.no_grad():
                    walk(asked.model, asked.model.embed(side), lambda at, x, seen=seen: seen.setdefault(at, x))
                    features = dictionary.encode(seen[place])
                    ends.append((features, seen[place] - dictionary.decode(features, seen[place])))
            (f0, e0), (f1, e1) = ends
            at = torch.zeros_like(f0)
            for k in range(steps):
                leaf = torch.lerp(f0, f1, k / steps).requires_grad_()
                value = dictionary.decode(leaf, e0) + torch.lerp(e0, e1, k / steps)
                final = walk(
                    asked.model, asked.model.embed(batch.clean), lambda p, x, v=value, w=place: v if p == w else x
                )
                total = asked.metric(asked.model.unembed(batch.read(final)), batch).sum()
                at += torch.autograd.grad(total, leaf)[0] / steps
            totals[place] = totals.get(place, 0) - (at * (f1 - f0)).sum(0)
    return totals


def measure(case: str, folder: Path):
    """Run one case in this process and print what it took."""
    from mechboard.methods.atp_features import Parameters as Atp
    from mechboard.methods.atp_features import atp_features
    from mechboard.methods.ig_features import Parameters as Ig
    from mechboard.methods.ig_features import ig_features

    asked = problem(None if case in ("held", "hooks") else folder)
    bare(asked)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cpu, wall = time.process_time(), time.perf_counter()
    if case == "bare":
        bare(asked)
    elif case in ("atp-features", "held"):
        atp_features(asked, torch.Generator(), Atp(drawn=0))
    elif case == "ig-features":
        ig_features(asked, torch.Generator(), Ig(drawn=0))
    elif case == "hooks":
        hooks(asked)
    else:
        hooks_ig(asked)
    took = {"cpu": time.process_time() - cpu, "seconds": time.perf_counter() - wall}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"case": case, **took, "peak_gb": peak / 2**20, "above_gb": (peak - before) / 2**20}))


def main() -> None:
    """Every case in a process of its own, then a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("/tmp/mechboard-feature-cost"),
        help="where 2.5 GB of random dictionaries are kept",
    )
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if arguments.case:
        measure(arguments.case, arguments.folder)
        return
    rows = []
    for case in arguments.cases.split(","):
        command = [sys.executable, __file__, "--case", case, "--folder", str(arguments.folder)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(rows[-1], file=sys.stderr, flush=True)
    base = rows[0]["cpu"]
    print("| case | CPU s | of bare | peak GB |\n|---|---:|---:|---:|")
    for row in rows:
        print(f"| {row['case']} | {row['cpu']:.1f} | {row['cpu'] / base:.1f} | {row['peak_gb']:.2f} |")


if __name__ == "__main__":
    main()
