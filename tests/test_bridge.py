"""The TransformerBridge view, and EAP written with its hooks: a second witness for our scores."""

import threading
from importlib.metadata import version

import pytest
import torch
from models import random_problem

from mechboard.errors import UsageError
from mechboard.graph import counting
from mechboard.graph.bridge import to_bridge
from mechboard.graph.hf import load_checkpoint
from mechboard.methods.eap import eap

TRANSFORMER_LENS = int(version("transformer-lens").partition(".")[0])


def _hooks(bridge, n_layers, parallel):
    """Names of the hooks that carry outputs, and inputs with the destinations they stand for."""
    bridge.set_use_attn_result(True)
    bridge.set_use_split_qkv_input(True)
    bridge.set_use_hook_mlp_in(True)
    outputs, inputs = {"blocks.0.hook_resid_pre": "input"}, {}
    for layer in range(n_layers):
        outputs |= {f"blocks.{layer}.attn.hook_result": f"a{layer}", f"blocks.{layer}.hook_mlp_out": f"m{layer}"}
        inputs |= {f"blocks.{layer}.hook_{part}_input": (layer, part) for part in "qkv"}
        inputs[f"blocks.{layer}.hook_mlp_in"] = (layer, "m")
    inputs[f"blocks.{n_layers - 1}.hook_resid_post"] = (n_layers, "logits")
    return outputs, inputs


def eap_with_hooks(problem):
    """EAP as a method author would write it with hooks; {edge: score}."""
    bridge, graph, pairs, heads = problem.bridge(), problem.graph, problem.pairs, problem.model.config.n_heads
    outputs, inputs = _hooks(bridge, graph.n_layers, graph.parallel)
    stored, gradients = {}, {}

    def save(run):
        # The hook's own name is the resolved one, so each closure carries the name that was asked for.
        return [
            (name, lambda value, hook, name=name: stored.__setitem__((run, name), value.detach())) for name in outputs
        ]

    def watch(name):
        # The copy is what the reader alone gets, so its gradient leaves the residual path out.
        def hook(value, hook):
            copy = value.clone()
            copy.register_hook(lambda gradient: gradients.__setitem__(name, gradient.detach()))
            return copy

        return name, hook

    with torch.no_grad():
        bridge.run_with_hooks(pairs.corrupt, fwd_hooks=save("corrupt"))
    logits = bridge.run_with_hooks(pairs.clean, fwd_hooks=save("clean") + [watch(name) for name in inputs])
    problem.metric(pairs.read(logits), pairs).sum().backward()
    assert len(stored) == 2 * len(outputs), "a hook did not fire"
    assert len(gradients) == len(inputs), "a gradient hook did not fire"

    difference = {}
    for name, node in outputs.items():
        change = stored["clean", name] - stored["corrupt", name]
        if node.startswith("a"):
            difference |= {f"{node}.h{head}": change[:, :, head] for head in range(heads)}
        else:
            difference[node] = change
    at_input = {}
    for name, (layer, part) in inputs.items():
        gradient = gradients[name]
        if part in "qkv":
            at_input |= {f"a{layer}.h{head}<{part}>": gradient[:, :, head] for head in range(heads)}
        else:
            at_input["logits" if part == "logits" else f"m{layer}"] = gradient
    scores = {}
    for edge in graph.edges:
        source, _, destination = edge.partition("->")
        if destination in at_input:
            scores[edge] = ((difference[source] * at_input[destination]).sum() / len(pairs)).item()
    return scores


@pytest.mark.parametrize("family", ["gpt2", "neox"])
def test_eap_written_with_bridge_hooks_gives_our_scores(family):
    problem = random_problem(family, dtype=torch.float32)
    ours = eap(problem, torch.Generator()).scores
    theirs = eap_with_hooks(problem)
    largest = ours.abs().max().item()
    assert set(theirs) == set(problem.graph.edges)
    for index, edge in enumerate(problem.graph.edges):
        assert theirs[edge] == pytest.approx(ours[index].item(), abs=2e-5 * largest), edge


