"""`mechboard.run`: cross methods with tasks and return what came out.

All by name: each method in a process of its own, as on the command line. With an object that only this session holds (a
method in a cell, a task of one's own): in this process, since no other could find it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..plugins.registry import Registry
from ..records.store import Store
from ..runs.labels import with_parameters
from ..runs.plan import Plan, Unplanned, make_plan
from ..runs.runner import Outcome
from ..runs.selection import given_parameters
from ..runs.session import Session, Settings, in_order
from .chosen import Chosen, Given, chosen
from .progress import watch
from .results import Results

if TYPE_CHECKING:
    from .progress import Mode


def run(
    methods: Given,
    tasks: Given,
    *,
    seeds: int = 1,
    data_seeds: int = 1,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    results: Path | str | None = None,
    device: str = "cpu",
    jobs: int = 1,
    timeout: float | None = None,
    memory: float | None = None,
    fresh: bool = False,
    inline: bool | None = None,
    progress: Mode = "auto",
) -> Results:
    """Run methods on tasks; a cell that fails is told by the results, not raised.

    An interrupt ends the run and gives back what has ended by then.

    Args:
        methods: a name, glob, label (`"eap[at=corrupt]"`), comma list or `"all"`, a method of one's own, or a list of
            these.
        tasks: the same of tasks and suites.
        seeds: seeds of methods that draw.
        data_seeds: instances of each task.
        parameters: settings per method that is given by name, `{"eap-ig": {"steps": 10}}`; a label says its own.
        results: a folder that keeps records and is asked first, as `bench run --results`; without one they live as
            long as what is returned.
        device: a torch device.
        jobs: cells at a time.
        timeout: seconds after which a method is killed.
        memory: bytes of resident memory above which it is killed.
        fresh: run even what the folder holds.
        inline: run in this process, where a debugger can see it; None decides by what was given.
        progress: `auto`, `live`, `plain`, `quiet` or `jsonl`.

    Raises:
        UsageError: what was given cannot be run as given.
        StoreError: the folder is read-only or cannot be written.
    """
    registry, notices = Registry(), list[str]()
    ours, theirs = chosen(registry, "method", methods, notices), chosen(registry, "task", tasks, notices)
    for name, value in {"seeds": seeds, "data_seeds": data_seeds, "jobs": jobs}.items():
        _check_whole(name, value)
    settings = Settings(
        device=device,
        jobs=jobs,
        timeout=timeout,
        memory=memory,
        fresh=fresh,
        inline=_inline(inline, (*ours.strangers, *theirs.strangers)),
    )
    passed = given_parameters(parameters or {}, ours.objects)
    selected = with_parameters(ours.objects, passed)
    plan = make_plan(selected, theirs.objects, seeds=seeds, data_seeds=data_seeds)
    temporary = TemporaryDirectory(prefix="mechboard-") if results is None else None
    store = Store(temporary.name if temporary else Path(str(results)))
    outcomes: list[Outcome] = []
    interrupted = False
    if plan.cells:
        command = _call(ours, theirs, seeds=seeds, data_seeds=data_seeds, parameters=passed, device=device)
        session = Session(plan, store, registry.reference, settings, command=command)
        with watch(progress, plan, jobs=jobs) as observer, closing(session.run([observer])) as ended:
            try:
                for outcome in ended:
                    outcomes.append(outcome)
            except KeyboardInterrupt:
                interrupted = True
                notices.append(f"interrupted: {len(outcomes)} of {len(plan.cells)} cells have ended")
    return Results(
        tuple(outcome.record for outcome in in_order(plan, outcomes)),
        unplanned=(*plan.unplanned, *(_missing(plan, outcomes) if interrupted else ())),
        folder=store.root,
        notes=tuple(notices),
        interrupted=interrupted,
        kept_by=temporary,
    )


def _missing(plan: Plan, outcomes: list[Outcome]) -> list[Unplanned]:
    """What an interrupted run owes, told as what was not crossed."""
    there = {(outcome.record.cell.label, outcome.record.cell.task) for outcome in outcomes}
    owed = dict.fromkeys((p.cell.label, p.cell.task) for p in plan.cells)
    return [Unplanned(*pair, "interrupted", "the run was interrupted") for pair in owed if pair not in there]


def _inline(asked: bool | None, strangers: tuple[str, ...]) -> bool:
    if strangers and asked is False:
        raise UsageError(
            f"inline=False was given, and {strangers[0]!r} exists in this session only, where no other process finds "
            "it; leave inline away, or put it in a package (`bench new method NAME`)."
        )
    return bool(strangers) or not hasattr(os, "fork") if asked is None else asked


def _check_whole(name: str, value: object) -> None:
    if type(value) is not int or value < 1:
        raise UsageError(f"{name}={value!r} was given; valid: a whole number from 1 on.")


def _call(methods: Chosen, tasks: Chosen, **settings: Any) -> str:
    """The call as a record tells it: what decides about the numbers, spelled out."""
    defaults = {"seeds": 1, "data_seeds": 1, "parameters": {}, "device": "cpu"}
    told = [f"{name}={value!r}" for name, value in settings.items() if value != defaults[name]]
    named = [repr(list(part.names)) for part in (methods, tasks)]
    return f"mechboard.run({', '.join([*named, *told])})"
