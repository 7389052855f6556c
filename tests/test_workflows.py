"""The example workflows: what they call exists, what they may do is the least, and they leave one comment."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

import mechboard.cli as cli

FOLDER = Path(__file__).parent.parent / "examples" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))
MAY = {"gate": {"contents": "read"}, "comment": {"actions": "read", "pull-requests": "write"}}


def workflow(name):
    loaded = yaml.safe_load((FOLDER / f"{name}.yml").read_text())
    loaded["on"] = loaded.pop(True)  # YAML 1.1 reads the key `on` as true
    return loaded


def steps(path):
    return [step for job in workflow(path.stem)["jobs"].values() for step in job["steps"]]


def scripts(path):
    return [step["run"] for step in steps(path) if "run" in step]


def test_there_are_two():
    assert {path.stem for path in FILES} == {"gate", "gate-comment"}


def test_every_bench_line_is_one_that_the_command_line_takes():
    lines = [line for path in FILES for script in scripts(path) for line in script.splitlines() if "bench " in line]
    called = [line for line in lines if line.split()[0] == "bench"]
    assert len(called) == 1
    for line in called:
        _, name, *arguments = shlex.split(line.partition(">")[0])
        command = cli.bench.get_command(None, name)
        context = command.make_context(name, arguments)
        assert context.params["form"] == "markdown"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_actions_are_pinned_to_a_commit_and_say_its_version(path):
    used = [step["uses"] for step in steps(path) if "uses" in step]
    assert used
    assert used == re.findall(r"uses: (actions/[a-z-]+@[0-9a-f]{40}) # v\d+\.\d+\.\d+\n", path.read_text())


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_each_job_may_do_only_what_it_must(path):
    loaded = workflow(path.stem)
    assert loaded["permissions"] == {}
    assert {name: job["permissions"] for name, job in loaded["jobs"].items()} == {
        name: MAY[name] for name in loaded["jobs"]
    }
    assert all("timeout-minutes" in job for job in loaded["jobs"].values())


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_no_name_that_a_stranger_chose_is_pasted_into_a_script(path):
    for script in scripts(path):
        assert "${{" not in script
        subprocess.run(["bash", "-n", "-c", script], check=True)


def test_what_runs_a_strangers_code_has_no_rights_and_what_has_rights_runs_none():
    assert workflow("gate")["on"] == "pull_request"
    assert steps(FOLDER / "gate.yml")[0]["with"] == {"fetch-depth": 0, "persist-credentials": False}
    comment = workflow("gate-comment")
    assert comment["on"]["workflow_run"]["workflows"] == [workflow("gate")["name"]]
    assert not any("checkout" in step.get("uses", "") for step in steps(FOLDER / "gate-comment.yml"))
    assert not any(re.search(r"\b(bench|pip|python)\b (?!gate)", s) for s in scripts(FOLDER / "gate-comment.yml"))


def _comment(tmp_path, *, pull_request, existing, table="**a table** ❌"):
    """Run the comment's script with a `gh` that answers so; its calls, and the comment's text."""
    (tmp_path / "gate.md").write_text(table)
    answers = f'case "$*" in *"GET repos"*) printf "{pull_request}";; *--paginate*) printf "{existing}";; esac'
    fake = tmp_path / "gh"
    fake.write_text(f'#!/bin/sh\necho "$*" >> calls\n{answers}\n')
    fake.chmod(0o755)
    [script] = scripts(FOLDER / "gate-comment.yml")
    environment = os.environ | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "REPOSITORY": "us/ours",
        "BRANCH": "them:$(touch owned)",
        "COMMIT": "abc",
    }
    subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script], cwd=tmp_path, env=environment, check=True, capture_output=True
    )
    assert not (tmp_path / "owned").exists()
    body = tmp_path / "body.md"
    return (tmp_path / "calls").read_text().splitlines(), body.read_text() if body.exists() else None


def test_the_first_run_adds_a_comment_and_later_ones_update_it(tmp_path):
    calls, body = _comment(tmp_path, pull_request=7, existing="")
    assert "--method POST repos/us/ours/issues/7/comments -F body=@body.md" in calls[-1]
    assert body == "<!-- bench gate -->\n**a table** ❌\n"
    calls, _ = _comment(tmp_path, pull_request=7, existing=r"41\n42\n")
    assert "--method PATCH repos/us/ours/issues/comments/41 -F body=@body.md" in calls[-1]


def test_a_run_without_a_pull_request_or_a_table_does_no_harm(tmp_path):
    calls, body = _comment(tmp_path, pull_request="", existing="")
    assert (len(calls), body) == (1, None)
    _, body = _comment(tmp_path, pull_request=7, existing="", table="")
    assert "did not run to its end" in body
