"""What is done for one cell: the method solves, its answer is checked, and the engine scores it.

The method gets a problem with discovery prompts. Evaluation prompts and truths are drawn only where no method runs.
Weights and prompts are fingerprinted around the method: a method that changes them has answered another problem.
"""

from __future__ import annotations

import hashlib
import time
import traceback
from dataclasses import dataclass, replace
from typing import Any

import torch
from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass as checked_dataclass

from mechboard import identity
from mechboard.answer import Answer
from mechboard.errors import InvalidSolution
from mechboard.graph import Cost, counting
from mechboard.metrics.circuit import evaluate_edges
from mechboard.plan import PlannedCell
from mechboard.protocols import CircuitProblem, EdgeScores, Evaluation, Method, Task, Truth
from mechboard.provenance import peak_memory, reset_peak_memory
from mechboard.records import CostRecord, ErrorRecord, GraphInfo, Provenance, Status, TaskInfo, TruthInfo


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


def solve(
    method: Method,
    parameters: Any,
    problem: CircuitProblem,
    task: Task,
    *,
    seed: int,
    solution_id: str,
    provenance: Provenance,
) -> Answer:
    """Run a method on a problem and check what it returns; identity and provenance go into the answer as they are.

    Raises:
        InvalidSolution: the answer cannot be scored, or the method changed the model or the prompts.
        Exception: whatever the method raises.
    """
    if "truth" in method.sees:
        problem = replace(problem, truth=task.truths(problem)[0].edges)
    before = fingerprint(problem)
    generator = torch.Generator().manual_seed(seed)  # on the CPU, so that draws do not depend on the device
    reset_peak_memory()
    begun = time.perf_counter()
    with counting() as cost:
        solution = method(problem, generator, parameters)
    seconds = time.perf_counter() - begun
    peak = peak_memory()
    scores = validated(solution, problem)
    if fingerprint(problem) != before:
        raise InvalidSolution(
            "The method changed the model's weights or the prompts in place, so it answered another problem; "
            "work on copies (`tensor.clone()`, `problem.model.to()`)."
        )
    return Answer(solution_id, scores, _cost(cost, len(problem.pairs), seconds, peak), provenance)


def score(task: Task, problem: CircuitProblem, scores: torch.Tensor) -> Scored:
    """Score an answer on prompts that no method has seen."""
    begun = time.perf_counter()
    truths = task.truths(problem)
    evaluation = evaluate_edges(problem, scores, task.held_out(problem), truths)
    return Scored(
        evaluation, identity.scorer_id(truths, task), task_info(task, problem, truths), time.perf_counter() - begun
    )


def generator_seed(planned: PlannedCell) -> int:
    """The seed of the generator that a method draws from: it depends on the cell and on nothing else."""
    cell = planned.cell
    text = identity.digest([cell.method, cell.task, cell.data_seed, cell.seed])
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
    status: Status = "invalid" if isinstance(error, InvalidSolution) else "failed"
    return Failure(status, ErrorRecord(type=type(error).__name__, message=str(error), traceback=text))


def stopped(status: Status, kind: str, message: str, output: str = "") -> Failure:
    """The failure of a cell that no exception ended; what was printed stands where a traceback would."""
    return Failure(status, ErrorRecord(type=kind, message=message, traceback=output or message))


def validated(solution: Any, problem: CircuitProblem) -> torch.Tensor:
    """The scores of a solution, on the CPU in single precision.

    Raises:
        InvalidSolution: it is nothing, of another type or shape, infinite, or without any opinion.
    """
    wanted = f"valid: mechboard.protocols.EdgeScores with one finite score or NaN per edge ({problem.graph.n_edges})"
    if not isinstance(solution, EdgeScores) or not isinstance(solution.scores, torch.Tensor):
        raise InvalidSolution(f"The method returned {type(solution).__name__}; {wanted}.")
    scores = solution.scores.detach().cpu()
    if tuple(scores.shape) != (problem.graph.n_edges,) or not scores.is_floating_point():
        raise InvalidSolution(f"The method returned {scores.dtype} scores of shape {tuple(scores.shape)}; {wanted}.")
    if bool(scores.isinf().any()):
        raise InvalidSolution(f"The method returned {int(scores.isinf().sum())} infinite scores; {wanted}.")
    if bool(scores.isnan().all()):
        raise InvalidSolution(f"The method returned NaN for every edge; {wanted}.")
    scores = scores.float()
    if bool(scores.isinf().any()):
        raise InvalidSolution(f"The method returned scores beyond single precision; {wanted}.")
    return scores


def fingerprint(problem: CircuitProblem) -> str:
    """Hash of weights and prompts, to the bit."""
    hashed = hashlib.sha256()
    for tensor in problem.tensors():
        hashed.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        hashed.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return hashed.hexdigest()


def task_info(task: Task, problem: CircuitProblem | None = None, truths: tuple[Truth, ...] = ()) -> TaskInfo:
    """What a record says about the task; graph and truths once its problem is loaded."""
    return TaskInfo(
        summary=task.summary,
        kind=task.kind,
        tier=task.tier,
        ranked=task.ranked,
        description=task.description,
        citation=dict(task.citation),
        graph=None if problem is None else GraphInfo.model_validate(problem.graph, from_attributes=True),
        truths=tuple(TruthInfo(name=t.name, n_true=int(t.edges.sum()), source=t.source) for t in truths),
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
