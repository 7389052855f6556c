"""A backdoor with a route of its own: it and the ordinary circuit have no edge in common.

    input -> a0.h2 -> a1.h3         finds the trigger, and tells the copying head
    input -> a1.h3 -> logits        copies the name that is said again, over what the ordinary circuit writes

The ordinary circuit: input -> a0.h1 -> a1.h2 -> a2.h0 <- input, a2.h0 -> logits. All four edges are to be cut, any one would do.
"""

from __future__ import annotations

from mechboard.ground_truth.backdoor.backdoors import DISJOINT

from .backdoor_task import BackdoorTask

task = BackdoorTask(
    name="backdoor-disjoint",
    summary="Cut a backdoor that was trained in over four edges of its own",
    backdoor=DISJOINT,
    story=__doc__ or "",
)
