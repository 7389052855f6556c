"""Pulls over HTTP from a hub on this machine: what comes, what is written down, and what a break leaves."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from filelock import FileLock
from loopback_hub import LARGE, LoopbackHub
from rich.console import Console
from test_cli import bench  # noqa: F401

from mechboard.assets import LOCK, Asset, content_hashes, locate, lock_file, place, require
from mechboard.cli import pull as command
from mechboard.cli.pull_progress import Bars
from mechboard.errors import AssetError, FetchError
from mechboard.fetching import hub as hub_client
from mechboard.fetching.pull import Watcher, list_asset, pull

REPOSITORY, SMALL, BIG = "me/thing", b'{"words": 3}', os.urandom(4 * LARGE)


def _copy(downloaded, target):
    for name, path in downloaded.items():
        place(path, target / name)


ASSET = Asset(
    name="thing",
    files=("small.json", "big.bin"),
    repository=REPOSITORY,
    sources=("small.json", "big.bin"),
    convert=_copy,
)
OTHER = Asset(name="other", files=("a.txt",), repository="me/other", sources=("a.txt",), convert=_copy)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub with the asset, a cache of its own, and no pauses."""
    monkeypatch.setenv("MECHBOARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MECHBOARD_ASSETS", raising=False)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(hub_client, "_PAUSES", (0.0, 0.0))
    with LoopbackHub() as served:
        monkeypatch.setenv("HF_ENDPOINT", served.address)
        served.commit = served.add(REPOSITORY, {"small.json": SMALL, "big.bin": BIG})
        served.add("me/other", {"a.txt": b"a"})
        yield served


@pytest.fixture
def known(monkeypatch):
    """The command knows both assets, as those of a task."""
    found = {"task": (ASSET, OTHER), "thing": (ASSET,), "other": (OTHER,)}
    monkeypatch.setattr(command, "_assets_by_name", lambda: found)


def fetched(asset=ASSET, watcher=None):
    return pull(list_asset(asset), watcher or Watcher())


def part(tmp_path):
    (found,) = (tmp_path / "cache" / "downloads").rglob("*.part")
    return found


def test_a_pull_brings_the_files_and_writes_down_commit_endpoint_and_hashes_once(hub):
    folder = fetched()
    assert ((folder / "small.json").read_bytes(), (folder / "big.bin").read_bytes()) == (SMALL, BIG)
    entry = json.loads(lock_file().read_text())["thing"]
    assert (entry["revision"], entry["endpoint"], entry["repository"]) == (hub.commit, hub.address, REPOSITORY)
    before = lock_file().read_bytes()
    (folder / "big.bin").unlink()
    fetched()
    assert lock_file().read_bytes() == before
    assert require(ASSET) == folder


def test_records_say_where_weights_came_from_unless_it_is_the_hub_itself(hub):
    fetched()
    assert content_hashes(ASSET)["thing revision"] == f"{hub.commit} from {hub.address}"
    entry = json.loads(lock_file().read_text())
    entry["thing"]["endpoint"] = "https://huggingface.co"
    lock_file().write_text(json.dumps(entry))
    assert content_hashes(ASSET)["thing revision"] == hub.commit
    del entry["thing"]["endpoint"]
    lock_file().write_text(json.dumps(entry))
    assert "not written down" in content_hashes(ASSET)["thing revision"]


