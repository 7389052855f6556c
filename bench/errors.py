"""Errors that mechboard raises on purpose.

    BenchError                exit code 2
    +-- UsageError            what was asked cannot be done as asked
    |   +-- SelectionError    a name or a pattern matches nothing
    +-- PluginError           a plugin does not load or breaks the contract
    +-- AssetError            a model or data set is missing or altered
    |   +-- FetchError *      it cannot be fetched
    +-- ModelError            a checkpoint is of a shape or family that the decoder does not know
    +-- InvalidSolution       a method returned something that cannot be scored
    +-- Unsupported           a method declines a problem; its cell is `unsupported`, not failed
    +-- ScoringError          a measure came out as a value that it cannot have
    +-- RecordError           a record is corrupt, foreign or from a later version
    +-- StoreError            the results folder cannot be used
    |   +-- WriteError *      a file cannot be written: a full disk, no permission
    +-- EnvironmentFault      the disk, the network or the machine fails (exit code 5); those with * are of it too

Each message is one sentence: what was given, what is valid, what to do next.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class BenchError(Exception):
    """Base of every error that mechboard raises on purpose."""


class UsageError(BenchError):
    """What was asked cannot be done as asked."""


class SelectionError(UsageError):
    """A name or pattern matches nothing."""


class PluginError(BenchError):
    """A plugin does not load or breaks the contract."""


class EnvironmentFault(BenchError):
    """The disk, the network or the machine fails: the same command may succeed elsewhere or later."""


class AssetError(BenchError):
    """A model or data set is missing or altered."""


class FetchError(AssetError, EnvironmentFault):
    """A model or data set cannot be fetched."""


class ModelError(BenchError):
    """A checkpoint is of a shape or family that the decoder does not know."""


class InvalidSolution(BenchError):
    """A method returned something that cannot be scored."""


class Unsupported(BenchError):
    """A method declines a problem, and says why: "needs an MLP; this model has none"."""


class ScoringError(BenchError):
    """A measure came out as a value that it cannot have."""


class RecordError(BenchError):
    """A record is corrupt, foreign or from a later version."""


class StoreError(BenchError):
    """The results folder cannot be used."""


class WriteError(StoreError, EnvironmentFault):
    """A file cannot be written: a full disk, no permission."""


def unknown(what: str, given: str, valid: Iterable[str]) -> SelectionError:
    """A SelectionError that names the closest and all valid names.

    >>> str(unknown("method", "eapp", ["random", "eap"]))
    "No method matches 'eapp'; closest: eap; valid: eap, random."
    >>> str(unknown("task", "ioi", ["trained-ioi", "other"]))
    "No task matches 'ioi'; closest: trained-ioi; valid: other, trained-ioi."
    """
    names = sorted(valid)
    return SelectionError(f"No {what} matches {given!r}; {closest(given, names)}valid: {', '.join(names) or 'none'}.")


def closest(given: str, valid: Iterable[str]) -> str:
    """The part of an error that names what may have been meant, with a separator behind it; empty if nothing is close.

    >>> closest("parks", ["park", "gate"])
    'closest: park; '
    """
    names = list(valid)
    close = get_close_matches(given, names, n=3) or [name for name in names if given in name][:3]
    return f"closest: {', '.join(close)}; " if close else ""
