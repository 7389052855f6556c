"""Removal problems whose models have learned what is to be removed: a classifier of clusters, and a decoder of two rules."""

from dataclasses import dataclass
from typing import Any

import torch
from models import random_decoder

from mechboard.graph import Ablation, PromptPairs
from mechboard.protocols import EditableDecoder, EditableMlp, Labelled, RemovalProblem, Text


@dataclass
class Learned:
    """A problem, and samples of both sorts that no method sees."""

    problem: RemovalProblem
    bad: Any
    other: Any

    def losses(self, parameters=None):
        """Mean loss of held-out bad samples and of the others."""
        with torch.no_grad():
            return tuple(float(self.problem.losses(s, parameters=parameters).mean()) for s in (self.bad, self.other))


def fitted(model, samples, *, steps, rate):
    weights = {name: tensor.requires_grad_() for name, tensor in model.parameters().items()}
    optimizer = torch.optim.Adam(weights.values(), lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        model.losses(samples, parameters=weights).mean().backward()
        optimizer.step()
    return {name: tensor.detach() for name, tensor in weights.items()}


def clusters(n_bad=20):
    """Four clusters of points in three classes; the first two share a class, and the first is bad."""
    draw = torch.Generator().manual_seed(0)
    centres, label = 2 * torch.randn(4, 6, generator=draw), torch.tensor([0, 0, 1, 2])

    def points(which, n):
        at = torch.tensor(which).repeat(n)
        return Labelled(centres[at] + 0.5 * torch.randn(len(at), 6, generator=draw), label[at])

    bad, keep = points([0], n_bad), points([1, 2, 3], 40)
    shapes = {"hidden": (6, 16), "hidden_bias": (16,), "out": (16, 3), "out_bias": (3,)}
    start = {name: 0.3 * torch.randn(shape, generator=draw) for name, shape in shapes.items()}
    model = EditableMlp(fitted(EditableMlp(start, None), bad.joined(keep), steps=60, rate=0.03), None)
    problem = RemovalProblem(model=model, bad=bad, keep=keep, budgets=(4, 96), batch_size=64)
    return Learned(problem, points([0], 40), points([1, 2, 3], 20))


def rules():
    """Sequences that count up by one (bad, behind token 1) or by two (behind token 2), from anywhere."""
    draw = torch.Generator().manual_seed(0)

    def counted(by, n):
        start = torch.randint(15, (n, 1), generator=draw)
        tokens = torch.cat([torch.full((n, 1), by), 4 + (start + by * torch.arange(5)) % 15], 1)
        return Text(tokens, torch.full((n,), 6), (torch.arange(6) > 1).expand(n, 6))

    bad, keep = counted(1, 40), counted(2, 60)
    decoder = random_decoder("gpt2", dtype=torch.float32, n_layers=1)
    pairs = PromptPairs(keep.tokens, keep.tokens, keep.lengths, keep.lengths[:, None] - 1, {})
    editable = EditableDecoder(decoder, decoder.graph, Ablation("zero", decoder, pairs))
    weights = fitted(editable, bad.joined(keep), steps=100, rate=0.02)
    decoder = editable.with_parameters(weights)
    editable = EditableDecoder(decoder, decoder.graph, Ablation("zero", decoder, pairs))
    problem = RemovalProblem(model=editable, bad=bad, keep=keep, budgets=(1,), batch_size=16)
    return Learned(problem, counted(1, 20), counted(2, 20))
