"""Files of a Hugging Face hub over HTTP: what it says of one, and the file itself, whole and verified.

`huggingface_hub` names the addresses, brings token, proxy and client, and knows the hub's errors. Its own download is
not used: it writes into a file of a random name that a break removes (2.4), so it begins again from nothing in the next
process, and it compares sizes alone. Here a break leaves `<file>.part`, the next pull asks for the rest
(`Range`), and what came is held to the ETag, which is the SHA-256 of a large file and git's SHA-1 of a small one.
Files in Xet storage come over plain HTTP too, which the hub offers for all that are under 50 GB.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status  # type: ignore[attr-defined]

from ..assets import HUB
from ..errors import FetchError, UsageError, WriteError
from .explained import TransportError, explained, first_line

_PAUSES = (1.0, 2.0, 4.0)  # seconds before each new attempt that follows one without a single new byte
_SHA256, _GIT_SHA1 = re.compile("[0-9a-f]{64}"), re.compile("[0-9a-f]{40}")


@dataclass(frozen=True)
class HubFile:
    """What a hub says of a file. `size` is in bytes, None if it does not say."""

    repository: str
    name: str
    commit: str
    etag: str
    size: int | None

    @property
    def kept_as(self) -> str:
        """A file name that no other content shares."""
        return f"{self.name.replace('/', '--')}.{hashlib.sha256(self.etag.encode()).hexdigest()[:16]}"


def endpoint() -> str:
    """The hub's address: `HF_ENDPOINT`, else the Hugging Face hub's.

    Raises:
        UsageError: it is no address.
    """
    given = (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")
    try:
        parts = urlsplit(given)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise UsageError(f"HF_ENDPOINT is {given!r}; valid: an address such as {HUB}; correct or unset it.")
    return given


def named_endpoint() -> str:
    """The hub's address without user and password, for files that others read."""
    parts = urlsplit(endpoint())
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def look_up(repository: str, name: str, revision: str | None) -> HubFile:
    """What the hub says of a file, without fetching it; `revision` None is the newest.

    Raises:
        AssetError: the hub has no such repository, revision or file, or does not give it to us.
        FetchError: the hub cannot be reached, has too much to do, or what answers is no hub.
    """
    address = endpoint()
    try:
        said = get_hf_file_metadata(
            hf_hub_url(repository, name, revision=revision, endpoint=address),
            timeout=constants.HF_HUB_ETAG_TIMEOUT,
            endpoint=address,
        )
    except (HfHubHTTPError, TransportError, OSError) as error:
        raise explained(error, repository, name, revision, named_endpoint()) from error
    if not said.commit_hash or not said.etag:
        raise FetchError(
            f"What answers at {named_endpoint()} for {repository}/{name} names no commit and no ETag, so it is no hub but a "
            "proxy or a login page; open the address in a browser, or check HF_ENDPOINT and the proxy settings."
        )
    return HubFile(repository, name, said.commit_hash, said.etag, said.size)


def difference(path: Path, file: HubFile) -> str:
    """What tells a file on disk from the one on the hub; empty if nothing does."""
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        return f"it has {size} bytes and the hub says {file.size}"
    with path.open("rb") as content:
        if _SHA256.fullmatch(file.etag):
            found = hashlib.file_digest(content, "sha256").hexdigest()
        elif _GIT_SHA1.fullmatch(file.etag):
            blob = hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
            found = hashlib.file_digest(content, lambda: blob).hexdigest()
        else:
            return ""
    return "" if found == file.etag else f"its hash is {found[:12]} and the hub says {file.etag[:12]}"


def fetch(file: HubFile, target: Path, advanced: Callable[[int], None]) -> None:
    """Bring a file to `target`, whole and verified; what came before a break is gone on from.

    Args:
        file: what `look_up` said.
        target: where it is to be; `<target>.part` holds what came so far.
        advanced: told how many bytes are here, whenever that changes.

    Raises:
        AssetError: the hub does not give it to us.
        FetchError: it does not come, or something else comes in its place.
        WriteError: it cannot be written.
    """
    part = target.with_name(f"{target.name}.part")
    resumed = _size(part) > 0
    _stream_until_done(file, part, advanced)
    wrong = difference(part, file)
    if wrong and resumed:  # the beginning may be what is wrong
        part.unlink()
        _stream_until_done(file, part, advanced)
        wrong = difference(part, file)
    if wrong:
        part.unlink()
        raise _something_else(file, wrong)
    part.replace(target)


def _stream_until_done(file: HubFile, part: Path, advanced: Callable[[int], None]) -> None:
    fruitless = 0
    while True:
        before = _size(part)
        try:
            _stream(file, part, before, advanced)
            return
        except HfHubHTTPError as error:
            if error.response.status_code == 416 and before:
                part.unlink()
                continue
            raise explained(error, file.repository, file.name, file.commit, named_endpoint()) from error
        except (TransportError, _Short) as error:
            fruitless = 0 if _size(part) > before else fruitless + 1
            if fruitless > len(_PAUSES):
                raise FetchError(
                    f"The connection broke off after {_size(part)} of {file.size or 'an unknown number of'} bytes of "
                    f"{file.repository}/{file.name} ({first_line(error)}); run the same command again: it goes on from there."
                ) from error
            time.sleep(_PAUSES[max(0, fruitless - 1)])
        except OSError as error:
            raise WriteError(
                f"{str(part)!r} cannot be written ({error.strerror or error}); free space or choose MECHBOARD_CACHE, then run the "
                "same command again: it goes on from there."
            ) from error


class _Short(Exception):
    """The body ended early, and nothing but the size that the hub named tells so."""


def _stream(file: HubFile, part: Path, before: int, advanced: Callable[[int], None]) -> None:
    """Append what is missing; a hub that ignores `Range` sends all, which then replaces what was here."""
    if before and before == file.size:
        return
    # The hub redirects to a storage with a signature that expires, so each attempt asks the hub. The client takes the token
    # off where a redirect leaves it.
    url = hf_hub_url(file.repository, file.name, revision=file.commit, endpoint=endpoint())
    headers = build_hf_headers() | {"Accept-Encoding": "identity"}
    if before:
        headers["Range"] = f"bytes={before}-"
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    with get_session().stream("GET", url, headers=headers, timeout=timeout) as response:
        hf_raise_for_status(response)
        announced = _announced(response.headers)
        if None not in (announced, file.size) and announced != file.size:
            raise _something_else(file, f"it has {announced} bytes and the hub says {file.size}")
        with part.open("ab" if response.status_code == 206 else "wb") as out:
            for chunk in response.iter_bytes():
                out.write(chunk)
                advanced(out.tell())
                if file.size is not None and out.tell() > file.size:
                    return  # `difference` says what is wrong; the rest would only fill the disk
            if file.size is not None and out.tell() < file.size:
                raise _Short("the body ended early")


def _announced(headers: Mapping[str, str]) -> int | None:
    """Bytes of the whole file by the headers of an answer, None if they do not say."""
    if headers.get("Content-Encoding", "identity") != "identity":
        return None
    whole = headers.get("Content-Range", "").rpartition("/")[2] or headers.get("Content-Length", "")
    return int(whole) if whole.isdecimal() else None


def _something_else(file: HubFile, wrong: str) -> FetchError:
    return FetchError(
        f"Something else came in place of {file.repository}/{file.name}: {wrong}; a proxy may answer for the hub: check "
        "HF_ENDPOINT and the proxy settings, then run the same command again."
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
