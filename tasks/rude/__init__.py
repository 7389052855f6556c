"""Removing rudeness from the package's own language model, whose rude words are invented."""
