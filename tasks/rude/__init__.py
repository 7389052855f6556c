"""Rude chatter of the small language model: a behaviour that was learned from data and is to be removed."""
