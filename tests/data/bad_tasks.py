"""Tasks that are wrong, each in one way, and one that is right."""

import errno
import os
from dataclasses import dataclass, replace

import torch

from mechboard.errors import FetchError
from mechboard.graph import Ablation, PromptPairs
from mechboard.metrics.answers import logit_difference
from mechboard.plugins.registry import Registry
from mechboard.protocols import Instance, Task, Truth
from mechboard.tasks.behaviours.examples import Example, as_pairs


def _right(**changed):
    """A compiled task, with other parts of its problem."""
    instance = Registry().load("task", "compiled-brackets").load(0, "cpu")
    return replace(instance, problem=replace(instance.problem, **changed))


def _with_truth(edges, **other):
    instance = _right()
    truth = Truth(name="bad:truth", edges=edges(instance.problem.graph), source="made up", **other)
    return replace(instance, truths=(truth,))


def _first(graph, more=0):
    return torch.arange(graph.n_edges + more) < 3


def right():
    return _right()


def truth_of_more_edges():
    return _with_truth(lambda graph: _first(graph, more=5))


def truth_with_edges_that_the_graph_lacks():
    return _with_truth(lambda graph: graph.edge_mask(["input->a77.h0<q>"]))


def truth_with_inputs_of_another_graph():
    return _with_truth(_first, direct=torch.ones(7, dtype=torch.bool))


def ablation_that_nobody_knows():
    instance = _right()
    return _right(ablation=Ablation("median", instance.problem.model, instance.problem.pairs))


def prompts_of_unequal_length():
    pairs = _right().problem.pairs
    return _right(pairs=PromptPairs(pairs.clean, pairs.corrupt[:, :-1], pairs.lengths, pairs.positions, pairs.targets))


def _letters(text):
    return [ord(letter) for letter in text]


def pair_of_words_of_unequal_length():
    example = Example("Mary gave", "Bartholomew gave", ("x",), ("y",))
    return _right(pairs=as_pairs([example], logit_difference, _letters, d_vocab=200))


def name_of_two_tokens():
    example = Example("Mary gave it to", "Anne gave it to", (" Bo",), (" Al",))
    return _right(pairs=as_pairs([example], logit_difference, _letters, d_vocab=200))


def no_instance():
    return _right().problem


def hub_out_of_reach():
    raise FetchError("The hub cannot be reached; try again later.")


def full_disk():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@dataclass(frozen=True, kw_only=True)
class Made(Task):
    kind: str = "circuit"
    summary: str = "Made up."
    made: object

    def load(self, data_seed: int, device: str) -> Instance:
        return self.made()


for _made in (
    right, truth_of_more_edges, truth_with_edges_that_the_graph_lacks, truth_with_inputs_of_another_graph,
    ablation_that_nobody_knows, prompts_of_unequal_length, pair_of_words_of_unequal_length, name_of_two_tokens,
    no_instance, hub_out_of_reach, full_disk,
):  # fmt: skip
    vars()[f"task_{_made.__name__}"] = Made(name=_made.__name__.replace("_", "-"), made=_made)
task_unranked = Made(name="unranked", made=prompts_of_unequal_length, ranked=False)
