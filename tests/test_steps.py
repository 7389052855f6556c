"""How far a cell has come: what a method says, how it travels, what is made of it, and what is shown."""

import json
import os
import random
import time
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from models import random_problem
from test_cli import bench  # noqa: F401

from mechboard.cli.progress import Plain
from mechboard.contract.progress import Step, listening, progress
from mechboard.graph import Graph
from mechboard.methods.activation_patching import edge_drops
from mechboard.metrics.circuit import circuit_metrics
from mechboard.runs.estimate import Pace, Reached, TimeLeft
from mechboard.runs.workers.page import Page, Relay, tell

SLOW = Path(__file__).parent / "data" / "slow.py"
RUN = ("run", "--method", "slow", "--task", "compiled-brackets", "--plugin", SLOW, "--fresh")


def test_nothing_happens_where_nobody_listens():
    progress(1, 2, "edges")
    with listening(pytest.fail):
        pass
    progress(1, 2, "edges")


def test_an_inner_loop_is_thinned_out_by_time():
    heard = []
    begun = time.monotonic()
    with listening(heard.append):
        for done in range(20_000):
            progress(done, 20_000, "edges")
    assert heard[0].done == 0
    assert len(heard) <= 1 + (time.monotonic() - begun) / 0.25


@pytest.mark.parametrize(
    ("done", "total", "unit", "share"),
    [(3, 2, "edges", None), (-1, 2, "edges", None), (0, 0, "edges", None), (1, 2, "\x1b[2J", None), (1, 2, "e" * 25, None),
     (1, 2, "edges", 1.5), (1, 2, "edges", float("nan")), (1, 2, "edges", "most"), (None, 2, "edges", None),
     (1, 2, 3, None), (1, 2**60, "edges", None)],
)  # fmt: skip
def test_what_makes_no_sense_is_not_told_and_fails_nothing(done, total, unit, share):
    with listening(pytest.fail):
        progress(done, total, unit, share=share)


@pytest.mark.parametrize("level", ["qkv", "head"])
def test_patching_and_scoring_say_how_far_they_are_over_all_batches(monkeypatch, level):
    monkeypatch.setattr("mechboard.contract.progress._EVERY", 0.0)
    problem = random_problem("gpt2")
    graph = Graph.of(problem.model.config, level)
    problem = replace(problem, graph=graph, batch_size=len(problem.pairs) - 1)
    heard = []
    with listening(heard.append):
        for _ in edge_drops(problem):
            pass
    n_edges = problem.graph.n_edges
    assert (heard[-1].done, heard[-1].total, heard[-1].unit) == (n_edges, n_edges, "edges")
    assert heard[-1].share == pytest.approx(1)
    assert [step.share for step in heard] == sorted(step.share for step in heard)
    heard.clear()
    with listening(heard.append):
        circuit_metrics(problem, problem.pairs, [torch.ones(n_edges, dtype=torch.bool)] * 3)
    assert [step.done for step in heard] == [2, 3]  # after 12 of 15 runs, and all
    assert heard[-1].total == 3


def test_a_page_keeps_the_newest_step_alone():
    page = Page()
    assert page.read() is None
    page.write(Step(1, 9, "edges", 0.1, 1.0))
    page.write(Step(2, 9, "layer passes", 0.2, 1.5))
    assert page.read() == Step(2, 9, "layer passes", 0.2, 1.5)
    page.clear()
    assert page.read() is None


def test_garbage_on_a_page_and_half_a_step_are_passed_over():
    page = Page()
    step = Step(2, 9, "edges", 0.2, 1.5)
    page.write(step)
    written = page._memory[:]
    for at in range(60):
        page._memory[:] = written
        page._memory[at] ^= 1
        assert page.read() is None, at
    draw = random.Random(0)
    for _ in range(200):
        page._memory[:] = draw.randbytes(len(page._memory))
        assert page.read() is None
    page.write(Step(2**62, 1, "\x1b[2J", float("nan"), -1.0))  # with a checksum of its own
    assert page.read() is None


def test_a_page_is_shared_with_a_fork():
    page = Page()
    pid = os.fork()
    if pid == 0:
        page.write(Step(1, 2, "edges", 0.5, 3.0))
        os._exit(0)
    os.waitpid(pid, 0)
    assert page.read() == Step(1, 2, "edges", 0.5, 3.0)


def test_a_driver_that_does_not_read_keeps_nobody_waiting():
    theirs, ours = Pipe()
    begun = time.monotonic()
    for done in range(20_000):
        tell(ours, Step(done, 20_000, "edges", 0.0, 1.0))
    assert time.monotonic() - begun < 20
    assert theirs.recv().done == 0
    theirs.close()
    tell(ours, Step(1, 2, "edges", 0.5, 1.0))  # nor one that has hung up


def test_a_flood_reaches_the_driver_a_few_times_a_second_and_what_is_old_not_again():
    page, (theirs, ours) = Page(), Pipe()
    relay, begun, arrived = Relay(page, ours), time.monotonic(), 0
    while time.monotonic() - begun < 0.6:
        page.write(Step(arrived, 9, "edges", 0.1, time.monotonic() - begun))
        relay()
        if theirs.poll():
            theirs.recv()
            arrived += 1
    assert 1 <= arrived <= 3
    time.sleep(0.3)
    relay()
    assert theirs.poll()
    theirs.recv()
    time.sleep(0.3)
    relay()
    assert not theirs.poll()


