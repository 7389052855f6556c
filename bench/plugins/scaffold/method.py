"""A method of one's own: what `bench new method NAME` leaves behind. `examples/edge-bound` is its output for circuits."""

from __future__ import annotations

from pathlib import Path

from .package import write_package

_TEST = '''\
"""The method keeps mechboard's contract: one test per check of `bench check {name}`."""

from mechboard.conformance import conformance_test

test_{attribute} = conformance_test("{name}")
'''


def write_method_package(name: str, parent: Path, module: str) -> Path:
    """Write the package into `parent/name`; returns that folder.

    Args:
        name: of the method.
        parent: where the package's folder is made.
        module: the method's source, as a kind names it (`Kind.template`).

    Raises:
        UsageError: the name is not usable, or the folder exists.
        WriteError: it cannot be written.
    """
    return write_package("method", name, parent, module=module, test=_TEST, run="bench run --method {name} --task all")
