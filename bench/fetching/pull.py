"""From what the hub has of an asset to the folder and its entry in the lock.

    listing = list_asset(asset)          which files, which commit, how large: nothing is fetched yet
    pull(listing, watcher)               cache/downloads/<repository>/<file>.part -> cache/assets/<name>, and the lock

A folder is made beside its place, compared with the lock, and put there by a rename after the lock is written, so that
a break at any moment leaves either no folder or a whole one, and the next pull goes on from what came.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from huggingface_hub import try_to_load_from_cache

from ..assets import LOCK, Asset, cache_folder, file_hashes, locate, lock_file, pulled_folder, read_lock, to_be_placed
from ..errors import AssetError, FetchError, WriteError
from ..files import write_atomically
from . import hub
from .hub import HubFile


@dataclass(frozen=True)
class Listing:
    """What a hub has of an asset: its files, all of one commit, and the hub's address."""

    asset: Asset
    files: tuple[HubFile, ...]
    endpoint: str

    @property
    def size(self) -> int | None:
        """Bytes of all files, None if the hub does not say it of each."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum(filter(None, sizes))


class Watcher:
    """What is told while an asset is pulled; this one says nothing."""

    def begins(self, file: HubFile, here: int) -> None:
        """A file begins, of which `here` bytes came before."""

    def advances(self, file: HubFile, here: int) -> None:
        """So many bytes of it are here."""

    def ends(self, file: HubFile) -> None:
        """A file is whole."""

    def noticed(self, message: str) -> None:
        """Something that a user may wonder about."""


def list_asset(asset: Asset) -> Listing:
    """What the hub has of an asset at the revision that the lock or the declaration names, else at its newest.

    Raises:
        AssetError: it is on no hub, the hub does not have or give it, or says other things of it than the lock.
        FetchError: the hub cannot be reached.
    """
    if not asset.repository:
        raise AssetError(f"{asset.name!r} is on no hub, so nothing can be fetched; {to_be_placed(asset)}.")
    entry = read_lock().get(asset.name)
    revision = wanted = entry["revision"] if entry else asset.revision
    files: list[HubFile] = []
    for name in asset.sources:
        try:
            file = hub.look_up(asset.repository, name, revision)
        except FetchError:
            raise
        except AssetError as error:
            raise _told_of_lock(error, asset, entry or {}) from error
        files.append(file)
        revision = file.commit
        known = (entry or {}).get("sources", {}).get(name, file.etag)
        if known != file.etag or (wanted and wanted != file.commit):
            raise AssetError(
                f"{asset.repository}/{name} changed on {hub.named_endpoint()}: asked for {wanted or 'the newest'} with ETag "
                f"{known}, it gives {file.commit} with {file.etag}; remove {asset.name!r} from {str(lock_file())!r} if the change "
                "is meant."
            )
    return Listing(asset, tuple(files), hub.named_endpoint())


def pull(listing: Listing, watcher: Watcher) -> Path:
    """Fetch an asset into the cache and lock it.

    Raises:
        AssetError: what came differs from the lock, or the asset's declaration does not fit what came.
        FetchError: a file does not come, or something else comes in its place.
        WriteError: the cache cannot be written.
    """
    asset, target = listing.asset, pulled_folder(listing.asset)
    downloads = cache_folder() / "downloads" / asset.repository.replace("/", "--")
    with _writing(target), _alone(watcher):
        downloads.mkdir(parents=True, exist_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        _check_space(listing, downloads)
        downloaded = {file.name: _fetched(file, downloads / file.kept_as, watcher) for file in listing.files}
        with _beside(target) as made:
            assert asset.convert is not None  # whoever listed it has seen that
            asset.convert(downloaded, made)
            lacking = [name for name in asset.files if not (made / name).is_file()]
            if lacking:
                raise AssetError(
                    f"{asset.repository} was fetched but makes no {', '.join(lacking)}; valid: {', '.join(asset.files)}; update "
                    "mechboard or the plugin that declares the asset."
                )
            _lock(listing, file_hashes(made, asset.files))
            _put(made, target)
        for file in listing.files:
            (downloads / file.kept_as).unlink(missing_ok=True)
        with suppress(OSError):  # something of another asset of the repository is in it
            downloads.rmdir()
    return target


def _fetched(file: HubFile, target: Path, watcher: Watcher) -> Path:
    """The file, from an earlier pull or from the cache of huggingface_hub if it is there and the same, else the hub."""
    kept = try_to_load_from_cache(file.repository, file.name, revision=file.commit)
    for path in (target, *([Path(kept)] if isinstance(kept, str) else [])):
        if path.is_file() and not hub.difference(path, file):
            return path
    part = target.with_name(f"{target.name}.part")
    watcher.begins(file, part.stat().st_size if part.exists() else 0)
    hub.fetch(file, target, lambda here: watcher.advances(file, here))
    watcher.ends(file)
    return target


def _lock(listing: Listing, found: dict[str, str]) -> None:
    """Write the entry if there is none, else hold what came to it."""
    kept, name = read_lock(), listing.asset.name
    if name in kept:
        if kept[name]["files"] != found:
            raise AssetError(
                f"What came for {name!r} differs from {LOCK}; remove its entry from {str(lock_file())!r} if that is meant."
            )
        return
    kept[name] = {
        "repository": listing.asset.repository,
        "endpoint": listing.endpoint,
        "revision": listing.files[0].commit,
        "sources": {file.name: file.etag for file in listing.files},
        "files": found,
    }
    write_atomically(lock_file(), (json.dumps(kept, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A folder in which to make `target`, on the same disk; it is removed if it is still there at the end."""
    for left in target.parent.glob(f".{target.name}.*"):  # by a pull that was killed
        shutil.rmtree(left, ignore_errors=True)
    made = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        made.chmod(0o755)
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _put(made: Path, target: Path) -> None:
    if target.exists():  # incomplete or altered
        aside = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
        os.replace(target, aside / "old")
        os.replace(made, target)
        shutil.rmtree(aside, ignore_errors=True)
    else:
        os.replace(made, target)


