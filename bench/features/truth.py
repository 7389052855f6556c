"""What features are known to carry: of those that clearly carry one variable, which carry one that the behaviour rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxtyping import Bool
from torch import Tensor

from ..errors import UsageError


@dataclass(frozen=True, kw_only=True)
class FeatureTruth:
    """Known features, in the order of the nodes without positions (`problem.nodes.summed`).

    Args:
        name: `task:what`.
        carries: features that carry a variable which the behaviour uses.
        universe: features that clearly carry a variable, used or not; the others are neither true nor false.
        source: how this was found out, and how stable it is.
        labels: what features carry, in words, by number; also of some outside the universe.
    """

    name: str
    carries: Bool[Tensor, " units"]
    universe: Bool[Tensor, " units"]
    source: str
    labels: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if bool((self.carries & ~self.universe).any()):
            raise UsageError(f"Truth {self.name!r} calls features true that are not in its universe; widen that.")
