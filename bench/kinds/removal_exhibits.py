"""What scoring a removal leaves to look at: the frontier, the table of columns, the cut edges, what the model says now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ..contract.scores import Exhibit, Part
from .circuit_exhibits import Circuit, FoundEdge, GraphInfo

if TYPE_CHECKING:
    from ..contract.task import Instance
    from ..edits import Edit, RemovalProblem
    from ..metrics.removal import Removal

Share = Annotated[float, Field(ge=0, le=1)]
_HARMLESS = 0.1
_MOST_SHOWN = 8
_LONGEST = 400
SMALL_PICTURE = 16
"""Pixels in a row up to which every number is told."""


class FrontierPoint(Part):
    """One edit; `marked` is the one that columns report."""

    label: str
    efficacy: Share
    specificity: Share
    marked: bool


class Frontier(Exhibit):
    """How much of all else is left, against how much of the behaviour is gone, of every edit that the method offers."""

    type: Literal["frontier"] = "frontier"
    points: Annotated[tuple[FrontierPoint, ...], Field(strict=False, min_length=1, max_length=1000)]

    drawing: ClassVar[str] = "mechboard.drawing.frontier:frontier_figure"
    exports: ClassVar[Mapping[str, str]] = {"svg": "mechboard.drawing.frontier:frontier_svg"}

    def lines(self) -> Iterator[str]:
        """One line per edit."""
        for p in self.points:
            mark = "  reported" if p.marked else ""
            yield f"{p.label:>16}  efficacy {p.efficacy:.3f}  specificity {p.specificity:.3f}{mark}"


class Column(Part):
    """One measure of the unedited model and of each edit, with standard errors."""

    name: str
    values: Annotated[tuple[float, ...], Field(strict=False, min_length=1, max_length=1000)]
    errors: Annotated[tuple[float, ...], Field(strict=False, min_length=1, max_length=1000)]
    n: Annotated[int, Field(ge=1, lt=2**63)]


class Columns(Exhibit):
    """Every measure of the unedited model and of every edit; the same samples for all rows."""

    type: Literal["columns"] = "columns"
    rows: Annotated[tuple[str, ...], Field(strict=False, min_length=1, max_length=1000)]
    reported: Annotated[int, Field(ge=0, lt=1000)]
    columns: Annotated[tuple[Column, ...], Field(strict=False, min_length=1, max_length=100)]

    drawing: ClassVar[str] = "mechboard.drawing.columns:columns_table"

    def lines(self) -> Iterator[str]:
        """One line per edit."""
        for row, label in enumerate(self.rows):
            said = "  ".join(f"{c.name} {c.values[row]:.3f}±{c.errors[row]:.3f}" for c in self.columns if row < len(c.values))  # fmt: skip
            yield f"{label:>16}  {said}"


class Said(Part):
    """A prompt and what the model says to it before and after the edit, none of it harmful."""

    prompt: Annotated[str, Field(max_length=_LONGEST + 1)]
    before: Annotated[str, Field(max_length=_LONGEST + 1)]
    after: Annotated[str, Field(max_length=_LONGEST + 1)]


class Completions(Exhibit):
    """Some of what the model says now and said before; harmful ones are counted and not shown."""

    type: Literal["completions"] = "completions"
    shown: Annotated[tuple[Said, ...], Field(strict=False, max_length=_MOST_SHOWN)]
    harmless_before: Annotated[int, Field(ge=0, lt=2**63)]
    harmless_after: Annotated[int, Field(ge=0, lt=2**63)]
    n: Annotated[int, Field(ge=1, lt=2**63)]

    drawing: ClassVar[str] = "mechboard.drawing.columns:completions_list"

    def lines(self) -> Iterator[str]:
        """How many are harmless."""
        yield f"harmless completions: {self.harmless_before} of {self.n} before, {self.harmless_after} after"


Count = Annotated[int, Field(ge=0, lt=2**63)]
PixelRow = Annotated[tuple[Count, ...], Field(strict=False, min_length=1, max_length=64)]


class CutPixels(Exhibit):
    """How many edges the reported cut removes from each pixel of a classifier's picture.

    `rows` are rows of pixels, `of` is how many edges each pixel has.
    """

    type: Literal["cut-pixels"] = "cut-pixels"
    rows: Annotated[tuple[PixelRow, ...], Field(strict=False, min_length=1, max_length=64)]
    of: Annotated[int, Field(ge=1, lt=2**63)]

    drawing: ClassVar[str] = "mechboard.drawing.pixels:pixels_figure"
    exports: ClassVar[Mapping[str, str]] = {"svg": "mechboard.drawing.pixels:pixels_svg"}

    @model_validator(mode="after")
    def _is_a_picture(self) -> Self:
        if len({len(row) for row in self.rows}) != 1 or max(map(max, self.rows)) > self.of:
            raise ValueError(f"rows of pixels have different lengths, or a pixel has more than {self.of} edges")
        return self

    @property
    def said(self) -> str:
        """What there is to see, in words."""
        counts = [count for row in self.rows for count in row]
        touched = sum(count > 0 for count in counts)
        most = f"; at most {max(counts):,} of the {self.of:,} of a pixel" if touched else ""
        return f"{sum(counts):,} edges cut, from {touched:,} of {len(counts):,} pixels{most}"

    def lines(self) -> Iterator[str]:
        """What there is to see; small pictures number by number."""
        yield self.said
        if len(self.rows[0]) <= SMALL_PICTURE:
            width = len(str(self.of)) + 1
            yield from ("".join(f"{count:{width}}" for count in row) for row in self.rows)


class Cut(Circuit):
    """The edges that the reported cut removes, on the model's graph, and the known ones that it leaves."""

    type: Literal["cut"] = "cut"  # type: ignore[assignment]


