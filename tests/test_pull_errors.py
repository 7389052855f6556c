"""A hub that answers with anything but the file: one clear sentence each, and nothing is left that looks like an asset."""

import errno
import json
import shutil
import socket

import pytest
from loopback_hub import LoopbackHub
from test_cli import bench  # noqa: F401
from test_pull import ASSET, BIG, OTHER, REPOSITORY, SMALL, fetched, hub, known, part  # noqa: F401

from mechboard.assets import Asset, content_hashes, locate, lock_file, require
from mechboard.errors import AssetError, EnvironmentFault, FetchError, UsageError, WriteError


def _refused(match, kind=AssetError, *, asset=ASSET, environment=False):
    with pytest.raises(kind, match=match) as caught:
        fetched(asset)
    assert isinstance(caught.value, EnvironmentFault) == environment
    assert "\n" not in str(caught.value)
    assert locate(asset) is None
    return str(caught.value)


def test_a_repository_that_is_not_there_is_named(hub):  # noqa: F811
    hub.repositories.clear()
    _refused(rf"{hub.address} has no repository 'me/thing', or it is private; check HF_ENDPOINT")


def test_a_file_that_is_not_there_is_named_with_those_that_are(hub):  # noqa: F811
    asset = Asset(**(vars(ASSET) | {"sources": ("smal.json",)}))
    _refused(
        "me/thing on .* has no file 'smal.json'; closest: small.json; valid: big.bin, small.json; .*update", asset=asset
    )


def test_a_revision_that_is_not_there_is_named(hub):  # noqa: F811
    asset = Asset(**(vars(ASSET) | {"revision": "c" * 40}))
    _refused(f"me/thing on .* has no revision '{'c' * 40}'", asset=asset)


def test_a_locked_revision_of_another_hub_is_told_of_as_such(hub, monkeypatch):  # noqa: F811
    shutil.rmtree(fetched())
    with LoopbackHub() as other:
        other.add(REPOSITORY, {"small.json": SMALL, "big.bin": BIG}, commit="d" * 40)
        monkeypatch.setenv("HF_ENDPOINT", other.address)
        said = _refused("has no revision .*; assets.lock.json asks for a revision that came from")
    assert hub.address in said
    assert "remove 'thing' from" in said


def test_a_gated_repository_says_how_to_be_let_in(hub):  # noqa: F811
    hub.gated.add(REPOSITORY)
    _refused("me/thing on .* is gated; accept its terms in a browser, then log in with `hf auth login` or set HF_TOKEN")


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_without_the_right_is_told_of(hub, status):  # noqa: F811
    hub.fault("small.json", status=status, headers={"X-Error-Message": "Invalid credentials in Authorization header"})
    _refused(f"answers {status} for me/thing/small.json: the token lacks the right")


def test_too_many_requests_say_when_to_come_again(hub):  # noqa: F811
    hub.fault("small.json", status=429, headers={"Retry-After": "30"})
    _refused(
        r"answers 429, too many requests, for me/thing/small.json; run the same command again in 30 seconds \(.*HF_TOKEN",
        FetchError, environment=True,
    )  # fmt: skip
    hub.faults.clear()
    hub.fault("big.bin", status_of_body=429)
    _refused("answers 429, .* for me/thing/big.bin .* in some minutes", FetchError, environment=True)


def test_a_hub_that_is_down_is_the_environment(hub):  # noqa: F811
    hub.fault("small.json", status=503)
    _refused("answers 503 for me/thing/small.json; run the same command again later", FetchError, environment=True)


def test_a_page_in_place_of_the_hub_is_told_of(hub):  # noqa: F811
    hub.fault("small.json", no_hub=True)
    _refused("names no commit and no ETag, so it is no hub but a proxy", FetchError, environment=True)


def test_a_page_in_place_of_a_file_costs_nothing_of_what_came_before(hub, tmp_path):  # noqa: F811
    hub.fault("big.bin", breaks=[150_000, 0, 0, 0])
    _refused("broke off", FetchError, environment=True)
    hub.fault("big.bin", body=b"<html>Please log in</html>")
    _refused(
        "Something else came in place of me/thing/big.bin: it has 26 bytes and the hub says 400000; a proxy",
        FetchError, environment=True,
    )  # fmt: skip
    assert part(tmp_path).stat().st_size == 150_000


@pytest.mark.parametrize("name", ["small.json", "big.bin"])
def test_content_of_the_right_size_and_another_hash_is_refused(hub, name):  # noqa: F811
    """A small file's ETag is git's SHA-1, a large one's the SHA-256."""
    content = {"small.json": SMALL, "big.bin": BIG}[name]
    hub.fault(name, body=content[:-1] + b"?")
    _refused(f"in place of me/thing/{name}: its hash is .* and the hub says", FetchError, environment=True)


def test_a_file_that_changed_under_the_same_commit_is_found_before_it_is_fetched(hub):  # noqa: F811
    shutil.rmtree(fetched())
    hub.add(REPOSITORY, {"small.json": SMALL, "big.bin": BIG[::-1]}, commit=hub.commit)
    hub.requests.clear()
    _refused("me/thing/big.bin changed on .*; remove 'thing' from .* if the change is meant")
    assert hub.asked("GET", "big.bin") == hub.asked("GET", "small.json") == []


