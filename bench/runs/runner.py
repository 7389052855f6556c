"""Runs a plan: what is there with the same identity is kept, the rest is solved and scored.

Every record is on disk the moment its cell ends. A cell that fails fails alone. A kept answer whose scorer has changed,
or whose scoring failed, is scored again without running the method. Where a cell is solved is the executor's affair (`workers`): only this module writes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..contract.progress import Step
from ..contract.scores import Evaluation
from ..errors import EnvironmentFault, FetchError, RecordError, WriteError
from ..records import MethodInfo, Record, provenance
from ..records.answer import Answer
from ..records.store import Store
from . import identity
from .estimate import Pace, Reached, duration
from .plan import Plan, PlannedCell
from .workers.cell import Answered, Doing, Ended, Event, Failure, Job, Scored, Started, Tell, failure, task_info

_FAULTS = {fault.__name__ for fault in (EnvironmentFault, FetchError, WriteError)}


@dataclass(frozen=True)
class Outcome:
    """What became of one cell in this run: a record's status, `cached` or `rescored`."""

    record: Record
    status: str
    seconds: float

    @property
    def failed(self) -> bool:
        """Whether something went wrong; a method that declines has done nothing wrong."""
        return self.record.status not in ("done", "unsupported")

    @property
    def by_environment(self) -> bool:
        """Whether what went wrong is the disk, the network or the machine."""
        return self.record.error is not None and self.record.error.type in _FAULTS


class Observer(Protocol):
    """Watches a run; the terminal's progress is one. Several cells may be under way at once."""

    def started(self, planned: PlannedCell, number: int, total: int) -> None:
        """A cell begins; `number` counts those that have begun."""
        ...

    def reached(self, planned: PlannedCell, reached: Reached) -> None:
        """A cell says how far it has come, a few times a second at most and never within its first second."""
        ...

    def ended(self, outcome: Outcome, number: int, total: int) -> None:
        """A cell has ended and its record is on disk; `number` counts those that have ended."""
        ...

    def noticed(self, message: str) -> None:
        """Something the user should know."""
        ...


class Executor(Protocol):
    """Solves and scores jobs: `workers.pool.Pool` in other processes, `workers.inline.Inline` in this one."""

    def run(self, jobs: Sequence[Job], tell: Tell) -> Iterator[Event]:
        """What happens, as it happens; `tell` hears how far jobs have come in between."""
        ...

    def allowed(self, doing: Doing) -> float | None:
        """Seconds after which solving or scoring a cell is ended, None without a limit."""
        ...


@dataclass
class _Begun:
    """A job under way, with what its record says until it has ended."""

    record: Record
    since: float
    pace: Pace
    warned: bool = False