@contextmanager
def _alone(watcher: Watcher) -> Iterator[None]:
    """Wait until no other process pulls into this cache."""
    lock = FileLock(cache_folder() / ".pull.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        watcher.noticed("another pull is under way; this one waits until it has ended")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise WriteError(
            f"{str(target)!r} cannot be written ({error.strerror or error}); free space or choose MECHBOARD_CACHE."
        ) from error


def _check_space(listing: Listing, downloads: Path) -> None:
    parts = [downloads / f"{file.kept_as}{end}" for file in listing.files for end in ("", ".part")]
    missing = (listing.size or 0) - sum(part.stat().st_size for part in parts if part.exists())
    free = shutil.disk_usage(downloads).free
    if missing > free:
        raise WriteError(
            f"{listing.asset.name!r} needs {missing / 1e6:.0f} MB more and {str(cache_folder())!r} has {free / 1e6:.0f} MB free; free "
            "space or choose MECHBOARD_CACHE."
        )


def _told_of_lock(error: AssetError, asset: Asset, entry: Mapping[str, Any]) -> AssetError:
    """The same error with what the lock has to do with it: another hub may not know a locked revision."""
    source = entry.get("endpoint")
    if source is None or source == hub.named_endpoint():
        return error
    return AssetError(
        f"{str(error).rstrip('.')}; {LOCK} asks for a revision that came from {source}: remove {asset.name!r} from "
        f"{str(lock_file())!r} to take what this hub has."
    )


def is_whole(asset: Asset) -> bool:
    """Whether the asset lies in the cache as the lock says."""
    entry, folder = read_lock().get(asset.name), pulled_folder(asset)
    return entry is not None and locate(asset) == folder and file_hashes(folder, asset.files) == entry["files"]
