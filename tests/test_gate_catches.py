"""EAP broken in five subtle ways fails the gate with its default measures; ten harmless refactors pass it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from eap_variants import VARIANTS

from mechboard.comparison.compare import FAILING, compare
from mechboard.comparison.wanted import parse_measures
from mechboard.records.store import read_record

QUICK = "compiled-brackets,agreement-simple-mini"
WRONG = [name for name in VARIANTS if name.startswith("wrong-")]
SAME = [name for name in VARIANTS if name.startswith("same-")]


def _records(tasks, folder):
    """Records by method; every variant's as if it were `eap`, since it stands for a HEAD in which `eap` is written so."""
    plugin = Path(__file__).with_name("eap_variants.py")
    command = [sys.executable, "-m", "mechboard", "run", "--method", "eap,wrong-*,same-*", "--task", tasks]
    done = subprocess.run(
        [*command, "--plugin", plugin, "--results", folder, "--json", "--progress", "quiet"],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    found = {}
    for cell in json.loads(done.stdout):
        record = read_record(Path(cell["record"]))
        as_eap = record.cell.model_copy(update={"method": "eap", "label": "eap", "slug": "eap"})
        found.setdefault(cell["label"], []).append(record.model_copy(update={"cell": as_eap}))
    return found


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    return _records(QUICK, tmp_path_factory.mktemp("quick"))


def _failing(records, name, *, measures=()):
    verdicts = compare(records["eap"], records[name], parse_measures(measures))
    assert len({v.task for v in verdicts}) == len(records["eap"])
    return {v.measure.partition("[")[0] for v in verdicts if v.verdict in FAILING}


def test_there_are_five_mistakes_and_ten_refactors():
    assert (len(WRONG), len(SAME)) == (5, 10)


@pytest.mark.parametrize("name", WRONG)
def test_a_subtle_mistake_in_eap_fails_the_gate(quick, name):
    assert _failing(quick, name) - {"passes"}


@pytest.mark.parametrize("name", SAME)
def test_a_harmless_refactor_of_eap_passes_the_gate(quick, name):
    assert _failing(quick, name) == set()


def test_a_flipped_sign_shows_only_in_measures_that_read_signs(quick):
    """Why the headline alone is no gate: AUC and CMD rank by the absolute score."""
    assert _failing(quick, "wrong-sign", measures=["cmd"]) == set()
    assert _failing(quick, "wrong-sign") == {"cpr-clipped", "correlation"}


@pytest.mark.slow
def test_the_gate_tells_them_apart_on_every_embedded_task(tmp_path):
    records = _records("embedded", tmp_path)
    assert all(_failing(records, name) - {"passes"} for name in WRONG)
    assert all(not _failing(records, name) for name in SAME)
