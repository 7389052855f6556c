"""Finds methods, tasks and suites: entry points of installed packages, and scratch files named on the command line.

Nothing is imported until it is needed. `describe` reads a plugin's source without running it, which is
how `bench list` stays fast and survives broken plugins; `load` imports, and says clearly what is wrong.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from mechboard.contract.method import Method
from mechboard.contract.task import Suite, Task
from mechboard.errors import PluginError, unknown
from mechboard.reference import Reference, import_file
from mechboard.source import described

GROUPS = {"method": "mechboard.methods", "task": "mechboard.tasks", "suite": "mechboard.suites"}
_TOLD = ("name", "summary", "kinds", "kind", "tier", "family")
_TYPES: dict[str, type] = {"method": Method, "task": Task, "suite": Suite}


@dataclass(frozen=True)
class Plugin:
    """A name in one group. `value` is `module:attribute`; `instance` is set for scratch files."""

    what: str
    name: str
    value: str
    distribution: str
    problem: str = ""
    instance: Any = None

    def load(self) -> Any:
        """The method, task or suite itself.

        Raises:
            PluginError: it does not import, is of another type, has another name, or the name is taken twice.
        """
        if self.problem:
            raise PluginError(self.problem)
        if self.instance is not None:
            return self.instance
        try:
            loaded: Any = Reference(self.value).load()
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"The {self.what} {self.name!r} of {self.distribution} does not load from {self.value!r} "
                f"({type(error).__name__}: {error}); mend or uninstall {self.distribution}."
            ) from error
        follows = isinstance(loaded, _TYPES[self.what])
        if not follows:
            raise PluginError(
                f"The {self.what} {self.name!r} of {self.distribution} is a {type(loaded).__name__}; valid: an object "
                f"that follows mechboard.protocols.{_TYPES[self.what].__name__}."
            )
        if loaded.name != self.name:
            raise PluginError(
                f"{self.distribution} registers the {self.what} {loaded.name!r} as {self.name!r}; "
                "use one name in both places."
            )
        return loaded

    def describe(self) -> dict[str, Any]:
        """What the source says about it, read without running it: its summary, literal keywords and defaults."""
        if self.instance is not None:
            known = {name: getattr(self.instance, name, "") for name in _TOLD}
            return {name: sorted(v) if isinstance(v, frozenset) else v for name, v in known.items() if v != ""}
        try:
            return described(self.value)
        except (OSError, SyntaxError, ImportError, ValueError):
            return {"summary": ""}


@dataclass
class Registry:
    """All plugins of one process. Build it once, with the scratch files of the command line."""

    scratch: tuple[Path, ...] = ()
    _loaded: dict[tuple[str, str], Any] = field(default_factory=dict)

    @cached_property
    def _plugins(self) -> dict[str, dict[str, Plugin]]:
        found: dict[str, dict[str, Plugin]] = {}
        scratch = [plugin for path in self.scratch for plugin in _read_scratch(path)]
        for what, group in GROUPS.items():
            installed = [_plugin(what, entry) for entry in entry_points(group=group)]
            found[what] = _by_name([*installed, *(p for p in scratch if p.what == what)])
        return found

    def plugins(self, what: str) -> Mapping[str, Plugin]:
        """Every plugin of a group (`method`, `task`, `suite`), by name, broken ones included."""
        return self._plugins[what]

    def load(self, what: str, name: str) -> Any:
        """Load one by name.

        Raises:
            SelectionError: no plugin has this name.
            PluginError: it is broken.
        """
        if name not in self.plugins(what):
            raise unknown(what, name, self.plugins(what))
        key = (what, name)
        if key not in self._loaded:
            self._loaded[key] = self.plugins(what)[name].load()
        return self._loaded[key]

    def reference(self, what: str, name: str) -> Reference:
        """Where another process finds a plugin."""
        return Reference(self.plugins(what)[name].value)

    def suites(self) -> dict[str, Suite]:
        """Every suite that loads."""
        found = {}
        for name in self.plugins("suite"):
            try:
                found[name] = self.load("suite", name)
            except PluginError:
                continue
        return found


def _plugin(what: str, entry: EntryPoint) -> Plugin:
    distribution = entry.dist.name if entry.dist else "an unnamed distribution"
    return Plugin(what, entry.name, entry.value, distribution)


def _by_name(plugins: list[Plugin]) -> dict[str, Plugin]:
    """By name; a name that two distributions claim is kept as one broken plugin that names both."""
    found: dict[str, Plugin] = {}
    for plugin in sorted(plugins, key=lambda p: p.name):
        other = found.get(plugin.name)
        if other is None:
            found[plugin.name] = plugin
        elif (other.distribution, other.value) != (plugin.distribution, plugin.value):
            problem = (
                f"The {plugin.what} name {plugin.name!r} is registered by both {other.distribution} ({other.value}) "
                f"and {plugin.distribution} ({plugin.value}); uninstall one or rename it."
            )
            found[plugin.name] = Plugin(plugin.what, plugin.name, plugin.value, plugin.distribution, problem)
    return found


def _read_scratch(path: Path) -> Iterator[Plugin]:
    """Methods and tasks that a Python file defines at module level.

    Raises:
        UsageError: there is no such file.
        PluginError: it does not run, or defines neither.
    """
    module = import_file(path)
    found = False
    for attribute, value in vars(module).items():
        # A class object satisfies a runtime protocol as its instances do; only instances are plugins.
        for what, kind in (("method", Method), ("task", Task)):
            if isinstance(value, kind) and not isinstance(value, type) and not _is_imported(value, module):
                found = True
                yield Plugin(what, value.name, f"{path.resolve()}:{attribute}", str(path), instance=value)
    if not found:
        raise PluginError(f"--plugin {str(path)!r} defines no method and no task; `bench new method NAME` shows how.")


def _is_imported(value: Any, module: ModuleType) -> bool:
    """Whether a method stands in the file because the file imports it from where it is defined."""
    if not isinstance(value, Method) or value.function.__module__ == module.__name__:
        return False
    return any(other is value for other in vars(sys.modules[value.function.__module__]).values())
