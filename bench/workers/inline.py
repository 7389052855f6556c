"""The same cells in this process, one after the other: for debuggers and notebooks, and where there is no fork.

A method that changes weights or prompts is found out by their fingerprint; its cell is invalid and the problem is made
anew for the next one. Grad mode, default precision, number of threads and the working directory are put back. Nothing
protects against a method that exits, hangs or replaces functions of torch: that takes processes (`pool`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from mechboard.protocols import CircuitProblem
from mechboard.workers.cell import (
    Answered,
    Ended,
    Event,
    Failure,
    Job,
    Scored,
    Started,
    failure,
    fingerprint,
    generator_seed,
    score,
    solve,
)


class Inline:
    """Solves and scores jobs here and now, with the objects of the plan."""

    def __init__(self, *, device: str) -> None:
        self._device = device
        self._key: tuple[str, int] | None = None
        self._problem: CircuitProblem | Failure | None = None
        self._clean = ""

    def run(self, jobs: Sequence[Job]) -> Iterator[Event]:
        """What happens, as it happens; an interrupt goes through."""
        for job in jobs:
            yield Started(job)
            problem = self._load(job)
            if isinstance(problem, Failure):
                yield Ended(job, problem, None)
                continue
            answer = job.answer
            if answer is None:
                try:
                    with _settings_kept():
                        planned = job.planned
                        answer = solve(
                            planned.method,
                            planned.parameters,
                            problem,
                            planned.task,
                            seed=generator_seed(planned),
                            solution_id=job.solution_id,
                            provenance=job.provenance,
                        )
                except (Exception, SystemExit) as error:
                    yield Ended(job, failure(error), None, b"")
                    continue
                finally:
                    if fingerprint(problem) != self._clean:
                        self._key = None
                yield Answered(job, answer, b"")
            yield Ended(job, self._score(job, problem, answer.scores), answer)

    def _load(self, job: Job) -> CircuitProblem | Failure:
        task, data_seed = job.planned.task, job.planned.cell.data_seed
        if self._key != (task.name, data_seed) or self._problem is None:
            self._key = (task.name, data_seed)
            try:
                self._problem = task.load(data_seed, self._device)
                self._clean = fingerprint(self._problem)
            except Exception as error:
                self._problem = failure(error)
        return self._problem

    def _score(self, job: Job, problem: CircuitProblem, scores: torch.Tensor) -> Scored | Failure:
        try:
            return score(job.planned.task, problem, scores)
        except Exception as error:
            return failure(error)


@contextmanager
def _settings_kept() -> Iterator[None]:
    before = (torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads(), os.getcwd())
    try:
        yield
    finally:
        precision, grad, threads, folder = before
        torch.set_default_dtype(precision)
        torch.set_grad_enabled(grad)
        torch.set_num_threads(threads)
        os.chdir(folder)
