"""Checks of parameters that several methods share."""

from __future__ import annotations


def one_of(name: str, value: str, valid: tuple[str, ...]) -> None:
    """Refuse a value that is none of the valid ones.

    Raises:
        ValueError: it names them.
    """
    if value not in valid:
        raise ValueError(f"{name}={value} was given; valid: {', '.join(valid)}.")