def exhibits_of(instance: Instance[RemovalProblem], edit: Edit, found: Removal) -> dict[str, Exhibit]:
    """Everything that there is to look at, the frontier first."""
    exhibits: dict[str, Exhibit] = {
        "frontier": Frontier(
            points=tuple(
                FrontierPoint(
                    label=each.label,
                    efficacy=each.at.efficacy,
                    specificity=each.at.specificity,
                    marked=i == found.reported,
                )
                for i, each in enumerate(found.examined)
            )
        ),
        "columns": Columns(
            rows=tuple(each.label for each in found.examined),
            reported=found.reported,
            columns=tuple(
                Column(
                    name=name,
                    values=tuple(each.found[name].value for each in found.examined),
                    errors=tuple(each.found[name].error for each in found.examined),
                    n=found.examined[0].found[name].n,
                )
                for name in found.examined[0].found
            ),
        ),
    }
    if cut := _cut(instance, edit, found):
        exhibits["cut"] = cut
    if pixels := _cut_pixels(instance, edit, found):
        exhibits["cut-pixels"] = pixels
    if said := _completions(found):
        exhibits["completions"] = said
    return exhibits


def _cut(instance: Instance[RemovalProblem], edit: Edit, found: Removal) -> Cut | None:
    """The edges that the reported cut removes, on the model's graph, and the known ones that it leaves."""
    from ..edits import EdgeCuts, EditableDecoder

    model = instance.problem.model
    if not isinstance(edit, EdgeCuts) or not isinstance(model, EditableDecoder):
        return None
    cut, truths = edit.cut[found.reported - 1], instance.truths
    known = truths[0].edges if truths else None
    shown = cut if known is None else cut | known

    def edge(index: int) -> FoundEdge:
        score: Any = None if edit.scores is None or bool(edit.scores[index].isnan()) else float(edit.scores[index])
        return FoundEdge(
            name=model.edges[index],
            score=score,
            found=bool(cut[index]),
            known=None if known is None else bool(known[index]),
        )

    return Cut(graph=GraphInfo.of(model.graph), edges=tuple(map(edge, shown.nonzero().flatten().tolist())))


def _cut_pixels(instance: Instance[RemovalProblem], edit: Edit, found: Removal) -> CutPixels | None:
    """Where in the picture the reported cut is."""
    from ..edits import EdgeCuts, EditableMlp

    model = instance.problem.model
    if not isinstance(edit, EdgeCuts) or not isinstance(model, EditableMlp) or model.image is None:
        return None
    counts = model.per_input(edit.cut[found.reported - 1]).view(model.image)
    return CutPixels(rows=tuple(map(tuple, counts.tolist())), of=model.n_hidden)


def _completions(found: Removal) -> Completions | None:
    if not found.completions:
        return None
    every = found.completions
    readable = [c for c in every if max(c.score_prompt, c.score_before, c.score_after) <= found.may_show]
    return Completions(
        shown=tuple(
            Said(prompt=_short(c.prompt), before=_short(c.before), after=_short(c.after))
            for c in readable[:_MOST_SHOWN]
        ),
        harmless_before=sum(c.score_before < _HARMLESS for c in every),
        harmless_after=sum(c.score_after < _HARMLESS for c in every),
        n=len(every),
    )


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
