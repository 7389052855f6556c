"""Writes the site: a pure function of records and suites. No network, no script needed to read it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files
from inspect import cleandoc
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from mechboard import __version__
from mechboard.contract.scores import Curve
from mechboard.contract.task import Suite
from mechboard.drawing.curves import curves_figure, scatter_svg
from mechboard.files import write_atomically
from mechboard.records import Record

from . import words
from .board import Board, Section
from .downloads import to_csv, to_json
from .families import BoardTask, Family
from .groups import PASSES, Group
from .tables import Choices, family_tables, views

_STATIC = ("style.css", "board.js")


def build_site(
    records: Iterable[Record], suites: Iterable[Suite], out: Path, unreadable: Sequence[str] = ()
) -> list[Path]:
    """Write all pages and downloads into `out`; returns the files written.

    Raises:
        UsageError: two suites are of one kind.
        WriteError: `out` cannot be written.
    """
    board = Board.of(records, suites, unreadable)
    written = []
    for name, text in _pages(board):
        write_atomically(out / name, text.encode())
        written.append(out / name)
    return written


def _pages(board: Board) -> Iterator[tuple[str, str]]:
    """Every file of the site, its path and its text."""
    render = _Renderer()
    shown = [(section, views(section), _scatter(section)) for section in board.sections]
    choices = Choices.of(board.sections)
    yield "index.html", render("index.html", root=".", board=board, shown=shown, choices=choices)
    yield "submit.html", render("submit.html", root=".", sections=board.sections)
    for section in board.sections:
        for family in section.families:
            if len(family.tasks) > 1:
                yield f"families/{words.page_name(family.name)}.html", _family_page(render, section, family)
        for task in section.ordered:
            yield f"tasks/{words.page_name(task.name)}.html", _task_page(render, section, task)
    for label in dict.fromkeys(label for section in board.sections for label in section.methods):
        mine = [section for section in board.sections if label in section.methods]
        yield f"methods/{words.page_name(label)}.html", render("method.html", root="..", label=label, sections=mine)
    yield "leaderboard.csv", to_csv(board.records)
    yield "leaderboard.json", to_json(board.records)
    for name in _STATIC:
        yield name, (files("mechboard.leaderboard") / "static" / name).read_text(encoding="utf-8")


class _Renderer:
    """The templates, with the words that they use. What comes from records is escaped."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=PackageLoader("mechboard.leaderboard", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals |= {
            "page": words.page_name, "titled": words.titled, "value": words.shown, "number": words.number,
            "spent": words.spent, "bibtex": words.bibtex, "reference": words.reference, "version": __version__,
            "PASSES": PASSES,
        }  # fmt: skip

    def __call__(self, template: str, **context: Any) -> str:
        return self._environment.get_template(template).render(**context)


def _scatter(section: Section) -> str:
    return scatter_svg(
        section.cost_and_quality(),
        title=f"Cost against quality ({words.titled(section.measures[0])})",
        x_label="forwards + 2 x backwards per prompt",
        y_label="overall score",
    )


def _family_page(render: _Renderer, section: Section, family: Family) -> str:
    return render("family.html", root="..", section=section, family=family, tables=family_tables(section, family))


def _task_page(render: _Renderer, section: Section, task: BoardTask) -> str:
    rows = task.ordered()
    family = next((f for f in section.families if task in f.tasks and len(f.tasks) > 1), None)
    return render(
        "task.html", root="..", section=section, task=task, info=task.info, rows=rows, family=family,
        measures=_measures(task, rows), plots=_plots(rows), exhibits=_exhibits(rows),
    )  # fmt: skip


def _measures(task: BoardTask, rows: Sequence[tuple[str, Group]]) -> list[str]:
    """Every measure in the order in which the scorer emitted them, the headline first."""
    names = dict.fromkeys(name for _, group in rows for name in group.first.measures)
    return sorted(names, key=lambda name: name != task.headline)


def _plots(rows: Sequence[tuple[str, Group]]) -> list[str]:
    """One plot per name of a curve."""
    found: dict[str, list[tuple[str, Curve]]] = {}
    for label, group in rows:
        for name, curve in group.first.curves.items():
            found.setdefault(name, []).append((label, curve))
    return [curves_figure(curves) for curves in found.values()]


def _exhibits(rows: Sequence[tuple[str, Group]]) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Name of each exhibit, what its type says it is, and everybody's own, drawn by itself."""
    found: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    for label, group in rows:
        for name, exhibit in group.first.exhibits.items():
            said = cleandoc(type(exhibit).__doc__ or "").partition("\n\n")[0]
            found.setdefault(name, (said, []))[1].append((label, exhibit.draw(f"{name} of {label}")))
    return [(name, said, drawn) for name, (said, drawn) in found.items()]
