"""The nodes of a feature circuit: features and errors at places and, where prompts are one template, at positions.

Scores are one vector over all nodes: place by place, position by position, the features and then the error. Without positions
a node stands for a feature wherever it is active.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from ..errors import UsageError
from .places import Place


class Node(NamedTuple):
    """One node; `unit` is the number of its feature, None for the error, `position` None where positions are summed."""

    place: Place
    position: int | None
    unit: int | None

    def __str__(self) -> str:
        unit = "error" if self.unit is None else str(self.unit)
        return f"{self.place}/{unit}" + ("" if self.position is None else f"@{self.position}")


@dataclass(frozen=True)
class Nodes:
    """All nodes of a problem.

    Args:
        sizes: how many features each place has, in the order of a pass.
        errors: places that have an error node too.
        positions: how many positions are told apart; None if they are summed.

    Example:
        >>> nodes = Nodes({Place("embed", -1): 3, Place("resid", 0): 2}, frozenset({Place("resid", 0)}), positions=2)
        >>> len(nodes), str(nodes[4]), str(nodes[-1])
        (12, 'embed/1@1', 'resid_0/error@1')
        >>> {str(place): tuple(part.shape) for place, part in nodes.split(torch.arange(12.0)).items()}
        {'embed': (2, 3), 'resid_0': (2, 3)}
    """

    sizes: Mapping[Place, int]
    errors: frozenset[Place]
    positions: int | None

    @property
    def places(self) -> tuple[Place, ...]:
        """In the order of a pass."""
        return tuple(self.sizes)

    def width(self, place: Place) -> int:
        """Nodes of a place at one position."""
        return self.sizes[place] + (place in self.errors)

    @property
    def rows(self) -> int:
        """Positions, 1 where they are summed."""
        return 1 if self.positions is None else self.positions

    @cached_property
    def _lengths(self) -> list[int]:
        return [self.rows * self.width(place) for place in self.places]

    def __len__(self) -> int:
        return sum(self._lengths)

    def __getitem__(self, index: int) -> Node:
        if not -len(self) <= index < len(self):
            raise IndexError(f"node {index} of {len(self)}")
        index %= len(self)
        for place, length in zip(self.places, self._lengths, strict=True):
            if index < length:
                row, unit = divmod(index, self.width(place))
                position = None if self.positions is None else row
                return Node(place, position, unit if unit < self.sizes[place] else None)
            index -= length
        raise AssertionError

    def index(self, node: Node) -> int:
        """Where a node stands among the scores.

        Raises:
            UsageError: it is none of these.
        """
        place, position, unit = node
        if (
            place not in self.sizes
            or (position is None) != (self.positions is None)
            or not 0 <= (position or 0) < self.rows
            or (unit is None and place not in self.errors)
            or not 0 <= (unit or 0) < self.sizes[place]
        ):
            raise UsageError(f"{node} is no node of this problem; valid: such as {self[0]} and {self[-1]}.")
        before = sum(self._lengths[: self.places.index(place)])
        return before + (position or 0) * self.width(place) + (self.sizes[place] if unit is None else unit)

    @property
    def summed(self) -> Nodes:
        """The same features and errors without positions."""
        return Nodes(self.sizes, self.errors, None)

    def split(self, scores: Shaped[Tensor, "*lead nodes"]) -> dict[Place, Shaped[Tensor, "*lead row unit"]]:
        """Views of the scores by place: positions by units, the error last."""
        parts = torch.split(scores, self._lengths, dim=-1)
        return {
            place: part.view(*part.shape[:-1], self.rows, self.width(place))
            for place, part in zip(self.places, parts, strict=True)
        }

    def join(self, parts: Mapping[Place, Float[Tensor, "row unit"]]) -> Float[Tensor, " nodes"]:
        """Scores of all places as one vector."""
        return torch.cat([parts[place].flatten() for place in self.places])
