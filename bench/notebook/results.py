"""What a run or a folder holds: a sequence of records that can be selected from, tabulated and looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, overload

from mechboard.errors import RecordError, unknown
from mechboard.plan import Unplanned
from mechboard.records import Record

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, eq=False, repr=False)
class Results(Sequence[Record]):
    """Records in the order of the plan, with what has none.

    >>> results = mechboard.run("eap,random", "trained-ioi")              # doctest: +SKIP
    >>> results.where(method="eap")[0].headline_measure.value             # doctest: +SKIP
    >>> results.frame().groupby(["task", "method"])["value"].mean()       # doctest: +SKIP

    Attributes:
        records: one per cell.
        unplanned: methods and tasks that were not crossed, and why.
        unreadable: files of a folder that are no valid records, and why.
        folder: where the records are kept; a temporary folder lives as long as the results do.
        notes: what one should know of the run.
        interrupted: whether the run was interrupted, so that cells are missing.
    """

    records: tuple[Record, ...]
    unplanned: tuple[Unplanned, ...] = ()
    unreadable: tuple[tuple[Path, RecordError], ...] = ()
    folder: Path | None = None
    notes: tuple[str, ...] = ()
    interrupted: bool = False
    kept_by: TemporaryDirectory[str] | None = None

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    @overload
    def __getitem__(self, index: int) -> Record: ...

    @overload
    def __getitem__(self, index: slice) -> Results: ...

    def __getitem__(self, index: int | slice) -> Record | Results:
        return self._only(self.records[index]) if isinstance(index, slice) else self.records[index]

    @property
    def failed(self) -> Results:
        """The cells in which something went wrong; a method that declined has done nothing wrong."""
        return self._only(tuple(r for r in self.records if r.status not in ("done", "unsupported")))

    def where(self, *, method: str | None = None, task: str | None = None, status: str | None = None) -> Results:
        """The records of a method (its name or label), a task or a status; each may be a glob.

        Raises:
            SelectionError: nothing here has this name, in whatever combination.
        """
        kept = self.records
        for what, given in (("method", method), ("task", task)):
            if given is not None:
                kept = tuple(r for r in kept if _matches(given, _names(what, r)))
                if not any(_matches(given, _names(what, r)) for r in self.records):
                    raise unknown(f"{what} of these results", given, {n for r in self.records for n in _names(what, r)})
        return self._only(tuple(r for r in kept if status is None or fnmatchcase(r.status, status)))

    def frame(self) -> DataFrame:
        """One row per cell and measure; a cell that failed has one row without a measure."""
        from mechboard.notebook.frames import measures_frame

        return measures_frame(self.records)

    def curves(self, name: str | None = None) -> DataFrame:
        """One row per point of a curve, of every curve or of those called `name`, such as `roc` or `faithfulness`."""
        from mechboard.notebook.frames import curves_frame

        return curves_frame(self.records, name)

    def _only(self, records: tuple[Record, ...]) -> Results:
        """These records alone; what has none is told by the whole."""
        return replace(self, records=records, unplanned=(), unreadable=(), notes=())

    def __repr__(self) -> str:
        from mechboard.notebook.views import results_text

        return results_text(self)

    def _repr_html_(self) -> str:
        from mechboard.notebook.views import results_html

        return results_html(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        # IPython would print a sequence element by element.
        printer.text("Results(...)" if cycle else repr(self))


def _names(what: str, record: Record) -> tuple[str, ...]:
    return (record.cell.label, record.cell.method) if what == "method" else (record.cell.task,)


def _matches(given: str, names: tuple[str, ...]) -> bool:
    """A label such as `eap-ig[steps=10]` is itself, though to a glob its brackets are a set of letters."""
    return given in names or any(fnmatchcase(name, given) for name in names)
