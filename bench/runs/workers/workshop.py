"""A process that holds one problem, forks for each method, and has a second process that scores.

    driver --orders--> workshop (holds the problem) --fork, one per cell--> method
           --scores--> scorer   (a fork of the workshop before any method ran)

The workshop knows names and plain values: it finds task and methods by their references. Once the scorer is forked it
forgets what the instance holds back, so that no method can find it in its memory; for a method that declares what it
sees the instance is loaded anew in its own process. The scorer has never run a line of a method.
Weights are shared between all three until one of them writes.

On a GPU nothing can be shared between forks, so there each process loads the problem for itself.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import tempfile
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ...contract.task import Instance, Task
from ...records import Provenance, Status
from ...records.answer import pack
from ...reference import Reference
from .cell import FAILURE, Assignment, Failure, failure, load, score, show, solve, stopped
from .page import Page, Relay, tell
from .sandbox import Ending, Limits, adopt_orphans, die_with_parent, kill_tree, run_forked
from .server import server

BEGUN, OPEN = "begun", "open"
"""What a workshop says first: that it is there, and that it holds its problem."""

_ANSWER = b"answer:"
_LOG_SHOWN = 8000  # bytes of a log's end that go into a record


@dataclass(frozen=True)
class Problem:
    """Which problem a workshop holds."""

    task: Reference
    data_seed: int
    device: str


@dataclass(frozen=True)
class Order:
    """One method to run, in names and plain values."""

    method: Reference
    parameters: dict[str, Any]
    adapter: str | None
    seed: int
    solution_id: str
    provenance: Provenance

    def assignment(self) -> Assignment:
        """The same with the method itself."""
        method = self.method.load()
        parameters = method.parameters(**self.parameters)
        return Assignment(method, parameters, self.adapter, self.seed, self.solution_id, self.provenance)


@dataclass(frozen=True)
class Solved:
    """What became of an order: a packed answer or a failure; and what was printed."""

    answer: bytes | None
    failure: Failure | None
    log: bytes


class Workshop:
    """The driver's end of a workshop. `orders` and `scores` are its connections.

    On the first come `BEGUN`, then `OPEN` or a failure, then for every order a `Solved`; on the second a `Scored` or a
    failure for every packed solution. On either may come any number of `Step`s before what ends the work.
    """

    def __init__(self, problem: Problem, limits: Limits, threads: int) -> None:
        context = server()
        self.problem = problem
        self.orders, orders = context.Pipe()
        self.scores, scores = context.Pipe()
        self._process = context.Process(
            target=_main, args=(orders, scores, problem, limits, threads, dict(os.environ)), daemon=True
        )
        self._process.start()
        orders.close()
        scores.close()

    def close(self) -> None:
        """End it with everything in it, at once."""
        if self._process.pid is not None:
            kill_tree(self._process.pid)
        self._process.join()
        self.orders.close()
        self.scores.close()


def _main(
    orders: Connection,
    scores: Connection,
    problem: Problem,
    limits: Limits,
    threads: int,
    environment: dict[str, str],
) -> None:
    """The workshop's own life: load, fork the scorer, serve orders until the driver hangs up."""
    die_with_parent()
    adopt_orphans()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the driver's to handle
    orders.send(BEGUN)
    os.environ.clear()
    os.environ.update(environment)
    # A pool of threads does not survive a fork, so none may exist before the last one.
    import torch

    torch.set_num_threads(1)
    try:
        shared = _Shared(problem, limits, threads)
        instance = shared.load() if problem.device == "cpu" else None
    except BaseException as error:
        orders.send(failure(error))
        return
    scorer = os.fork()
    if scorer == 0:
        orders.close()
        die_with_parent()
        torch.set_num_threads(threads)
        _serve_scores(scores, shared, instance)
        os._exit(0)
    scores.close()
    if instance is not None:
        shared.problem = instance.problem
    del instance
    gc.collect()
    orders.send(OPEN)
    with contextlib.suppress(EOFError, OSError), tempfile.TemporaryDirectory(prefix="mechboard-") as folder:
        while True:
            order: Order = orders.recv()
            orders.send(_solve(order, shared, orders, scorer, Path(folder)))


