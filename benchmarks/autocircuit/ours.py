"""The project's side: EAP, faithfulness of given circuits, the exact effect of edges, ACDC at one threshold, a mask step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from meter import serve, timed
from workload import read

from mechboard.graph import Ablation, Graph, PromptPairs
from mechboard.graph.masked_run import run_masked
from mechboard.graph.tl_weights import from_transformer_lens
from mechboard.graph.token_losses import token_losses
from mechboard.methods.activation_patching import edge_drops
from mechboard.methods.eap import Parameters, eap
from mechboard.metrics.answers import logit_difference
from mechboard.metrics.circuit import circuit_metrics
from mechboard.metrics.faithfulness import nested_circuits
from mechboard.metrics.ranking import ranking
from mechboard.protocols import CircuitProblem


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
    timing = timed(lambda: eap(problem, torch.Generator(), Parameters()).scores, job["repeats"])
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

    def effects(graph: Graph) -> dict[str, Any]:
        timing = timed(lambda: torch.cat(list(edge_drops(replace(by_kl, graph=graph)))).mean(0), 1)
        return timing | {"value": dict(zip(graph.edges, timing["value"].tolist(), strict=True))}

    if not job["parts"]:
        timing = effects(problem.graph)
        return timing | {"value": {name: timing["value"][name] for name in job["effects"]}}
    logits = effects(_Part(problem.graph, None, "", 0))
    value = {name: effect for name, effect in logits["value"].items() if name.endswith("->logits")}
    parts = []
    for part in job["parts"]:
        timing = effects(_Part(problem.graph, part["layer"], part["kind"], part["columns"]))
        value |= {name: timing["value"][name] for name in part["edges"]}
        parts.append({key: timing[key] - logits[key] for key in ("user", "system")})
    return {
        "user": logits["user"],
        "system": logits["system"],
        "parts": parts,
        "value": {name: value[name] for name in job["effects"]},
    }


def run_acdc(problem: CircuitProblem, job: dict[str, Any]) -> dict[str, Any]:
    from mechboard.graph.circuit_means import CircuitMeans
    from mechboard.graph.pruning import prune, visiting_order

    by_kl = problem.measured_by("kl")
    order = visiting_order(problem.graph, "descending")
    timing = timed(lambda: prune(CircuitMeans(by_kl), [job["tau"]], order)[0], 1)
    edges = problem.graph.edges
    kept = [edges[i] for i in timing["value"].nonzero().squeeze(1).tolist()]
    return timing | {"value": {"kept": kept, "order": [edges[i] for i in order.tolist()]}}


def run_mask(problem: CircuitProblem, job: dict[str, Any]) -> dict[str, Any]:
    """A step on a mask of everything; ablated heads carry their output bias, as with AutoCircuit."""
    decoder, graph, tokens = problem.model, problem.graph, problem.pairs.clean
    ablated = torch.zeros(graph.n_sources, 1, 1, decoder.config.d_model)
    for layer, weights in enumerate(decoder.weights.layers):
        if weights.o_bias is not None:
            ablated[graph.head_sources(layer)] = weights.o_bias / graph.n_heads
    kept = torch.ones(graph.n_edges, requires_grad=True)
    optimizer = torch.optim.AdamW([kept], lr=0.0, weight_decay=0.0)

    def step() -> None:
        optimizer.zero_grad()
        final = run_masked(decoder, graph, decoder.embed(tokens), graph.dense(kept), ablated)
        token_losses(decoder, final[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()).mean().backward()
        optimizer.step()

    timing = timed(step, job["repeats"])
    assert kept.grad is not None
    return timing | {"value": dict(zip(graph.edges, kept.grad.tolist(), strict=True))}


if __name__ == "__main__":
    serve(
        load, {"eap": run_eap, "faithfulness": run_faithfulness, "edges": run_edges, "acdc": run_acdc, "mask": run_mask}
    )
