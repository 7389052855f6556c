"""Input that cannot be used: one sentence, the cell's status, and the other cells go on."""

import json
import re
from pathlib import Path

import pytest
from test_cli import bench  # noqa: F401

from mechboard.assets import LOCK
from mechboard.plugins.registry import Registry

TASKS = Path(__file__).parent / "data" / "bad_tasks.py"
SAID = {
    "truth-of-more-edges": r"Truth 'bad:truth' holds edges of shape \(\d+,\) and its graph has \d+ edges; make it from names",
    "truth-with-edges-that-the-graph-lacks": r"'input->a77.h0<q>' is no edge of this graph of \d layers",
    "truth-with-inputs-of-another-graph": r"Truth 'bad:truth' holds direct of shape \(7,\) and its graph has \d+ dest",
    "ablation-that-nobody-knows": "Ablation 'median' is unknown; valid: resample, mean",
    "prompts-of-unequal-length": "each pair must have the same number of tokens",
    "pair-of-words-of-unequal-length": "'Mary gave' is 9 tokens and its corruption 'Bartholomew gave' 16; a pair must have",
    "name-of-two-tokens": "' Bo' is 3 tokens after .*; valid: exactly one",
    "no-instance": r"Task 'no-instance' loads CircuitProblem; valid: mechboard.protocols.Instance\(",
    "unranked": "each pair must have the same number of tokens",
    "hub-out-of-reach": "The hub cannot be reached; try again later",
    "full-disk": "A file cannot be written .*; free space, then run again",
}
NO_ANSWER = ("--method", "random", "--plugin", TASKS, "--progress", "quiet", "--json")


def _run(bench, tasks, *arguments):  # noqa: F811
    code, out, err = bench("run", *NO_ANSWER, "--task", ",".join(tasks), *arguments)
    assert "Traceback" not in err
    return code, {cell["task"]: cell for cell in json.loads(out)}, err


@pytest.mark.parametrize("where", [("--jobs", "2"), ("--inline",)])
def test_what_is_wrong_with_a_task_is_one_sentence_and_the_others_go_on(bench, where):  # noqa: F811
    expected = dict(SAID)
    if "--inline" in where:  # in this process annotations are checked, and refuse it first
        for name in ("ablation-that-nobody-knows", "prompts-of-unequal-length", "unranked"):
            del expected[name]
    code, cells, _ = _run(bench, [*expected, "right"], *where)
    assert code == 3
    assert cells.pop("right")["status"] == "done"
    for task, said in expected.items():
        cell = cells.pop(task)
        assert cell["status"] == "failed"
        assert re.search(said, cell["error"]), cell["error"]
        assert "\n" not in cell["error"]
    assert not cells


def test_where_the_environment_alone_failed_the_exit_code_says_so(bench):  # noqa: F811
    assert _run(bench, ["hub-out-of-reach", "full-disk", "right"], "--inline")[0] == 5
    assert _run(bench, ["hub-out-of-reach", "no-instance"], "--inline")[0] == 3


def test_a_task_without_its_asset_is_skipped_by_name_and_the_others_run(bench, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("MECHBOARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MECHBOARD_ASSETS", raising=False)
    code, cells, err = _run(bench, ["pronoun-stories", "right"], "--inline")
    assert code == 0
    assert list(cells) == ["right"]
    assert "skipped: random x pronoun-stories (assets not here: bench pull" in err


def test_an_asset_that_was_changed_fails_its_cells_and_the_others_run(bench, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("MECHBOARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MECHBOARD_ASSETS", str(tmp_path / "assets"))
    [asset] = Registry().load("task", "pronoun-stories").assets
    for name in asset.files:
        path = tmp_path / "assets" / asset.name / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("changed")
    (tmp_path / "cache").mkdir()
    locked = {"repository": "r", "revision": "commit", "files": dict.fromkeys(asset.files, "0" * 64)}
    (tmp_path / "cache" / LOCK).write_text(json.dumps({asset.name: locked}))
    code, cells, _ = _run(bench, ["pronoun-stories", "right"], "--inline")
    assert code == 3
    assert cells["right"]["status"] == "done"
    assert cells["pronoun-stories"]["status"] == "failed"
    assert "differ from what `bench pull" in cells["pronoun-stories"]["error"]
