"""Writes the site: a pure function of records and a suite. No network, no script needed to read it."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any
from unicodedata import normalize

from jinja2 import Environment, PackageLoader, StrictUndefined

from mechboard import __version__
from mechboard.contract.scores import Measure
from mechboard.contract.task import Suite
from mechboard.files import write_atomically
from mechboard.leaderboard.board import Board, Group
from mechboard.leaderboard.picture import circuit_svg
from mechboard.leaderboard.plots import curves_svg, scatter_svg
from mechboard.records import Record, TaskInfo

_ACCENTS = {"`": "\u0300", "'": "\u0301", "^": "\u0302", "~": "\u0303", '"': "\u0308"}
_CSV_COLUMNS = (
    "method", "task", "task_version", "data_seed", "seed", "status", "measure", "value", "direction", "chance",
    "oracle", "of", "wall_seconds", "forwards", "backwards",
)  # fmt: skip


def build_site(records: Iterable[Record], suite: Suite, out: Path, unreadable: Sequence[str] = ()) -> list[Path]:
    """Write all pages and downloads into `out`; returns the files written.

    Raises:
        WriteError: `out` cannot be written.
    """
    kept = sorted(records, key=lambda r: (r.cell.label, r.cell.task, r.cell.data_seed, r.cell.seed))
    board = Board.of(kept, suite, unreadable)
    pages = {
        "index.html": _render("index.html", board=board, root=".", infos=_infos(board), scatter=_scatter(board)),
        "submit.html": _render("submit.html", root=".", suite=suite),
        "leaderboard.csv": to_csv(kept),
        "leaderboard.json": to_json(kept),
    }
    for task in board.tasks:
        pages[f"tasks/{page_name(task)}.html"] = _task_page(board, task)
    for standing in board.standings:
        page = _render("method.html", board=board, standing=standing, root="..", rows=board.of_method(standing.label))
        pages[f"methods/{page_name(standing.label)}.html"] = page
    static = files("mechboard.leaderboard") / "static"
    for name in ("style.css", "board.js"):
        pages[name] = (static / name).read_text(encoding="utf-8")
    written = []
    for name, text in pages.items():
        write_atomically(out / name, text.encode())
        written.append(out / name)
    return written


def page_name(label: str) -> str:
    """File name of a label: letters, digits, '.', '-', '+' and '='; other characters by their code.

    >>> page_name("eap-ig[steps=10]")
    'eap-ig~5bsteps=10~5d'
    """
    return re.sub(r"[^A-Za-z0-9.+=-]", lambda m: f"~{ord(m.group()):x}", label)


def _infos(board: Board) -> dict[str, TaskInfo]:
    return {task: board.of_task(task)[0][1].first.task for task in board.tasks}


def _scatter(board: Board) -> str:
    return scatter_svg(
        board.cost_and_quality(),
        title="Cost against quality",
        x_label="forwards + 2 x backwards per prompt",
        y_label="overall score",
    )


def bibtex(key: str, fields: Mapping[str, str]) -> str:
    """A BibTeX entry for a preprint; empty if there is nothing to cite."""
    if not fields:
        return ""
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
    if "eprint" in fields:
        lines.append("  archivePrefix = {arXiv},")
    return "\n".join([f"@misc{{{re.sub(r'[^A-Za-z0-9]', '-', key)},", *lines, "}"])


def reference(fields: Mapping[str, str]) -> str:
    """The fields of a citation as one line of text.

    >>> reference({"author": "Conmy, A and Garriga-Alonso, A", "title": "A {T}itle", "year": "2023", "eprint": "2304.14997"})
    'Conmy, A and Garriga-Alonso, A (2023). A Title. arXiv:2304.14997'
    """
    parts = dict(fields)
    head = parts.pop("author", "") + (f" ({year})" if (year := parts.pop("year", "")) else "")
    title, eprint = parts.pop("title", ""), parts.pop("eprint", "")
    line = [head.strip(), title, f"arXiv:{eprint}" if eprint else "", *(f"{k}: {v}" for k, v in parts.items())]
    return _without_tex(". ".join(part for part in line if part))


def _without_tex(text: str) -> str:
    """Letters in place of TeX's accents, and no braces."""
    accented = re.sub(r"\\([`'^~\"])\{?([A-Za-z])", lambda m: normalize("NFC", m[2] + _ACCENTS[m[1]]), text)
    return re.sub(r"[{}]", "", accented)


