"""Runs a plan: loads each problem once, solves, scores, and writes every record the moment its cell ends.

A cell that fails fails alone. What is already there with the same identity is not run again; a kept
solution whose scorer has changed is scored again without running the method.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import torch

from mechboard import identity, provenance
from mechboard.errors import InvalidSolution, RecordError
from mechboard.graph import Cost, counting
from mechboard.plan import Plan, PlannedCell
from mechboard.protocols import CircuitProblem, EdgeScores, Evaluation, Task, Truth
from mechboard.records import (
    CostRecord,
    CurveRecord,
    EdgeRecord,
    ErrorRecord,
    GraphInfo,
    MeasureRecord,
    MethodInfo,
    Provenance,
    Record,
    Status,
    TaskInfo,
    TruthInfo,
)
from mechboard.store import Store


@dataclass(frozen=True)
class Outcome:
    """What became of one cell in this run: a record's status, `cached` or `rescored`."""

    record: Record
    status: str
    seconds: float


class Observer(Protocol):
    """Watches a run; the terminal's progress is one."""

    def started(self, planned: PlannedCell, number: int, total: int) -> None:
        """A cell begins."""
        ...

    def ended(self, outcome: Outcome, number: int, total: int) -> None:
        """A cell has ended and its record is on disk."""
        ...

    def noticed(self, message: str) -> None:
        """Something the user should know."""
        ...


@dataclass(frozen=True)
class _Loaded:
    """A problem with its truths and what identifies how it is scored."""

    problem: CircuitProblem
    truths: tuple[Truth, ...]
    scorer_id: str
    info: TaskInfo
    assets: Mapping[str, str]


class Runner:
    """Runs plans against one results folder on one device."""

    def __init__(self, store: Store, observers: Sequence[Observer], *, device: str, fresh: bool) -> None:
        self._store, self._observers, self._device, self._fresh = store, observers, device, fresh
        self._key: tuple[str, int] | None = None
        self._loaded: _Loaded | Exception | None = None

    def run(self, plan: Plan) -> Iterator[Outcome]:
        """Run every cell, yielding what became of it.

        Raises:
            KeyboardInterrupt: after the interrupted cell's record is written.
            StoreError: a record cannot be written.
        """
        total = len(plan.cells)
        for number, planned in enumerate(plan.cells, 1):
            for observer in self._observers:
                observer.started(planned, number, total)
            begun = time.perf_counter()
            record, status = self._run_cell(planned)
            outcome = Outcome(record, status, time.perf_counter() - begun)
            for observer in self._observers:
                observer.ended(outcome, number, total)
            yield outcome

    def _run_cell(self, planned: PlannedCell) -> tuple[Record, str]:
        existing = self._existing(planned)
        loaded = self._load(planned.task, planned.cell.data_seed)
        assets = {} if isinstance(loaded, Exception) else loaded.assets
        solution = identity.solution_id(
            planned.method, planned.cell.parameters, planned.task, assets, planned.cell.data_seed, planned.cell.seed
        )
        record = _blank(planned, solution, provenance.collect(self._device, assets))
        if isinstance(loaded, Exception):
            return self._write_failure(record, loaded, "failed"), "failed"
        evaluation = identity.evaluation_id(solution, loaded.scorer_id)
        record = record.model_copy(
            update={"task": loaded.info, "scorer_id": loaded.scorer_id, "evaluation_id": evaluation}
        )
        if existing and existing.status == "done" and existing.solution_id == solution and not self._fresh:
            if existing.evaluation_id == evaluation:
                return existing, "cached"
            kept = self._store.read_scores(planned.cell)
            if kept is not None:
                record = record.model_copy(update={"cost": existing.cost, "provenance": existing.provenance})
                return self._guarded(record, lambda: self._score(record, planned, loaded, kept), existing, "rescored")
        return self._guarded(record, lambda: self._solve_and_score(record, planned, loaded), existing, "done")

    def _existing(self, planned: PlannedCell) -> Record | None:
        try:
            return self._store.read(planned.cell)
        except RecordError as error:
            aside = self._store.set_aside(planned.cell)
            for observer in self._observers:
                observer.noticed(f"{error} It was renamed to {aside.name!r} and the cell runs again.")
            return None

    def _load(self, task: Task, data_seed: int) -> _Loaded | Exception:
        if self._key != (task.name, data_seed):
            self._key, self._loaded = (task.name, data_seed), None
            try:
                assets = task.asset_hashes()
                problem = task.load(data_seed, self._device)
                truths = task.truths(problem)
                self._loaded = _Loaded(
                    problem, truths, identity.scorer_id(truths), _task_info(task, problem, truths), assets
                )
            except Exception as error:
                self._loaded = error
        assert self._loaded is not None
        return self._loaded

    def _guarded(
        self, record: Record, work: Callable[[], Record], existing: Record | None, success: str
    ) -> tuple[Record, str]:
        """Do the work; whatever it raises becomes the record of this cell alone."""
        try:
            done = work()
        except KeyboardInterrupt as error:
            if existing is None or existing.status != "done":
                self._write_failure(record, error, "interrupted")
            raise
        except InvalidSolution as error:
            return self._write_failure(record, error, "invalid"), "invalid"
        except Exception as error:
            return self._write_failure(record, error, "failed"), "failed"
        self._store.write(done)
        return done, success

    def _write_failure(self, record: Record, error: BaseException, status: Status) -> Record:
        text = "".join(traceback.format_exception(error))
        failed = record.model_copy(
            update={
                "status": status,
                "error": ErrorRecord(type=type(error).__name__, message=str(error), traceback=text),
            }
        )
        self._store.write(failed)
        return failed

    def _solve_and_score(self, record: Record, planned: PlannedCell, loaded: _Loaded) -> Record:
        problem = loaded.problem
        if "truth" in planned.method.sees:
            problem = replace(problem, truth=loaded.truths[0].edges)
        provenance.reset_peak_memory()
        begun = time.perf_counter()
        with counting() as cost:
            solution = planned.method(problem, _generator(planned), planned.parameters)
        seconds = time.perf_counter() - begun
        peak = provenance.peak_memory()
        scores = validated(solution, problem)
        self._store.write_scores(planned.cell, scores)
        record = record.model_copy(update={"cost": _cost(cost, len(problem.pairs), seconds, peak)})
        return self._score(record, planned, loaded, scores)

    def _score(self, record: Record, planned: PlannedCell, loaded: _Loaded, scores: torch.Tensor) -> Record:
        begun = time.perf_counter()
        evaluation = planned.task.evaluate(loaded.problem, EdgeScores(scores))
        assert record.cost is not None
        cost = record.cost.model_copy(update={"evaluation_seconds": time.perf_counter() - begun})
        return record.model_copy(update={"status": "done", "cost": cost, **_evaluation(evaluation)})


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
    return scores.float()


