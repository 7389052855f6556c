"""Removal problems made by hand: a random decoder that answers questions of its own, and a little classifier."""

import torch

from mechboard.graph import Ablation, Graph, PromptPairs
from mechboard.graph.problem import Truth
from mechboard.ground_truth.mini import model
from mechboard.metrics.examination import Accuracies
from mechboard.protocols import EditableDecoder, EditableMlp, Instance, Labelled, RemovalProblem, Text


def questions(decoder, tokens):
    """Sequences whose last token, alone scored, is what the model answers."""
    asked = torch.cat([tokens, decoder(tokens)[:, -1].argmax(-1, keepdim=True)], 1)
    scored = torch.zeros_like(asked, dtype=torch.bool)
    scored[:, -1] = True
    return Text(asked, torch.full((len(asked),), asked.shape[1]), scored)


def language(ablation="zero", level="head", n_bad=3, n_keep=5, budgets=(4, 16), marked=4, truth=False):
    """The miniature answering random words: an instance."""
    decoder = model.load()
    tokens = torch.randint(5, 700, (2 * (n_bad + n_keep), 9), generator=torch.Generator().manual_seed(0))
    asked = questions(decoder, tokens)
    bad, keep, held_bad, held_keep = (asked[rows] for rows in torch.arange(len(asked)).split([n_bad, n_keep] * 2))
    pairs = PromptPairs(keep.tokens, keep.tokens, keep.lengths, keep.lengths[:, None] - 1, {})
    graph = Graph.of(decoder.config, level=level)
    editable = EditableDecoder(decoder, graph, Ablation(ablation, decoder, pairs))
    truths = ()
    if truth:
        truths = (Truth(name="by-hand:first", edges=torch.arange(graph.n_edges) < 10, source="by hand"),)
    problem = RemovalProblem(model=editable, bad=bad, keep=keep, budgets=budgets, batch_size=4)
    return Instance(problem=problem, held_out=Accuracies(bad=held_bad, other=held_keep, marked=marked), truths=truths)


def classifier(ablation="zero", budgets=(1, 2), seed=0):
    """Four inputs, three hidden units, two classes, all drawn: an instance."""
    draw = torch.Generator().manual_seed(seed)
    shapes = {"hidden": (4, 3), "hidden_bias": (3,), "out": (3, 2), "out_bias": (2,)}
    weights = {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}
    inputs = torch.randn(24, 4, generator=draw)
    mlp = EditableMlp(weights, inputs.mean(0) if ablation == "mean" else None)
    answered = Labelled(inputs, mlp.logits(Labelled(inputs, torch.zeros(24, dtype=torch.long))).argmax(-1))
    problem = RemovalProblem(model=mlp, bad=answered[:4], keep=answered[4:12], budgets=budgets, batch_size=64)
    return Instance(problem=problem, held_out=Accuracies(bad=answered[12:16], other=answered[16:], marked=budgets[0]))
