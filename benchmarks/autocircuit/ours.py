"""The project's side: EAP, faithfulness of given circuits, the exact effect of edges, ACDC at one threshold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from meter import serve, timed
from workload import read

from mechboard.graph import Ablation, Graph, PromptPairs
from mechboard.graph.tl_weights import from_transformer_lens
from mechboard.methods.activation_patching import edge_drops
from mechboard.methods.eap import eap
from mechboard.metrics.answers import logit_difference
from mechboard.metrics.circuit import circuit_metrics
from mechboard.metrics.faithfulness import nested_circuits
from mechboard.metrics.ranking import ranking
from mechboard.protocols import CircuitProblem, NoParameters


def load(folder: Path) -> CircuitProblem:
    work = read(folder)
    decoder = from_transformer_lens(work.state, work.config)
    prompts, tokens = work.prompts["clean"].shape
    pairs = PromptPairs(
        work.prompts["clean"],
        work.prompts["corrupt"],
        torch.full((prompts,), tokens),
        torch.full((prompts, 1), tokens - 1),
        {name: work.prompts[name] for name in ("answer", "wrong")},
    )
    return CircuitProblem(
        model=decoder,
        graph=decoder.graph,
        pairs=pairs,
        metric=logit_difference,
        ablation=Ablation("resample", decoder, pairs),
        batch_size=prompts,
    )


def run_eap(problem: CircuitProblem, job: dict[str, Any]) -> dict[str, Any]:
    timing = timed(lambda: eap(problem, torch.Generator(), NoParameters()).scores, job["repeats"])
    return timing | {"value": dict(zip(problem.graph.edges, timing["value"].tolist(), strict=True))}


def run_faithfulness(problem: CircuitProblem, job: dict[str, Any]) -> dict[str, Any]:
    scores = torch.tensor([job["scores"][name] for name in problem.graph.edges])
    circuits = nested_circuits(ranking(scores, signed=False), job["counts"])
    return timed(lambda: circuit_metrics(problem, problem.pairs, circuits), job["repeats"])


class _Part(Graph):
    """A graph whose q, k, v inputs are visited in one layer alone, and of it only the first `columns`; or one MLP input.

    The logits' inputs are always visited. A measuring device: every index is that of the whole graph.
    """

    def __init__(self, whole: Graph, layer: int | None, kind: str, columns: int) -> None:
        super().__init__(n_layers=whole.n_layers, n_heads=whole.n_heads, has_mlp=whole.has_mlp, parallel=whole.parallel)
        self._only = layer, kind, columns

    def attention_destinations(self, layer: int) -> slice:
        chosen, kind, columns = self._only
        start = super().attention_destinations(layer).start
        return slice(start, start + columns * (layer == chosen and kind == "attention"))

    def visible_to_mlp(self, layer: int) -> int:
        chosen, kind, _ = self._only
        return super().visible_to_mlp(layer) * (layer == chosen and kind == "mlp")


def run_edges(problem: CircuitProblem, job: dict[str, Any]) -> dict[str, Any]:
    """Effects of edges by KL. Of all of them, or, in a sample, seconds of each part beside those of the logits' inputs."""
    by_kl = problem.measured_by("kl")
    wanted = problem.graph.edge_mask(job["effects"])

    def effects(part: CircuitProblem) -> torch.Tensor:
        return torch.cat(list(edge_drops(part))).mean(0)

    if not job["parts"]:
        timing = timed(lambda: effects(by_kl), 1)
        return timing | {"value": dict(zip(job["effects"], timing["value"][wanted].tolist(), strict=True))}
    parts = []
    logits = timed(lambda: effects(replace(by_kl, graph=_Part(problem.graph, None, "", 0))), 1)
    value = logits["value"]
    for part in job["parts"]:
        graph = _Part(problem.graph, part["layer"], part["kind"], part["columns"])
        timing = timed(lambda graph=graph: effects(replace(by_kl, graph=graph)), 1)  # type: ignore[misc]
        value = torch.maximum(value, timing.pop("value"))
        parts.append({key: timing[key] - logits[key] for key in ("user", "system")})
    return {
        "user": logits["user"],
        "system": logits["system"],
        "parts": parts,
        "value": dict(zip(job["effects"], value[wanted].tolist(), strict=True)),
    }


def run_acdc(problem: CircuitProblem, job: dict[str, Any]) -> dict[str, Any]:
    raise NotImplementedError


if __name__ == "__main__":
    serve(load, {"eap": run_eap, "faithfulness": run_faithfulness, "edges": run_edges, "acdc": run_acdc})
