"""The record of one cell, as it is written to disk: a pydantic model with a schema version.

`Record.model_json_schema()` is the schema that other tools can validate against (`docs/record.schema.json`).
A record may be a stranger's file, so what would break a page or a ranking is no valid record: a number that is none or
that its measure cannot have, anchors of one's own, a headline that is not there, a label that is not the method's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from mechboard.errors import RecordError
from mechboard.metrics.measures import definition, impossible, wrong_chance

SCHEMA_VERSION: Literal[1] = 1
Status = Literal["done", "failed", "timeout", "crashed", "invalid", "interrupted"]


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    json.dumps(values, allow_nan=False, default=str)
    return values


Seed = Annotated[int, Field(ge=0, lt=2**63)]
Size = Annotated[int, Field(ge=0, lt=2**63)]
Spent = Annotated[float, Field(ge=0)]
Values = Annotated[dict[str, Any], AfterValidator(_finite)]
# Nobody's graph is larger, and a page draws every node.
Nodes = Annotated[int, Field(ge=1, le=1000)]


class _Part(BaseModel):
    """Numbers are finite, and `true` is not 1."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Cell(_Part):
    """Which cell: a method with parameters, a task, a data seed and a seed."""

    method: str
    label: str
    slug: str
    parameters: Values
    parameters_passed: Values
    task: str
    task_version: Annotated[int, Field(ge=1, lt=2**63)]
    data_seed: Seed
    seed: Seed

    @model_validator(mode="after")
    def _label_and_slug_tell_the_parameters(self) -> Self:
        changed = _told(self.label, self.method, self.parameters)
        if changed is None or self.slug != "+".join([self.method, *changed]):
            raise ValueError(
                f"label {self.label!r} and slug {self.slug!r} are not those of {self.method!r} with its parameters"
            )
        return self

    @property
    def name(self) -> str:
        """How lines and errors name the cell."""
        return f"{self.label} x {self.task}@v{self.task_version} data-{self.data_seed} seed-{self.seed}"


def _told(label: str, method: str, parameters: Mapping[str, Any]) -> list[str] | None:
    """The settings `name=value` in a label, None if it is no label of this method with these parameters.

    >>> _told("eap-ig[steps=10]", "eap-ig", {"steps": 10})
    ['steps=10']
    """
    if label == method:
        return []
    rest, changed = label.removeprefix(f"{method}[").removesuffix("]"), []
    for name, value in sorted(parameters.items()):
        # JSON has no tuples, and a label was written from one.
        setting = f"{name}={tuple(value) if isinstance(value, list) else value}"
        if rest == setting or rest.startswith(f"{setting},"):
            changed.append(setting)
            rest = rest[len(setting) + 1 :]
    return changed if not rest and label == f"{method}[{','.join(changed)}]" else None


class MethodInfo(_Part):
    """What the method declares about itself."""

    summary: str
    citation: dict[str, str]
    deterministic: bool
    reference: bool


class TruthInfo(_Part):
    """A known circuit of the task."""

    name: str
    n_true: Size
    source: str


class GraphInfo(_Part):
    """The graph that scores refer to; `mechboard.graph.Graph` rebuilds the names of its edges from these."""

    n_layers: Nodes
    n_heads: Nodes
    has_mlp: bool
    parallel: bool
    level: Literal["qkv", "head"]
    n_edges: Size


class TaskInfo(_Part):
    """What the task declares about itself; `graph` and `truths` once its problem was loaded."""

    summary: str
    kind: str
    tier: str
    ranked: bool
    description: str = ""
    citation: dict[str, str] = Field(default_factory=dict)
    graph: GraphInfo | None = None
    truths: Annotated[tuple[TruthInfo, ...], Field(strict=False)] = ()


