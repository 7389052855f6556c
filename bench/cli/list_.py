"""`bench list`: what is here, read from source without importing it (only `list plugins` loads)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from mechboard.cli.options import json_option, plugin_option
from mechboard.errors import PluginError
from mechboard.registry import GROUPS, Registry

_SECTIONS = {"methods": "method", "tasks": "task", "suites": "suite"}
_COLUMNS = {
    "method": ("kinds", "summary"),
    "task": ("kind", "tier", "summary"),
    "suite": ("tasks", "summary"),
    "plugin": ("what", "from", "state"),
}


@click.command("list")
@click.argument("section", type=click.Choice([*_SECTIONS, "plugins"]), required=False)
@plugin_option
@json_option
def command(section: str | None, plugins: tuple[Path, ...], as_json: bool) -> None:
    """Methods, tasks, suites or plugins that are here. Without an argument: all but plugins.

    `list plugins` loads every plugin and shows where it comes from and, if it is broken, why.
    """
    registry = Registry(plugins)
    if section == "plugins":
        tables = {"plugin": _plugins(registry)}
    else:
        chosen = [_SECTIONS[section]] if section else list(_SECTIONS.values())
        tables = {what: [_described(registry, what, name) for name in registry.plugins(what)] for what in chosen}
    if as_json:
        click.echo(json.dumps(tables[next(iter(tables))] if section else tables, indent=1, allow_nan=False))
        return
    for what, rows in tables.items():
        click.echo(_table(what, rows))


def _described(registry: Registry, what: str, name: str) -> dict[str, Any]:
    plugin = registry.plugins(what)[name]
    described = plugin.describe()
    row: dict[str, Any] = {"name": name, "from": plugin.distribution}
    for column in _COLUMNS[what]:
        value = described.get(column, "")
        row[column] = list(value) if isinstance(value, tuple) else value
    if what == "task":
        row["family"] = described.get("family") or name
    return row


def _plugins(registry: Registry) -> list[dict[str, Any]]:
    rows = []
    for what in GROUPS:
        for name, plugin in registry.plugins(what).items():
            try:
                registry.load(what, name)
                state = "ok"
            except PluginError as error:
                state = f"broken: {error}"
            rows.append({"name": name, "what": what, "from": plugin.distribution, "state": state})
    return rows


def _table(what: str, rows: list[dict[str, Any]]) -> str:
    columns = ("name", *_COLUMNS[what])

    def text(value: Any) -> str:
        return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

    widths = {c: max(len(c), *(len(text(r[c])) for r in rows)) if rows else len(c) for c in columns[:-1]}
    lines = [f"{what}s" if rows else f"{what}s: none"]
    for row in rows:
        cells = [text(row[c]).ljust(widths[c]) for c in columns[:-1]] + [text(row[columns[-1]])]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines)
