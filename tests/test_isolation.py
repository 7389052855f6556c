"""Methods that misbehave: each spoils its own cell alone, and no run is green because of it."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file
from test_cli import bench  # noqa: F401

ABUSES = Path(__file__).parent / "data" / "abuses.py"
TASK = "compiled-fraction"
_SPEC = importlib.util.spec_from_file_location("abuses", ABUSES)
abuses = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(abuses)
OF_THE_RUN = pytest.mark.xdist_group("one run of every abuse")
EXPECTED = {f.__name__.replace("_", "-"): status for f, status in abuses.STATUSES.items()}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """One run of every abuse, each with an innocent method behind it: its folder, exit code and output."""
    folder = tmp_path_factory.mktemp("abuses")
    names = ",".join(f"{name},after-{name}" for name in EXPECTED)
    command = [sys.executable, "-m", "mechboard", "run", "--method", f"eap,{names}", "--task", TASK, "--json"]
    command += ["--plugin", str(ABUSES), "--results", "r", "--timeout", "10s", "--memory", "2GB"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ABUSES_TRACE": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    return folder, done


def _scores(folder, name):
    return load_file(folder / "r" / name / f"{TASK}@v2" / "data-0" / "seed-0.safetensors")["scores"]


def _record(folder, name):
    return json.loads((folder / "r" / name / f"{TASK}@v2" / "data-0" / "seed-0.json").read_text())


@OF_THE_RUN
def test_the_run_goes_on_to_its_end_and_says_with_its_exit_code_that_cells_failed(ran):
    _, done = ran
    assert done.returncode == 3, done.stderr
    cells = json.loads(done.stdout)  # nothing that a method printed is in between
    assert len(cells) == 1 + 2 * len(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
@OF_THE_RUN
def test_the_cell_of_an_abuse_has_the_right_status_and_the_next_cell_does_not_notice(ran, name):
    folder, _ = ran
    record = _record(folder, name)
    assert record["status"] == EXPECTED[name], record["error"]
    clean = _scores(folder, "eap")
    assert torch.equal(_scores(folder, f"after-{name}"), clean)
    after, reference = _record(folder, f"after-{name}"), _record(folder, "eap")
    assert after["measures"] == reference["measures"]
    assert after["curves"] == reference["curves"]
    if EXPECTED[name] == "done":
        assert torch.equal(_scores(folder, name), clean)
        assert record["measures"] == reference["measures"]


def test_a_driver_that_is_killed_takes_everything_along(tmp_path):
    command = [sys.executable, "-m", "mechboard", "run", "--method", "hangs", "--task", TASK, "--plugin", str(ABUSES)]
    driver = subprocess.Popen(
        command, cwd=tmp_path, env=os.environ | {"ABUSES_TRACE": str(tmp_path)}, stderr=subprocess.DEVNULL
    )
    trace = tmp_path / "hang"
    assert _in_time(lambda: trace.is_file() and trace.read_text(), 120)
    method = psutil.Process(int(trace.read_text()))
    around = [method, *method.parents()]
    around = around[: around.index(psutil.Process(driver.pid))]
    assert len(around) == 3  # the method, its workshop, the server
    driver.kill()
    driver.wait()
    assert _in_time(lambda: not any(process.is_running() for process in around), 30)


def _in_time(done, seconds):
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.05)
    return done()


@pytest.mark.parametrize("name", ["fork", "daemon"])
@OF_THE_RUN
def test_nothing_that_a_method_left_behind_lives_on(ran, name):
    folder, _ = ran
    pid = int((folder / name).read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("exits", "sys.exit(0)"),
        ("exits-at-once", "exit code 0"),
        ("segfaults", "SIGSEGV"),
        ("eats-memory", "--memory 2GB"),
        ("hangs", "--timeout 10 s"),
        ("prints-without-end", "64 MiB"),
        ("halves-weights", "work on copies"),
        ("kills-its-parent", "took the process around it along"),
    ],
)
@OF_THE_RUN
def test_the_error_of_a_violent_end_says_what_happened(ran, name, said):
    error = _record(ran[0], name)["error"]
    assert said in error["message"]


@OF_THE_RUN
def test_a_segfault_leaves_a_traceback_in_the_record(ran):
    assert "segfaults" in _record(ran[0], "segfaults")["error"]["traceback"]


@OF_THE_RUN
def test_what_a_method_prints_is_in_a_log_beside_the_record(ran):
    folder, _ = ran
    logs = {path.parent.parent.parent.name: path.read_text() for path in (folder / "r").rglob("*.log")}
    assert sorted(logs["prints"].splitlines()) == [
        "a line of a child", "a line on standard error", "a line on standard output",
    ]  # fmt: skip
    assert "after-prints" not in logs


@OF_THE_RUN
def test_records_are_where_they_belong_whatever_directory_a_method_goes_to(ran):
    folder, _ = ran
    assert {path.name for path in folder.iterdir()} == {"r", "fork", "daemon", "hang"}
    assert not Path("/r").exists()


def test_inline_a_method_that_changes_weights_is_invalid_and_the_next_one_gets_new_ones(bench):  # noqa: F811
    names = "eap,halves-weights,after-halves-weights,overwrites-prompts,after-overwrites-prompts,goes-elsewhere"
    code, out, _ = bench("run", "--inline", "--method", f"{names},changes-precision,after-changes-precision",
                         "--task", TASK, "--plugin", ABUSES, "--results", "r", "--json")  # fmt: skip
    assert code == 3
    here = Path.cwd()
    assert [c["status"] for c in json.loads(out)] == ["done", "invalid", "done", "invalid", "done"] + ["done"] * 3
    assert torch.get_default_dtype() == torch.float32
    for name in ("after-halves-weights", "after-overwrites-prompts", "after-changes-precision"):
        assert torch.equal(_scores(here, name), _scores(here, "eap"))


@OF_THE_RUN
def test_isolated_and_inline_give_the_same_bits(ran, bench):  # noqa: F811
    if torch.get_num_threads() != 1:
        pytest.skip("the run in the fixture uses one thread")
    bench("run", "--inline", "--method", "eap", "--task", TASK, "--results", "r")
    assert torch.equal(_scores(Path.cwd(), "eap"), _scores(ran[0], "eap"))


def test_inline_and_limits_exclude_each_other(bench):  # noqa: F811
    code, _, err = bench("run", "--inline", "--timeout", "5", "--method", "eap", "--task", TASK)
    assert code == 2
    assert "--inline was given with --timeout" in err


def test_more_jobs_give_the_same_scores_and_every_cell_once(bench):  # noqa: F811
    arguments = ("run", "--method", "eap,random", "--task", f"{TASK},compiled-brackets", "--data-seeds", "2", "--json")
    code, out, _ = bench(*arguments, "--results", "two", "--jobs", "2")
    assert code == 0
    assert len(json.loads(out)) == 8
    bench(*arguments, "--results", "one")
    answers = {p.relative_to("two"): p for p in Path("two").rglob("*.safetensors")}
    assert len(answers) == 8
    for where, path in answers.items():
        assert torch.equal(load_file(path)["scores"], load_file(Path("one") / where)["scores"]), where


def test_a_device_that_forks_cannot_share_gives_the_same_scores(bench):  # noqa: F811
    """`cpu:0` is not `cpu`, so every process loads the problem for itself, as it must on a GPU."""
    bench("run", "--method", "eap", "--task", TASK, "--results", "a", "--device", "cpu:0")
    bench("run", "--method", "eap", "--task", TASK, "--results", "b")
    where = Path("eap") / f"{TASK}@v2" / "data-0" / "seed-0.safetensors"
    assert torch.equal(load_file(Path("a") / where)["scores"], load_file(Path("b") / where)["scores"])


@pytest.mark.parametrize(
    ("text", "said"),
    [("import sys; sys.exit(0)", "SystemExit"), ("import os; os._exit(0)", "ends the process that imports it")],
)
@pytest.mark.parametrize("command", ["run --method eap --task compiled-fraction", "check eap"])
def test_a_plugin_file_that_exits_is_an_error(tmp_path, text, said, command):
    (tmp_path / "bad.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "mechboard", *command.split(), "--plugin", "bad.py"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize("name", ["exits", "exits-at-once", "segfaults"])
def test_check_reports_a_method_that_ends_its_process(tmp_path, name):
    done = subprocess.run(
        [sys.executable, "-m", "mechboard", "check", name, "--plugin", str(ABUSES), "--json"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 1
    results = {r["check"]: r for r in json.loads(done.stdout)[name]}
    assert results["metadata"]["outcome"] == "passed"
    assert results["solution"]["outcome"] == "error"


def test_check_reports_a_method_that_hangs(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mechboard", "check", "hangs", "--plugin", str(ABUSES), "--timeout", "1s"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 1
    assert "still running after 1 s" in done.stdout
