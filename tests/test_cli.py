"""The command line as a newcomer and as a script meet it."""

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

import mechboard.cli as cli

ROOT = Path(__file__).parent.parent
CHEAP = ["--task", "compiled-brackets"]
EDGES = (
    "from dataclasses import dataclass\nfrom mechboard.protocols import method\n"
    "@dataclass(frozen=True)\nclass Parameters:\n    tau: float = 0.5\n"
    '@method(name="edges", kinds=("circuit",), deterministic=True)\n'
    "def edges(problem, generator, parameters: Parameters):\n    return None\n"
)


@pytest.fixture
def bench(tmp_path, monkeypatch, capsys):
    """Run `bench ARGUMENTS` in a temporary folder: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        captured = capsys.readouterr()
        return stopped.value.code, captured.out, captured.err

    return call


def test_list_imports_no_torch_and_is_fast():
    code = (
        "import sys, time; begun = time.perf_counter(); sys.argv = ['bench', 'list']\n"
        "from mechboard.cli import main\n"
        "try: main()\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "heavy = {'torch', 'transformer_lens', 'transformers', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "print('seconds', time.perf_counter() - begun)"
    )
    fastest = float("inf")
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        fastest = min(fastest, float(done.stdout.split()[-1]))
    assert fastest < 0.5


def test_list_as_json_is_for_scripts(bench):
    code, out, _ = bench("list", "methods", "--json")
    assert code == 0
    assert {"name": "eap", "kinds": ["circuit"]}.items() <= {r["name"]: r for r in json.loads(out)}["eap"].items()
    assert set(json.loads(bench("list", "--json")[1])) == {"method", "task", "suite"}
    tasks = {row["name"]: row for row in json.loads(bench("list", "tasks", "--json")[1])}
    mini = {"kind": "circuit", "tier": "embedded", "family": "agreement-mini"}
    assert mini.items() <= tasks["agreement-simple-mini"].items()
    assert tasks["ioi-mini"]["family"] == "ioi-mini"
    assert all(row["kind"] and row["tier"] for row in tasks.values())


def test_list_plugins_says_where_each_comes_from(bench):
    rows = json.loads(bench("list", "plugins", "--json")[1])
    assert {r["state"] for r in rows} == {"ok"}
    assert {"method", "task", "suite"} == {r["what"] for r in rows}


def test_run_leaves_records_prints_a_table_and_says_what_next(bench):
    code, out, err = bench("run", "--method", "eap,random", *CHEAP)
    assert code == 0
    assert re.search(r"compiled-brackets\s+auc\s+1\.000\s+0\.\d+", out)
    assert "bench leaderboard serve" in out
    assert "[1/2] done" in err
    assert len(list(Path("mechboard-results").rglob("seed-0.json"))) == 2
    assert "[1/2] cached" in bench("run", "--method", "eap,random", *CHEAP)[2]


def test_run_as_json_prints_only_json_on_standard_output(bench):
    code, out, _ = bench("run", "--method", "eap-ig", *CHEAP, "--param", "eap-ig.steps=2", "--json", "--results", "r")
    [cell] = json.loads(out)
    assert (code, cell["label"], cell["status"]) == (0, "eap-ig[steps=2]", "done")
    assert cell["parameters"] == {"steps": 2, "rule": "left"}
    assert Path(cell["record"]).is_file()


def test_a_cached_run_of_the_command_starts_no_process_and_imports_no_model_code(bench, monkeypatch):
    arguments = ("run", "--method", "eap,random", "--task", "compiled-fraction,ioi-mini", "--results", "r", "--json")
    assert bench(*arguments)[0] == 0
    from mechboard.runs.workers import server

    monkeypatch.setattr(server, "server", lambda: pytest.fail("a process was started"))
    monkeypatch.setattr("mechboard.graph.hf.load_checkpoint", lambda *a, **k: pytest.fail("a model was loaded"))
    cells = json.loads(bench(*arguments)[1])
    assert {c["status"] for c in cells} == {"cached"}


def test_dry_run_prints_the_plan_and_runs_nothing(bench):
    code, out, _ = bench("run", "--method", "all", "--task", "compiled-*", "--seeds", "2", "--dry-run")
    assert code == 0
    assert "78 cells; nothing was run." in out
    assert not Path("mechboard-results").exists()


def test_a_config_file_gives_defaults_and_a_typed_flag_wins(bench):
    Path("run.toml").write_text('method = "random"\ntask = "compiled-brackets"\nseeds = 3\nresults = "here"\n')
    assert "3 cells" in bench("run", "--config", "run.toml", "--dry-run")[1]
    assert "2 cells" in bench("run", "--config", "run.toml", "--dry-run", "--seeds", "2")[1]
    Path("bad.toml").write_text("metod = 'eap'\n")
    code, _, err = bench("run", "--config", "bad.toml")
    assert code == 2
    assert "sets metod; valid keys: " in err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["run", "--method", "eapp", "--task", "all"], 2, "No method matches 'eapp'; closest: eap"),
        (["run", "--method", "eap", "--task", "sva*"], 2, "No task matches 'sva\\*'; valid: "),
        (["run", "--method", "eap", "--task", ""], 2, "No task matches ''"),
        (["run", "--method", "eap"], 2, "bench run --method eap --task all"),
        (["run", "--method", "eap", *CHEAP, "--param", "eap.steps=3"], 2, "parameter of eap"),
        (["run", "--method", "eap-ig", *CHEAP, "--param", "eap-ig.steps=x"], 2, "a value of type int"),
        (["run", "--method", "eap-ig", *CHEAP, "--param", "eap-ig.steps=0"], 2, "steps=0 was given; valid: 1 or more"),
        (["run", "--method", "edges", *CHEAP, "--plugin", "edges.py", "--param", "edges.tau=inf"], 2, "float, finite"),
        (["run", "--method", "eap", *CHEAP, "--param", "steps"], 2, "METHOD.NAME=VALUE"),
        (["run", "--method", "eap", *CHEAP, "--device", "gpu"], 2, "--device 'gpu' is not usable here; valid: cpu"),
        (["run", "--method", "eap", "--model", "x"], 2, "--model with --pairs, or --model with --bad and --keep"),
        (["show", "nothing"], 2, "No method, task, suite or record matches 'nothing'"),
        (["show", "absent.json"], 2, "There is no record 'absent.json'"),
        (["status", "--results", "absent"], 2, "There is no results folder 'absent'"),
        (["compare", "absent", "absent"], 2, "There is no results folder"),
        (["leaderboard", "build", "--results", "absent"], 2, "There is no results folder"),
        (["new", "method", "My Method"], 2, "valid: lower-case words"),
        (["frobnicate"], 2, "No such command"),
    ],
)
def test_a_mistake_is_one_sentence_with_exit_code_2(bench, arguments, code, said):
    Path("edges.py").write_text(EDGES)
    got, out, err = bench(*arguments)
    assert got == code
    assert re.search(said, err), err
    assert "Traceback" not in out + err


def test_failed_cells_exit_3_and_the_first_error_can_be_shown(bench):
    Path("bad.py").write_text(
        "from mechboard.protocols import NoParameters, method\n"
        '@method(name="bad", kinds=("circuit",), deterministic=True)\n'
        "def bad(problem, generator, parameters: NoParameters):\n    raise RuntimeError('no such luck')\n"
    )
    code, out, _ = bench("run", "--method", "bad,eap", *CHEAP, "--plugin", "bad.py")
    assert code == 3
    [path] = re.findall(r"`bench show (\S+)`", out)
    assert "no such luck" in bench("show", path)[1]
    code, out, _ = bench("status")
    assert code == 3
    assert "1 failed" in out
    assert "1 done" in out


def test_exit_codes_are_told_by_the_help_and_the_readme(bench):
    told = bench("--help")[1]
    readme = (ROOT / "README.md").read_text()
    for code, meaning in cli.EXIT_CODES.items():
        assert f"  {code:>3}  {meaning}\n" in told
        assert f"| {code} | {meaning} |\n" in readme
    assert set(cli.EXIT_CODES) == {0, 1, 2, 3, 4, 5, 130}


def test_a_full_disk_is_the_environment_and_no_usage(bench, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    code, out, err = bench("run", "--method", "random", *CHEAP)
    assert code == 5
    assert "cannot be written (No space left on device)" in err
    assert "Traceback" not in out + err
    assert bench("leaderboard", "build", "--results", ROOT / "results" / "reference")[0] == 5


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_output_onto_a_full_disk_is_the_environment():
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "mechboard", "list"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 5
    assert done.stderr == "error: The output cannot be written (No space left on device); free space, then run again.\n"


def test_a_folder_in_place_of_which_there_is_a_file_is_the_environment(bench):
    Path("file").touch()
    code, _, err = bench("run", "--method", "eap", *CHEAP, "--results", "file/inside")
    assert (code, "choose another with --results" in err) == (5, True)
    code, _, err = bench("new", "method", "mine", "--into", "file")
    assert (code, "choose another place with --into" in err) == (5, True)


def test_a_folder_that_is_read_only_stops_the_run_before_it_starts(bench):
    Path("r").mkdir()
    Path("r/READ_ONLY").touch()
    code, _, err = bench("run", "--method", "eap", *CHEAP, "--results", "r")
    assert code == 2
    assert "choose another with --results" in err
    assert [p.name for p in Path("r").iterdir()] == ["READ_ONLY"]


ZERO = (
    "import torch\nfrom mechboard.protocols import EdgeScores, NoParameters, method\n"
    '@method(name="zero", kinds=("circuit",), deterministic=True)\n'
    "def zero(problem, generator, parameters: NoParameters):\n    return EdgeScores(torch.zeros(problem.graph.n_edges))\n"
)


def test_scores_that_are_all_zero_are_noted_while_running_and_in_the_record(bench):
    Path("zero.py").write_text(ZERO)
    code, _, err = bench("run", "--method", "zero", *CHEAP, "--plugin", "zero.py")
    note = "every score is 0: the method tells no edge from another"
    assert code == 0
    assert f"auc[compiled-brackets:program] 0.500; {note}" in err
    [path] = Path("mechboard-results").rglob("seed-0.json")
    assert f"note: {note}" in bench("show", path)[1]


def test_show_says_that_a_cost_is_unknown_and_refuses_broken_scores(bench):
    bench("run", "--method", "eap", *CHEAP)
    [path] = Path("mechboard-results").rglob("seed-0.json")
    data = json.loads(path.read_text())
    data["cost"] |= {"forwards": None, "backwards": None}
    path.write_text(json.dumps(data))
    assert "cost: unknown forwards, unknown backwards of" in bench("show", path)[1]
    scores = path.with_suffix(".safetensors")
    for content in (b"broken", scores.read_bytes()[:-4], save({"scores": torch.zeros(3)}), save({})):
        scores.write_bytes(content)
        code, _, err = bench("show", path, "--top", "3")
        assert (code, "run the cell again with --fresh" in err) == (2, True)


def test_status_lists_planned_cells_that_are_missing(bench):
    bench("run", "--method", "random", *CHEAP, "--seeds", "2")
    Path("mechboard-results/random/compiled-brackets@v2/data-0/seed-1.json").unlink()
    code, out, _ = bench("status")
    assert code == 3
    assert "missing      random x compiled-brackets@v2 data-0 seed-1" in out


def _scale(path, factor):
    record = json.loads(path.read_text())
    record["measures"][record["headline"]]["value"] *= factor
    path.write_text(json.dumps(record))


def test_compare_gates_on_a_drop_beyond_the_tolerance(bench):
    for folder in ("base", "head"):
        bench("run", "--method", "eap,random", *CHEAP, "--results", folder)
    assert bench("compare", "base", "head")[0] == 0
    _scale(Path("head/eap/compiled-brackets@v2/data-0/seed-0.json"), 0.98)
    code, out, _ = bench("compare", "base", "head", "--tolerance", "0.01")
    assert code == 1
    assert re.search(r"worse +eap x compiled-brackets  auc.* 1 -> 0.98 \(-0.02, tolerance 0.01\)", out)
    assert bench("compare", "base", "head", "--tolerance", "0.03")[0] == 0
    assert "better" in bench("compare", "head", "base")[1]


def test_compare_tells_what_cannot_be_compared(bench):
    for folder in ("base", "head"):
        bench("run", "--method", "eap,random,ground-truth", *CHEAP, "--results", folder)
    failing = Path("head/eap/compiled-brackets@v2/data-0/seed-0.json")
    error = {"type": "E", "message": "m", "traceback": "t"}
    failed = {"status": "failed", "headline": None, "measures": {}, "error": error}
    failing.write_text(json.dumps(json.loads(failing.read_text()) | failed))
    other = Path("head/random/compiled-brackets@v2/data-0/seed-0.json")
    other.write_text(json.dumps(json.loads(other.read_text()) | {"scorer_id": "x"}))
    Path("head/ground-truth/compiled-brackets@v2/data-0/seed-0.json").unlink()
    code, out, _ = bench("compare", "base", "head", "--json")
    verdicts = {c["label"]: c["verdict"] for c in json.loads(out)["cells"]}
    assert verdicts == {"eap": "newly failing", "random": "not comparable", "ground-truth": "missing"}
    assert code == 1
    assert bench("compare", "base", "empty")[0] == 2


def test_compare_of_records_with_nothing_in_common_exits_4_if_that_is_allowed(bench):
    bench("run", "--method", "eap", *CHEAP, "--results", "base")
    bench("run", "--method", "random", *CHEAP, "--results", "head")
    assert bench("compare", "base", "head")[0] == 1
    assert bench("compare", "base", "head", "--allow-missing")[0] == 4


@pytest.mark.parametrize("export", ["json", "dot", "svg"])
def test_a_records_circuit_can_be_exported(bench, export):
    bench("run", "--method", "eap", *CHEAP, "--results", "r")
    path = "r/eap/compiled-brackets@v2/data-0/seed-0.json"
    code, out, _ = bench("show", path, "--top", "30", "--export", export)
    assert code == 0
    if export == "json":
        edges = json.loads(out)["edges"]
        assert len(edges) == 30
        assert sum(e["known"] for e in edges) == 11
        assert [abs(e["score"]) for e in edges] == sorted((abs(e["score"]) for e in edges), reverse=True)
    elif export == "dot":
        assert out.count(" -> ") == 30
    else:
        import xml.etree.ElementTree as ET

        assert len(ET.fromstring(out).findall(".//{http://www.w3.org/2000/svg}path")) == 30


def test_show_tells_what_a_method_and_a_task_are(bench):
    assert "parameter steps = 5" in bench("show", "eap-ig")[1]
    assert "two forwards" in bench("show", "eap")[1]
    assert "Ablation: resample" in bench("show", "compiled-reverse")[1]
    assert "family: agreement-mini" in bench("show", "agreement-simple-mini")[1]
    assert "outside the overall score:\ncompiled-arithmetic" in bench("show", "embedded")[1]


def test_doctor_finds_nothing_wrong_here_and_a_broken_record_elsewhere(bench):
    code, out, _ = bench("doctor")
    assert code == 0
    assert "broken" not in out
    path = Path("mechboard-results/eap/t@v1/data-0/seed-0.json")
    path.parent.mkdir(parents=True)
    path.write_text("{")
    code, out, _ = bench("doctor")
    assert code == 1
    assert "1 unreadable records" in out


def test_doctor_finds_an_older_description_of_the_package_that_would_hide_new_plugins(bench, tmp_path, monkeypatch):
    old = tmp_path / "clone" / "mechboard.egg-info"
    old.mkdir(parents=True)
    (old / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: mechboard\nVersion: 0.0.1\n")
    (old / "entry_points.txt").write_text("[mechboard.methods]\nold = old:old\n")
    monkeypatch.setattr("sys.path", [*sys.path, str(tmp_path / "clone")])
    code, out, _ = bench("doctor")
    assert code == 1
    assert "delete the older mechboard.egg-info" in out


def test_help_names_every_command(bench):
    out = bench("--help")[1]
    for name in ("list", "show", "run", "status", "compare", "gate", "leaderboard", "new", "doctor"):
        assert re.search(rf"^  {name} ", out, re.M)


def test_the_module_runs_like_the_script(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mechboard", "--version"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.startswith("mechboard, version 0.1.0")


def test_interrupting_a_run_exits_130_and_keeps_what_is_done(tmp_path):
    import signal
    import time

    (tmp_path / "slow.py").write_text(
        "import time\nfrom mechboard.protocols import NoParameters, method\n"
        '@method(name="slow", kinds=("circuit",), deterministic=True)\n'
        "def slow(problem, generator, parameters: NoParameters):\n    time.sleep(60)\n"
    )
    command = [sys.executable, "-m", "mechboard", "run", "--method", "eap,slow", *CHEAP, "--plugin", "slow.py"]
    running = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=os.environ)
    for line in running.stderr:
        if "done" in line:
            break
    time.sleep(1)
    running.send_signal(signal.SIGINT)
    assert running.wait(timeout=60) == 130
    statuses = {p.parts[-4]: json.loads(p.read_text())["status"] for p in tmp_path.rglob("seed-0.json")}
    assert statuses == {"eap": "done", "slow": "interrupted"}


def test_the_leaderboard_is_built_and_served(bench, tmp_path):
    import signal
    import urllib.request

    bench("run", "--method", "eap", *CHEAP, "--results", "r")
    code, out, _ = bench("leaderboard", "build", "--results", "r", "--out", "built")
    assert code == 0
    assert "1 records -> built/index.html" in out
    command = [
        sys.executable,
        "-m",
        "mechboard",
        "leaderboard",
        "serve",
        "--results",
        "r",
        "--out",
        "served",
        "--port",
        "0",
    ]
    serving = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    [address] = re.findall(r"http://127.0.0.1:\d+/", serving.stdout.readline())
    with urllib.request.urlopen(address + "index.html") as answer:
        assert "compiled-brackets" in answer.read().decode()
    serving.send_signal(signal.SIGINT)
    assert serving.wait(timeout=30) == 0


def test_a_folder_without_a_readable_record_makes_no_site(bench):
    Path("empty").mkdir()
    code, _, err = bench("leaderboard", "build", "--results", "empty")
    assert code == 4
    assert "holds no readable record" in err
    assert not Path("site").exists()
