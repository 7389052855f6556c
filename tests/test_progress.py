"""What a run shows: plain lines in a log, JSON lines for programs, nothing if asked, a live part on a terminal."""

import json
import os
import pty
import subprocess
import sys
from types import SimpleNamespace

from test_cli import CHEAP, bench  # noqa: F401

from mechboard.runs.estimate import TimeLeft, duration


def test_plain_lines_where_there_is_no_terminal(bench):  # noqa: F811
    err = bench("run", "--method", "eap,random", *CHEAP)[2]
    assert [line[:10] for line in err.splitlines()] == ["[1/2] done", "[2/2] done"]


def test_quiet_says_nothing(bench):  # noqa: F811
    assert bench("run", "--method", "random", *CHEAP, "--progress", "quiet")[2] == ""


def test_json_lines_tell_every_event(bench):  # noqa: F811
    err = bench("run", "--method", "eap,random", *CHEAP, "--progress", "jsonl")[2]
    # How far a cell has come is told after its first second, which a busy machine may need even here.
    events = [event for line in err.splitlines() if (event := json.loads(line))["event"] != "reached"]
    assert [e["event"] for e in events] == ["started", "ended"] * 2
    assert events[1]["status"] == "done"
    assert events[1]["value"] == 1.0
    assert events[3]["cell"]["method"] == "random"


def test_a_terminal_sees_elapsed_time_and_an_estimate(tmp_path):
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "mechboard", "run", "--method", "eap,activation-patching", *CHEAP]
    running = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=follower, env=os.environ | {"TERM": "xterm", "COLUMNS": "120"})  # fmt: skip
    os.close(follower)
    seen = b""
    while True:
        try:
            part = os.read(leader, 4096)
        except OSError:
            break
        if not part:
            break
        seen += part
    assert running.wait() == 0
    text = seen.decode(errors="replace")
    assert "/2 cells" in text
    assert "left" in text
    assert "[2/2] done" in text


def test_durations_are_short():
    assert [duration(s) for s in (3.2, 75, 7325)] == ["3s", "1m 15s", "2h 02m"]


def _cell(task, label):
    return SimpleNamespace(cell=SimpleNamespace(task=task, label=label, name=f"{label} x {task}"))


def test_the_time_left_is_told_from_cells_of_the_same_method_and_task_and_kept_cells_say_nothing():
    left = TimeLeft([_cell("a", "slow"), _cell("a", "slow"), _cell("a", "new"), _cell("b", "slow")], jobs=2)
    left.ended(SimpleNamespace(record=_cell("a", "slow"), status="cached", seconds=0.0))
    assert left.seconds() is None
    left.ended(SimpleNamespace(record=_cell("a", "slow"), status="done", seconds=60.0))
    assert left.seconds() == (60 + 60) / 2
    left.ended(SimpleNamespace(record=_cell("a", "new"), status="done", seconds=20.0))
    assert left.seconds() == 40 / 2
    assert left.text() == ", about 20s left"
