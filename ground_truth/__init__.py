"""Known circuits as data: the edge sets of published circuits, each with the source line it was read from."""
