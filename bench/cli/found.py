"""A record by what is typed, and the solution that lies beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RecordError, UsageError

if TYPE_CHECKING:
    from ..records import Record


def record_path(name: str, results: Path | None) -> Path | None:
    """The file of a record, by its path or its place in the results folder; None if what is typed may be another thing.

    Raises:
        UsageError: it is named as a file and there is none.
    """
    from ..records.store import default_results

    for path in (Path(name), (results or default_results()) / f"{name}.json", (results or default_results()) / name):
        if path.is_file():
            return path
    if name.endswith(".json"):
        raise UsageError(f"There is no record {name!r}; `bench status` lists records.")
    return None


def solution_beside(record: Record, path: Path, needed_by: str) -> Any:
    """What the method answered, from the file beside its record.

    Raises:
        UsageError: there is none.
        RecordError: it cannot be read, or is another run's.
    """
    from ..kinds import kind
    from ..records.answer import unpack

    beside = path.with_suffix(".safetensors")
    if not beside.is_file():
        raise UsageError(
            f"{str(path)!r} has no answer beside it; {needed_by} needs the .safetensors file of a finished cell."
        )
    try:
        answer = unpack(beside.read_bytes())
        solution = kind(record.task.kind).unpack(answer.tensors)
    except (OSError, KeyError, RecordError) as error:
        raise RecordError(f"{str(beside)!r} cannot be read ({error}); run the cell again with --fresh.") from error
    if answer.solution_id != record.solution_id:
        raise RecordError(f"{str(beside)!r} is the answer of another run; run the cell again.")
    return solution
