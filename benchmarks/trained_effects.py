"""Publish the exact effect of every edge of the trained models, and hold them to their promise.

    python benchmarks/trained_effects.py

Writes `ground_truth/trained/<name>/effects.json`: for each head-level edge, the mean drop of the task's metric when the
edge alone is resampled, over 512 prompts. Fails if the declared circuit is not told apart (AUC under 0.99).
"""

from __future__ import annotations

import json
from dataclasses import replace

import torch

from mechboard.graph import Ablation
from mechboard.ground_truth.trained.effects import FILE
from mechboard.methods.activation_patching import activation_patching
from mechboard.metrics.roc import roc
from mechboard.registry import Registry

_PROMPTS, _ACCEPTED = 512, 0.99


def main() -> None:
    registry = Registry()
    for name in registry.plugins("task"):
        if not name.startswith("trained-"):
            continue
        task = registry.load("task", name)
        instance = task.load(0, "cpu")
        problem = instance.problem
        pairs = task.pairs(0, part="effects", n=_PROMPTS)
        problem = replace(problem, pairs=pairs, ablation=Ablation("resample", problem.model, pairs))
        effects = activation_patching(problem, torch.Generator()).scores
        truth = problem.graph.edge_mask(task.behaviour.edges)
        auc = roc(effects, truth).trapezoid
        inside, outside = effects[truth].abs().min().item(), effects[~truth].abs().max().item()
        print(f"{name}: AUC {auc:.4f}, weakest true edge {inside:.3g}, strongest other {outside:.3g}")
        if auc < _ACCEPTED:
            raise SystemExit(f"{name}: AUC of exact patching is under {_ACCEPTED}.")
        content = {
            "task": f"{name}@v{task.version}",
            "prompts": _PROMPTS,
            "metric": "mean drop when the edge is resampled",
        }
        content["effects"] = {e: round(x, 6) for e, x in zip(problem.graph.edges, effects.tolist(), strict=True)}
        (task.folder / FILE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