def _step(share, seconds, *, total=1000, unit="edges"):
    return Step(round(share * total), total, unit, share, seconds)


def test_the_time_left_is_told_after_a_second_from_the_first_step_on():
    pace = Pace()
    assert pace.reached("solving", _step(0.0, 5.0)) is not None  # five seconds went by before: nothing is known yet
    assert pace.reached("solving", _step(0.001, 5.5)).left is None
    told = pace.reached("solving", _step(0.01, 6.0))
    assert told.left == pytest.approx(1 / 0.01 * 0.99)  # and not those five seconds a hundred times
    assert told.expected == pytest.approx(105.0)
    assert Pace().reached("solving", _step(0.1, 0.9)) is None


def test_a_first_step_that_took_long_is_measured_itself():
    assert Pace().reached("solving", _step(0.25, 300.0)).left == pytest.approx(900.0)


@pytest.mark.parametrize("other", [{"unit": "circuits"}, {"total": 7}, {"share": 0.0}])
def test_another_unit_or_total_and_a_fall_begin_a_stage(other):
    pace = Pace()
    for second in range(1, 11):
        pace.reached("solving", _step(second / 10, float(second)))
    share = other.pop("share", 0.05)
    assert pace.reached("solving", _step(share, 10.5, **other)) is None
    assert pace.reached("solving", _step(share + 0.1, 12.5, **other)).left == pytest.approx(20 * (0.9 - share))


def test_scoring_has_a_clock_of_its_own():
    pace = Pace()
    pace.reached("solving", _step(0.5, 500.0))
    pace.reached("scoring", _step(0.0, 0.1))
    assert pace.reached("scoring", _step(0.1, 2.1)).text() == "scoring, 100 of 1,000 edges, about 18s left"


def test_the_line_of_a_cell_under_way():
    assert (
        Reached("solving", _step(0.04, 9.0, total=32491), 2460.0).text() == "1,300 of 32,491 edges, about 41m 00s left"
    )
    assert Reached("solving", _step(0.0, 9.0), None).text() == "0 of 1,000 edges"


def _cell(name, task="t"):
    return SimpleNamespace(cell=SimpleNamespace(name=f"{name} x {task}", task=task, label=name))


def test_the_time_left_of_a_run_counts_cells_under_way_by_what_they_say():
    left = TimeLeft([_cell("long"), _cell("other")], jobs=1)
    left.reached(_cell("long"), Reached("solving", _step(0.5, 10.0), 1000.0))
    assert left.seconds() is None  # nothing is known of the other one
    left.ended(SimpleNamespace(record=_cell("other"), status="done", seconds=5.0))
    assert left.seconds() == 1000.0
    left.ended(SimpleNamespace(record=_cell("long"), status="done", seconds=5.0))
    assert left.seconds() == 0


def test_a_log_has_the_estimate_at_once_and_then_a_line_by_tenths_and_every_few_minutes(capsys, monkeypatch):
    plain, clock = Plain(TimeLeft([], 1)), [0.0]
    monkeypatch.setattr("mechboard.cli.progress.time", SimpleNamespace(monotonic=lambda: clock[0]))

    def after(seconds, share, *, takes=4000.0):
        clock[0] = seconds
        plain.reached(_cell("ap"), Reached("solving", _step(share, seconds), (1 - share) * takes))
        return capsys.readouterr().err

    assert after(2, 0.0005) == "ap x t: 0 of 1,000 edges, about 1h 06m left\n"
    assert after(3, 0.2) == ""  # a tenth, and too soon
    assert after(40, 0.2) == "ap x t: 200 of 1,000 edges, about 53m 20s left\n"
    assert after(100, 0.25) == ""
    assert after(341, 0.25) != ""  # five minutes without a line
    assert Plain(TimeLeft([], 1)).reached(_cell("ap"), Reached("solving", _step(0.5, 2.0), 2.0)) is None
    assert capsys.readouterr().err == ""  # a short cell has its own line soon


@pytest.mark.parametrize("where", [(), ("--inline",), ("--jobs", "2")])
def test_what_a_method_says_arrives_from_its_process_and_inline(bench, where):  # noqa: F811
    err = bench(*RUN, "--progress", "jsonl", *where)[2]
    events = [json.loads(line) for line in err.splitlines()]
    told = [e for e in events if e["event"] == "reached" and e["doing"] == "solving"]
    assert told
    assert (told[0]["cell"]["method"], told[0]["unit"], told[0]["total"]) == ("slow", "naps", 40)
    assert 0 < told[0]["done"] < 40
    assert told[0]["seconds"] >= 1
    assert 0 < told[0]["left"] < 60


def test_quiet_and_a_log_say_nothing_of_a_short_cell(bench):  # noqa: F811
    assert bench(*RUN, "--progress", "quiet")[2] == ""


def test_a_limit_that_will_not_do_is_said_before_it_is_met(bench):  # noqa: F811
    err = bench(*RUN, "--progress", "quiet", "--timeout", "1.6s")[2]
    assert "note: slow x compiled-brackets@v2 data-0 seed-0 will take about " in err
    assert "is killed after 2s; raise --timeout." in err
    assert err.count("note:") == 1
