"""`mechboard.load`, one instance of a task to play with, and `mechboard.read`, records from a folder or a file."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mechboard.contract.task import Instance, Task
from mechboard.errors import RecordError, StoreError, UsageError
from mechboard.notebook.results import Results
from mechboard.records import Record
from mechboard.registry import Registry
from mechboard.session import check_device
from mechboard.store import Store, read_record


@dataclass(frozen=True, kw_only=True, repr=False)
class Loaded(Instance[Any]):
    """An instance that knows its task, and so can say what it is."""

    task: Task
    data_seed: int

    def __repr__(self) -> str:
        from mechboard.notebook.views import instance_text

        return instance_text(self)

    def _repr_html_(self) -> str:
        from mechboard.notebook.views import instance_html

        return instance_html(self)


def load(task: str | Task, data_seed: int = 0, device: str = "cpu") -> Loaded:
    """One instance of a task: the problem that a method gets, and what is held back from it.

    >>> instance = mechboard.load("ioi-mini")                                   # doctest: +SKIP
    >>> instance.problem.graph.n_edges, instance.truths[0].name                 # doctest: +SKIP

    Raises:
        SelectionError: no task has this name.
        UsageError: it is neither a name nor a task, or the device is not usable.
        AssetError: what it is made from is not here.
    """
    if isinstance(task, str):
        task = Registry().load("task", task)
    if not isinstance(task, Task):
        raise UsageError(f"A {type(task).__name__} was given as a task; valid: a name, or a mechboard.protocols.Task.")
    check_device(device, "device=")
    made = task.load(data_seed, device)
    return Loaded(problem=made.problem, held_out=made.held_out, truths=made.truths, task=task, data_seed=data_seed)


def read(path: Path | str) -> Results:
    """The records of a results folder, or of one file. What cannot be read is warned of and listed in `unreadable`.

    Raises:
        StoreError: there is no such folder, or it holds no record.
        RecordError: a file was named, and it is no valid record.
    """
    path = Path(path)
    if path.is_file():
        return Results((read_record(path),))
    records: list[Record] = []
    unreadable: list[tuple[Path, RecordError]] = []
    for at, record in Store(path).records():
        if isinstance(record, RecordError):
            unreadable.append((at, record))
        else:
            records.append(record)
    if not records and not unreadable:
        raise StoreError(
            f"{str(path)!r} holds no record; valid: a results folder, in which METHOD/TASK@vN/data-M/seed-N.json lie, "
            "or one such file."
        )
    if unreadable:
        warnings.warn(
            f"{len(unreadable)} records in {str(path)!r} cannot be read and are left out; `.unreadable` lists them. "
            f"The first: {unreadable[0][1]}",
            stacklevel=2,
        )
    return Results(tuple(records), unreadable=tuple(unreadable), folder=path)
