"""What a pull shows while it lasts, on standard error: a bar per file on a terminal, elsewhere a line per file."""

from __future__ import annotations

import contextlib
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from ..fetching.pull import Watcher

if TYPE_CHECKING:
    from ..fetching.hub import HubFile
    from ..fetching.pull import Listing


def make_watcher(listing: Listing) -> Lines:
    """The watcher that fits where standard error goes."""
    console = Console(stderr=True, highlight=False)
    return Bars(listing, console) if console.is_terminal else Lines(listing)


def size_text(size: int | None) -> str:
    """Bytes as a reader wants them.

    >>> size_text(548105171), size_text(665), size_text(None)
    ('548.1 MB', '0.7 kB', 'of a size that the hub does not say')
    """
    if size is None:
        return "of a size that the hub does not say"
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"


class Lines(Watcher):
    """What is fetched, and a line when a file begins."""

    def __init__(self, listing: Listing) -> None:
        self._asset = listing.asset.name
        count = f"{len(listing.files)} file{'s' if len(listing.files) > 1 else ''}"
        commit = listing.files[0].commit[:12]
        self.noticed(
            f"{self._asset}: {count}, {size_text(listing.size)}, from {listing.endpoint} "
            f"({listing.asset.repository} at {commit})"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def begins(self, file: HubFile, here: int) -> None:
        """Print the file's line."""
        resumed = f", going on from {size_text(here)}" if here else ""
        self.noticed(f"  {file.name}: {size_text(file.size)}{resumed}")

    def noticed(self, message: str) -> None:
        """Print a line."""
        print(message, file=sys.stderr, flush=True)


class Bars(Lines):
    """A bar per file."""

    def __init__(self, listing: Listing, console: Console) -> None:
        self._bars = Progress(
            TextColumn("  {task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
        )
        self._bar: TaskID | None = None
        self._stack = contextlib.ExitStack()
        super().__init__(listing)

    def __enter__(self) -> Self:
        self._stack.enter_context(self._bars)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def begins(self, file: HubFile, here: int) -> None:
        """Show the file's bar, from where it goes on."""
        self._bar = self._bars.add_task(file.name, total=file.size, completed=here)

    def advances(self, file: HubFile, here: int) -> None:
        """Move it."""
        assert self._bar is not None
        self._bars.update(self._bar, completed=here)

    def noticed(self, message: str) -> None:
        """Print a line above the bars."""
        self._bars.console.print(message, soft_wrap=True, markup=False)