def _task_page(board: Board, task: str) -> str:
    rows = board.of_task(task)
    info = next((g.first.task for _, g in rows if g.first.task.graph), rows[0][1].first.task)
    truths = [t.name for t in info.truths]
    plots = [
        curves_svg(_curves(rows, f"roc[{truth}]"), title=f"ROC against {truth}", diagonal=True) for truth in truths
    ]
    plots.append(curves_svg(_curves(rows, "faithfulness"), title="Faithfulness by share of edges", log_x=True))
    plots.append(curves_svg(_curves(rows, "completeness"), title="Faithfulness of the complement", log_x=True))
    pictures = [
        (label, circuit_svg(g.first.circuit, info.graph, title=f"Circuit found by {label}"))
        for label, g in rows
        if g.first.circuit
    ]
    names = dict.fromkeys(name for _, g in rows for name in g.first.measures)
    headline = next((g.first.headline for _, g in rows if g.first.headline), None)
    measures = sorted(names, key=lambda n: (n != headline, _place(n)))
    return _render(
        "task.html", board=board, task=task, info=info, rows=rows, plots=plots, pictures=pictures,
        measures=measures, root="..",
    )  # fmt: skip


_ORDER = ("correlation", "auc[", "cmd", "cpr", "completeness", "auc-", "metric")


def _place(measure: str) -> int:
    """Where a column stands: correlation and AUCs, faithfulness, the other conventions of AUC, means of the metric."""
    return next((i for i, start in enumerate(_ORDER) if measure.startswith(start)), len(_ORDER))


def _curves(rows: Sequence[tuple[str, Group]], name: str) -> list[tuple[str, Any]]:
    return [(label, g.first.curves[name]) for label, g in rows if name in g.first.curves]


def _value(measure: Measure | None) -> str:
    return "–" if measure is None or measure.value is None else f"{measure.value:z.3f}"


def _spent(passes: float | None, digits: int = 1) -> str:
    return "unknown" if passes is None else f"{passes:.{digits}f}"


def _render(template: str, **context: Any) -> str:
    environment = Environment(
        loader=PackageLoader("mechboard.leaderboard", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "page": page_name, "value": _value, "spent": _spent, "version": __version__, "bibtex": bibtex,
        "reference": reference,
    }  # fmt: skip
    return environment.get_template(template).render(**context)


def to_json(records: Sequence[Record]) -> str:
    """Every record, without curves and tracebacks, as one document."""
    documents = []
    for record in records:
        document = record.model_dump(mode="json", exclude={"curves"})
        if document["error"]:
            document["error"].pop("traceback")
        documents.append(document)
    return (
        json.dumps({"schema_version": 1, "mechboard": __version__, "records": documents}, indent=1, allow_nan=False)
        + "\n"
    )


def to_csv(records: Sequence[Record]) -> str:
    """One line per measure of every record; a record without measures has one line."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for record in records:
        cell, cost = record.cell, record.cost
        spent = (cost.wall_seconds, cost.forwards, cost.backwards) if cost else ("", "", "")
        who = (cell.label, cell.task, cell.task_version, cell.data_seed, cell.seed, record.status)
        for name, m in record.measures.items() or [("", None)]:
            numbers = (m.value, m.direction, m.chance, m.oracle, m.of) if m else ("",) * 5
            writer.writerow([_plain(v) for v in (*who, name, *numbers, *spent)])
    return buffer.getvalue()


def _plain(value: Any) -> Any:
    """Text that a spreadsheet would run as a formula is quoted."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value
