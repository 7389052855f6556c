"""What is done for one cell: the method solves, its answer is checked, and the task's kind scores it.

The method gets a problem with discovery prompts. Evaluation prompts and truths are held only where no method runs.
Weights and prompts are fingerprinted around the method: a method that changes them has answered another problem.
"""

from __future__ import annotations

import errno
import hashlib
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass as checked_dataclass

from ...contract.kind import AnyProblem
from ...contract.method import Method
from ...contract.progress import Step, listening
from ...contract.scores import Evaluation
from ...contract.task import Instance, Task
from ...errors import InvalidSolution, PluginError, Unsupported, WriteError
from ...graph import Cost, counting
from ...kinds import kind
from ...records import CostRecord, ErrorRecord, Provenance, Status, TaskInfo
from ...records.answer import Answer
from ...records.provenance import peak_memory, reset_peak_memory
from .. import identity
from ..plan import PlannedCell


@checked_dataclass(frozen=True)
class Failure:
    """Why a cell has no score; leaves a method's process as JSON (`FAILURE`)."""

    status: Status
    error: ErrorRecord


FAILURE = TypeAdapter(Failure)


@dataclass(frozen=True)
class Scored:
    """What scoring an answer gave."""

    evaluation: Evaluation
    scorer_id: str
    info: TaskInfo
    seconds: float


@dataclass(frozen=True)
class Job:
    """A cell that must be solved, or only scored if its answer was kept."""

    planned: PlannedCell
    solution_id: str
    evaluation_id: str
    provenance: Provenance
    answer: Answer | None = None


@dataclass(frozen=True)
class Started:
    """A job has begun."""

    job: Job


@dataclass(frozen=True)
class Answered:
    """A method has answered; scoring comes next."""

    job: Job
    answer: Answer
    log: bytes


@dataclass(frozen=True)
class Ended:
    """A job has come to its end; `answer` is what was scored, if anything was."""

    job: Job
    result: Scored | Failure
    answer: Answer | None
    log: bytes | None = None


Event = Started | Answered | Ended

Doing = Literal["solving", "scoring"]
"""What is done for a cell and tells how far it is."""

Tell = Callable[[Job, Doing, Step], None]
"""Where an executor says how far a job has come. No event: it is told at once, also by what runs in this process."""


@dataclass(frozen=True)
class Assignment:
    """A method with all that decides about its answer, whichever process it runs in.

    `adapter` is the name of one of the task's kind's adapters; None for a method of that kind.
    """

    method: Method
    parameters: Any
    adapter: str | None
    seed: int
    solution_id: str
    provenance: Provenance


def load(task: Task, data_seed: int, device: str) -> Instance[Any]:
    """The instance of a data seed, as a task's kind can use it.

    Raises:
        PluginError: it is no instance, or does not fit together.
        Exception: whatever the task raises.
    """
    instance: object = task.load(data_seed, device)
    if not isinstance(instance, Instance):
        raise PluginError(
            f"Task {task.name!r} loads {type(instance).__name__}; valid: mechboard.protocols.Instance(problem=..., "
            "held_out=..., truths=...)."
        )
    kind(task.kind).check_instance(instance)
    return instance


def show(task: Task, instance: Instance[Any], sees: frozenset[str]) -> Any:
    """The problem with what a method declares to see.

    Raises:
        Unsupported: tasks of this kind, or this one, do not show it.
    """
    asked = kind(task.kind)
    if hidden := sees - asked.sees:
        raise Unsupported(f"it needs to see {', '.join(sorted(hidden))}, which {task.kind} tasks do not show")
    return asked.reveal(instance, sees)


