"""A page of memory in which a method's process says how far it has come, and which its workshop looks at.

The process is not to be trusted with anything that someone waits for. Here it can only write: the newest step replaces
the one before, so a flood has nowhere to pile up; a step that is half written or made up has the wrong checksum or makes
no sense, and is passed over. What goes on to the driver is made by the workshop, and never waited for.
"""

from __future__ import annotations

import mmap
import select
import struct
import time
import zlib
from contextlib import suppress
from multiprocessing.connection import Connection

from ...contract.progress import Step

_STEP, _CHECKSUM = struct.Struct("<qqdd24s"), struct.Struct("<I")
_EVERY = 0.25  # seconds


class Page:
    """Shared with every fork of the process that makes it."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)

    def clear(self) -> None:
        """Forget what the last method wrote."""
        self._memory[: _STEP.size + _CHECKSUM.size] = bytes(_STEP.size + _CHECKSUM.size)

    def write(self, step: Step) -> None:
        """Put a step in the place of the one before."""
        packed = _STEP.pack(step.done, step.total, step.share, step.seconds, step.unit.encode("ascii"))
        self._memory[: _STEP.size + _CHECKSUM.size] = packed + _CHECKSUM.pack(zlib.crc32(packed))

    def read(self) -> Step | None:
        """The step that is there, None if it is none."""
        content = self._memory[: _STEP.size + _CHECKSUM.size]
        packed, (checksum,) = content[: _STEP.size], _CHECKSUM.unpack(content[_STEP.size :])
        if zlib.crc32(packed) != checksum:
            return None
        done, total, share, seconds, unit = _STEP.unpack(packed)
        step = Step(done, total, unit.rstrip(b"\0").decode("ascii", "replace"), share, seconds)
        return step if step.makes_sense else None


class Relay:
    """Passes on what is new on a page, four times a second at most."""

    def __init__(self, page: Page, driver: Connection) -> None:
        self._page, self._driver = page, driver
        self._due = 0.0
        self._last: Step | None = None

    def __call__(self) -> None:
        """Look at the page."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + _EVERY
        step = self._page.read()
        if step is not None and step != self._last:
            self._last = step
            tell(self._driver, step)


def tell(driver: Connection, step: Step) -> None:
    """Send a step, or drop it where the driver has not read the last ones, since nobody's work may wait for that."""
    room = select.poll()
    room.register(driver, select.POLLOUT)
    with suppress(OSError):
        if room.poll(0):
            driver.send(step)
