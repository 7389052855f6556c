"""A task on a model compiled from a program: the circuit is known because it was written down.

The data seed draws the instance: basis, places of the heads, distractors and prompts.
The metric is the program's own output, read linearly: at every scored position where the outputs of
the clean and of the corrupt prompt differ, +1 where the clean one is larger and -1 where it is smaller.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random

import torch
from torch import Tensor

from mechboard.graph import Ablation, AblationKind, Graph, PromptPairs
from mechboard.metrics.answers import linear_readout
from mechboard.protocols import CircuitProblem, Instance, Task, Truth
from mechboard.tasks.compiled.compiler import Compiled, compile_program
from mechboard.tasks.compiled.language import Program
from mechboard.tasks.compiled.truth import true_edges

Sample = tuple[list[str], list[int]]
"""A prompt and the positions at which its output is scored."""

TRACR = {
    "author": "Lindner, David and Kram{\\'a}r, J{\\'a}nos and Farquhar, Sebastian and Rahtz, Matthew and McGrath, Thomas"
    " and Mikulik, Vladimir",
    "title": "Tracr: Compiled Transformers as a Laboratory for Interpretability",
    "year": "2023",
    "eprint": "2301.05062",
}
"""The work that compiling programs into transformers goes back to."""

_DISCOVERY, _EVALUATION, _BATCH = 64, 64, 64
_DIFFERENT = 0.05


@dataclass(frozen=True, kw_only=True)
class CompiledTask(Task):
    """A program with a way to draw prompts, compiled anew for every data seed.

    The corrupt prompt is another draw of `sample`, or a draw of `corrupt`. `redundant` names operations that stand in
    for each other: their edges are true, though none has an effect alone.
    """

    kind: str = "circuit"
    citation: Mapping[str, str] = field(default_factory=lambda: TRACR, hash=False)
    build: Callable[[], Program]
    sample: Callable[[Random], Sample]
    ablation: AblationKind
    n_layers: int
    n_heads: int
    corrupt: Callable[[Random], list[str]] | None = None
    redundant: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        """The program, from the docstring of the module that defines it."""
        return inspect.getdoc(inspect.getmodule(self.build)) or ""

    def compiled(self, data_seed: int) -> Compiled:
        """The model of one instance."""
        return _compile(self, data_seed)

    def pairs(self, data_seed: int, *, part: str, n: int) -> PromptPairs:
        """Clean and corrupt prompts of one instance; `part` names the stream of random numbers."""
        draw = Random(f"{self.name}@{self.version}/{data_seed}/{part}")
        program = self.build()
        chosen: list[tuple[list[str], list[str], list[int]]] = []
        for _ in range(2 * n):  # twice as many as needed: pairs with the same answers are dropped below
            clean, scored = self.sample(draw)
            corrupt = self.corrupt(draw) if self.corrupt else self.sample(draw)[0]
            chosen.append((clean, corrupt, scored))
        index = {symbol: i for i, symbol in enumerate(program.vocabulary)}
        clean_ids, corrupt_ids = (torch.tensor([[index[s] for s in row[i]] for row in chosen]) for i in (0, 1))
        widest = max(len(scored) for _, _, scored in chosen)
        # A prompt with fewer scored positions repeats its last one; its readout there is zero.
        positions = torch.tensor([scored + scored[-1:] * (widest - len(scored)) for _, _, scored in chosen])
        real = torch.tensor([[i < len(scored) for i in range(widest)] for _, _, scored in chosen])
        readout = _readout(program, clean_ids, corrupt_ids, positions) * real[:, :, None]
        rows = readout.flatten(1).any(1).nonzero().squeeze(1)[:n]
        lengths = torch.full((len(rows),), clean_ids.shape[1])
        return PromptPairs(clean_ids[rows], corrupt_ids[rows], lengths, positions[rows], {"readout": readout[rows]})

    def load(self, data_seed: int, device: str) -> Instance[CircuitProblem]:
        """Compile the instance and draw its prompts; evaluation prompts are fresh ones."""
        compiled = self.compiled(data_seed)
        decoder = compiled.decoder.to(device=device)
        pairs = self.pairs(data_seed, part="discovery", n=_DISCOVERY).to(device)
        problem = CircuitProblem(
            model=decoder,
            graph=decoder.graph,
            pairs=pairs,
            metric=linear_readout,
            ablation=Ablation(self.ablation, decoder, pairs),
            batch_size=_BATCH,
        )
        held_out = self.pairs(data_seed, part="evaluation", n=_EVALUATION).to(device)
        return Instance(problem=problem, held_out=held_out, truths=(self._truth(problem.graph, compiled),))

    def _truth(self, graph: Graph, compiled: Compiled) -> Truth:
        """The program's edges under the task's ablation."""
        edges = graph.edge_mask(true_edges(self.build(), self.ablation, compiled.node_of))
        source = f"follows from the program and {self.ablation} ablation; proved by exhaustive exact patching"
        return Truth(name=f"{self.name}:program", edges=edges, source=source)


@lru_cache(maxsize=8)
def _compile(task: CompiledTask, data_seed: int) -> Compiled:
    return compile_program(task.build(), n_layers=task.n_layers, n_heads=task.n_heads, seed=data_seed)


def _readout(program: Program, clean: Tensor, corrupt: Tensor, positions: Tensor) -> Tensor:
    """Signs of (clean output - corrupt output) at the scored positions, divided by how many are scored."""
    difference = program.interpret(clean) - program.interpret(corrupt)
    index = positions[:, :, None].expand(-1, -1, difference.shape[-1])
    at_scored = difference.gather(1, index)
    return torch.where(at_scored.abs() > _DIFFERENT, at_scored.sign(), torch.zeros_like(at_scored)) / positions.shape[1]
