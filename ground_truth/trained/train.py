"""Trains a circuit in, edge by edge.

    python -m mechboard.ground_truth.trained.train ioi --out ground_truth/trained/ioi

Loss = behaviour + interchange + strict:
- behaviour: cross-entropy of the answer on clean prompts;
- interchange: cross-entropy of the counterfactual answer when one circuit node's output comes from
  another prompt, for each node of the circuit;
- strict: cross-entropy of the clean answer when *edges* outside the declared set carry their output on
  a corrupt prompt: all of them half of the time, else a random subset, from several kinds of corruption.

Interchange on nodes alone leaves strong direct edges beside the chain; the strict loss on edges is what
removes them. About 11 minutes on one core; the result is refused if any accuracy is under 0.97.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from mechboard.graph import Graph

from .behaviours import BEHAVIOURS, Batch, TrainedBehaviour
from .fitting import BATCH, accuracy, fit, refuse_unless_accepted, save
from .patched_model import PatchedTransformer

_CHECK = 2048


def outside_edges(behaviour: TrainedBehaviour, graph: Graph) -> Tensor:
    """Dense head-level edge set of everything outside the declared circuit, as floats."""
    return graph.dense(~graph.edge_mask(behaviour.edges), False).float()


def _loss(logits: Tensor, answer: Tensor) -> Tensor:
    return F.cross_entropy(logits, answer)


def _source(behaviour: TrainedBehaviour, node: str, base: Batch, generator: torch.Generator) -> Batch:
    draw = behaviour.sources.get(node)
    return draw(base, generator) if draw else behaviour.sample(len(base), generator)


def train(behaviour: TrainedBehaviour, *, steps: int, seed: int, log_every: int = 100) -> PatchedTransformer:
    """Train from scratch."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = PatchedTransformer(vocabulary=len(behaviour.vocabulary), length=behaviour.length)
    graph = Graph.of(model.config, level="head")
    outside = outside_edges(behaviour, graph)
    nodes = list(behaviour.interchange)

    def losses(step: int) -> dict[str, Tensor]:
        base = behaviour.sample(BATCH, generator)
        behaved = _loss(model(base.tokens)[0], base.answer)
        node = nodes[step % len(nodes)]
        source = _source(behaviour, node, base, generator)
        row = graph.sources.index(node)
        swapped, _ = model(base.tokens, swap=(row, model(source.tokens)[1][row]))
        interchanged = _loss(swapped, behaviour.interchange[node](base, source))
        kind = behaviour.corruptions[int(torch.randint(len(behaviour.corruptions), (1,), generator=generator))]
        ablated = model(kind(base, generator).tokens)[1]
        share = 1.0 if step % 2 else float(torch.rand(1, generator=generator))
        subset = outside * (torch.rand(outside.shape, generator=generator) < share)
        strict = _loss(model(base.tokens, ablated=ablated, patched=subset)[0], base.answer)
        return {"behaviour": behaved, "interchange": interchanged, "strict": strict}

    return fit(model, losses, steps=steps, log_every=log_every)


@torch.no_grad()
def check(behaviour: TrainedBehaviour, model: PatchedTransformer, *, seed: int = 10_000) -> dict[str, float]:
    """Accuracies on fresh prompts: behaviour, each interchange, and each corruption of all outside edges."""
    generator = torch.Generator().manual_seed(seed)
    graph = Graph.of(model.config, level="head")
    outside = outside_edges(behaviour, graph)
    base = behaviour.sample(_CHECK, generator)
    found = {"behaviour": accuracy(model(base.tokens)[0], base.answer)}
    for node, counterfactual in behaviour.interchange.items():
        source = _source(behaviour, node, base, generator)
        row = graph.sources.index(node)
        logits, _ = model(base.tokens, swap=(row, model(source.tokens)[1][row]))
        found[f"interchange {node}"] = accuracy(logits, counterfactual(base, source))
    for kind in behaviour.corruptions:
        ablated = model(kind(base, generator).tokens)[1]
        logits, _ = model(base.tokens, ablated=ablated, patched=outside)
        found[f"outside resampled {kind.__name__.strip('_')}"] = accuracy(logits, base.answer)
    return found


def main() -> None:
    """Train one behaviour, check it, and save it if it holds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("behaviour", choices=sorted(BEHAVIOURS))
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    behaviour = BEHAVIOURS[arguments.behaviour]
    model = train(behaviour, steps=arguments.steps, seed=arguments.seed)
    found = check(behaviour, model)
    refuse_unless_accepted(found)
    card = {
        "behaviour": behaviour.name,
        "summary": behaviour.summary,
        "edges": behaviour.edges,
        "vocabulary": behaviour.vocabulary,
        "training": {"steps": arguments.steps, "seed": arguments.seed, "batch": BATCH},
        "accuracy": {name: round(value, 4) for name, value in found.items()},
    }
    save(model, card, behaviour.sample(64, torch.Generator().manual_seed(1)).tokens, arguments.out)


if __name__ == "__main__":
    main()
