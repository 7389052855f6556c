"""Models and data that are not in the package: where they are, how they are fetched, whether they are unchanged.

An asset is a folder of files. It is looked for in `MECHBOARD_ASSETS`/<name>, then in the cache
(`MECHBOARD_CACHE`, else the user's cache folder). Nothing is downloaded unless `bench pull` asks for it.
The first pull resolves the revision and writes it with the hashes of all files to `assets.lock.json` in the
cache; from then on a file that differs is an error. An asset that was never pulled is used as it is, and
records say `unverified`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import AssetError, FetchError, WriteError

LOCK = "assets.lock.json"


@dataclass(frozen=True, kw_only=True)
class Asset:
    """A named folder. `sources` are files of a hub repository; `convert(downloaded, target)` makes the folder of them.

    `revision` is null until somebody has verified one.
    """

    name: str
    files: tuple[str, ...]
    repository: str
    sources: tuple[str, ...]
    convert: Callable[[Mapping[str, Path], Path], None]
    revision: str | None = None


def cache_folder() -> Path:
    """`MECHBOARD_CACHE`, else the platform's user cache folder."""
    if given := os.environ.get("MECHBOARD_CACHE"):
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or Path.home() / ".cache"
    return Path(base) / "mechboard"


def locate(asset: Asset) -> Path | None:
    """The asset's folder, None if it is not here."""
    given = os.environ.get("MECHBOARD_ASSETS")
    folders = [Path(given)] if given else []
    for parent in [*folders, cache_folder() / "assets"]:
        folder = parent / asset.name
        if all((folder / name).is_file() for name in asset.files):
            return folder
    return None


def require(asset: Asset) -> Path:
    """The asset's folder.

    Raises:
        AssetError: it is not here, or differs from what was pulled.
    """
    folder = locate(asset)
    if folder is None:
        raise AssetError(
            f"The asset {asset.name!r} is not here; run `bench pull {asset.name}`, or put {', '.join(asset.files)} "
            f"into MECHBOARD_ASSETS/{asset.name}."
        )
    locked = _lock().get(asset.name)
    if locked is not None:
        found = _hashes(folder, asset.files)
        changed = [name for name in asset.files if locked["files"].get(name) != found[name]]
        if changed:
            raise AssetError(
                f"{', '.join(changed)} in {str(folder)!r} differ from what `bench pull {asset.name}` fetched; restore them, "
                f"or remove {asset.name!r} from {str(cache_folder() / LOCK)!r} if the change is meant."
            )
    return folder


def content_hashes(asset: Asset) -> dict[str, str]:
    """Hash of every file, by `asset/file`, and the revision: a commit, or `unverified`.

    Raises:
        AssetError: it is not here, or differs from what was pulled.
    """
    folder = require(asset)
    locked = _lock().get(asset.name)
    found = {f"{asset.name}/{name}": value for name, value in _hashes(folder, asset.files).items()}
    return found | {f"{asset.name} revision": locked["revision"] if locked else "unverified"}


def pull(asset: Asset, download: Callable[[str, str, str | None], tuple[Path, str]] | None = None) -> Path:
    """Fetch the asset into the cache and lock it; `download(repository, file, revision)` gives (path, commit).

    Raises:
        AssetError: what came differs from the lock.
        FetchError: it cannot be fetched.
        WriteError: the cache cannot be written.
    """
    fetch = download or _from_hub
    target = cache_folder() / "assets" / asset.name
    locked = _lock().get(asset.name)
    revision = locked["revision"] if locked else asset.revision
    downloaded = {}
    for name in asset.sources:
        path, revision = fetch(asset.repository, name, revision)
        downloaded[name] = path
    try:
        target.mkdir(parents=True, exist_ok=True)
        asset.convert(downloaded, target)
    except OSError as error:
        raise WriteError(
            f"{str(target)!r} cannot be written ({error.strerror}); free space or choose MECHBOARD_CACHE."
        ) from error
    entry = {"repository": asset.repository, "revision": revision, "files": _hashes(target, asset.files)}
    if locked is not None and locked["files"] != entry["files"]:
        raise AssetError(f"What came for {asset.name!r} differs from {LOCK}; remove its entry there if that is meant.")
    from .files import write_atomically

    text = json.dumps(_lock() | {asset.name: entry}, indent=1, sort_keys=True, allow_nan=False) + "\n"
    write_atomically(cache_folder() / LOCK, text.encode())
    return target


def _lock() -> dict[str, Any]:
    path = cache_folder() / LOCK
    if not path.is_file():
        return {}
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise AssetError(f"{str(path)!r} cannot be read ({error}); delete it and pull again.") from error
    return content


def _hashes(folder: Path, names: tuple[str, ...]) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def _from_hub(repository: str, name: str, revision: str | None) -> tuple[Path, str]:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        path = Path(hf_hub_download(repository, name, revision=revision))
    except (OSError, HfHubHTTPError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise FetchError(
            f"{repository}/{name} cannot be fetched ({reason}); check the connection, or put the asset's files into "
            "MECHBOARD_ASSETS."
        ) from error
    # The hub's cache keeps files under snapshots/<commit>/.
    return path, path.parts[path.parts.index("snapshots") + 1]
