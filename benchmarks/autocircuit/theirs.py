"""AutoCircuit's side, in an environment of its own: the same five tasks by its own functions.

Nothing of it is changed but the order of edges inside a layer, which it takes from a set. Its ACDC is watched where it computes the divergence, one call
per edge that it tests: that gives each test's value and seconds, and stops it after a given number.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import auto_circuit.prune_algos.ACDC as acdc_module
import torch
from auto_circuit.data import PromptDataLoader, PromptDataset
from auto_circuit.prune import run_circuits
from auto_circuit.prune_algos.mask_gradient import mask_gradient_prune_scores
from auto_circuit.types import PatchType
from auto_circuit.utils.graph_utils import patch_mode, patchable_model, set_all_masks, train_mask_mode
from auto_circuit.utils.tensor_ops import batch_answer_diffs
from meter import cpu, serve, timed
from transformer_lens import HookedTransformer, HookedTransformerConfig, HookedTransformerKeyValueCache
from workload import read


class Loaded:
    """The patchable model, its prompts, and its edges by the project's names."""

    def __init__(self, folder: Path) -> None:
        work = read(folder)
        config = {key: value for key, value in work.config.items() if value is not None}
        model = HookedTransformer(HookedTransformerConfig(**config, device="cpu"))
        missing, unexpected = model.load_state_dict(work.state, strict=False)
        assert not unexpected
        assert all(name.endswith((".mask", ".IGNORE")) for name in missing), missing
        # As `load_tl_model` of auto_circuit sets it.
        model.cfg.use_attn_result = model.cfg.use_attn_in = True
        model.cfg.use_split_qkv_input = model.cfg.use_hook_mlp_in = True
        model.eval().requires_grad_(False)
        prompts = work.prompts
        shared = work.shape.shared
        cache = None
        if shared:  # its way not to compute a common prefix: keys and values once, prompts without it
            model.tokenizer = SimpleNamespace(
                padding_side="right", pad_token_id=-1, bos_token_id=0
            )  # for its mask of ones
            cache = HookedTransformerKeyValueCache.init_cache(model.cfg, model.cfg.device, work.shape.prompts)
            with torch.inference_mode():
                model(prompts["clean"][:, :shared], past_kv_cache=cache)
            cache.freeze()
        columns = (prompts[name][:, None] for name in ("answer", "wrong"))
        dataset = PromptDataset(prompts["clean"][:, shared:], prompts["corrupt"][:, shared:], *map(list, columns))
        self.loader = PromptDataLoader(
            dataset, seq_len=None, diverge_idx=shared, kv_cache=cache, batch_size=work.shape.prompts, shuffle=False
        )
        self.model = patchable_model(
            model, factorized=True, slice_output="last_seq", seq_len=None, separate_qkv=True, kv_caches=(cache,)
        )
        self.edges = {_name(edge): edge for edge in self.model.edges}


def _name(edge: Any) -> str:
    """`A3.2->A4.0.Q` as `a3.h2->a4.h0<q>`."""
    source, destination = (
        re.sub(r"^A(\d+)\.(\d+)", r"a\1.h\2", node.name).replace("MLP ", "m") for node in (edge.src, edge.dest)
    )
    destination = re.sub(r"\.([QKV])$", lambda letter: f"<{letter[1].lower()}>", destination)
    return f"{source.replace('Resid Start', 'input')}->{destination.replace('Resid End', 'logits')}"


def run_eap(side: Loaded, job: dict[str, Any]) -> dict[str, Any]:
    def run() -> Any:
        for wrapper in side.model.dest_wrappers:
            wrapper.patch_mask.grad = None
        return mask_gradient_prune_scores(
            side.model, side.loader, None, grad_function="logit", answer_function="avg_diff", mask_val=0.0
        )

    timing = timed(run, job["repeats"])
    scores = timing["value"]
    # The loss is minus the logit difference and the mask goes from clean to corrupt: the drop, which is the project's sign.
    return timing | {"value": {name: edge.prune_score(scores).item() for name, edge in side.edges.items()}}