class Runner:
    """Runs plans against one results folder."""

    def __init__(
        self,
        store: Store,
        observers: Sequence[Observer],
        executor: Executor,
        *,
        device: str,
        threads: int | None = None,
        fresh: bool = False,
        command: str | None = None,
    ) -> None:
        self._store, self._observers, self._executor = store, observers, executor
        self._device, self._threads, self._fresh, self._command = device, threads, fresh, command

    def run(self, plan: Plan) -> Iterator[Outcome]:
        """Settle every cell, yielding what became of it: first what is kept, then the others as they end.

        Raises:
            KeyboardInterrupt: after the records of interrupted cells are written.
            StoreError: a record cannot be written.
        """
        total, ended, jobs = len(plan.cells), 0, []
        for planned in plan.cells:
            begun = time.perf_counter()
            settled = self._settle(planned)
            if isinstance(settled, Job):
                jobs.append(settled)
                continue
            ended += 1
            yield self._tell(Outcome(settled, _kept_as(settled), time.perf_counter() - begun), ended, total)
        under_way: dict[int, _Begun] = {}
        started = ended

        def tell(job: Job, doing: Doing, step: Step) -> None:
            self._hear(under_way[id(job)], job.planned, doing, step)

        try:
            for event in self._executor.run(jobs, tell):
                if isinstance(event, Started):
                    started += 1
                    self._start(event.job, under_way)
                    for observer in self._observers:
                        observer.started(event.job.planned, started, total)
                elif isinstance(event, Answered):
                    self._store.write_answer(event.job.planned.cell, event.answer)
                    self._store.write_log(event.job.planned.cell, event.log)
                else:
                    ended += 1
                    yield self._tell(self._end(event, under_way), ended, total)
        except KeyboardInterrupt as error:
            for interrupted in under_way.values():
                self._interrupt(interrupted.record, error)
            raise

    def pending(self, plan: Plan) -> bool:
        """Whether any cell of a plan has no record at all, which is quick to see."""
        return self._fresh or any(not self._store.path(planned.cell).is_file() for planned in plan.cells)

    def _tell(self, outcome: Outcome, ended: int, total: int) -> Outcome:
        for observer in self._observers:
            observer.ended(outcome, ended, total)
        return outcome

    def _settle(self, planned: PlannedCell) -> Record | Job:
        """The record of a cell that is kept or cannot begin, else the job to do."""
        existing = self._existing(planned)
        made = provenance.collect(self._device, {}, self._threads, self._command)
        try:
            assets = planned.task.asset_hashes()
            solution = identity.solution_id(
                planned.method,
                planned.cell.parameters,
                planned.task,
                assets,
                planned.cell.data_seed,
                planned.cell.seed,
                adapter=planned.adapter,
            )
            evaluation = identity.evaluation_id(solution, planned.task)
        except Exception as error:
            return self._write_failure(_blank(planned, "", None, made), failure(error))
        declined = existing and existing.status == "unsupported" and existing.solution_id == solution
        if existing and declined and not self._fresh:
            return existing
        kept = None if self._fresh else self._store.read_answer(planned.cell, solution)
        if kept and existing and existing.status == "done" and existing.evaluation_id == evaluation:
            return existing
        return Job(planned, solution, evaluation, made.model_copy(update={"assets": dict(assets)}), kept)

    def _existing(self, planned: PlannedCell) -> Record | None:
        try:
            return self._store.read(planned.cell)
        except RecordError as error:
            aside = self._store.set_aside(planned.cell)
            for observer in self._observers:
                observer.noticed(f"{error} It was renamed to {aside.name!r} and the cell runs again.")
            return None

    def _start(self, job: Job, under_way: dict[int, _Begun]) -> None:
        record = _blank(job.planned, job.solution_id, job.evaluation_id, job.provenance)
        under_way[id(job)] = _Begun(record, time.perf_counter(), Pace())

    def _hear(self, begun: _Begun, planned: PlannedCell, doing: Doing, step: Step) -> None:
        """Tell how far a cell has come, and at once if it will not be let go to its end."""
        reached = begun.pace.reached(doing, step)
        if reached is None:
            return
        allowed, expected = self._executor.allowed(doing), reached.expected
        too_long = allowed is not None and expected is not None and expected > allowed
        for observer in self._observers:
            observer.reached(planned, reached)
            if too_long and not begun.warned:
                observer.noticed(
                    f"{planned.cell.name} will take about {duration(expected or 0)} of {doing}, and is killed after "
                    f"{duration(allowed or 0)}; raise --timeout."
                )
        begun.warned |= too_long

    def _end(self, event: Ended, under_way: dict[int, _Begun]) -> Outcome:
        begun = under_way.pop(id(event.job))
        if event.log is not None:
            self._store.write_log(event.job.planned.cell, event.log)
        seconds = time.perf_counter() - begun.since
        if isinstance(event.result, Failure):
            record = self._write_failure(begun.record, event.result)
            return Outcome(record, record.status, seconds)
        assert event.answer is not None
        record = _done(begun.record, event.answer, event.result)
        self._store.write_files(record.cell, event.result.evaluation.files)
        self._store.write(record)
        return Outcome(record, "rescored" if event.job.answer else "done", seconds)

    def _interrupt(self, record: Record, error: KeyboardInterrupt) -> None:
        """Say of a cell under way that it was interrupted, unless a finished record stands in its place."""
        existing = self._store.read(record.cell)
        if existing is None or existing.status != "done":
            said = failure(error).error.model_copy(update={"message": "The run was interrupted."})
            self._write_failure(record, Failure("interrupted", said))

    def _write_failure(self, record: Record, why: Failure) -> Record:
        failed = record.model_copy(update={"status": why.status, "error": why.error})
        self._store.write(failed)
        return failed


def _kept_as(record: Record) -> str:
    return "cached" if record.status == "done" else record.status


def _blank(planned: PlannedCell, solution: str, evaluation: str | None, made: Any) -> Record:
    """The record of a cell before anything is known of it."""
    m, task = planned.method, planned.task
    return Record(
        cell=planned.cell,
        status="failed",
        solution_id=solution,
        scorer_id=None,
        evaluation_id=evaluation,
        method=MethodInfo(
            summary=m.summary,
            citation=dict(m.citation),
            deterministic=m.deterministic,
            reference=m.reference or m.name in task.oracles,
        ),
        task=task_info(task),
        provenance=made,
    )


def _done(record: Record, answer: Answer, scored: Scored) -> Record:
    """The record of a scored answer. Cost and provenance are the answer's, whenever it was scored."""
    return record.model_copy(
        update={
            "status": "done",
            "scorer_id": scored.scorer_id,
            "task": scored.info,
            "cost": answer.cost.model_copy(update={"evaluation_seconds": scored.seconds}),
            "provenance": answer.provenance,
            **{
                name: getattr(scored.evaluation, name)
                for name in Evaluation.model_fields
                if name in Record.model_fields
            },
        }
    )
