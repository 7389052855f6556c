"""Every record as CSV and as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from mechboard import __version__
from mechboard.records import SCHEMA_VERSION, Record

_CSV_COLUMNS = (
    "method", "task", "task_version", "data_seed", "seed", "status", "measure", "value", "direction", "chance",
    "oracle", "of", "wall_seconds", "forwards", "backwards", "kind", "family", "level", "adapter",
)  # fmt: skip


def to_json(records: Sequence[Record]) -> str:
    """Every record, without curves and tracebacks, as one document."""
    documents = []
    for record in records:
        document = record.model_dump(mode="json", exclude={"curves"})
        if document["error"]:
            document["error"].pop("traceback")
        documents.append(document)
    whole = {"schema_version": SCHEMA_VERSION, "mechboard": __version__, "records": documents}
    return json.dumps(whole, indent=1, allow_nan=False) + "\n"


def to_csv(records: Sequence[Record]) -> str:
    """One line per measure of every record; a record without measures has one line."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for record in records:
        cell, cost, task = record.cell, record.cost, record.task
        spent = (cost.wall_seconds, cost.forwards, cost.backwards) if cost else ("", "", "")
        who = (cell.label, cell.task, cell.task_version, cell.data_seed, cell.seed, record.status)
        what = (task.kind, task.family, task.level, cell.adapter)
        for name, m in record.measures.items() or [("", None)]:
            numbers = (m.value, m.direction, m.chance, m.oracle, m.of) if m else ("",) * 5
            writer.writerow([plain(v) for v in (*who, name, *numbers, *spent, *what)])
    return buffer.getvalue()


def plain(value: Any) -> Any:
    """Text that a spreadsheet would run as a formula is quoted."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value
