"""Conformance in another process: a plugin that ends it or hangs loses the check that it was in, not the others."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from multiprocessing.connection import Connection

from ..reference import Reference
from ..runs.workers.sandbox import die_with_parent, kill_tree
from ..runs.workers.server import server
from . import Result, checks

_START_SECONDS = 300.0


def checks_elsewhere(subject: Reference, names: Sequence[str], *, timeout: float) -> Iterator[Result]:
    """The named checks on one method or task; `timeout` is for each check, in seconds."""
    left = list(names)
    while left:
        ours, theirs = server().Pipe()
        process = server().Process(target=_serve, args=(theirs, subject, left), daemon=True)
        process.start()
        theirs.close()
        try:
            allowed = _START_SECONDS
            while left and ours.poll(allowed):
                message = json.loads(ours.recv_bytes())
                allowed = timeout
                if message:
                    yield Result(**message)
                    left.pop(0)
            if left:
                yield Result(left.pop(0), "error", f"still running after {allowed:g} s, and killed")
        except EOFError:
            process.join()
            ended = f"it ended the process that it ran in (exit code {process.exitcode})"
            yield Result(left.pop(0), "error", ended)
        finally:
            if process.pid is not None:
                kill_tree(process.pid)
            process.join()
            ours.close()


def _serve(driver: Connection, subject: Reference, names: list[str]) -> None:
    die_with_parent()
    os.dup2(2, 1)  # standard output is the driver's
    loaded = subject.load()
    driver.send_bytes(b"null")
    for result in checks(loaded, names):
        driver.send_bytes(json.dumps(asdict(result)).encode())
