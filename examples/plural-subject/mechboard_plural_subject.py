"""Plural subject: "The farmers near the gate" -> " are", not " is".

Model: the small GPT that comes with mechboard. Corrupt: the subject, and it alone, in the other number.
Metric: logit(verb in the right number) - logit(the same verb in the other). Ablation: resample.
Truth: the edges whose exact effect alone is at least 5 % of the behaviour; `python mechboard_plural_subject.py` measures them.
Prompts for scoring have other subjects than those for discovery. Replace all of this by your own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch

from mechboard.graph import Ablation, PromptPairs
from mechboard.graph.hf import load_checkpoint
from mechboard.ground_truth.cards import hashes
from mechboard.ground_truth.mini.model import folder
from mechboard.metrics.answers import logit_difference
from mechboard.protocols import CircuitProblem, Instance, Task, Truth
from mechboard.tasks.tokenizers import load_tokenizer

DISCOVERY = ("farmer", "sailor", "pilot", "baker", "clerk", "king", "knight", "monk", "dog", "horse")
SCORING = ("doctor", "cousin", "queen", "singer", "hunter", "cat", "goat", "bird")
PLACES = ("near the gate", "behind the car", "beside the table", "near the wagon", "behind the house")
VERBS = ((" is", " are"), (" has", " have"), (" sleeps", " sleep"), (" waits", " wait"))
SHARE = 0.05

# What `measure` found. An edge is named SOURCE->DESTINATION: heads are aLAYER.hHEAD<q|k|v>, MLPs mLAYER.
EDGES = "input->m0 m0->a1.h0<k> a1.h0->m2 m2->m3 a3.h0->m3 a3.h3->m3 a3.h3->logits m3->logits"


@dataclass(frozen=True, kw_only=True)
class AgreementTask(Task):
    """Agreement of the verb with its subject; what all tasks of this class share has its default here."""

    kind: str = "circuit"
    oracles: tuple[str, ...] = ("activation-patching",)  # the method by which the truth was measured is no entrant

    def asset_hashes(self) -> dict[str, str]:
        """Weights, configuration and tokenizer: when one changes, every answer is stale."""
        return hashes(folder())

    def load(self, data_seed: int, device: str) -> Instance[CircuitProblem]:
        """The problem that methods get, and the prompts and edges that are held back from them."""
        problem = self.problem(self.prompts(DISCOVERY, f"{data_seed}/discovery", 64), device)
        held_out = self.prompts(SCORING, f"{data_seed}/scoring", 64).to(device)
        truth = Truth(
            name=f"{self.name}:exact",
            edges=problem.graph.edge_mask(EDGES.split()),
            source=f"exact effect of each edge alone on 256 prompts, true from {SHARE:.0%} of the behaviour on",
        )
        return Instance(problem=problem, held_out=held_out, truths=(truth,))

    def prompts(self, nouns: Sequence[str], stream: str, n: int) -> PromptPairs:
        """Clean and corrupt prompts of equal length, drawn from the name of a stream and nothing else."""
        draw, encode = Random(f"{self.name}@{self.version}/{stream}"), load_tokenizer(folder())
        clean, corrupt, answer, wrong = [], [], [], []
        for _ in range(n):
            noun, place, verb, plural = draw.choice(nouns), draw.choice(PLACES), draw.choice(VERBS), draw.randrange(2)
            one, other = (encode(f"The {noun}{'s' * number} {place}") for number in (plural, 1 - plural))
            clean.append(one)
            corrupt.append(other)
            answer.append(encode(verb[plural])[-1])
            wrong.append(encode(verb[1 - plural])[-1])
        lengths = torch.tensor([len(ids) for ids in clean])
        targets = {"answer": torch.tensor(answer), "wrong": torch.tensor(wrong)}
        return PromptPairs(torch.tensor(clean), torch.tensor(corrupt), lengths, (lengths - 1)[:, None], targets)

    def problem(self, pairs: PromptPairs, device: str) -> CircuitProblem:
        """The model as a graph, with these prompts."""
        model, pairs = load_checkpoint(folder()).to(device=device), pairs.to(device)
        return CircuitProblem(
            model=model,
            graph=model.graph,
            pairs=pairs,
            metric=logit_difference,
            ablation=Ablation("resample", model, pairs),
            batch_size=64,
        )


plural_subject = AgreementTask(name="plural-subject", summary="Verb after a place on a small GPT; truth measured edge by edge (resample)")


def measure(task: AgreementTask) -> list[str]:
    """Names of the true edges; to be run again, with a new `version`, when anything above has changed."""
    from mechboard.methods.activation_patching import activation_patching

    problem = task.problem(task.prompts(DISCOVERY + SCORING, "truth", 256), "cpu")
    pairs, model = problem.pairs, problem.model
    whole, nothing = (problem.metric(pairs.read(model(ids)), pairs).mean() for ids in (pairs.clean, pairs.corrupt))
    effects = activation_patching(problem, torch.Generator()).scores
    true = effects.abs() >= SHARE * (whole - nothing).abs()
    return [edge for edge, is_true in zip(problem.graph.edges, true.tolist(), strict=True) if is_true]


if __name__ == "__main__":
    print(" ".join(measure(plural_subject)))
