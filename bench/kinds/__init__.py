"""Kinds by name: one file each, found through the entry-point group `mechboard.kinds`."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from typing import Any

from ..contract.kind import Kind
from ..contract.method import NAME
from ..errors import PluginError, unknown

GROUP = "mechboard.kinds"


@cache
def kind(name: str) -> Kind[Any, Any]:
    """The kind of this name.

    Raises:
        SelectionError: there is none.
        PluginError: it does not load.
    """
    entries = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in entries:
        raise unknown("kind", name, entries)
    try:
        loaded: Any = entries[name].load()
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"The kind {name!r} does not load from {entries[name].value!r} ({type(error).__name__}: {error}); mend it."
        ) from error
    if not isinstance(loaded, Kind) or loaded.name != name:
        raise PluginError(f"{entries[name].value!r} is registered as the kind {name!r}; valid: a Kind of this name.")
    for adapter in loaded.adapters:
        if not NAME.fullmatch(adapter.name):  # it stands in paths, and behind an @ in labels
            raise PluginError(
                f"The kind {name!r} has an adapter {adapter.name!r}; valid: letters, digits, '.', '_' and '-', such as cut."
            )
    return loaded


@cache
def kinds() -> tuple[Kind[Any, Any], ...]:
    """Every kind that loads, by name; asked for with every record that is read, so looked up once."""
    found = []
    for name in sorted({entry.name for entry in entry_points(group=GROUP)}):
        try:
            found.append(kind(name))
        except PluginError:
            continue
    return tuple(found)
