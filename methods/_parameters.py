"""Checks of parameters that several methods share."""

from __future__ import annotations


def one_of(name: str, value: str, valid: tuple[str, ...]) -> None:
    """Refuse a value that is none of the valid ones.

    Raises:
        ValueError: it names them.
    """
    if value not in valid:
        raise ValueError(f"{name}={value} was given; valid: {', '.join(valid)}.")


def at_least(name: str, value: float | int, lowest: float | int) -> None:
    """Refuse a number that is too small.

    Raises:
        ValueError: it names the smallest.
    """
    if not value >= lowest:
        raise ValueError(f"{name}={value:g} was given; valid: {lowest:g} or more.")


def above(name: str, value: float | int, bound: float | int) -> None:
    """Refuse a number that is at a bound or below it.

    Raises:
        ValueError: it names the bound.
    """
    if not value > bound:
        raise ValueError(f"{name}={value:g} was given; valid: more than {bound:g}.")