def run_faithfulness(side: Loaded, job: dict[str, Any]) -> dict[str, Any]:
    scores = side.model.new_prune_scores()
    for name, edge in side.edges.items():
        scores[edge.dest.module_name][edge.patch_idx] = job["scores"][name]
    batch = next(iter(side.loader))
    timing = timed(
        lambda: run_circuits(side.model, side.loader, job["counts"], scores, patch_type=PatchType.TREE_PATCH),
        job["repeats"],
    )
    outputs = timing["value"]
    means = {count: batch_answer_diffs(logits[batch.key], batch).mean().item() for count, logits in outputs.items()}
    assert sorted(means) == sorted(job["counts"]), "scores are tied, so that a count cannot be met"
    return timing | {"value": [means[count] for count in job["counts"]]}


def run_mask(side: Loaded, job: dict[str, Any]) -> dict[str, Any]:
    """A step on a mask of everything: its masks are 1 where ablated, so gradients change sign."""
    tokens = next(iter(side.loader)).clean
    nothing = torch.zeros(len(side.model.srcs), *tokens.shape, side.model.cfg.d_model)
    set_all_masks(side.model, val=0.0)
    with train_mask_mode(side.model) as masks:
        optimizer = torch.optim.AdamW(masks.values(), lr=0.0, weight_decay=0.0)  # a rate of 0: each step is the first

        def step() -> None:
            optimizer.zero_grad()
            with patch_mode(side.model, nothing):
                logits = side.model(tokens)
            torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()).backward()
            optimizer.step()

        timing = timed(step, job["repeats"])
        gradients = {name: mask.grad for name, mask in masks.items()}
    edges = side.edges.items()
    return timing | {"value": {name: -gradients[e.dest.module_name][e.patch_idx].item() for name, e in edges}}


class _Enough(Exception):
    """As many edges are tested as were asked for."""


def _acdc(side: Loaded, order: list[str], tau: float, limit: int | None) -> tuple[list[str] | None, list[float], Any]:
    """Kept edges (None if stopped), divergence at each test in order, CPU seconds at each test."""
    side.model.edges = [side.edges[name] for name in order]  # sorted by layer there; a stable sort keeps our order
    values: list[float] = []
    stamps: list[tuple[float, float]] = []
    divergence = acdc_module.multibatch_kl_div

    def watched(*distributions: torch.Tensor) -> torch.Tensor:
        value = divergence(*distributions)
        values.append(value.item())
        stamps.append(cpu())
        if len(values) == limit:
            raise _Enough
        return value

    acdc_module.multibatch_kl_div = watched
    try:
        scores = acdc_module.acdc_prune_scores(side.model, side.loader, None, tao_exps=[0], tao_bases=[tau])
    except _Enough:
        return None, values, stamps
    finally:
        acdc_module.multibatch_kl_div = divergence
    return [name for name in order if math.isinf(side.edges[name].prune_score(scores))], values, stamps


def run_edges(side: Loaded, job: dict[str, Any]) -> dict[str, Any]:
    """Effects of a sample of edges: ACDC at a threshold at which it restores each edge that it has tested."""
    values: dict[str, float] = {}
    parts = []
    for names in (part["edges"] for part in job["parts"]):
        _, found, stamps = _acdc(side, names, -math.inf, None)
        values |= dict(zip(names, found, strict=True))
        first, last = stamps[0], stamps[-1]  # the first test's seconds hold what comes before it
        parts.append({
            key: (end - begin) / (len(names) - 1)
            for key, begin, end in zip(("user", "system"), first, last, strict=True)
        })  # fmt: skip
    return {"parts": parts, "value": values}


def run_acdc(side: Loaded, job: dict[str, Any]) -> dict[str, Any]:
    timing = timed(lambda: _acdc(side, job["order"], job["tau"], job["limit"]), 1)
    kept, values, _ = timing["value"]
    return timing | {"value": {"kept": kept, "divergences": values}}


if __name__ == "__main__":
    serve(
        Loaded,
        {"eap": run_eap, "faithfulness": run_faithfulness, "edges": run_edges, "acdc": run_acdc, "mask": run_mask},
    )
