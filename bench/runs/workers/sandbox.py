"""A fork with limits: runs a piece of work in a copy of this process, and leaves nothing of it behind.

The copy shares memory with its parent until one of them writes, so whatever the work changes (weights, modules, the
default precision, the working directory) ends with it. It is watched from outside and killed with SIGKILL, which
cannot be ignored. Works where `os.fork` does (Linux, macOS).
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import os
import signal
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import psutil

_NOISE_BYTES = 64 * 2**20
_SHORTEST, _LONGEST = 0.0005, 0.02  # seconds between two looks
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


@dataclass(frozen=True)
class Limits:
    """What one cell may use; None is no limit. `memory` is resident memory in bytes, children and libraries included."""

    timeout: float | None = None
    memory: int | None = None


@dataclass(frozen=True)
class Ending:
    """How a fork ended: the limit that it met, else its exit code, which is negative for a signal."""

    code: int
    limit: str = ""

    @property
    def reason(self) -> str:
        """In words, for an error message."""
        if self.code >= 0:
            return f"exit code {self.code}"
        name = signal.Signals(-self.code).name if -self.code in set(signal.Signals) else f"signal {-self.code}"
        hint = "; the system may have run out of memory" if name == "SIGKILL" else ""
        return f"killed by {name}{hint}"


def adopt_orphans() -> None:
    """Become the parent of whatever a fork leaves behind, so that `run_forked` can end it. Linux only."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """Be killed when the process that forked this one ends. Linux only."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def run_forked(
    work: Callable[[], bytes],
    *,
    result: Path,
    log: Path,
    limits: Limits,
    abandoned: Callable[[], bool],
    glance: Callable[[], None],
    spare: Collection[int] = (),
) -> Ending:
    """Do the work in a fork; returns when nothing of it is left.

    What it returns is written to `result`, what it prints to `log`. It is killed when nobody waits for it any more, which
    `abandoned` tells. `glance` is called again and again while it runs. Children in `spare` are no leftovers.
    """
    pid = os.fork()
    if pid == 0:
        _work_and_exit(work, result, log)
    ending = _watch(pid, limits, log, abandoned, glance)
    for child in psutil.Process().children():
        if child.pid not in spare:
            kill_tree(child.pid)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child.pid, 0)
    return ending


def _work_and_exit(work: Callable[[], bytes], result: Path, log: Path) -> NoReturn:
    code, own = 1, os.getpid()
    try:
        die_with_parent()
        _redirect(log)
        faulthandler.enable()
        content = work()
        if os.getpid() == own:  # a fork of the fork comes by here as well, and must not pass for it
            result.write_bytes(content)
            code = 0
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _redirect(log: Path) -> None:
    """Standard output and error into the log, whoever writes to them; nothing to read on standard input."""
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    sys.stdout = open(1, "w", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="replace", closefd=False, buffering=1)  # noqa: SIM115


def _watch(pid: int, limits: Limits, log: Path, abandoned: Callable[[], bool], glance: Callable[[], None]) -> Ending:
    begun, pause, limit = time.monotonic(), _SHORTEST, ""
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return Ending(os.waitstatus_to_exitcode(status), limit)
        if not limit:
            limit = "abandoned" if abandoned() else _limit_met(pid, limits, time.monotonic() - begun, log)
            if limit:
                kill_tree(pid)
        glance()
        time.sleep(pause)
        pause = min(_LONGEST, pause * 1.5)


def _limit_met(pid: int, limits: Limits, seconds: float, log: Path) -> str:
    if limits.timeout is not None and seconds > limits.timeout:
        return "timeout"
    if limits.memory is not None and _resident(pid) > limits.memory:
        return "memory"
    with contextlib.suppress(OSError):
        if log.stat().st_size > _NOISE_BYTES:
            return "output"
    return ""


def _resident(pid: int) -> int:
    total = 0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                total += one.memory_info().rss
    return total


def kill_tree(pid: int) -> None:
    """Kill a process and everything that it started."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in [*process.children(recursive=True), process]:
            with contextlib.suppress(psutil.Error):
                one.kill()


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