class MeasureRecord(_Part):
    """One number. `chance` and `oracle` are the anchors 0 and 1; `of` gives denominators."""

    value: float | None
    direction: Literal["higher", "lower"]
    chance: float | None = None
    oracle: float | None = None
    of: str = ""
    note: str = ""

    @model_validator(mode="after")
    def _anchors_are_a_scale(self) -> Self:
        if self.chance is not None and self.oracle is not None:
            higher, lower = (self.oracle, self.chance) if self.direction == "higher" else (self.chance, self.oracle)
            if not higher > lower:
                raise ValueError(f"oracle {self.oracle} is not better than chance {self.chance} ({self.direction})")
        return self


class CurveRecord(_Part):
    """Points of one curve."""

    x: Annotated[tuple[float, ...], Field(strict=False, min_length=1)]
    y: Annotated[tuple[float, ...], Field(strict=False, min_length=1)]
    x_label: str
    y_label: str

    @model_validator(mode="after")
    def _every_x_has_a_y(self) -> Self:
        if len(self.x) != len(self.y):
            raise ValueError(f"a curve has {len(self.x)} x and {len(self.y)} y")
        return self


class EdgeRecord(_Part):
    """An edge of the found or of the known circuit; `known` is None where no circuit is known."""

    name: str
    score: float | None
    found: bool
    known: bool | None


class CostRecord(_Part):
    """What the method spent. Passes that resume half way count whole; memory is the process's peak.

    Passes are null where they could not all be counted: unknown is not free.
    """

    forwards: Spent | None
    backwards: Spent | None
    forward_sequences: Size | None
    backward_sequences: Size | None
    prompts: Annotated[int, Field(ge=1, lt=2**63)]
    wall_seconds: Spent
    evaluation_seconds: Spent
    peak_memory_bytes: Size | None

    @property
    def passes(self) -> float | None:
        """Forwards plus twice the backwards, per prompt: a measure of cost that knows no machine; None if unknown."""
        return None if self.forwards is None or self.backwards is None else self.forwards + 2 * self.backwards


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
    threads: Size
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
    circuit: Annotated[tuple[EdgeRecord, ...], Field(strict=False)] = ()
    notes: Annotated[tuple[str, ...], Field(strict=False)] = ()
    cost: CostRecord | None = None
    provenance: Provenance
    error: ErrorRecord | None = None

    @property
    def headline_measure(self) -> MeasureRecord | None:
        """The measure that tables show, if the cell is done."""
        return self.measures.get(self.headline) if self.headline else None


def _untrue(record: Record) -> str:
    """What a finished record says that cannot be true of it; empty if nothing."""
    if record.status != "done":
        bare = record.error is not None and record.headline is None and not record.measures
        return "" if bare else f"a cell that is {record.status} has an error and no measures"
    if record.headline is None or record.headline not in record.measures:
        return f"headline {record.headline!r} is not among the measures"
    if record.error is not None or None in (record.cost, record.scorer_id, record.evaluation_id):
        return "a cell that is done has a cost, a scorer_id and an evaluation_id, and no error"
    return next((said for name, m in record.measures.items() if (said := _misnamed(name, m))), "")


def _misnamed(name: str, measure: MeasureRecord) -> str:
    if problem := impossible(name, measure.value):
        return problem
    if known := definition(name):
        for field in ("direction", "oracle"):
            given, valid = getattr(measure, field), getattr(known, field)
            if given != valid:
                return f"{name} has {field} {given!r}; valid: {valid!r}"
    return wrong_chance(name, measure.chance)


def parse(text: str, where: str) -> Record:
    """A record from its text.

    Raises:
        RecordError: it is no JSON, no record, untrue, or of a schema version that this version does not know.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{where!r} is not valid JSON ({error}); delete it or restore it, then run again.") from error
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version != SCHEMA_VERSION or version is True:
        raise RecordError(
            f"{where!r} has schema_version {version!r}; valid: {SCHEMA_VERSION}; "
            "it is no mechboard record or was written by a later version, so upgrade mechboard or move it away."
        )
    try:
        record = Record.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        said = ": ".join([".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")])
        raise _invalid(where, said) from error
    if said := _untrue(record):
        raise _invalid(where, said)
    return record


def _invalid(where: str, said: str) -> RecordError:
    return RecordError(f"{where!r} is no valid record: {said}; delete it or restore it, then run again.")
