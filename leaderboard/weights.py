"""On which weights the numbers of a task rest, as the provenance of its records says.

A task that ships with its model says nothing. One whose model is fetched names for every asset its revision: a commit of
the hub, `<commit> from <endpoint>` if it came from elsewhere, or `unverified`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from mechboard.records import Record

_REVISION = " revision"
_FROM = " from "
_WORST_FIRST = ("elsewhere", "unverified", "true")


@dataclass(frozen=True)
class Weights:
    """One state of weights (`true`, `unverified`, `elsewhere`), its revisions and the methods whose numbers rest on them."""

    state: str
    revisions: str
    labels: tuple[str, ...]

    @property
    def tag(self) -> str:
        """In two or three words."""
        return {"true": "true weights", "unverified": "unverified weights"}.get(self.state, "weights of another hub")

    @property
    def text(self) -> str:
        """As a sentence."""
        if self.state == "true":
            return f"verified revision {self.revisions}"
        if self.state == "unverified":
            return "unverified: nobody has seen that they are those of the published model"
        return f"from another hub ({self.revisions}): these numbers are not those of the published model"


def weights_of(records: Iterable[Record]) -> tuple[Weights, ...]:
    """Every state of weights that records with results rest on, the worst first; empty where nothing was fetched."""
    labels: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for record in records:
        if record.status == "done" and (found := _state(record)):
            labels[found][record.cell.label] = None
    ordered = sorted(labels, key=lambda found: _WORST_FIRST.index(found[0]))
    return tuple(Weights(state, revisions, tuple(labels[state, revisions])) for state, revisions in ordered)


def _state(record: Record) -> tuple[str, str] | None:
    said = {k.removesuffix(_REVISION): v for k, v in record.provenance.assets.items() if k.endswith(_REVISION)}
    if not said:
        return None
    revisions = ", ".join(f"{name} {value}" for name, value in sorted(said.items()))
    if any(_FROM in value for value in said.values()):
        return "elsewhere", revisions
    return ("unverified" if "unverified" in said.values() else "true"), revisions
