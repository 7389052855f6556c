"""The record of one cell, as it is written to disk: a pydantic model with a schema version.

`Record.model_json_schema()` is the schema that other tools can validate against (`docs/record.schema.json`).
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mechboard.errors import RecordError

SCHEMA_VERSION: Literal[1] = 1
Status = Literal["done", "failed", "timeout", "crashed", "invalid", "interrupted"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Cell(_Part):
    """Which cell: a method with parameters, a task, a data seed and a seed."""

    method: str
    label: str
    slug: str
    parameters: dict[str, Any]
    parameters_passed: dict[str, Any]
    task: str
    task_version: int
    data_seed: int
    seed: int

    @property
    def name(self) -> str:
        """How lines and errors name the cell."""
        return f"{self.label} x {self.task}@v{self.task_version} data-{self.data_seed} seed-{self.seed}"


class MethodInfo(_Part):
    """What the method declares about itself."""

    summary: str
    citation: dict[str, str]
    deterministic: bool
    reference: bool


class TruthInfo(_Part):
    """A known circuit of the task."""

    name: str
    n_true: int
    source: str


class GraphInfo(_Part):
    """The graph that scores refer to; `mechboard.graph.Graph` rebuilds the names of its edges from these."""

    n_layers: int
    n_heads: int
    has_mlp: bool
    parallel: bool
    level: Literal["qkv", "head"]
    n_edges: int


class TaskInfo(_Part):
    """What the task declares about itself; `graph` and `truths` once its problem was loaded."""

    summary: str
    kind: str
    tier: str
    ranked: bool
    description: str = ""
    citation: dict[str, str] = Field(default_factory=dict)
    graph: GraphInfo | None = None
    truths: tuple[TruthInfo, ...] = ()


class MeasureRecord(_Part):
    """One number. `chance` and `oracle` are the anchors 0 and 1; `of` gives denominators."""

    value: float | None
    direction: Literal["higher", "lower"]
    chance: float | None = None
    oracle: float | None = None
    of: str = ""
    note: str = ""


class CurveRecord(_Part):
    """Points of one curve."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    x_label: str
    y_label: str


class EdgeRecord(_Part):
    """An edge of the found or of the known circuit; `known` is None where no circuit is known."""

    name: str
    score: float | None
    found: bool
    known: bool | None


class CostRecord(_Part):
    """What the method spent. Passes that resume half way count whole; memory is the process's peak."""

    forwards: float
    backwards: float
    forward_sequences: int
    backward_sequences: int
    prompts: int
    wall_seconds: float
    evaluation_seconds: float
    peak_memory_bytes: int | None


class ErrorRecord(_Part):
    """What went wrong."""

    type: str
    message: str
    traceback: str


class Provenance(_Part):
    """Where and with what a record was made."""

    mechboard: str
    command: str
    started: str
    python: str
    packages: dict[str, str]
    git_commit: str | None
    git_dirty: bool | None
    platform: str
    cpu: str
    threads: int
    device: str
    assets: dict[str, str] = Field(default_factory=dict)


class Record(_Part):
    """The record of one cell."""

    schema_version: Literal[1] = SCHEMA_VERSION
    cell: Cell
    status: Status
    solution_id: str
    scorer_id: str | None
    evaluation_id: str | None
    method: MethodInfo
    task: TaskInfo
    adapter: str | None = None
    headline: str | None = None
    measures: dict[str, MeasureRecord] = Field(default_factory=dict)
    curves: dict[str, CurveRecord] = Field(default_factory=dict)
    circuit: tuple[EdgeRecord, ...] = ()
    notes: tuple[str, ...] = ()
    cost: CostRecord | None = None
    provenance: Provenance
    error: ErrorRecord | None = None

    @property
    def headline_measure(self) -> MeasureRecord | None:
        """The measure that tables show, if the cell is done."""
        return self.measures.get(self.headline) if self.headline else None


def parse(text: str, where: str) -> Record:
    """A record from its text.

    Raises:
        RecordError: it is no JSON, no record, or of a schema version that this version does not know.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise RecordError(f"{where!r} is not valid JSON ({error}); delete it or restore it, then run again.") from error
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version != SCHEMA_VERSION:
        raise RecordError(
            f"{where!r} has schema_version {version!r}; valid: {SCHEMA_VERSION}; "
            "it is no mechboard record or was written by a later version, so upgrade mechboard or move it away."
        )
    try:
        return Record.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise RecordError(
            f"{where!r} is no valid record: {field}: {first['msg']}; delete it or restore it, then run again."
        ) from error
