"""Measure the exact effect of every edge on the miniature tasks, and how stable the circuits are that follow.

    python benchmarks/mini_truths.py [TASK ...]

Writes `ground_truth/mini/effects/<task>.v<N>.json`: mean and standard error of each edge's effect over 1,024 prompts,
half of them with the words of each split, and under `stability` how the set of true edges changes (Jaccard index: 1 is
the same set):

- `bootstrap`  prompts drawn again with replacement, 200 times: mean and 5 % quantile against the published set;
- `halves`     two disjoint halves of the prompts, 50 times; `128 prompts` as many as a method sees, against the published set;
- `splits`     words that were trained on against words that were held out;
- `undecided`  edges whose effect is within two standard errors of the threshold;
- `faithfulness`  share of the behaviour that the true edges keep when all others are ablated: an edge can matter alone
                and still not be enough with its like, where what is left out makes up for single losses;

and under `about`, as `threshold`, the number of edges at other shares of the behaviour, against the published set.

Ten seconds to three minutes a task on two cores.
"""

from __future__ import annotations

import json
import sys
import time

import torch
from torch import Tensor

from mechboard.ground_truth.mini import effects, model
from mechboard.hashing import sha256
from mechboard.methods.activation_patching import edge_drops
from mechboard.metrics.circuit import circuit_metrics
from mechboard.protocols import CircuitProblem
from mechboard.registry import Registry
from mechboard.tasks.mini.task import MiniTask

_PROMPTS = 512
_BOOTSTRAPS, _HALVES = 200, 50
_AS_A_METHOD_SEES = 128
_THRESHOLDS = (0.005, 0.01, 0.02, 0.05, 0.1)


def measure(task: MiniTask) -> dict[str, object]:
    """Effects and stability of one task."""
    begun = time.perf_counter()
    problems = [task.problem(task.pairs(0, part=f"effects/{s}", split=s, n=_PROMPTS), "cpu") for s in ("train", "test")]
    drops = [torch.cat(list(edge_drops(problem))).double() for problem in problems]
    both = torch.cat(drops)
    means, errors = both.mean(0), both.std(0) / len(both) ** 0.5
    everything = torch.ones(len(means), dtype=torch.bool)
    metric, empty = _mean_metrics(problems, [everything, ~everything])
    about = {
        "task": f"{task.name}@v{task.version}",
        "model": sha256(model.folder() / "model.safetensors"),
        "effect": "mean drop of the metric when the edge alone carries its value on the corrupt prompt, and its standard error",
        "rule": "true if |effect| >= share x (model metric - empty metric)",
        "shares": effects.SHARES,
        "prompts": len(both),
        "model metric": round(metric, 6),
        "empty metric": round(empty, 6),
        "edges": len(means),
    }
    whole = metric - empty
    stability = {f"{share:.0%}": _stability(both, drops, share, whole) for share in effects.SHARES}
    sets = [effects.true_edges(means, share, whole) for share in effects.SHARES]
    for found, kept in zip(stability.values(), _mean_metrics(problems, sets), strict=True):
        found["faithfulness"] = round((kept - empty) / whole, 4)
    print(f"{task.name}: metric {metric:.3f}, empty {empty:.3f}, {time.perf_counter() - begun:.0f} s")
    for share, found in stability.items():
        print(f"  {share}: {found}", flush=True)
    values = {
        edge: [round(mean, 6), round(error, 6)]
        for edge, mean, error in zip(problems[0].graph.edges, means.tolist(), errors.tolist(), strict=True)
    }
    about["threshold"] = {
        f"{share:.1%}": {"edges": int(kept.sum()), "jaccard": _jaccard(kept, sets[0])}
        for share in _THRESHOLDS
        for kept in [effects.true_edges(means, share, whole)]
    }
    return {"about": about, "stability": stability, "effects": values}


def _mean_metrics(problems: list[CircuitProblem], circuits: list[Tensor]) -> list[float]:
    """Metric of each circuit, mean over the prompts of both splits."""
    found = [circuit_metrics(problem, problem.pairs, circuits) for problem in problems]
    return [sum(values) / len(values) for values in zip(*found, strict=True)]


def _jaccard(a: Tensor, b: Tensor) -> float:
    return round(float((a & b).sum() / max(1, int((a | b).sum()))), 4)


def _stability(drops: Tensor, splits: list[Tensor], share: float, whole: float) -> dict[str, object]:
    generator = torch.Generator().manual_seed(0)
    n = len(drops)

    def chosen(prompts: Tensor) -> Tensor:
        return effects.true_edges(prompts.mean(0), share, whole)

    published = chosen(drops)
    errors = drops.std(0) / n**0.5
    resampled = torch.tensor([
        _jaccard(chosen(drops[torch.randint(n, (n,), generator=generator)]), published) for _ in range(_BOOTSTRAPS)
    ])  # fmt: skip
    halves, few = [], []
    for _ in range(_HALVES):
        order = torch.randperm(n, generator=generator)
        halves.append(_jaccard(chosen(drops[order[: n // 2]]), chosen(drops[order[n // 2 :]])))
        few.append(_jaccard(chosen(drops[order[:_AS_A_METHOD_SEES]]), published))
    return {
        "edges": int(published.sum()),
        "of": drops.shape[1],
        "undecided": int(((drops.mean(0).abs() - share * abs(whole)).abs() < 2 * errors).sum()),
        "bootstrap": [round(float(resampled.mean()), 4), round(float(resampled.quantile(0.05)), 4)],
        "halves": round(sum(halves) / len(halves), 4),
        f"{_AS_A_METHOD_SEES} prompts": round(sum(few) / len(few), 4),
        "splits": _jaccard(*map(chosen, splits)),
    }


def main() -> None:
    registry = Registry()
    names = sys.argv[1:] or [name for name in registry.plugins("task") if name.endswith("-mini")]
    for name in names:
        task = registry.load("task", name)
        content = measure(task)
        path = effects.path(task.name, task.version)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
