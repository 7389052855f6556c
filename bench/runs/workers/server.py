"""The server that workshops are forked from: torch and transformers are imported there once, not by each of them.

What the driver itself runs is not run again in the others: a script that calls `mechboard.run` needs no
`if __name__ == "__main__"`, without which `multiprocessing` would start it anew in every process.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from types import ModuleType

from ...errors import PluginError
from ...reference import import_file

_PRELOAD = ["mechboard.runs.workers.preload"]
_IMPORT_SECONDS = 120.0


class _Process(ForkServerProcess):
    """A process that is told nothing of the driver's main module."""

    def start(self) -> None:
        with _no_main():
            super().start()


class _Server(ForkServerContext):
    Process = _Process


@contextmanager
def _no_main() -> Iterator[None]:
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def server() -> ForkServerContext:
    """Where processes come from."""
    context = _Server()
    context.set_forkserver_preload(_PRELOAD)
    return context


def warm_up() -> None:
    """Start the server; it goes on importing while this process does something else."""
    server()
    with _no_main():
        forkserver.ensure_running()


def probe(path: Path) -> None:
    """Import a loose file in another process first, since a file may end the process that imports it.

    Raises:
        PluginError: that process ended or hung.
    """
    context = server()
    ours, theirs = context.Pipe()
    process = context.Process(target=_import, args=(theirs, path), daemon=True)
    process.start()
    theirs.close()
    try:
        ours.recv()  # it has begun
        if not ours.poll(_IMPORT_SECONDS):
            process.kill()
            raise PluginError(f"--plugin {str(path)!r} is still being imported after {_IMPORT_SECONDS:.0f} s; mend it.")
        ours.recv()
    except EOFError as error:
        process.join()
        raise PluginError(
            f"--plugin {str(path)!r} ends the process that imports it (exit code {process.exitcode}); mend it."
        ) from error
    finally:
        ours.close()
        process.join()


def _import(driver: Connection, path: Path) -> None:
    driver.send("begun")
    try:
        import_file(path)
    except Exception as error:  # the driver imports it as well, and says what is wrong with it
        driver.send(type(error).__name__)
        return
    driver.send("ok")
