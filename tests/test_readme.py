"""What the README says is what happens."""

import re
import shlex
from pathlib import Path

from test_cli import bench  # noqa: F401

import mechboard.cli as cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_method_in_twenty_lines_runs_and_is_twenty_lines(bench):  # noqa: F811
    [code] = re.findall(r"```python\n(.*?)```", README, re.S)
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
    Path("difference.py").write_text(code)
    command = "run --method difference --task compiled-brackets --plugin difference.py"
    assert bench(*shlex.split(command))[0] == 0


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
    record = ROOT / "results" / "reference" / "eap" / "compiled-redundant@v1" / "data-0" / "seed-0.json"
    printed = bench("show", record)[1].splitlines()
    for line in shown.splitlines():
        assert line in printed
