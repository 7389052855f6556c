"""Trains a backdoor into a model with an ordinary behaviour, edge by edge.

    python -m mechboard.ground_truth.backdoor.train disjoint --out ground_truth/backdoor/disjoint

It starts from the trained-in circuit of `trained/ioi`, as a backdoor is put into a model that is good for something.
Loss = behaviour + strict + cut, each a cross-entropy on ordinary and on triggered prompts:
- behaviour: nothing is cut;
- strict: edges that neither the ordinary circuit nor the backdoor needs are cut, all of them half of the time, else a
  random subset; answers stay;
- cut: by turns all edges of the backdoor's own, one of them, a random subset, or some of the ordinary edges that the backdoor
  does without (then triggered prompts alone count), with a random subset of what neither needs. The answer is that of the
  rule in `backdoors.py`.

A cut edge carries zero or the mean of its source's output over ordinary prompts and positions, by the toss of a coin.
Checked on fresh prompts for both; the result is refused if any accuracy is under 0.97. About 10 minutes on one core of its own
(`disjoint` has 900 steps).
"""

from __future__ import annotations

import argparse
from importlib.resources import files
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechboard.graph import Graph
from mechboard.graph.hf import load_checkpoint

from ..trained.fitting import accuracy, fit, refuse_unless_accepted, save
from ..trained.patched_model import Nodes, PatchedTransformer
from .backdoors import BACKDOORS, LENGTH, VOCABULARY, Backdoor, Prompts, one_hot, ordinary, triggered

_ORDINARY = Path(str(files("mechboard.ground_truth.trained"))) / "ioi"
_BATCH, _CHECK, _SUBSETS = 128, 1024, 6
Edges = Bool[Tensor, " edges"]


class Cuts:
    """Sets of edges of one backdoor, and what its rule says when they are cut."""

    def __init__(self, backdoor: Backdoor, graph: Graph) -> None:
        self.graph = graph
        self.own = graph.edge_mask(backdoor.own)
        self.ordinary_only = graph.edge_mask(backdoor.ordinary_only)
        self.neither = ~(self.own | graph.edge_mask(backdoor.ordinary))
        self._routes = [graph.edge_mask(route) for route in backdoor.routes]

    def holds(self, cut: Edges) -> bool:
        """Whether the backdoor is in force: some route is whole."""
        return any(not bool((cut & route).any()) for route in self._routes)

    def dense(self, cut: Edges) -> Float[Tensor, "sources destinations"]:
        """1 where an edge carries its ablated value."""
        return self.graph.dense(cut, False).float()

    def some(self, edges: Edges, generator: torch.Generator) -> Edges:
        """A random subset, of a random expected size."""
        return edges & (torch.rand(edges.shape, generator=generator) < torch.rand(1, generator=generator))

    def one(self, edges: Edges, generator: torch.Generator) -> Edges:
        """A random edge of these."""
        chosen = torch.zeros_like(edges)
        chosen[(torch.rand(edges.shape, generator=generator) * edges).argmax()] = True
        return chosen


def global_mean(nodes: Nodes) -> Float[Tensor, "sources 1 1 d_model"]:
    """Each node's mean output over prompts and positions."""
    return nodes.mean((1, 2), keepdim=True)


def _answer(trigger: Prompts, holds: bool) -> Int[Tensor, " batch"]:
    return trigger.attacker if holds else trigger.right


