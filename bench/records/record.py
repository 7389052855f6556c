"""The record of one cell, as it is written to disk: a pydantic model with a schema version.

`schema()` is the JSON schema that other tools can validate against (`docs/record.schema.json`).
A record may be a stranger's file, so what would break a page or a ranking is no valid record: a number that is none or
that its measure cannot have, anchors of one's own, a headline that is not there, a label that is not the method's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from ..contract.scores import Curve, Exhibit, Exhibits, Fact, Measure, Part, Quoted, TruthInfo
from ..errors import RecordError, SelectionError
from ..kinds import kind, kinds
from ..reference import Reference
from .migrations import migrated

SCHEMA_VERSION: Literal[3] = 3
Status = Literal["done", "failed", "timeout", "crashed", "invalid", "interrupted", "unsupported"]


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    json.dumps(values, allow_nan=False, default=str)
    return values


Seed = Annotated[int, Field(ge=0, lt=2**63)]
Size = Annotated[int, Field(ge=0, lt=2**63)]
Spent = Annotated[float, Field(ge=0)]
Values = Annotated[dict[str, Any], AfterValidator(_finite)]


class Cell(Part):
    """Which cell: a method with parameters, a task, a data seed and a seed."""

    method: str
    label: str
    slug: str
    parameters: Values
    parameters_passed: Values
    adapter: str | None = None
    task: str
    task_version: Annotated[int, Field(ge=1, lt=2**63)]
    data_seed: Seed
    seed: Seed

    @model_validator(mode="after")
    def _label_and_slug_tell_the_parameters(self) -> Self:
        behind = f"@{self.adapter}" if self.adapter else ""
        changed = _told(self.label.removesuffix(behind), self.method, self.parameters)
        if (
            changed is None
            or self.slug != "+".join([self.method, *changed]) + behind
            or not self.label.endswith(behind)
        ):
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


class MethodInfo(Part):
    """What the method declares about itself."""

    summary: str
    citation: dict[str, str]
    deterministic: bool
    reference: bool


class TaskInfo(Part):
    """What the task declares about itself; `facts` and `truths` once its problem was loaded."""

    summary: str
    kind: str
    tier: str
    family: str
    level: int | None = None
    ranked: bool
    description: str = ""
    citation: dict[str, str] = Field(default_factory=dict)
    facts: Annotated[tuple[Fact, ...], Field(strict=False)] = ()
    truths: Annotated[tuple[TruthInfo, ...], Field(strict=False)] = ()
    twin: str = ""
    quoted: Annotated[tuple[Quoted, ...], Field(strict=False)] = ()


class CostRecord(Part):
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


class ErrorRecord(Part):
    """What went wrong."""

    type: str
    message: str
    traceback: str


class Provenance(Part):
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


def _typed(found: Any) -> Any:
    """Exhibits of a file as objects of the types that kinds declare."""
    if not isinstance(found, dict):
        return found
    types = {str(e.model_fields["type"].default): e for k in kinds() for e in k.exhibits}
    return {name: _exhibit(value, types) for name, value in found.items()}


def _exhibit(value: Any, types: Mapping[str, type[Exhibit]]) -> Any:
    if isinstance(value, Exhibit):
        return value
    named = value.get("type") if isinstance(value, dict) else None
    if not isinstance(named, str) or named not in types:
        raise ValueError(f"an exhibit has type {named!r}; valid: {', '.join(sorted(types))}")
    return types[named].model_validate(value)


class Record(Part):
    """The record of one cell."""

    schema_version: Literal[3] = SCHEMA_VERSION
    cell: Cell
    status: Status
    solution_id: str
    scorer_id: str | None
    evaluation_id: str | None
    method: MethodInfo
    task: TaskInfo
    headline: str | None = None
    measures: dict[str, Measure] = Field(default_factory=dict)
    curves: dict[str, Curve] = Field(default_factory=dict)
    exhibits: Annotated[Exhibits, BeforeValidator(_typed)] = Field(default_factory=dict)
    notes: Annotated[tuple[str, ...], Field(strict=False)] = ()
    cost: CostRecord | None = None
    provenance: Provenance
    error: ErrorRecord | None = None

    @property
    def headline_measure(self) -> Measure | None:
        """The measure that tables show, if the cell is done."""
        return self.measures.get(self.headline) if self.headline else None

    def __repr__(self) -> str:
        measure = self.headline_measure
        value = f", {self.headline} {measure.value:.3f}" if measure and measure.value is not None else ""
        return f"Record({self.cell.name}: {self.status}{value})"

    def __str__(self) -> str:
        return repr(self)

    def _repr_html_(self) -> str:
        return str(Reference("mechboard.notebook.views:record_html").load()(self))


def schema() -> dict[str, Any]:
    """The JSON schema of a record, with the exhibits of every kind that is here."""
    made = Record.model_json_schema()
    types = [exhibit for k in kinds() for exhibit in k.exhibits]
    for exhibit in types:
        own = exhibit.model_json_schema(ref_template="#/$defs/{model}")
        made["$defs"] |= own.pop("$defs", {}) | {exhibit.__name__: own}
    made["$defs"]["Exhibit"] = {"anyOf": [{"$ref": f"#/$defs/{exhibit.__name__}"} for exhibit in types]}
    return made


def _untrue(record: Record) -> str:
    """What a finished record says that cannot be true of it; empty if nothing."""
    if record.status != "done":
        bare = record.error is not None and record.headline is None and not record.measures
        return "" if bare else f"a cell that is {record.status} has an error and no measures"
    if record.headline is None or record.headline not in record.measures:
        return f"headline {record.headline!r} is not among the measures"
    if record.error is not None or None in (record.cost, record.scorer_id, record.evaluation_id):
        return "a cell that is done has a cost, a scorer_id and an evaluation_id, and no error"
    definitions = kind(record.task.kind).definitions
    return next((said for name, m in record.measures.items() if (said := definitions.untrue(name, m))), "")


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
    if type(version) is not int or not 1 <= version <= SCHEMA_VERSION:
        raise RecordError(
            f"{where!r} has schema_version {version!r}; valid: 1 to {SCHEMA_VERSION}; "
            "it is no mechboard record or was written by a later version, so upgrade mechboard or move it away."
        )
    try:
        current = migrated(data)
    except ValueError as error:
        raise _invalid(where, str(error)) from error
    try:
        record = Record.model_validate(current)
    except ValidationError as error:
        first = error.errors()[0]
        said = ": ".join([".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")])
        raise _invalid(where, said) from error
    try:
        said = _untrue(record)
    except SelectionError as error:
        raise _invalid(where, f"{error} Install the package that defines this kind") from error
    if said:
        raise _invalid(where, said)
    return record


def _invalid(where: str, said: str) -> RecordError:
    return RecordError(f"{where!r} is no valid record: {said}; delete it or restore it, then run again.")
