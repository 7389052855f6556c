"""Records on disk: `<results>/<method slug>/<task>@v<N>/data-<m>/seed-<n>.json`.

Beside each stand what the method answered (`.safetensors`), what it printed (`.log`) and texts that its scoring left (`seed-<n>.completions.jsonl`). Every file is written whole or not at all, the moment its cell ends. A folder that holds a file named READ_ONLY is never
written to.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import RecordError, StoreError, WriteError
from ..files import write_atomically
from . import Cell, Record, parse
from .answer import Answer, pack, unpack

MARKER = "READ_ONLY"
RUNS = "runs"


def default_results() -> Path:
    """`results/local` in a clone of the project, `mechboard-results` elsewhere."""
    clone = Path("results/reference")
    return Path("results/local") if clone.is_dir() and Path("bench").is_dir() else Path("mechboard-results")


class Store:
    """One results folder."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def path(self, cell: Cell) -> Path:
        """Where the record of a cell is."""
        task = f"{cell.task}@v{cell.task_version}"
        return self.root / cell.slug / task / f"data-{cell.data_seed}" / f"seed-{cell.seed}.json"

    def read(self, cell: Cell) -> Record | None:
        """The record of a cell, None if there is none.

        Raises:
            RecordError: there is one and it cannot be read.
        """
        path = self.path(cell)
        return self._read_in_place(path) if path.is_file() else None

    def _read_in_place(self, path: Path) -> Record:
        """Read a record that must be of the cell whose place it has, so that a copy or a lie is not taken for another's."""
        record = read_record(path)
        if self.path(record.cell) != path:
            raise RecordError(
                f"{str(path)!r} holds the record of another cell, {record.cell.name!r}; move it to "
                f"{str(self.path(record.cell))!r} or delete it."
            )
        return record

    def check_writable(self) -> None:
        """Make the folder if need be.

        Raises:
            StoreError: it is not to be written.
            WriteError: it cannot be written.
        """
        if (self.root / MARKER).exists():
            raise StoreError(
                f"The results folder {str(self.root)!r} is read-only (it holds a file {MARKER}); "
                "choose another with --results DIR."
            )
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as error:
            raise WriteError(
                f"The results folder {str(self.root)!r} cannot be written ({error.strerror}); "
                "choose another with --results DIR."
            ) from error

    def write(self, record: Record) -> Path:
        """Write a record in place of the cell's last one."""
        path = self.path(record.cell)
        write_atomically(path, (record.model_dump_json(indent=1) + "\n").encode())
        return path

    def write_log(self, cell: Cell, text: bytes) -> None:
        """Keep what the method printed; without a word, what was kept of the last run goes."""
        path = self.path(cell).with_suffix(".log")
        if text:
            write_atomically(path, text)
        else:
            path.unlink(missing_ok=True)

    def write_files(self, cell: Cell, files: Mapping[str, str]) -> None:
        """Keep the texts of a cell's scoring; those of its last one go."""
        for old in self.files(cell):
            old.unlink()
        for name, text in files.items():
            write_atomically(self.path(cell).with_suffix(f".{name}"), text.encode())

    def files(self, cell: Cell) -> list[Path]:
        """The texts that a cell's scoring has left."""
        path = self.path(cell)
        return sorted(path.parent.glob(f"{path.stem}.*.jsonl"))

    def set_aside(self, cell: Cell) -> Path:
        """Rename an unreadable record, so that the cell can run and nothing is lost; returns the new path."""
        path = self.path(cell)
        number = 1
        while (aside := path.with_name(f"{path.name}.unreadable-{number}")).exists():
            number += 1
        path.rename(aside)
        return aside

    def write_answer(self, cell: Cell, answer: Answer) -> None:
        """Keep a solution, so that a changed scorer can score it again."""
        write_atomically(self.path(cell).with_suffix(".safetensors"), pack(answer))

    def read_answer(self, cell: Cell, solution_id: str) -> Answer | None:
        """The kept solution with this identity; None if there is none, or one that cannot be read or is another's."""
        path = self.path(cell).with_suffix(".safetensors")
        try:
            answer = unpack(path.read_bytes())
        except (OSError, RecordError):
            return None
        return answer if answer.solution_id == solution_id else None

    def records(self) -> Iterator[tuple[Path, Record | RecordError]]:
        """Every record in the folder, in a fixed order; what cannot be read comes as its error.

        Raises:
            StoreError: there is no such folder.
        """
        if not self.root.is_dir():
            raise StoreError(
                f"There is no results folder {str(self.root)!r}; run `bench run --method eap --task all` first, "
                "or name one with --results DIR."
            )
        for path in sorted(self.root.glob("*/*/data-*/seed-*.json")):
            try:
                yield path, self._read_in_place(path)
            except RecordError as error:
                yield path, error


def read_record(path: Path) -> Record:
    """Read one record file.

    Raises:
        RecordError: it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"{str(path)!r} cannot be read ({error}); valid: a record file (.json).") from error
    return parse(text, str(path))
