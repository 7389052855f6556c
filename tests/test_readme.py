"""What the README says is what happens."""

import re
import shlex
from dataclasses import replace
from functools import partial
from pathlib import Path

from test_cli import bench  # noqa: F401

import mechboard.cli as cli
from mechboard.records.store import Store

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.S)
METHODS = [block for block in BLOCKS if "@method(" in block]


def test_the_method_in_twenty_lines_runs_and_is_twenty_lines(bench):  # noqa: F811
    code = METHODS[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
    Path("difference.py").write_text(code)
    command = "run --method difference --task compiled-brackets --plugin difference.py"
    assert bench(*shlex.split(command))[0] == 0


def test_the_method_written_with_hooks_finds_circuits_and_its_cost_is_counted(bench):  # noqa: F811
    Path("hooked.py").write_text(METHODS[1])
    [command] = re.findall(r"`bench (run [^`]*--plugin hooked.py)`", README)
    some = command.replace("--task all", "--task compiled-reverse,trained-induction")
    assert bench(*shlex.split(some), "--results", "r")[0] == 0
    records = [record for _, record in Store("r").records()]
    assert len(records) == 2
    for record in records:
        assert record.headline_measure.value > 0.9, record.cell.name
        assert (record.cost.forwards, record.cost.backwards) == (2, 1)


def test_the_task_of_ones_own_runs_and_is_a_fair_one(bench):  # noqa: F811
    [code] = [block for block in BLOCKS if "(Task):" in block]
    Path("agreement.py").write_text(code)
    [run] = re.findall(r"`bench (run [^`]*--plugin agreement.py)`", README)
    [check] = re.findall(r"`bench (check [^`]*--plugin agreement.py)`", README)
    assert bench(*shlex.split(run.replace("--method all", "--method eap")), "--results", "r")[0] == 0
    [record] = [record for _, record in Store("r").records()]
    assert record.headline_measure.value > 0.9
    code, out, _ = bench(*shlex.split(check))
    assert code == 0, out


def test_what_is_said_of_a_notebook_is_so(monkeypatch):
    import mechboard
    from mechboard.methods.eap import eap

    [code] = [block for block in BLOCKS if "mechboard.load(" in block]
    cheap = code.replace("ioi-mini,trained-ioi", "compiled-brackets")
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(mechboard, "run", partial(mechboard.run, progress="quiet"))
    told = {"my_method": replace(eap, name="my-method")}
    exec(cheap, told)
    assert {r.cell.method for r in told["results"]} == {"my-method", "eap", "random"}


def test_a_model_and_pairs_of_ones_own_run_as_they_stand(bench):  # noqa: F811
    [pairs] = re.findall(r"```json\n(.*?)```", README, re.S)
    [command] = re.findall(r"^    bench (run .*--pairs pairs.jsonl)$", README, re.M)
    Path("pairs.jsonl").write_text(pairs)
    Path("ground_truth").symlink_to(ROOT / "ground_truth")
    code, out, err = bench(*shlex.split(command))
    assert code == 0, err
    assert re.search(r"own-model-pairs-\w{8} +cmd +0\.\d+", out)


def test_every_command_that_is_named_exists():
    named = set(re.findall(r"`?bench ([a-z]+)", README))
    assert {"run", "show", "compare", "list", "doctor", "leaderboard", "new"} <= named
    for name in named:
        assert name in cli._COMMANDS, name


def test_every_link_leads_to_a_file():
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / link).exists(), link


def test_the_two_lines_stand_as_they_must():
    lines = [line.strip() for line in README.splitlines()]
    assert "pip install -e . -c constraints.txt && bench run --method eap --task all" in lines
    assert "pip install -e '.[dev]' -c constraints.txt && pytest -n auto" in lines


def test_the_record_that_it_shows_is_one_of_the_committed_ones(bench):  # noqa: F811
    [shown] = re.findall(r"```\n(eap x .*?)```", README, re.S)
    record = ROOT / "results" / "reference" / "eap" / "compiled-redundant@v2" / "data-0" / "seed-0.json"
    printed = bench("show", record)[1].splitlines()
    for line in shown.splitlines():
        assert line in printed
