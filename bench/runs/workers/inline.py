"""The same cells in this process, one after the other: for debuggers and notebooks, and where there is no fork.

A method that changes weights or prompts is found out by their fingerprint; its cell is invalid and the problem is made
anew for the next one. Grad mode, default precision, number of threads and the working directory are put back. Nothing
protects against a method that exits, hangs or replaces functions of torch: that takes processes (`pool`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from ...contract.task import Instance
from ...records.answer import Answer
from .cell import (
    Answered,
    Assignment,
    Doing,
    Ended,
    Event,
    Failure,
    Job,
    Scored,
    Started,
    Tell,
    failure,
    fingerprint,
    generator_seed,
    load,
    score,
    show,
    solve,
)


class Inline:
    """Solves and scores jobs here and now, with the objects of the plan."""

    def __init__(self, *, device: str) -> None:
        self._device = device
        self._key: tuple[str, int] | None = None
        self._instance: Instance[Any] | Failure | None = None
        self._clean = ""

    def allowed(self, doing: Doing) -> None:
        """No limit: what runs here cannot be stopped."""

    def run(self, jobs: Sequence[Job], tell: Tell) -> Iterator[Event]:
        """What happens, as it happens; an interrupt goes through."""
        for job in jobs:
            yield Started(job)
            instance = self._load(job)
            if isinstance(instance, Failure):
                yield Ended(job, instance, None)
                continue
            answer = job.answer
            if answer is None:
                try:
                    with _settings_kept():
                        shown = show(job.planned.task, instance, job.planned.method.sees)
                        answer = solve(_assignment(job), job.planned.task, shown, partial(tell, job, "solving"))
                except (Exception, SystemExit) as error:
                    yield Ended(job, failure(error), None, b"")
                    continue
                finally:
                    if fingerprint(instance.problem) != self._clean:
                        self._key = None
                yield Answered(job, answer, b"")
            yield Ended(job, self._score(job, instance, answer, tell), answer)

    def _load(self, job: Job) -> Instance[Any] | Failure:
        task, data_seed = job.planned.task, job.planned.cell.data_seed
        if self._key != (task.name, data_seed) or self._instance is None:
            self._key = (task.name, data_seed)
            try:
                self._instance = load(task, data_seed, self._device)
                self._clean = fingerprint(self._instance.problem)
            except Exception as error:
                self._instance = failure(error)
        return self._instance

    def _score(self, job: Job, instance: Instance[Any], answer: Answer, tell: Tell) -> Scored | Failure:
        try:
            return score(job.planned.task, instance, answer.tensors, partial(tell, job, "scoring"))
        except Exception as error:
            return failure(error)


def _assignment(job: Job) -> Assignment:
    planned = job.planned
    return Assignment(
        planned.method,
        planned.parameters,
        planned.cell.adapter,
        generator_seed(planned),
        job.solution_id,
        job.provenance,
    )


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
