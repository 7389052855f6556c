"""The study in docs/ says what its numbers say, and its numbers are those of the records."""

import importlib.util
from pathlib import Path

import pytest

from mechboard.records import Record
from mechboard.records.store import Store

ROOT = Path(__file__).parent.parent
_SPEC = importlib.util.spec_from_file_location("embedded_study", ROOT / "benchmarks" / "embedded_study.py")
study = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(study)


def test_the_tables_of_the_document_follow_from_its_csv():
    document = study.DOCUMENT.read_text(encoding="utf-8")
    assert study.START in document
    assert study.written(document) == document


def test_the_csv_holds_what_the_reference_records_hold():
    """But for the compiled tasks, which the study measured in version 1, as its text says, and for methods of later."""
    assert "Measured on version 1 of the compiled tasks" in (ROOT / "docs" / "embedded-scores.md").read_text()
    rows = {(r["method"], r["task"], int(r["data_seed"]), int(r["seed"])): r for r in study.read()}
    records = [r for _, r in Store(ROOT / "results" / "reference").records() if isinstance(r, Record)]
    measured, compared = {label for label, *_ in rows}, 0
    for record in records:
        cell = record.cell
        other = record.task.kind != "circuit" or cell.task.startswith("compiled-")
        if other or cell.label not in measured or record.status == "unsupported":
            continue
        row, compared = rows[cell.label, cell.task, cell.data_seed, cell.seed], compared + 1
        assert float(row["cmd"]) == pytest.approx(record.measures["cmd"].value, abs=5e-4)
        if record.headline.startswith("auc"):
            assert float(row["auc"]) == pytest.approx(record.headline_measure.value, abs=1e-5)
    assert compared > 200


def test_every_pair_of_orders_is_counted_once():
    a = {"x": 1.0, "y": 2.0, "z": 3.0}
    assert study.kendall(a, a, resolution=0.1) == (1.0, 3)
    assert study.kendall(a, {"x": 3.0, "y": 2.0, "z": 1.0}, resolution=0.1) == (-1.0, 3)
    assert study.kendall(a, {"x": 1.0, "y": 1.05, "z": 3.0}, resolution=0.1) == (1.0, 2)