def test_a_lock_of_an_earlier_version_is_held_by_the_hashes_of_the_folder(hub):  # noqa: F811
    shutil.rmtree(fetched())
    entry = json.loads(lock_file().read_text())
    del entry["thing"]["sources"]
    lock_file().write_text(json.dumps(entry))
    hub.add(REPOSITORY, {"small.json": SMALL, "big.bin": BIG[::-1]}, commit=hub.commit)
    _refused("What came for 'thing' differs from assets.lock.json; remove its entry")


def test_a_hub_that_answers_with_another_commit_than_asked_is_refused(hub, monkeypatch):  # noqa: F811
    shutil.rmtree(fetched())
    hub.add(REPOSITORY, {"small.json": SMALL, "big.bin": BIG}, commit="e" * 40)
    monkeypatch.setattr(hub.repositories[REPOSITORY], "also", hub.commit)
    _refused(f"asked for {hub.commit} .*, it gives {'e' * 40}")


def test_a_connection_that_is_refused_is_the_environment(hub, monkeypatch, bench, known):  # noqa: F811
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{taken.getsockname()[1]}")
        _refused(
            r"me/thing/small.json cannot be fetched from http://127.0.0.1:\d+ \(.*refused", FetchError, environment=True
        )
        code, out, err = bench("pull", "task")
    assert (code, out, err.count("error: ")) == (5, "", 2)


@pytest.mark.parametrize("given", ["hub.local", "http://", "http://127.0.0.1:99999"])
def test_an_endpoint_that_is_no_address_is_a_matter_of_usage(hub, monkeypatch, given):  # noqa: F811
    monkeypatch.setenv("HF_ENDPOINT", given)
    with pytest.raises(UsageError, match="HF_ENDPOINT is .*; valid: an address such as"):
        fetched()


def test_a_disk_without_room_is_told_of_before_anything_is_fetched(hub, monkeypatch):  # noqa: F811
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**6, 10**6 - 1000, 1000))
    with pytest.raises(
        WriteError, match="'thing' needs 0 MB more and .* has 0 MB free; free space or choose MECHBOARD_CACHE"
    ):
        fetched()
    assert hub.asked("GET", "small.json") == []


def test_a_disk_that_fills_up_is_told_of_and_the_next_pull_goes_on(hub, monkeypatch, tmp_path):  # noqa: F811
    from pathlib import Path

    real = Path.open

    def full(self, mode="r", *rest, **named):
        file = real(self, mode, *rest, **named)
        if self.name.startswith("big.bin") and "b" in mode and mode[0] in "wa":
            write = file.write

            class Filling:
                def write(self, data):
                    if file.tell() + len(data) > 200_000:
                        raise OSError(errno.ENOSPC, "No space left on device")
                    return write(data)

                def __enter__(self):
                    return self

                def __exit__(self, *_):
                    file.close()

                tell = file.tell

            return Filling()
        return file

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", full)
        with pytest.raises(
            WriteError, match=r"cannot be written \(No space left on device\); free space .* goes on from there"
        ):
            fetched()
    here = part(tmp_path).stat().st_size
    assert 0 < here <= 200_000
    fetched()
    assert hub.asked("GET", "big.bin")[-1] == f"bytes={here}-"


def test_a_cache_that_cannot_be_made_is_told_of(hub, monkeypatch, tmp_path):  # noqa: F811
    (tmp_path / "file").touch()
    monkeypatch.setenv("MECHBOARD_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(WriteError, match="cannot be written .*; free space or choose MECHBOARD_CACHE"):
        fetched(OTHER)


@pytest.mark.parametrize("text", ["{", "[]", '{"thing": 3}', '{"thing": {"revision": null, "files": {}}}'])
def test_a_lock_that_is_none_says_so(hub, text):  # noqa: F811
    fetched()
    lock_file().write_text(text)
    with pytest.raises(AssetError, match=r"assets.lock.json' cannot be read .*; delete it and pull again"):
        content_hashes(ASSET)


def test_offline_mode_is_named(hub, monkeypatch):  # noqa: F811
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants._CONST", True, raising=False)
    _refused("HF_HUB_OFFLINE is set; unset it", FetchError, environment=True)


def test_an_altered_asset_fails_its_cell_and_the_others_go_on(hub, bench, monkeypatch):  # noqa: F811
    """What `bench run` makes of an asset that no longer is what was pulled."""
    from mechboard.tasks.stories import pronouns

    stories = Asset(**(vars(ASSET) | {"name": "stories260K"}))
    monkeypatch.setattr(pronouns, "STORIES", stories)
    monkeypatch.setattr(pronouns.PronounStories, "assets", (stories,))
    monkeypatch.setitem(pronouns.task.__dict__, "assets", (stories,))
    (fetched(stories) / "small.json").write_bytes(b"altered")
    code, out, _ = bench(
        "run", "--method", "random", "--task", "pronoun-stories,compiled-brackets", "--inline", "--json", "--results", "r"
    )  # fmt: skip
    cells = {cell["task"]: cell for cell in json.loads(out)}
    assert code == 3
    assert cells["compiled-brackets"]["status"] == "done"
    assert "small.json in" in cells["pronoun-stories"]["error"]
    assert "`bench pull stories260K` fetches them again" in cells["pronoun-stories"]["error"]
    with pytest.raises(AssetError):
        require(stories)
