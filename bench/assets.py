"""Models and data that are not in the package: where they are, and whether they are unchanged.

An asset is a folder of files. It is looked for in `MECHBOARD_ASSETS`/<name>, then in the cache
(`MECHBOARD_CACHE`, else the user's cache folder). Nothing is downloaded unless `bench pull` asks for it
(`fetching/`). The first pull resolves the revision and writes it, the endpoint it came from and the hashes of all
files to `assets.lock.json` in the cache; from then on a file that differs is an error. An asset that was never
pulled is used as it is, and records say `unverified`.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import AssetError
from .hashing import sha256

LOCK = "assets.lock.json"
HUB = "https://huggingface.co"


@dataclass(frozen=True, kw_only=True)
class Asset:
    """A named folder. `sources` are files of a hub repository; `convert(downloaded, target)` makes the folder of them.

    `revision` is null until somebody has verified one. What is on no hub has no repository, and `origin` says where people get it.
    """

    name: str
    files: tuple[str, ...]
    repository: str = ""
    sources: tuple[str, ...] = ()
    convert: Callable[[Mapping[str, Path], Path], None] | None = None
    revision: str | None = None
    origin: str = ""


def cache_folder() -> Path:
    """`MECHBOARD_CACHE`, else the platform's user cache folder."""
    if given := os.environ.get("MECHBOARD_CACHE"):
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or Path.home() / ".cache"
    return Path(base) / "mechboard"


def pulled_folder(asset: Asset) -> Path:
    """Where `bench pull` puts the asset."""
    return cache_folder() / "assets" / asset.name


def lock_file() -> Path:
    """Where the revisions and hashes of what was pulled are written."""
    return cache_folder() / LOCK


def locate(asset: Asset) -> Path | None:
    """The asset's folder, None if it is not here."""
    given = os.environ.get("MECHBOARD_ASSETS")
    for folder in [*([Path(given) / asset.name] if given else []), pulled_folder(asset)]:
        if all((folder / name).is_file() for name in asset.files):
            return folder
    return None


def require(asset: Asset) -> Path:
    """The asset's folder.

    Raises:
        AssetError: it is not here, or differs from what was pulled.
    """
    return _required(asset)[0]


def content_hashes(asset: Asset) -> dict[str, str]:
    """Hash of every file, by `asset/file`, and the revision.

    The revision is a commit of the hub, `<commit> from <endpoint>` where it came from elsewhere, or `unverified`.

    Raises:
        AssetError: it is not here, or differs from what was pulled.
    """
    _, found, entry = _required(asset)
    return {f"{asset.name}/{name}": value for name, value in found.items()} | {
        f"{asset.name} revision": _revision(entry) if entry else "unverified"
    }


def to_be_placed(asset: Asset) -> str:
    """What a user must do for an asset that nothing fetches."""
    return (
        f"get {asset.origin or 'its files'}, and put {', '.join(asset.files)} into MECHBOARD_ASSETS/{asset.name} or "
        f"{str(pulled_folder(asset))!r}"
    )


def place(source: Path, target: Path) -> None:
    """Put a downloaded file into an asset's folder without a second copy where the file system can do that."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


def file_hashes(folder: Path, names: tuple[str, ...]) -> dict[str, str]:
    """SHA-256 of each file."""
    return {name: sha256(folder / name) for name in names}


def read_lock() -> dict[str, Any]:
    """What was pulled, by asset: repository, revision, endpoint, sources with their ETags, files with their hashes.

    Raises:
        AssetError: the file is there and is no lock.
    """
    path = lock_file()
    if not path.is_file():
        return {}
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not all(
            isinstance(entry["revision"], str) and isinstance(entry["files"], dict) for entry in content.values()
        ):
            raise TypeError("an entry lacks its revision or files")
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise AssetError(f"{str(path)!r} cannot be read ({error}); delete it and pull again.") from error
    return content


def _required(asset: Asset) -> tuple[Path, dict[str, str], dict[str, Any] | None]:
    """Folder, hashes and lock entry."""
    folder = locate(asset)
    if folder is None and not asset.repository:
        raise AssetError(f"The asset {asset.name!r} is not here and on no hub; {to_be_placed(asset)}.")
    if folder is None:
        raise AssetError(
            f"The asset {asset.name!r} is not here; run `bench pull {asset.name}`, or put {', '.join(asset.files)} "
            f"into MECHBOARD_ASSETS/{asset.name}."
        )
    entry, found = read_lock().get(asset.name), file_hashes(folder, asset.files)
    changed = [name for name in asset.files if entry and entry["files"].get(name) != found[name]]
    if changed:
        restore = f"`bench pull {asset.name}` fetches them again" if folder == pulled_folder(asset) else "restore them"
        raise AssetError(
            f"{', '.join(changed)} in {str(folder)!r} differ from what `bench pull {asset.name}` fetched; {restore}, "
            f"or remove {asset.name!r} from {str(lock_file())!r} if the change is meant."
        )
    return folder, found, entry


def _revision(entry: Mapping[str, Any]) -> str:
    endpoint = entry.get("endpoint", "an endpoint that was not written down")
    return str(entry["revision"]) if endpoint == HUB else f"{entry['revision']} from {endpoint}"
