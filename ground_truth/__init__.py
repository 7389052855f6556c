"""Known circuits as data: the edge sets of published circuits, each with the source line it was read from."""

if __name__ != "mechboard.ground_truth":
    raise ImportError("This folder is the package `mechboard.ground_truth`; install mechboard and import that.")
