"""Methods that misbehave, each in one way, and after each of them a method that must not notice."""

import ctypes
import gc
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from mechboard.contract.progress import Step
from mechboard.graph import PromptPairs
from mechboard.methods.eap import eap
from mechboard.protocols import EdgeScores, NoParameters, Truth, method, progress
from mechboard.runs.workers.page import Page

TRACE = Path(os.environ.get("ABUSES_TRACE", "."))


def _answer(problem):
    return eap(problem, torch.Generator())


def halves_weights(problem):
    scores = _answer(problem)
    problem.model.weights.layers[0].o.mul_(0.5)
    return scores


def overwrites_prompts(problem):
    scores = _answer(problem)
    problem.pairs.clean.copy_(problem.pairs.corrupt)
    return scores


def exits(problem):
    sys.exit(0)


def exits_at_once(problem):
    os._exit(0)


def segfaults(problem):
    ctypes.string_at(0)


def eats_memory(problem):
    held = []
    for _ in range(80):
        held.append(torch.ones(2**24))  # 64 MiB each
    return _answer(problem)


def hangs(problem):
    (TRACE / "hang").write_text(str(os.getpid()))
    while True:
        time.sleep(0.1)


def hangs_and_ignores_sigterm(problem):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        pass


def forks(problem):
    scores = _answer(problem)
    pid = os.fork()  # both go on
    if pid == 0:
        (TRACE / "fork").write_text(str(os.getpid()))
        time.sleep(0.3)
    return EdgeScores(scores.scores * (1 if pid else -1))


def leaves_a_daemon(problem):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            (TRACE / "daemon").write_text(str(os.getpid()))
            time.sleep(600)
        os._exit(0)
    os.wait()
    while not (TRACE / "daemon").is_file():
        time.sleep(0.01)
    return _answer(problem)


def goes_elsewhere(problem):
    os.chdir("/")
    return _answer(problem)


def prints(problem):
    print("a line on standard output")
    os.system("echo a line of a child")
    print("a line on standard error", file=sys.stderr)
    return _answer(problem)


def prints_without_end(problem):
    while True:
        os.write(1, b"x" * 2**20)


def changes_precision(problem):
    scores = _answer(problem)
    torch.set_default_dtype(torch.float64)
    return scores


def forbids_gradients(problem):
    scores = _answer(problem)
    torch.set_grad_enabled(False)
    torch.autograd.grad_mode.inference_mode(True).__enter__()
    return scores


def takes_threads(problem):
    scores = _answer(problem)
    torch.set_num_threads(7)
    return scores


def replaces_softmax(problem):
    scores = _answer(problem)
    torch.softmax = torch.Tensor.softmax = lambda *a, **k: 1 / 0
    return scores


def replaces_the_engine(problem):
    import mechboard.graph.decoder as decoder
    import mechboard.metrics.circuit as circuit

    scores = _answer(problem)
    decoder.Decoder.attend = lambda *a: 1 / 0
    circuit.evaluate_edges = lambda *a, **k: 1 / 0
    return scores


def kills_its_parent(problem):
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)


def raises(problem):
    raise ValueError("on purpose")


def interrupts(problem):
    raise KeyboardInterrupt


def floods_progress(problem):
    for done in range(100_000):
        progress(done, 100_000, "edges")
    return _answer(problem)


def scribbles_over_progress(problem):
    [page] = [thing for thing in gc.get_objects() if isinstance(thing, Page)]
    size = len(page._memory)
    for seed in range(2000):
        page._memory[:] = random.Random(seed).randbytes(size)
        page.write(Step(2**62, 1, "\x1b[2J", float("nan"), -1.0))
    return _answer(problem)


def tells_nonsense(problem):
    for done, total, unit in ((3, 2, "edges"), (-1, 2, "edges"), (0, 0, "edges"), (1, 2, "\x1b[2J"), (None, "x", 3)):
        progress(done, total, unit)
    progress(1, 2, "edges", share="most")
    return _answer(problem)


def peeks(problem):
    assert problem.truth is None
    discovery = {tuple(row) for row in problem.pairs.clean.tolist()}
    for thing in gc.get_objects():
        assert not isinstance(thing, Truth), "a truth is in reach"
        if isinstance(thing, PromptPairs):
            assert {tuple(row) for row in thing.clean.tolist()} <= discovery, "evaluation prompts are in reach"
    return _answer(problem)


STATUSES = {
    halves_weights: "invalid",
    overwrites_prompts: "invalid",
    exits: "crashed",
    exits_at_once: "crashed",
    segfaults: "crashed",
    eats_memory: "crashed",
    hangs: "timeout",
    hangs_and_ignores_sigterm: "timeout",
    forks: "done",
    leaves_a_daemon: "done",
    goes_elsewhere: "done",
    prints: "done",
    prints_without_end: "crashed",
    changes_precision: "done",
    forbids_gradients: "done",
    takes_threads: "done",
    replaces_softmax: "done",
    replaces_the_engine: "done",
    kills_its_parent: "crashed",
    raises: "failed",
    interrupts: "failed",
    floods_progress: "done",
    scribbles_over_progress: "done",
    tells_nonsense: "done",
    peeks: "done",
}


def _declare(name, function):
    @method(name=name, kinds=("circuit",), deterministic=True)
    def declared(problem, generator, parameters: NoParameters):
        return function(problem)

    return declared


for _function in STATUSES:
    _name = _function.__name__.replace("_", "-")
    vars()[f"bad_{_function.__name__}"] = _declare(_name, _function)
    vars()[f"after_{_function.__name__}"] = _declare(f"after-{_name}", _answer)
