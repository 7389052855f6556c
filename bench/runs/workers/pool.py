"""The driver's side of isolation: cells over workshops, up to `jobs` at a time.

One loop waits for messages; no threads. A workshop serves the cells of its problem one after the other. Problems are
shared out so that two workshops hold the same one only when nothing else is left to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Literal

from ...contract.progress import Step
from ...errors import RecordError
from ...records.answer import Answer, unpack
from ...reference import Reference
from .cell import Answered, Doing, Ended, Event, Failure, Job, Started, Tell, failure, generator_seed, stopped
from .sandbox import Limits
from .workshop import BEGUN, OPEN, Order, Problem, Solved, Workshop

# --timeout is for methods. What is not theirs gets this many seconds at least: loading, scoring, and for a workshop to
# report a method that it killed.
_AT_LEAST, _GRACE = 300.0, 30.0

Stage = Doing | Literal["idle", "waiting", "opening"]
_SAYS = {
    "waiting": "The server of processes",
    "opening": "Loading the problem",
    "solving": "The method",
    "scoring": "Scoring",
}


@dataclass
class _Slot:
    """One workshop and the job that it is busy with."""

    workshop: Workshop | None = None
    job: Job | None = None
    stage: Stage = "idle"
    since: float = 0.0
    answer: Answer | None = None

    @property
    def waits_for(self) -> Connection | None:
        if self.workshop is None or self.job is None:
            return None
        return self.workshop.scores if self.stage == "scoring" else self.workshop.orders

    def turn(self, stage: Stage) -> None:
        self.stage, self.since = stage, time.monotonic()

    def close(self) -> None:
        if self.workshop is not None:
            self.workshop.close()
        self.workshop = None

    def release(self) -> None:
        self.job = self.answer = None
        self.turn("idle")


class Pool:
    """Solves and scores jobs in other processes."""

    def __init__(
        self, find: Callable[[str, str], Reference], *, device: str, jobs: int, limits: Limits, threads: int
    ) -> None:
        self._find, self._device, self._limits, self._threads = find, device, limits, threads
        self._slots = [_Slot() for _ in range(jobs)]

    def allowed(self, doing: Doing) -> float | None:
        """Seconds after which this is ended, None without a limit."""
        return self._limits.timeout if doing == "solving" else self._allowed(doing)

    def run(self, jobs: Sequence[Job], tell: Tell) -> Iterator[Event]:
        """What happens, as it happens. When the iteration is given up, everything that runs is killed."""
        waiting = [(self._problem(job), job) for job in jobs]
        try:
            while waiting or any(slot.job for slot in self._slots):
                for slot in self._slots:
                    if slot.job is None and waiting:
                        problem, job = waiting.pop(self._choose(slot, [problem for problem, _ in waiting]))
                        yield Started(job)
                        self._begin(slot, problem, job)
                connections = [slot.waits_for for slot in self._slots]
                ready = wait([c for c in connections if c is not None], self._next_deadline())
                for slot, connection in zip(self._slots, connections, strict=True):
                    if connection is not None and connection in ready:
                        yield from self._hear(slot, connection, tell)
                    if slot.job is not None and self._late(slot):
                        yield self._give_up(slot, self._timeout(slot.stage))
        finally:
            for slot in self._slots:
                slot.close()
                slot.release()

    def _problem(self, job: Job) -> Problem:
        cell = job.planned.cell
        return Problem(self._find("task", cell.task), cell.data_seed, self._device)

    def _choose(self, slot: _Slot, problems: list[Problem]) -> int:
        """The next cell for a slot: of its own problem, else of one that nobody holds, else any."""
        own = slot.workshop.problem if slot.workshop else None
        held = [s.workshop.problem for s in self._slots if s.workshop]
        for number, problem in enumerate(problems):
            if problem == own:
                return number
        return next((number for number, problem in enumerate(problems) if problem not in held), 0)

    def _begin(self, slot: _Slot, problem: Problem, job: Job) -> None:
        slot.job, slot.answer = job, job.answer
        if slot.workshop is None or slot.workshop.problem != problem:
            slot.close()
            slot.workshop = Workshop(problem, self._limits, self._threads)
            slot.turn("waiting")
        else:
            self._hand_over(slot, slot.workshop)

    def _hand_over(self, slot: _Slot, workshop: Workshop) -> None:
        assert slot.job is not None
        job = slot.job
        if slot.answer is not None:
            slot.turn("scoring")
            workshop.scores.send(dict(slot.answer.tensors))
            return
        slot.turn("solving")
        cell = job.planned.cell
        workshop.orders.send(
            Order(
                self._find("method", cell.method),
                dict(cell.parameters_passed),
                cell.adapter,
                generator_seed(job.planned),
                job.solution_id,
                job.provenance,
            )
        )

    def _hear(self, slot: _Slot, connection: Connection, tell: Tell) -> Iterator[Event]:
        assert slot.job is not None
        assert slot.workshop is not None
        try:
            message: Any = connection.recv()
        except (EOFError, OSError):
            yield self._give_up(slot, _gone(slot.stage))
            return
        if isinstance(message, Step):
            tell(slot.job, "scoring" if slot.stage == "scoring" else "solving", message)
        elif isinstance(message, Solved):
            yield from self._solved(slot, slot.workshop, message)
        elif message == BEGUN:
            slot.turn("opening")  # the time that the server took to start is nobody's fault
        elif message == OPEN:
            self._hand_over(slot, slot.workshop)
        elif slot.stage == "opening":
            yield self._give_up(slot, message)
        else:
            yield self._end(slot, Ended(slot.job, message, slot.answer))

    def _solved(self, slot: _Slot, workshop: Workshop, message: Solved) -> Iterator[Event]:
        assert slot.job is not None
        if message.answer is None:
            assert message.failure is not None
            yield self._end(slot, Ended(slot.job, message.failure, None, message.log))
            return
        try:
            slot.answer = unpack(message.answer)
        except RecordError as error:
            yield self._end(slot, Ended(slot.job, failure(error), None, message.log))
            return
        slot.turn("scoring")
        workshop.scores.send(dict(slot.answer.tensors))
        yield Answered(slot.job, slot.answer, message.log)

    def _end(self, slot: _Slot, ended: Ended) -> Ended:
        slot.release()
        return ended

    def _give_up(self, slot: _Slot, why: Failure) -> Ended:
        """The job has failed with its workshop, which is closed; the next job opens another."""
        assert slot.job is not None
        slot.close()
        return self._end(slot, Ended(slot.job, why, slot.answer))

    def _allowed(self, stage: Stage) -> float | None:
        if self._limits.timeout is None or stage == "waiting":
            return None
        return self._limits.timeout + _GRACE if stage == "solving" else max(self._limits.timeout, _AT_LEAST)

    def _late(self, slot: _Slot) -> bool:
        allowed = self._allowed(slot.stage)
        return allowed is not None and time.monotonic() - slot.since > allowed

    def _next_deadline(self) -> float | None:
        """Seconds until the first slot is late."""
        left = [
            allowed - (time.monotonic() - slot.since)
            for slot in self._slots
            if slot.job is not None and (allowed := self._allowed(slot.stage)) is not None
        ]
        return max(0.0, min(left)) + 0.01 if left else None

    def _timeout(self, stage: Stage) -> Failure:
        message = f"{_SAYS[stage]} took longer than {self._allowed(stage):g} s and was killed; raise --timeout."
        return stopped("timeout", "Timeout", message)


def _gone(stage: Stage) -> Failure:
    message = f"{_SAYS[stage]} took the process around it along; the system may have run out of memory."
    return stopped("crashed", "Crash", message)
