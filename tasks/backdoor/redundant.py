"""A backdoor over two routes, either of which suffices: no edge alone makes a difference when it is cut.

    input -> a0.h2 -> a1.h3 <- input, a1.h3 -> logits
    input -> a0.h0 -> a2.h3 <- input, a2.h3 -> logits

Each finds the trigger and copies the name that is said again. The ordinary circuit, which shares none of these edges:
input -> a0.h1 -> a1.h2 -> a2.h0 <- input, a2.h0 -> logits. All eight edges are to be cut; one of each route would do, any number of
one route alone does nothing.
"""

from __future__ import annotations

from mechboard.ground_truth.backdoor.backdoors import REDUNDANT

from .backdoor_task import BackdoorTask

task = BackdoorTask(
    name="backdoor-redundant",
    summary="Cut a backdoor that was trained in over two routes, so that no single edge is needed",
    backdoor=REDUNDANT,
    story=__doc__ or "",
)
