"""Records as tidy data frames: one row per cell and measure, or per point of a curve.

`measure` is `auc` and `truth` is `trained-ioi:declared`, so that one measure can be compared over tasks; a record
writes both as `auc[trained-ioi:declared]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mechboard.contract.scores import Measure
from mechboard.records import Record

if TYPE_CHECKING:
    from pandas import DataFrame

TEXT, NUMBER, WHOLE, FLAG = "string", "float64", "Int64", "bool"
_CELL = {
    "method": TEXT,
    "name": TEXT,
    "adapter": TEXT,
    "reference": FLAG,
    "task": TEXT,
    "task_version": WHOLE,
    "kind": TEXT,
    "family": TEXT,
    "level": WHOLE,
    "tier": TEXT,
    "data_seed": WHOLE,
    "seed": WHOLE,
    "status": TEXT,
}
_MEASURE = {
    "headline": FLAG,
    "measure": TEXT,
    "truth": TEXT,
    "value": NUMBER,
    "direction": TEXT,
    "chance": NUMBER,
    "oracle": NUMBER,
    "of": TEXT,
    "note": TEXT,
}
_COST = {"forwards": NUMBER, "backwards": NUMBER, "wall_seconds": NUMBER}
_CURVE = {"curve": TEXT, "truth": TEXT, "x": NUMBER, "y": NUMBER}


def measures_frame(records: Sequence[Record]) -> DataFrame:
    """Every measure of every record, with its cell and what the method spent on it."""
    rows = [{**_cell(r), **measure, **_cost(r)} for r in records for measure in _measures(r)]
    return _frame(rows, {**_CELL, **_MEASURE, **_COST})


def curves_frame(records: Sequence[Record], name: str | None = None) -> DataFrame:
    """Every point of the curves of these records; `name` is a curve's, with or without the truth in brackets."""
    rows = []
    for record in records:
        cell = _cell(record)
        for full, curve in record.curves.items():
            called, truth = _parted(full)
            if name in (None, full, called):
                points = zip(curve.x, curve.y, strict=True)
                rows += [{**cell, "curve": called, "truth": truth, "x": x, "y": y} for x, y in points]
    return _frame(rows, {**_CELL, **_CURVE})


def _frame(rows: list[dict[str, Any]], types: Mapping[str, str]) -> DataFrame:
    import pandas as pd

    return pd.DataFrame(rows, columns=list(types)).astype(dict(types))


def _cell(record: Record) -> dict[str, Any]:
    cell, task = record.cell, record.task
    return {
        "method": cell.label,
        "name": cell.method,
        "adapter": cell.adapter,
        "reference": record.method.reference,
        "task": cell.task,
        "task_version": cell.task_version,
        "kind": task.kind,
        "family": task.family,
        "level": task.level,
        "tier": task.tier,
        "data_seed": cell.data_seed,
        "seed": cell.seed,
        "status": record.status,
    }


def _measures(record: Record) -> Iterator[dict[str, Any]]:
    if not record.measures:
        error = record.error
        yield {"headline": False, "note": f"{error.type}: {error.message}" if error else None}
    for full, measure in record.measures.items():
        name, truth = _parted(full)
        fields = {field: getattr(measure, field) for field in Measure.model_fields}
        yield {"headline": full == record.headline, "measure": name, "truth": truth, **fields}


def _cost(record: Record) -> dict[str, Any]:
    return {name: getattr(record.cost, name, None) for name in _COST}


def _parted(full: str) -> tuple[str, str | None]:
    """A name and the truth in brackets behind it, if there is one."""
    name, bracket, truth = full.partition("[")
    return name, truth.removesuffix("]") if bracket else None
