"""Weights & Biases as an observer of a run: one W&B run per cell, with measures, curves, tables of texts and exhibits, and the record.

Local records are the truth. If W&B is absent or fails, that is one warning, and nothing else changes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from ..records.store import Store
from .estimate import Reached
from .plan import PlannedCell
from .runner import Outcome

Mode = Literal["off", "offline", "online"]
_PROJECT = "mechboard"


class WandbTracker:
    """Sends every cell that was run (not those that were cached) to W&B."""

    def __init__(self, mode: Literal["offline", "online"], store: Store, warn: Callable[[str], None]) -> None:
        self._mode, self._store, self._warn = mode, store, warn
        self._working = True

    def started(self, planned: PlannedCell, number: int, total: int) -> None:
        """Nothing: a cell is sent when it has ended."""

    def reached(self, planned: PlannedCell, reached: Reached) -> None:
        """Nothing: a cell is sent when it has ended."""

    def noticed(self, message: str) -> None:
        """Nothing: notices are for the terminal."""

    def ended(self, outcome: Outcome, number: int, total: int) -> None:
        """Send one cell; after the first failure, no more."""
        if not self._working or outcome.status == "cached":
            return
        try:
            self._send(outcome)
        except Exception as error:
            self._working = False
            reason = str(error).strip().partition("\n")[0]
            self._warn(
                f"W&B stopped ({type(error).__name__}: {reason}); the run goes on and records are complete in {self._store.root}."
            )

    def _send(self, outcome: Outcome) -> None:
        import wandb

        record, cell = outcome.record, outcome.record.cell
        folder = self._store.root / "wandb"
        folder.mkdir(parents=True, exist_ok=True)
        run: Any = wandb.init(
            project=_PROJECT,
            name=cell.name,
            group=cell.task,
            job_type=cell.label,
            dir=str(folder),
            mode=self._mode,
            config=cell.model_dump() | {"solution_id": record.solution_id, "evaluation_id": record.evaluation_id},
            settings=wandb.Settings(silent=True, init_timeout=30, console="off"),
            reinit="finish_previous",
        )
        try:
            for name, curve in record.curves.items():
                run.define_metric(f"{name}/y", step_metric=f"{name}/x")
                for x, y in zip(curve.x, curve.y, strict=True):
                    run.log({f"{name}/x": x, f"{name}/y": y})
            values = {name: measure.value for name, measure in record.measures.items()}
            run.summary.update({"status": record.status, "seconds": outcome.seconds} | values)
            for file in self._store.files(cell):
                texts = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
                run.log({file.name.split(".")[1]: _table(texts)})
            for name, exhibit in record.exhibits.items():
                if rows := exhibit.table():
                    run.log({name: _table(rows)})
            artifact: Any = wandb.Artifact(f"record-{record.solution_id.partition(':')[2]}", type="record")
            artifact.add_file(str(self._store.path(cell)))
            run.log_artifact(artifact)
        finally:
            run.finish(exit_code=0 if record.status == "done" else 1)


def _table(rows: Sequence[Mapping[str, Any]]) -> Any:
    import wandb

    names = list(rows[0]) if rows else []
    return wandb.Table(columns=[*names], data=[[row[name] for name in names] for row in rows])
