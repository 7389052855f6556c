"""Backdoors that were trained in, to be cut out: the edges of each are known."""