def _generator(planned: PlannedCell) -> torch.Generator:
    """A generator on the CPU, so that what a method draws does not depend on the device."""
    cell = planned.cell
    text = identity.digest([cell.method, cell.task, cell.data_seed, cell.seed])
    return torch.Generator().manual_seed(int(text.partition(":")[2], 16) % 2**63)


def _blank(planned: PlannedCell, solution: str, made: Provenance) -> Record:
    m, task = planned.method, planned.task
    return Record(
        cell=planned.cell,
        status="failed",
        solution_id=solution,
        scorer_id=None,
        evaluation_id=None,
        method=MethodInfo(
            summary=m.summary,
            citation=dict(m.citation),
            deterministic=m.deterministic,
            reference=m.reference or m.name in task.oracles,
        ),
        task=TaskInfo(summary=task.summary, kind=task.kind, tier=task.tier, ranked=task.ranked),
        provenance=made,
    )


def _task_info(task: Task, problem: CircuitProblem, truths: tuple[Truth, ...]) -> TaskInfo:
    return TaskInfo(
        summary=task.summary,
        kind=task.kind,
        tier=task.tier,
        ranked=task.ranked,
        description=task.description,
        citation=dict(task.citation),
        graph=GraphInfo(
            n_layers=problem.graph.n_layers,
            n_heads=problem.graph.n_heads,
            has_mlp=problem.graph.has_mlp,
            parallel=problem.graph.parallel,
            level=problem.graph.level,
            n_edges=problem.graph.n_edges,
        ),
        truths=tuple(TruthInfo(name=t.name, n_true=int(t.edges.sum()), source=t.source) for t in truths),
    )


def _cost(cost: Cost, prompts: int, seconds: float, peak: int | None) -> CostRecord:
    return CostRecord(
        forwards=cost.forward_sequences / prompts,
        backwards=cost.backward_sequences / prompts,
        forward_sequences=cost.forward_sequences,
        backward_sequences=cost.backward_sequences,
        prompts=prompts,
        wall_seconds=seconds,
        evaluation_seconds=0.0,
        peak_memory_bytes=peak,
    )


def _evaluation(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "headline": evaluation.headline,
        "measures": {name: MeasureRecord(**asdict(m)) for name, m in evaluation.measures.items()},
        "curves": {name: CurveRecord(**asdict(c)) for name, c in evaluation.curves.items()},
        "circuit": tuple(EdgeRecord(**asdict(e)) for e in evaluation.circuit),
        "notes": evaluation.notes,
    }
