"""What scoring returns: measures, curves and exhibits. Defined once: a record holds these as they are.

They are pydantic models, because a record may be a stranger's file: numbers are finite, `true` is not 1, and what a
model does not know is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, model_validator

from ..errors import PluginError, UsageError
from ..reference import Reference

Direction = Literal["higher", "lower"]


class Part(BaseModel):
    """Numbers are finite, and `true` is not 1."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Measure(Part):
    """One number with what it takes to read it.

    `chance` and `oracle` are the anchors 0 and 1; they belong to the task version. `of` gives denominators.
    """

    value: float | None
    direction: Direction
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


class Curve(Part):
    """Points of one curve, for pictures and for those who want other areas.

    `chance` is the y of chance at the left and at the right end; a curve that has one is drawn from 0 to 1. A curve of shares is
    drawn no further than from -0.5 to 1.5 over 0 to 1; one that is to be drawn `whole` has axes that hold all of it.
    """

    x: Annotated[tuple[float, ...], Field(strict=False, min_length=1)]
    y: Annotated[tuple[float, ...], Field(strict=False, min_length=1)]
    x_label: str
    y_label: str
    title: str = ""
    log_x: bool = False
    whole: bool = False
    chance: Annotated[tuple[float, float] | None, Field(strict=False)] = None

    @model_validator(mode="after")
    def _every_x_has_a_y(self) -> Self:
        if len(self.x) != len(self.y):
            raise ValueError(f"a curve has {len(self.x)} x and {len(self.y)} y")
        return self

    def _repr_html_(self) -> str:
        return str(Reference("mechboard.drawing.curves:curves_svg").load()([(self.y_label, self)]))


class Exhibit(Part):
    """Something that a page can draw and a person can look at: a circuit, a frontier, a table of groups.

    A kind derives its own, with `type` as a literal. How it is drawn is named by `drawing`, a function of exhibit and
    title that returns markup, so that a changed picture makes no score stale; `exports` names functions of exhibit and
    title that return text in other formats. `merging` names a function that makes one exhibit of those that a method left on
    the tasks of a family, by the names of the tasks; empty where there is no sense in that.
    """

    type: str
    drawing: ClassVar[str]
    exports: ClassVar[Mapping[str, str]] = {}
    merging: ClassVar[str] = ""

    def draw(self, title: str) -> str:
        """Markup for a page; what comes from the record is escaped."""
        return str(Reference(self.drawing).load()(self, title=title))

    def export(self, form: str, title: str) -> str:
        """Text in one of its formats.

        Raises:
            UsageError: it has no such format.
        """
        if form not in self.exports:
            valid = ", ".join(["json", *self.exports])
            raise UsageError(f"A {self.type} has no format {form!r}; valid: {valid}.")
        return str(Reference(self.exports[form]).load()(self, title=title))

    def document(self) -> dict[str, Any]:
        """What a JSON export holds of it."""
        return {self.type: self.model_dump(mode="json")}

    def lines(self) -> Iterator[str]:
        """What a terminal shows."""
        yield from ()

    def table(self) -> Sequence[Mapping[str, Any]]:
        """What a table holds of it, for those who track runs: rows with the same keys, of texts, numbers and None."""
        return ()

    @classmethod
    def merged(cls, of_tasks: Mapping[str, Exhibit]) -> Exhibit | None:
        """One exhibit of those on the tasks of a family; None where this type has none, or these have nothing in common."""
        found: Exhibit | None = Reference(cls.merging).load()(of_tasks) if cls.merging else None
        return found

    @property
    def has_strongest(self) -> bool:
        """Whether its parts have an order, so that the strongest of a solution can be shown."""
        return type(self).strongest is not Exhibit.strongest

    def strongest(self, solution: Any, top: int) -> Exhibit:
        """The same exhibit with the `top` strongest parts of a solution.

        Raises:
            UsageError: its parts have no order.
        """
        raise UsageError(f"A {self.type} has no strongest {top} parts; leave --top away.")

    def _repr_html_(self) -> str:
        # What is drawn for a page takes the page's style; alone it needs its own.
        return self.export("svg", self.type) if "svg" in self.exports else self.draw(self.type)


Exhibits = dict[str, SerializeAsAny[Exhibit]]


class Evaluation(Part):
    """All measures of one solution; `headline` names the one that tables show, `notes` what its reader must know.

    `files` are texts that are kept beside the record and not in it, by the end of their names: `completions.jsonl`, whose
    lines are objects with the same keys.

    Raises:
        PluginError: the headline is none of the measures.
    """

    headline: str
    measures: dict[str, Measure]
    curves: dict[str, Curve] = Field(default_factory=dict)
    exhibits: Exhibits = Field(default_factory=dict)
    notes: Annotated[tuple[str, ...], Field(strict=False)] = ()
    files: dict[str, str] = Field(default_factory=dict, exclude=True)

    def model_post_init(self, context: Any) -> None:
        """See that the headline is there."""
        if self.headline not in self.measures:
            raise PluginError(f"An evaluation's headline is {self.headline!r}; valid: {', '.join(self.measures)}.")


class TruthInfo(Part):
    """A known answer of a task: its name, how many parts are true, of how many that it speaks about, and its source."""

    name: str
    n_true: Annotated[int, Field(ge=0, lt=2**63)]
    n_all: Annotated[int, Field(ge=0, lt=2**63)]
    source: str


class Fact(Part):
    """A line about a problem that record and page show, such as `graph: 3 layers x 4 heads`."""

    name: str
    text: str


class Quoted(Part):
    """A published number that stands beside a task's own and is never ranked.

    `measure` is the task's measure that it should be held against, `convention` how the number was made where that
    differs, `source` paper and place.
    """

    method: str
    measure: str
    value: float
    convention: str
    source: str