@pytest.mark.parametrize("family", ["gpt2", "neox", "llama"])
def test_passes_through_the_bridge_are_counted(family):
    problem = random_problem(family, dtype=torch.float32)
    bridge, pairs = problem.bridge(), problem.pairs

    def spent(work):
        with counting() as cost:
            work()
        return cost.forward_sequences, cost.backward_sequences, cost.known

    def metric():
        return problem.metric(pairs.read(bridge(pairs.clean)), pairs).sum()

    def twice():
        total = metric()
        total.backward(retain_graph=True)
        total.backward()

    def in_a_thread():
        # As on a GPU, where gradients arrive in a thread of their own.
        thread = threading.Thread(target=metric().backward)
        thread.start()
        thread.join()

    assert spent(lambda: bridge(pairs.clean)) == (5, 0, True)
    assert spent(lambda: bridge.run_with_cache(pairs.clean)) == (5, 0, True)
    assert spent(lambda: bridge.run_with_hooks(pairs.clean, stop_at_layer=1)) == (5, 0, True)
    assert spent(lambda: bridge.original_model(pairs.clean)) == (5, 0, True)
    assert spent(lambda: metric().backward()) == (5, 5, True)
    assert spent(twice) == (5, 10, True)
    assert spent(in_a_thread) == (5, 5, True)
    assert spent(lambda: (metric() + metric()).backward()) == (10, 10, True)
    # What goes through a block alone is part of no pass, so what it cost cannot be said.
    assert spent(lambda: bridge.blocks[0].mlp(torch.zeros(5, 6, 32))) == (0, 0, False)
    # Not even after a pass that ended in an exception.
    with pytest.raises(IndexError):
        bridge(pairs.clean + 99)
    assert not spent(lambda: bridge.blocks[0].mlp(torch.zeros(5, 6, 32)))[2]


@pytest.mark.parametrize("family", ["gpt2", "neox"])
def test_eap_written_with_hooks_costs_two_forwards_and_one_backward_like_ours(family):
    problem = random_problem(family, dtype=torch.float32)
    with counting() as cost:
        eap_with_hooks(problem)
    assert (cost.forward_sequences, cost.backward_sequences, cost.known) == (10, 5, True)


def test_the_metric_refuses_logits_of_all_positions_and_says_what_to_pass():
    problem = random_problem("gpt2", dtype=torch.float32)
    logits, pairs = problem.bridge()(problem.pairs.clean), problem.pairs
    with pytest.raises(UsageError, match=r"shape \(5, 6, 19\); valid: \(5, 1, 19\).*pass `pairs.read\(logits\)`"):
        problem.metric(logits, pairs)
    with pytest.raises(UsageError, match=r"shape \(5, 19\); valid: \(5, 1, 19\)"):
        problem.metric(logits[:, -1], pairs)
    with pytest.raises(UsageError, match=r"shape \(3, 1, 19\)"):
        problem.metric(pairs.read(logits)[:3], pairs)
    with pytest.raises(UsageError, match=r"shape \(5, 1, 32\)"):
        problem.metric(torch.zeros(5, 1, 32), pairs)
    read = problem.metric(pairs.read(logits), pairs)
    assert torch.equal(read, problem.metric(logits[:, -1:], pairs))
    with pytest.raises(UsageError, match=r"shape \(3, 6, 19\) was given to be read; valid: .* \(5, 6\) in front"):
        pairs.read(logits[:3])


@pytest.mark.parametrize("family", ["gpt2", "attention-only", "no-norm", "neox", "llama"])
def test_the_bridge_computes_the_same_logits(family):
    problem = random_problem(family, dtype=torch.float32)
    with torch.no_grad():
        theirs = problem.bridge()(problem.pairs.clean)
    assert torch.allclose(theirs, problem.model(problem.pairs.clean), atol=1e-3, rtol=1e-4)


def test_the_bridge_of_a_compiled_model_computes_the_same_logits():
    from mechboard.tasks.compiled.reverse import task

    problem = task.load(0, "cpu").problem
    with torch.no_grad():
        assert torch.allclose(problem.bridge()(problem.pairs.clean), problem.model(problem.pairs.clean), atol=1e-4)


def test_the_bridge_of_stories260k_computes_the_same_logits(stories):
    decoder, tokens = load_checkpoint(stories), torch.randint(512, (2, 12))
    with torch.no_grad():
        assert torch.allclose(to_bridge(decoder)(tokens), decoder(tokens), atol=1e-4)


@pytest.mark.skipif(TRANSFORMER_LENS < 4, reason="edge attribution comes with TransformerLens 4; .ci/run has it")
def test_transformer_lens_4_agrees_at_the_corrupt_point():
    """Its edge scores are per position, with the gradient at the corrupt run, one example at a time."""
    from tl4_witness import edge_scores_at_corrupt_point

    from mechboard.methods.eap import Parameters

    problem = random_problem("gpt2", dtype=torch.float32)
    ours = eap(problem, torch.Generator(), Parameters(at="corrupt")).scores
    theirs = edge_scores_at_corrupt_point(problem)
    assert set(theirs) == set(problem.model.graph.edges)
    largest = ours.abs().max().item()
    for index, edge in enumerate(problem.graph.edges):
        assert theirs[edge] == pytest.approx(ours[index].item(), abs=2e-5 * largest), edge
