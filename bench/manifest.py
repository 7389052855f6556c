"""A run's manifest: the cells it planned, so that `bench status` can say what is done, failed or missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from pydantic import ValidationError

from mechboard.errors import RecordError
from mechboard.files import write_atomically
from mechboard.plan import Plan
from mechboard.provenance import typed
from mechboard.records import Cell
from mechboard.store import RUNS, Store


def write_manifest(store: Store, plan: Plan, command: str | None = None) -> Path:
    """Write the planned cells before the first of them runs; `command` is what was typed unless it is given."""
    started = datetime.now(UTC)
    content = {
        "schema_version": 1,
        "command": command or typed(),
        "started": started.isoformat(timespec="seconds"),
        "cells": [p.cell.model_dump() for p in plan.cells],
        "unplanned": [vars(u) for u in plan.unplanned],
    }
    name = f"{started:%Y%m%dT%H%M%S}-{uuid4().hex[:6]}.json"
    path = store.root / RUNS / name
    write_atomically(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())
    return path


def planned_cells(store: Store) -> Iterator[Cell]:
    """Cells of every run that was planned in this folder, each once, latest plan first.

    Raises:
        RecordError: a manifest cannot be read.
    """
    seen: set[Path] = set()
    for path in sorted((store.root / RUNS).glob("*.json"), reverse=True):
        try:
            cells = [Cell.model_validate(c) for c in json.loads(path.read_text(encoding="utf-8"))["cells"]]
        except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
            raise RecordError(
                f"The manifest {str(path)!r} cannot be read; delete it: it only serves `status`."
            ) from error
        for cell in cells:
            if store.path(cell) not in seen:
                seen.add(store.path(cell))
                yield cell