def solve(assigned: Assignment, task: Task, problem: AnyProblem, tell: Callable[[Step], None]) -> Answer:
    """Run a method on a problem that shows what the method sees, and check what it returns.

    `tell` hears how far the method has come, where it says so.

    Raises:
        InvalidSolution: the answer cannot be scored, or the method changed the model or the prompts.
        Unsupported: the method declines.
        Exception: whatever the method raises.
    """
    asked = kind(task.kind)
    method = assigned.method
    if assigned.adapter is not None:
        method = next(a for a in asked.adapters if a.name == assigned.adapter)(method)
    before = fingerprint(problem)
    generator = torch.Generator().manual_seed(assigned.seed)  # on the CPU, so that draws do not depend on the device
    reset_peak_memory()
    begun = time.perf_counter()
    with listening(tell), counting() as cost:
        returned = method(problem, generator, assigned.parameters)
    seconds = time.perf_counter() - begun
    peak = peak_memory()
    tensors = asked.pack(asked.check(returned, problem))
    if fingerprint(problem) != before:
        raise InvalidSolution(
            "The method changed the model's weights or the prompts in place, so it answered another problem; "
            "work on copies (`tensor.clone()`, `problem.model.to()`)."
        )
    return Answer(assigned.solution_id, tensors, _cost(cost, problem.n_prompts, seconds, peak), assigned.provenance)


def score(
    task: Task, instance: Instance[Any], tensors: Mapping[str, torch.Tensor], tell: Callable[[Step], None]
) -> Scored:
    """Score an answer on what the instance holds back; `tell` hears how far it has come."""
    begun = time.perf_counter()
    asked = kind(task.kind)
    with listening(tell):
        evaluation = asked.score(task, instance, asked.unpack(tensors))
    return Scored(
        evaluation, identity.scorer_id(task, instance), task_info(task, instance), time.perf_counter() - begun
    )


def generator_seed(planned: PlannedCell) -> int:
    """The seed of the generator that a method draws from: it depends on the cell and on nothing else."""
    cell = planned.cell
    text = identity.digest(
        [cell.method, *([cell.adapter] if cell.adapter else []), cell.task, cell.data_seed, cell.seed]
    )
    return int(text.partition(":")[2], 16) % 2**63


def failure(error: BaseException) -> Failure:
    """What an exception makes of a cell."""
    text = "".join(traceback.format_exception(error))
    if isinstance(error, SystemExit):
        return Failure(
            "crashed",
            ErrorRecord(
                type="SystemExit",
                message=f"The method called sys.exit({error.code!r}); return a solution or raise an error.",
                traceback=text,
            ),
        )
    if isinstance(error, Unsupported):
        return Failure("unsupported", ErrorRecord(type="Unsupported", message=str(error), traceback=""))
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        said = f"A file cannot be written ({error.strerror}); free space, then run again."
        return Failure("failed", ErrorRecord(type=WriteError.__name__, message=said, traceback=text))
    status: Status = "invalid" if isinstance(error, InvalidSolution) else "failed"
    return Failure(status, ErrorRecord(type=type(error).__name__, message=str(error), traceback=text))


def stopped(status: Status, kind: str, message: str, output: str = "") -> Failure:
    """The failure of a cell that no exception ended; what was printed stands where a traceback would."""
    return Failure(status, ErrorRecord(type=kind, message=message, traceback=output or message))


def fingerprint(problem: AnyProblem) -> str:
    """Hash of weights and prompts, to the bit."""
    hashed = hashlib.sha256()
    for tensor in problem.tensors():
        hashed.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        hashed.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return hashed.hexdigest()


def task_info(task: Task, instance: Instance[Any] | None = None) -> TaskInfo:
    """What a record says about the task; facts and truths once an instance is loaded."""
    asked = kind(task.kind)
    return TaskInfo(
        summary=task.summary,
        kind=task.kind,
        tier=task.tier,
        family=task.family,
        level=task.level,
        ranked=task.ranked,
        description=task.description,
        citation=dict(task.citation),
        facts=() if instance is None else asked.facts(instance),
        truths=() if instance is None else asked.truths(instance),
        twin=task.twin,
        quoted=task.quoted,
    )


def _cost(cost: Cost, prompts: int, seconds: float, peak: int | None) -> CostRecord:
    forward, backward = (cost.forward_sequences, cost.backward_sequences) if cost.known else (None, None)
    return CostRecord(
        forwards=None if forward is None else forward / prompts,
        backwards=None if backward is None else backward / prompts,
        forward_sequences=forward,
        backward_sequences=backward,
        prompts=prompts,
        wall_seconds=seconds,
        evaluation_seconds=0.0,
        peak_memory_bytes=peak,
    )