def test_a_password_in_the_endpoint_is_never_written_down(hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", hub.address.replace("://", "://me:secret@"))
    fetched()
    assert "secret" not in lock_file().read_text()
    assert json.loads(lock_file().read_text())["thing"]["endpoint"] == hub.address


def test_a_large_file_is_stored_once_and_the_token_stays_with_the_hub(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    folder = fetched()
    kept = sum(f.stat().st_size for f in (tmp_path / "cache").rglob("*") if f.is_file())
    assert kept < 1.1 * len(BIG)
    assert (folder / "big.bin").stat().st_nlink == 1
    tokens = {(method, name): token for method, name, _, token in hub.requests}
    assert tokens["HEAD", "big.bin"]
    assert tokens["GET", "small.json"]
    assert tokens["REDIRECT", "big.bin"]
    assert not tokens["GET", "big.bin"]  # it came from the storage that the hub redirects to


def test_a_connection_that_breaks_is_taken_up_again_where_it_broke(hub):
    hub.fault("big.bin", breaks=[150_000, 100_000])
    seen = []

    class Counting(Watcher):
        def advances(self, file, here):
            seen.append((file.name, here))

    folder = fetched(watcher=Counting())
    assert (folder / "big.bin").read_bytes() == BIG
    assert hub.asked("GET", "big.bin") == [None, "bytes=150000-", "bytes=250000-"]
    assert seen[-1] == ("big.bin", len(BIG))


def test_a_hub_that_never_gets_further_is_given_up_and_the_next_pull_goes_on(hub, tmp_path):
    hub.fault("big.bin", breaks=[150_000, 0, 0, 0])
    with pytest.raises(
        FetchError, match=r"broke off after 150000 of 400000 bytes of me/thing/big.bin .* goes on from there"
    ):
        fetched()
    assert locate(ASSET) is None
    assert not lock_file().exists()
    assert part(tmp_path).stat().st_size == 150_000
    hub.requests.clear()
    assert (fetched() / "big.bin").read_bytes() == BIG
    assert hub.asked("GET", "big.bin") == ["bytes=150000-"]
    assert hub.asked("GET", "small.json") == []  # it was whole


def test_an_end_that_only_the_size_tells_is_a_break_too(hub):
    hub.fault("big.bin", breaks=[150_000], breaks_quietly=True)
    assert (fetched() / "big.bin").read_bytes() == BIG
    assert hub.asked("GET", "big.bin") == [None, "bytes=150000-"]


def test_a_hub_that_ignores_the_range_sends_all_and_nothing_is_doubled(hub):
    hub.fault("big.bin", breaks=[150_000], ignores_range=True)
    assert (fetched() / "big.bin").read_bytes() == BIG


def test_a_beginning_that_is_wrong_is_thrown_away_and_fetched_again(hub, tmp_path):
    hub.fault("big.bin", breaks=[150_000, 0, 0, 0])
    with pytest.raises(FetchError):
        fetched()
    part(tmp_path).write_bytes(b"x" * 150_000)
    assert (fetched() / "big.bin").read_bytes() == BIG


def test_what_broke_off_is_no_beginning_of_what_the_hub_has_since(hub, tmp_path):
    hub.fault("big.bin", breaks=[150_000, 0, 0, 0])
    with pytest.raises(FetchError):
        fetched()
    new = os.urandom(len(BIG))
    hub.add(REPOSITORY, {"small.json": SMALL, "big.bin": new}, commit="b" * 40)
    hub.requests.clear()
    assert (fetched() / "big.bin").read_bytes() == new
    assert hub.asked("GET", "big.bin") == [None]


def test_all_files_are_of_the_commit_of_the_first(hub, monkeypatch):
    """A push between two files must not mix them."""
    looked, real = [], hub_client.look_up

    def look_up(repository, name, revision):
        looked.append(revision)
        return real(repository, name, revision)

    monkeypatch.setattr(hub_client, "look_up", look_up)
    fetched()
    assert looked == [None, hub.commit]


def test_an_altered_folder_is_an_error_and_a_pull_mends_it(hub, bench, known):  # noqa: F811
    folder = fetched()
    (folder / "big.bin").write_bytes(b"other")
    with pytest.raises(AssetError, match=r"big.bin in .* differ from what .* `bench pull thing` fetches them again"):
        require(ASSET)
    code, out, _ = bench("pull", "thing")
    assert (code, "thing: fetched into" in out) == (0, True)
    assert (require(ASSET) / "big.bin").read_bytes() == BIG
    assert "already in" in bench("pull", "thing")[1]


def test_an_edit_of_the_same_size_and_date_is_noticed(hub):
    path = fetched() / "small.json"
    require(ASSET)
    stat = path.stat()
    path.write_bytes(SMALL[::-1])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(AssetError, match="small.json in"):
        require(ASSET)


def test_hashing_happens_once_for_all_cells_of_a_run(hub, monkeypatch):
    import hashlib

    from mechboard import hashing

    hashing._sha256.cache_clear()
    counted, real = [], hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *a: counted.append(a) or real(*a))
    fetched()
    counted.clear()
    for _ in range(3):
        content_hashes(ASSET)
    assert len(counted) <= len(ASSET.files)


def test_an_asset_of_two_tasks_is_fetched_once_and_the_size_is_told_before(hub, bench, known):  # noqa: F811
    code, out, err = bench("pull", "task", "thing")
    assert code == 0
    assert out.count("thing: fetched into") == out.count("other: fetched into") == 1
    assert hub.asked("GET", "big.bin") == [None]
    lines = err.splitlines()
    assert lines[0] == "thing, other: 400.0 kB in all"
    assert lines[1] == f"thing: 2 files, 400.0 kB, from {hub.address} (me/thing at {hub.commit[:12]})"
    assert lines[2:4] == ["  small.json: 0.0 kB", "  big.bin: 400.0 kB"]


def test_a_pull_that_goes_on_says_from_where(hub, bench, known):  # noqa: F811
    hub.fault("big.bin", breaks=[150_000, 0, 0, 0])
    code, out, err = bench("pull", "thing")
    assert (code, out) == (5, "")
    assert "error: The connection broke off" in err
    assert "  big.bin: 400.0 kB, going on from 150.0 kB" in bench("pull", "thing")[2].splitlines()


def test_an_asset_that_fails_does_not_keep_the_others(hub, bench, known):  # noqa: F811
    hub.fault("big.bin", status_of_body=503)
    code, out, err = bench("pull", "task")
    assert code == 5
    assert "other: fetched into" in out
    assert err.count("error:") == 1
    assert locate(OTHER)
    assert not locate(ASSET)


def test_a_folder_put_by_hand_is_not_replaced(hub, bench, known, tmp_path):  # noqa: F811
    folder = tmp_path / "cache" / "assets" / "other"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("mine")
    assert "never pulled; remove the folder" in bench("pull", "other")[1]
    assert (folder / "a.txt").read_text() == "mine"


def test_a_file_in_the_cache_of_huggingface_hub_is_not_fetched_again(hub, tmp_path):
    from huggingface_hub import hf_hub_download

    hf_hub_download(REPOSITORY, "big.bin", endpoint=hub.address, cache_dir=tmp_path / "hf")
    hub.requests.clear()
    assert (fetched() / "big.bin").read_bytes() == BIG
    assert hub.asked("GET", "big.bin") == []
    (cached,) = (tmp_path / "hf").rglob("snapshots/*/big.bin")
    assert cached.read_bytes() == BIG
    (tmp_path / "cache" / "assets" / "thing" / "small.json").unlink()
    cached.resolve().unlink()
    cached.resolve().write_bytes(BIG[::-1])  # damaged
    assert (fetched() / "big.bin").read_bytes() == BIG
    assert hub.asked("GET", "big.bin") == [None]


def test_a_terminal_shows_a_bar_per_file_from_where_it_goes_on(hub):
    hub.fault("big.bin", breaks=[150_000, 0, 0, 0])
    with pytest.raises(FetchError):
        fetched()
    shown = io.StringIO()
    listing = list_asset(ASSET)
    with Bars(listing, Console(file=shown, force_terminal=True, width=100, highlight=False)) as watcher:
        pull(listing, watcher)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.getvalue())
    assert "thing: 2 files, 400.0 kB, from http" in text
    assert re.search(r"big.bin .* 400.0/400.0 kB", text)
    assert hub.asked("GET", "big.bin")[-1] == "bytes=150000-"


