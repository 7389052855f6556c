"""What a hub's refusal means for who asked, in one sentence each."""

from __future__ import annotations

import os

from huggingface_hub import HfApi
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from ..errors import AssetError, FetchError, closest

# The client library changed its name between versions of huggingface_hub; its base of all errors is this one's parent.
TransportError: type[Exception] = HfHubHTTPError.__bases__[0]
_INSTEAD = "or put the asset's files into MECHBOARD_ASSETS"
_LISTED = 12  # file names that an error shows


def explained(error: Exception, repository: str, name: str, revision: str | None, hub: str) -> AssetError:
    """The error to raise in place of one of the hub's library.

    Args:
        error: what the library raised.
        repository: what was asked for.
        name: the file in it.
        revision: the commit, None for the newest.
        hub: the hub's address, as others may read it.
    """
    at = f" at revision {revision}" if revision else ""
    if isinstance(error, OfflineModeIsEnabled):
        return FetchError(f"{repository}/{name} cannot be fetched: HF_HUB_OFFLINE is set; unset it, {_INSTEAD}.")
    if isinstance(error, GatedRepoError):
        return AssetError(
            f"{repository} on {hub} is gated; accept its terms in a browser, then log in with `hf auth login` or set "
            f"HF_TOKEN, {_INSTEAD}."
        )
    if isinstance(error, RepositoryNotFoundError):
        return AssetError(
            f"{hub} has no repository {repository!r}, or it is private; check HF_ENDPOINT, log in with `hf auth login` or set "
            f"HF_TOKEN if you may see it, {_INSTEAD}."
        )
    if isinstance(error, RevisionNotFoundError):
        return AssetError(f"{repository} on {hub} has no revision {revision!r}; check HF_ENDPOINT, {_INSTEAD}.")
    if isinstance(error, RemoteEntryNotFoundError):
        return AssetError(
            f"{repository} on {hub} has no file {name!r}{at}; {_valid_files(repository, name, revision, hub)}it may have moved: "
            f"update mechboard, {_INSTEAD}."
        )
    if isinstance(error, HfHubHTTPError):
        return _refused(error, f"{repository}/{name}{at}", hub)
    return FetchError(
        f"{repository}/{name} cannot be fetched from {hub} ({first_line(error)}); check the connection, HF_ENDPOINT and the proxy "
        f"settings, {_INSTEAD}."
    )


def first_line(error: Exception) -> str:
    """What an error says, in one line, or its type if it says nothing."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _refused(error: HfHubHTTPError, what: str, hub: str) -> AssetError:
    status, headers = error.response.status_code, error.response.headers
    if status == 429:
        wait = headers.get("Retry-After", "")
        when = f"in {wait} seconds" if wait.isdecimal() else "in some minutes"
        token = "" if os.environ.get("HF_TOKEN") else " (requests with a token, HF_TOKEN, may be more frequent)"
        return FetchError(
            f"{hub} answers 429, too many requests, for {what}; run the same command again {when}{token}."
        )
    if status in (401, 403):
        return AssetError(
            f"{hub} answers {status} for {what}: the token lacks the right, or is out of date; log in with `hf auth login` or set "
            f"HF_TOKEN, {_INSTEAD}."
        )
    if status == 404:
        return AssetError(f"{hub} answers 404, not found, for {what}; check HF_ENDPOINT, {_INSTEAD}.")
    return FetchError(f"{hub} answers {status} for {what}; run the same command again later, {_INSTEAD}.")


def _valid_files(repository: str, name: str, revision: str | None, hub: str) -> str:
    """`closest: ...; valid: ...; `, empty where the hub does not list its files."""
    try:
        listed = HfApi(endpoint=hub).model_info(repository, revision=revision).siblings or []
    except Exception:  # what went wrong is said already; a list is only help
        return ""
    names = sorted(file.rfilename for file in listed)
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{closest(name, names)}valid: {', '.join(names[:_LISTED])}{more}; " if names else ""
