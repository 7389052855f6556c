"""Results, records and instances as HTML and as text.

What comes from a record is escaped: it may be a stranger's. Colours are the notebook's own, thinned, so that a light and a
dark one both read; nothing is fetched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence, Sized
from html import escape
from typing import TYPE_CHECKING

from ..kinds import kind
from ..records import CostRecord, Record
from ..runs.headlines import Entry, Grid, grid

if TYPE_CHECKING:
    from .load import Loaded
    from .results import Results

_STYLE = """<style>
.mechboard table{color:inherit;border-collapse:collapse;font-variant-numeric:tabular-nums;margin:4px 0}
.mechboard th,.mechboard td{text-align:left!important;padding:3px 10px;border-bottom:1px solid rgba(127,127,127,.35)}
.mechboard td.value{text-align:right!important}.mechboard .quiet{opacity:.7}.mechboard .bad{color:#d1453b;font-weight:600}
.mechboard p{margin:2px 0}.mechboard pre{overflow-x:auto;max-height:24em}
</style>"""
_MAY_BE_LISTED = 8


def results_html(results: Results) -> str:
    """The headline of every cell, and below it what is missing and why."""
    shown = grid(results.records, results.unplanned)
    head = "".join(f"<th>{_label(label, shown)}</th>" for label in shown.labels)
    rows = "".join(
        f'<tr><th>{escape(row.task)}</th><td class="quiet">{escape(row.headline)}</td>'
        f"{''.join(map(_cell, row.entries))}</tr>"
        for row in shown.rows
    )
    table = f"<table><thead><tr><th>task</th><th>headline</th>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return _block(_paragraph(_summary(results)), table if shown.rows else "", *map(_paragraph, _remarks(results)))


def results_text(results: Results) -> str:
    """The same as lines."""
    shown = grid(results.records, results.unplanned)
    rows = [["task", "headline", *shown.labels]]
    rows += [[row.task, row.headline, *(entry.text for entry in row.entries)] for row in shown.rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([_summary(results), *(lines if shown.rows else []), *_remarks(results)])


def record_html(record: Record) -> str:
    """One cell: its measures, what it found, and its error if it has one."""
    rows = "".join(
        f"<tr><th>{escape(name)}{' *' if name == record.headline else ''}</th>"
        f'<td class="value">{_number(m.value)}</td><td class="quiet">{_number(m.chance)}</td>'
        f'<td class="quiet">{_number(m.oracle)}</td><td class="quiet">{escape("; ".join(filter(None, (m.of, m.note))))}</td></tr>'
        for name, m in record.measures.items()
    )
    head = "<tr><th>measure</th><th>value</th><th>chance</th><th>oracle</th><th>of</th></tr>"
    table = f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>" if rows else ""
    error = record.error
    failed = "" if error is None else f"<pre>{escape(error.traceback or error.message)}</pre>"
    said = [*(f"note: {note}" for note in record.notes), *_cost(record.cost)]
    if record.curves:
        said.append(f"curves: {', '.join(record.curves)}")
    drawn = (f"<div>{exhibit._repr_html_()}</div>" for exhibit in record.exhibits.values())
    title = _paragraph(f"{record.cell.name}: {record.status}", "" if record.status == "done" else "bad")
    return _block(title, table, failed, *map(_paragraph, said), *drawn)


def instance_html(loaded: Loaded) -> str:
    """What an instance is made of, as a table."""
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in _of_instance(loaded))
    return _block(_paragraph(_instance_title(loaded)), f"<table><tbody>{rows}</tbody></table>")


def instance_text(loaded: Loaded) -> str:
    """The same as lines."""
    return "\n".join([_instance_title(loaded), *(f"  {name}: {text}" for name, text in _of_instance(loaded))])


def _instance_title(loaded: Loaded) -> str:
    task = loaded.task
    return f"{task.name}@v{task.version} data-{loaded.data_seed}: {task.summary}"


def _of_instance(loaded: Loaded) -> list[tuple[str, str]]:
    asked = kind(loaded.task.kind)
    held_out = f"{len(loaded.held_out)}" if isinstance(loaded.held_out, Sized) else "yes"
    return [
        ("problem", repr(loaded.problem)),
        *((fact.name, fact.text) for fact in asked.facts(loaded)),
        ("discovery prompts", str(loaded.problem.n_prompts)),
        ("held out", held_out),
        *(("truth", f"{t.name}, {t.n_true:,} of {t.n_all:,}: {t.source}") for t in asked.truths(loaded)),
    ]


def _summary(results: Results) -> str:
    counts = Counter(record.status for record in results.records)
    said = ", ".join(f"{n} {status}" for status, n in counts.items())
    return f"{len(results)} cells: {said}" if said else "no cells"


def _remarks(results: Results) -> list[str]:
    """What the table does not say: errors in a line each, what was not crossed, what could not be read."""
    failed = [
        f"{r.status}: {r.cell.name}: " + f"{r.error.type}: {r.error.message}".partition("\n")[0]
        for r in results.failed
        if r.error
    ]
    apart = [f"{u.status}: {u.label} x {u.task} ({u.reason})" for u in results.unplanned]
    unreadable = [f"unreadable: {path}" for path, _ in results.unreadable]
    return [*_first(failed), *_first(apart), *_first(unreadable), *(f"note: {note}" for note in results.notes)]


def _first(lines: Sequence[str]) -> Iterable[str]:
    rest = len(lines) - _MAY_BE_LISTED
    return lines if rest <= 0 else [*lines[:_MAY_BE_LISTED], f"... and {rest} more"]


def _label(label: str, shown: Grid) -> str:
    return escape(label) + (' <span class="quiet">(reference)</span>' if label in shown.references else "")


def _cell(entry: Entry) -> str:
    detail = f' title="{escape(entry.detail)}"' if entry.detail else ""
    return f'<td class="{entry.tone}"{detail}>{escape(entry.text)}</td>'


def _cost(cost: CostRecord | None) -> list[str]:
    if cost is None:
        return []
    passes = [f"{'unknown' if n is None else f'{n:.1f}'}" for n in (cost.forwards, cost.backwards)]
    return [f"cost: {passes[0]} forwards, {passes[1]} backwards of {cost.prompts} prompts, {cost.wall_seconds:.2f} s"]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _paragraph(text: str, tone: str = "") -> str:
    return f'<p class="{tone}">{escape(text)}</p>' if tone else f"<p>{escape(text)}</p>"


def _block(*parts: str) -> str:
    return f'<div class="mechboard">{_STYLE}{"".join(parts)}</div>'
