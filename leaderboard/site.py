"""Writes the site: a pure function of records and suites. No network, no script needed to read it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from mechboard import __version__
from mechboard.contract.task import Suite
from mechboard.drawing.curves import scatter_svg
from mechboard.files import write_atomically
from mechboard.records import Record

from . import words
from .board import Board, Section
from .declared import Declared
from .downloads import to_csv, to_json
from .families import Family
from .figures import Drawings, of_family
from .groups import PASSES
from .tables import Choices, family_tables, views
from .task_page import of_declared, of_task
from .twins import rests

_STATIC = ("style.css", "board.js")


def build_site(
    records: Iterable[Record],
    suites: Iterable[Suite],
    out: Path,
    unreadable: Sequence[str] = (),
    declared: Iterable[Declared] = (),
) -> list[Path]:
    """Write all pages and downloads into `out`; returns the files written.

    `declared` are tasks of which there need be no record: they have a page too.

    Raises:
        UsageError: two suites are of one kind.
        WriteError: `out` cannot be written.
    """
    board = Board.of(records, suites, unreadable, declared)
    written = []
    for name, text in _pages(board):
        write_atomically(out / name, text.encode())
        written.append(out / name)
    return written


def _pages(board: Board) -> Iterator[tuple[str, str]]:
    """Every file of the site, its path and its text."""
    render, drawings = _Renderer(), Drawings()
    shown = [(section, views(section), _scatter(section)) for section in board.sections]
    choices = Choices.of(board.sections)
    yield "index.html", render("index.html", root=".", board=board, shown=shown, choices=choices)
    yield "submit.html", render("submit.html", root=".", sections=board.sections)
    for section in board.sections:
        for family in section.families:
            if len(family.tasks) > 1:
                yield f"families/{words.page_name(family.name)}.html", _family_page(render, section, family)
        for task in section.ordered:
            shown_here = of_task(section, task, drawings)
            yield _task_file(task.name), render("task.html", root="..", section=section, **shown_here)
        for declared in section.awaiting:
            yield _task_file(declared.name), render("awaiting.html", root="..", **of_declared(section, declared))
    for label in dict.fromkeys(label for section in board.sections for label in section.methods):
        mine = [section for section in board.sections if label in section.methods]
        name = f"methods/{words.page_name(label)}.html"
        yield name, render("method.html", root="..", label=label, sections=mine, drawings=drawings)
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
            "PASSES": PASSES, "rests": rests,
        }  # fmt: skip

    def __call__(self, template: str, **context: Any) -> str:
        return self._environment.get_template(template).render(**context)


def _task_file(name: str) -> str:
    return f"tasks/{words.page_name(name)}.html"


def _scatter(section: Section) -> str:
    return scatter_svg(
        section.cost_and_quality(),
        title=f"Cost against quality ({words.titled(section.measures[0])})",
        x_label="forwards + 2 x backwards per prompt",
        y_label="overall score",
    )


def _family_page(render: _Renderer, section: Section, family: Family) -> str:
    labels = [s.label for s in sorted(section.ranking.standings, key=lambda s: s.reference)]
    return render(
        "family.html", root="..", section=section, family=family, tables=family_tables(section, family),
        galleries=of_family(family, labels),
    )  # fmt: skip
