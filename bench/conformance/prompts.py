"""What is asked of clean and corrupt prompts, whatever the kind that they are for."""

from __future__ import annotations

from ..graph import PromptPairs
from .results import CheckFailed

_SAME = 0.1


def check_pairs(discovery: PromptPairs, held_out: PromptPairs) -> str:
    """Discovery and held-out prompts are pairs that differ, of equal length, and no pair is in both.

    A clean prompt may be, with another corruption: that is another question. A few pairs that are their own corruption
    dilute all effects alike, and are told.

    Raises:
        CheckFailed: they are not.
    """
    told = ""
    for pairs, name in ((discovery, "discovery"), (held_out, "held-out")):
        shortest, longest = int(pairs.lengths.min()), int(pairs.lengths.max())
        if shortest < 1 or longest > pairs.clean.shape[1] or bool((pairs.positions >= pairs.lengths[:, None]).any()):
            raise CheckFailed(f"Some {name} prompts are read behind their end; `positions` must lie before `lengths`.")
        same = sum(clean == corrupt for clean, corrupt in _rows(pairs))
        if same > _SAME * len(pairs):
            raise CheckFailed(f"{same} {name} prompts are their own corruption, so nothing matters there; draw others.")
        told += f", {same} {name} ones their own corruption" if same else ""
    shown, scored = set(_rows(discovery)), set(_rows(held_out))
    if both := shown & scored:
        raise CheckFailed(
            f"{len(both)} held-out prompts are discovery prompts too, so methods are scored on what they saw; draw "
            "them from other words or templates."
        )
    again = len({clean for clean, _ in shown} & {clean for clean, _ in scored})
    told += f", {again} in both with another corruption" if again else ""
    return f"{len(discovery)} for discovery, {len(held_out)} held out{told}"


def _rows(pairs: PromptPairs) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Clean and corrupt prompt of each pair, without padding."""
    rows = zip(pairs.clean.tolist(), pairs.corrupt.tolist(), pairs.lengths.tolist(), strict=True)
    return [(tuple(clean[:n]), tuple(corrupt[:n])) for clean, corrupt, n in rows]