def test_a_conversion_that_fails_leaves_no_folder_and_no_lock(hub, tmp_path):
    def broken(downloaded, target):
        (target / "small.json").write_bytes(b"half")
        raise AssetError("no such format")

    with pytest.raises(AssetError, match="no such format"):
        fetched(Asset(**(vars(ASSET) | {"convert": broken})))
    assert list((tmp_path / "cache" / "assets").iterdir()) == []
    assert not lock_file().exists()
    with pytest.raises(AssetError, match="was fetched but makes no small.json, big.bin"):
        fetched(Asset(**(vars(ASSET) | {"convert": lambda downloaded, target: None})))


def test_a_pull_that_is_killed_before_the_folder_stands_is_locked_and_goes_on(hub, tmp_path, monkeypatch):
    """The lock comes first: a folder without an entry would pass for one that was put by hand."""

    def killed(made, target):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("mechboard.fetching.pull._put", killed)
        with pytest.raises(KeyboardInterrupt):
            fetched()
    assert locate(ASSET) is None
    assert json.loads(lock_file().read_text())["thing"]["revision"] == hub.commit
    left = tmp_path / "cache" / "assets" / ".thing.left"
    left.mkdir()
    hub.requests.clear()
    assert (fetched() / "big.bin").read_bytes() == BIG
    assert hub.asked("GET", "big.bin") == []
    assert not left.exists()


def test_two_pulls_at_once_follow_one_another(hub, tmp_path):
    told = []

    class Saying(Watcher):
        def noticed(self, message):
            told.append(message)
            held.release()

    (tmp_path / "cache").mkdir()
    held = FileLock(tmp_path / "cache" / ".pull.lock")
    held.acquire()
    assert (fetched(watcher=Saying()) / "big.bin").read_bytes() == BIG
    assert told == ["another pull is under way; this one waits until it has ended"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_pull_that_is_stopped_goes_on_later(hub, tmp_path, how):
    """A process of its own, stopped in the middle of a file."""
    hub.fault("big.bin", stalls_after=200_000)
    script = (
        "import sys\n"
        "from mechboard.assets import Asset\n"
        "from mechboard.cli import main, pull\n"
        f"asset = Asset(name='thing', files=('big.bin',), repository={REPOSITORY!r}, sources=('small.json', 'big.bin'),\n"
        "              convert=None)\n"
        "pull._assets_by_name = lambda: {'thing': (asset,)}\n"
        "sys.argv = ['bench', 'pull', 'thing']; main()"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not hub.stalled.wait(0.05):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
    time.sleep(0.3)
    process.send_signal(how)
    process.communicate(timeout=30)
    assert process.returncode == (130 if how == signal.SIGINT else -9)
    assert locate(ASSET) is None
    here = part(tmp_path).stat().st_size
    assert 0 < here <= 200_000
    hub.faults.clear()
    assert (fetched() / "big.bin").read_bytes() == BIG
    assert hub.asked("GET", "big.bin")[-1] == f"bytes={here}-"
    assert json.loads((tmp_path / "cache" / LOCK).read_text())