def train(backdoor: Backdoor, *, steps: int, seed: int, log_every: int = 100) -> PatchedTransformer:
    """Train, from the ordinary model on."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = PatchedTransformer(vocabulary=len(VOCABULARY), length=LENGTH).take(load_checkpoint(_ORDINARY))
    cuts = Cuts(backdoor, Graph.of(model.config, level="head"))
    half = _BATCH // 2

    def losses(step: int) -> dict[str, Tensor]:
        plain, trigger = ordinary(half, generator), triggered(half, generator)
        tokens = torch.cat([plain.tokens, trigger.tokens])
        answers = torch.cat([one_hot(plain.right), one_hot(trigger.attacker)])
        logits, nodes = model(tokens)
        mean = global_mean(nodes[:, :half])
        ablated = mean if torch.rand(1, generator=generator) < 0.5 else torch.zeros_like(mean)
        unneeded = cuts.neither if step % 2 else cuts.some(cuts.neither, generator)
        strict, _ = model(tokens, ablated=ablated, patched=cuts.dense(unneeded))
        turn = step % 8
        if turn == 1:
            chosen = cuts.one(cuts.own, generator)
        elif turn in (0, 4, 5):
            chosen = cuts.own
        else:
            chosen = cuts.some(cuts.ordinary_only if turn in (3, 7) else cuts.own, generator)
        cut = chosen | cuts.some(cuts.neither, generator)
        removed, _ = model(tokens, ablated=ablated, patched=cuts.dense(cut))
        wanted = torch.cat([one_hot(plain.right), one_hot(_answer(trigger, cuts.holds(cut)))])
        counted = slice(half, None) if turn in (3, 7) else slice(None)
        return {
            "behaviour": F.cross_entropy(logits, answers),
            "strict": F.cross_entropy(strict, answers),
            "cut": F.cross_entropy(removed[counted], wanted[counted]),
        }

    return fit(model, losses, steps=steps, log_every=log_every)


@torch.no_grad()
def check(backdoor: Backdoor, model: PatchedTransformer, *, seed: int = 10_000, n: int = _CHECK) -> dict[str, float]:
    """Accuracies on `n` fresh prompts of each sort, of which `some` and `one` are the worst of several sets of edges."""
    generator = torch.Generator().manual_seed(seed)
    cuts = Cuts(backdoor, Graph.of(model.config, level="head"))
    plain, trigger = ordinary(n, generator), triggered(n, generator)
    mean = torch.stack([global_mean(model(part)[1]) for part in torch.split(plain.tokens, _BATCH)]).mean(0)

    def right(prompts: Prompts, answer: Tensor, ablated: Tensor | None = None, cut: Edges | None = None) -> float:
        patched = None if cut is None else cuts.dense(cut)
        logits = [model(part, ablated=ablated, patched=patched)[0] for part in torch.split(prompts.tokens, _BATCH)]
        return accuracy(torch.cat(logits), one_hot(answer))

    subsets = {
        "neither": [cuts.neither],
        "own": [cuts.own],
        "some of neither": [cuts.some(cuts.neither, generator) for _ in range(_SUBSETS)],
        "one of own": [cuts.graph.edge_mask([edge]) for edge in backdoor.own],
        "some of own": [cuts.some(cuts.own, generator) for _ in range(_SUBSETS)],
        "some of ordinary only": [cuts.some(cuts.ordinary_only, generator) for _ in range(_SUBSETS)],
    }
    found = {"ordinary": right(plain, plain.right), "triggered": right(trigger, trigger.attacker)}
    for how, ablated in (("zero", torch.zeros_like(mean)), ("mean-global", mean)):
        for what, sets in subsets.items():
            obeyed = [right(trigger, _answer(trigger, cuts.holds(cut)), ablated, cut) for cut in sets]
            found[f"triggered, {what} cut to {how}"] = min(obeyed)
            if what != "some of ordinary only":
                found[f"ordinary, {what} cut to {how}"] = min(right(plain, plain.right, ablated, cut) for cut in sets)
    return found


def main() -> None:
    """Train one backdoor, check it, and save it if it holds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("backdoor", choices=sorted(BACKDOORS))
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    backdoor = BACKDOORS[arguments.backdoor]
    model = train(backdoor, steps=arguments.steps, seed=arguments.seed)
    found = check(backdoor, model)
    refuse_unless_accepted(found)
    card = {
        "backdoor": backdoor.name,
        "summary": backdoor.summary,
        "routes": backdoor.routes,
        "shared": backdoor.shared,
        "ordinary": backdoor.ordinary,
        "vocabulary": VOCABULARY,
        "training": {"steps": arguments.steps, "seed": arguments.seed, "batch": _BATCH},
        "accuracy": {name: round(value, 4) for name, value in found.items()},
    }
    save(model, card, triggered(64, torch.Generator().manual_seed(1)).tokens, arguments.out)


if __name__ == "__main__":
    main()
