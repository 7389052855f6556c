"""Agreement with scores computed by other people's code on a small random model (tests/data/tiny).

The reference's sign is the opposite of ours, and its EAP-IG scores carry a further 1/8.
"""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mechboard.graph import Ablation, PromptPairs, metric_values, run_patched
from mechboard.graph.circuit_means import CircuitMeans
from mechboard.graph.pruning import prune
from mechboard.graph.tl_weights import from_transformer_lens
from mechboard.methods.activation_patching import activation_patching
from mechboard.methods.eap import eap
from mechboard.methods.eap_ig import eap_ig
from mechboard.metrics.answers import logit_difference
from mechboard.protocols import CircuitProblem

TINY = Path(__file__).parent / "data" / "tiny"
REFERENCE = json.loads((TINY / "scores.json").read_text())
ROUNDING = 3e-6


@pytest.fixture(scope="module")
def problem() -> CircuitProblem:
    config = json.loads((TINY / "config.json").read_text())
    decoder = from_transformer_lens(load_file(TINY / "weights.safetensors"), config)
    tokens = load_file(TINY / "tokens.safetensors")
    n, length = tokens["clean"].shape
    pairs = PromptPairs(
        tokens["clean"],
        tokens["corrupt"],
        torch.full((n,), length),
        torch.full((n, 1), length - 1),
        {"answer": tokens["answer"], "wrong": tokens["wrong"]},
    )
    return CircuitProblem(
        model=decoder,
        graph=decoder.graph,
        pairs=pairs,
        metric=logit_difference,
        ablation=Ablation("resample", decoder, pairs),
        batch_size=3,
    )


def column(problem, name):
    return torch.tensor([REFERENCE["edges"][edge][name] for edge in problem.graph.edges])


def test_the_graph_has_the_reference_edges(problem):
    assert set(problem.graph.edges) == set(REFERENCE["edges"])
    assert problem.graph.n_edges == 479


@pytest.mark.parametrize(
    ("method", "name", "factor"),
    [
        (eap, "finite_difference", -1),
        (eap, "ac_mask_gradient_raw", 1),
        (eap, "eapig_EAP_raw", -8),
        (eap_ig, "eapig_EAP-IG-inputs5_raw", -8),
        (activation_patching, "exact_patch", -1),
        (activation_patching, "eapig_exact_raw", -1),
    ],
)
def test_scores_agree_edge_by_edge(problem, method, name, factor):
    difference = method(problem, torch.Generator()).scores - factor * column(problem, name)
    assert difference.abs().max() < ROUNDING


@pytest.mark.parametrize("count", REFERENCE["circuits_top_abs_eap_autocircuit"])
def test_circuits_of_ten_sizes_agree_prompt_by_prompt(problem, count):
    model, graph, pairs = problem.model, problem.graph, problem.pairs
    order = column(problem, "ac_mask_gradient_raw").abs().argsort(descending=True)
    kept = torch.zeros(graph.n_edges, dtype=torch.bool)
    kept[order[: int(count)]] = True
    final = run_patched(model, model.embed(pairs.clean), problem.ablation.outputs(pairs), graph.dense(~kept))
    expected = torch.tensor(REFERENCE["circuits_top_abs_eap_autocircuit"][count])
    assert (metric_values(model, final, logit_difference, pairs) - expected).abs().max() < 1e-5


def test_greedy_pruning_keeps_the_reference_set_of_edges(problem):
    acdc = REFERENCE["acdc"]
    place = {name: index for index, name in enumerate(problem.graph.edges)}
    means = CircuitMeans(problem.measured_by("kl"))
    kept = prune(means, [acdc["tau"]], torch.tensor([place[name] for name in acdc["order"]]))[0]
    assert {name for name, on in zip(problem.graph.edges, kept, strict=True) if on} == set(acdc["kept"])