class _Shared:
    """What a workshop and its forks work with: the task, and on a CPU its problem, which they share."""

    def __init__(self, asked: Problem, limits: Limits, threads: int) -> None:
        self.task: Task = asked.task.load()
        self.limits, self.threads = limits, threads
        self.problem: Any = None
        self.page = Page()
        self._asked = asked

    def load(self) -> Instance[Any]:
        return load(self.task, self._asked.data_seed, self._asked.device)

    def show(self, sees: frozenset[str]) -> Any:
        """The problem with what a method declares to see."""
        if not sees and self.problem is not None:
            return self.problem
        return show(self.task, self.load(), sees)


def _serve_scores(scores: Connection, shared: _Shared, instance: Instance[Any] | None) -> None:
    with contextlib.suppress(EOFError, OSError):
        while True:
            tensors = scores.recv()
            try:
                instance = instance or shared.load()
                scores.send(score(shared.task, instance, tensors, lambda step: tell(scores, step)))
            except Exception as error:
                scores.send(failure(error))


def _solve(order: Order, shared: _Shared, orders: Connection, scorer: int, folder: Path) -> Solved:
    """Run one method in a fork and read what it left."""
    result, log = folder / "result", folder / "log"
    for left in (result, log):
        left.unlink(missing_ok=True)
    shared.page.clear()

    def work() -> bytes:
        orders.close()
        return _answer(order, shared)

    # While an order is being worked on the driver sends none, so what can be read is that it has hung up.
    ending = run_forked(
        work,
        result=result,
        log=log,
        limits=shared.limits,
        abandoned=orders.poll,
        glance=Relay(shared.page, orders),
        spare=(scorer,),
    )
    printed = log.read_bytes() if log.is_file() else b""
    if ending.code == 0 and not ending.limit and result.is_file():
        content = result.read_bytes()
        if content.startswith(_ANSWER):
            return Solved(content.removeprefix(_ANSWER), None, printed)
        return Solved(None, FAILURE.validate_json(content), printed)
    return Solved(None, _violent(ending, shared.limits, printed), printed)


def _answer(order: Order, shared: _Shared) -> bytes:
    """In the fork: the packed answer, or the failure as JSON."""
    import torch

    torch.set_num_threads(shared.threads)
    try:
        assigned = order.assignment()
        problem = shared.show(assigned.method.sees)
        return _ANSWER + pack(solve(assigned, shared.task, problem, shared.page.write))
    except BaseException as error:
        return FAILURE.dump_json(failure(error))


def _violent(ending: Ending, limits: Limits, printed: bytes) -> Failure:
    """The failure of a method that ended without a word, or was ended."""
    status: Status = "timeout" if ending.limit == "timeout" else "crashed"
    kind, message = {
        "timeout": ("Timeout", f"The method ran longer than --timeout {limits.timeout:g} s and was killed; raise it."
                    if limits.timeout else ""),
        "memory": ("OutOfMemory", f"The method's process held more than --memory {(limits.memory or 0) / 1e9:.3g}GB and was "
                   "killed; raise it, or use smaller batches."),
        "abandoned": ("Abandoned", "The driver ended while the method ran, so it was killed."),
        "output": ("TooMuchOutput", "The method printed more than 64 MiB and was killed; print less."),
        "": ("Crash", f"The method's process ended without an answer ({ending.reason}); its output is in the log "
             "beside the record."),
    }[ending.limit]  # fmt: skip
    lines = printed[-_LOG_SHOWN:].decode(errors="replace").splitlines()
    end = "\n".join(
        line for line in lines if not line.startswith("Extension modules:")
    )  # faulthandler's long last line
    return stopped(status, kind, message, end)
