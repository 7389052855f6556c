"""One run, from names to outcomes: what `bench run` and `mechboard.run` have in common.

    registry -> pick, pick_methods -> tasks, selected methods -> plan -> Session(plan, store, find, settings).run(observers) -> outcomes

The command line adds flags, a config file and printing, a notebook adds objects and results to look at.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import PluginError, UsageError, unknown
from ..plugins.registry import Registry
from ..reference import Reference
from .labels import Selected, parse_label, split
from .selection import parameters_of, select

# torch takes seconds to import, which a mistyped name need not wait for: what needs it is imported where it is used.
if TYPE_CHECKING:
    from ..records.store import Store
    from .plan import Plan
    from .runner import Executor, Observer, Outcome

Find = Callable[[str, str], Reference]
"""Where another process finds the method or task of a name."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How cells are run. `typed` says that these are flags, so that errors name `--device` and not `device`."""

    device: str = "cpu"
    jobs: int = 1
    timeout: float | None = None
    memory: float | None = None
    fresh: bool = False
    inline: bool = False
    typed: bool = False

    def spelled(self, name: str) -> str:
        """A setting as it is written where it is given."""
        return f"--{name}" if self.typed else f"{name}="


def pick(registry: Registry, what: str, given: str, notices: list[str]) -> list[Any]:
    """The methods or tasks that a comma list of names, globs and suites selects.

    A plugin that is broken stops the run only if it was asked for by name; else `notices` say so.

    Raises:
        SelectionError: a pattern matches nothing.
        PluginError: what was asked for by name is broken.
    """
    aliases = {}
    if what == "task":
        aliases = {name: (*suite.tasks, *suite.apart) for name, suite in registry.suites().items()}
    asked = {part.strip() for part in given.split(",")}
    loaded = []
    for name in select(what, given, registry.plugins(what), aliases):
        try:
            loaded.append(registry.load(what, name))
        except PluginError as error:
            if name in asked:
                raise
            notices.append(f"skipped (broken plugin): {error}")
    return loaded


def pick_methods(registry: Registry, given: str, notices: list[str]) -> list[Selected]:
    """The methods that a comma list of names, globs and labels selects; each label with its own parameters.

    Raises:
        SelectionError: a part matches nothing, or a label names a parameter that the method lacks.
        UsageError: a label is malformed or has a value of another type.
        PluginError: what was asked for by name is broken.
    """
    selected: list[Selected] = []
    for part in split(given):
        label = parse_label(part)
        if label is None:
            selected += [Selected(method) for method in pick(registry, "method", part, notices)]
            continue
        if label.name not in registry.plugins("method"):
            raise unknown("method", label.name, registry.plugins("method"))
        method = registry.load("method", label.name)
        selected.append(Selected(method, parameters_of(label, method), label.text, label.adapter))
    return selected


class Session:
    """A plan, the folder that keeps its records, and how its cells are run.

    `command` is how one would do it again, for the records; the command line's own if it is not given. With `own` the
    plan's tasks are made of what the user gave on the spot; they are tried here, so that a mistake in one ends the run.

    Raises:
        UsageError: the settings contradict each other, or do not work on this machine.
        StoreError: the folder is not to be written, or cannot be.
    """

    def __init__(
        self,
        plan: Plan,
        store: Store,
        find: Find,
        settings: Settings,
        *,
        command: str | None = None,
        own: bool = False,
    ) -> None:
        self._plan, self._store, self._find, self._settings = plan, store, find, settings
        self._command, self._own = command, own
        _check(settings)
        check_device(settings.device, settings.spelled("device"))
        store.check_writable()

    def run(self, observers: Sequence[Observer]) -> Generator[Outcome, None, None]:
        """What became of each cell, as it ends."""
        import torch

        from .manifest import write_manifest
        from .runner import Runner

        settings = self._settings
        threads = 1 if settings.jobs > 1 else torch.get_num_threads()
        executor = _executor(self._find, settings, threads)
        write_manifest(self._store, self._plan, self._command)
        runner = Runner(
            self._store,
            observers,
            executor,
            device=settings.device,
            threads=threads,
            fresh=settings.fresh,
            command=self._command,
        )
        if runner.pending(self._plan):
            if not settings.inline:
                _warm_up()
            if self._own:
                for task in {planned.cell.task: planned.task for planned in self._plan.cells}.values():
                    task.load(0, "cpu")
        yield from runner.run(self._plan)


def in_order(plan: Plan, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Outcomes in the order of the plan, in which they need not end."""
    by_cell = {outcome.record.cell.name: outcome for outcome in outcomes}
    return [by_cell[planned.cell.name] for planned in plan.cells if planned.cell.name in by_cell]


def check_device(device: str, spelled: str) -> None:
    """See that torch can use a device.

    Raises:
        UsageError: it cannot.
    """
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        available = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        raise UsageError(f"{spelled} {device!r} is not usable here; valid: {', '.join(available)}.") from error


def _check(settings: Settings) -> None:
    if settings.inline:
        given = [name for name in ("jobs", "timeout", "memory") if getattr(settings, name) not in (None, 1)]
        if given:
            inline, other = settings.spelled("inline"), settings.spelled(given[0])
            raise UsageError(f"{inline} was given with {other}, which takes a process per cell; drop one of them.")
    elif not hasattr(os, "fork"):
        raise UsageError(
            "This system cannot fork, so methods cannot have processes of their own; "
            f"give {settings.spelled('inline')}{'' if settings.typed else 'True'}."
        )


def _executor(find: Find, settings: Settings, threads: int) -> Executor:
    if settings.inline:
        from .workers.inline import Inline

        return Inline(device=settings.device)
    from .workers.pool import Pool
    from .workers.sandbox import Limits

    memory = None if settings.memory is None else int(settings.memory)
    limits = Limits(timeout=settings.timeout, memory=memory)
    return Pool(find, device=settings.device, jobs=settings.jobs, limits=limits, threads=threads)


def _warm_up() -> None:
    """Let the server of processes start while the first cells are looked at."""
    from .workers.server import warm_up

    warm_up()
