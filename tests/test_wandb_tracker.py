"""W&B: an offline run is read back; absent or failing, it is one warning."""

import builtins
import json
import struct
import time

import pytest
from made_records import feature_exhibits
from test_board import record
from test_cli import CHEAP, bench  # noqa: F401
from test_runner import Quiet, counted, drawn, run

from mechboard.records.store import Store
from mechboard.runs.runner import Outcome, Runner
from mechboard.runs.wandb_tracker import WandbTracker
from mechboard.runs.workers.inline import Inline

wandb = pytest.importorskip("wandb")


def _records(path):
    """Protobuf records of an offline .wandb file: a 7-byte header, then LevelDB log blocks of 32 KiB."""
    from wandb.proto import wandb_internal_pb2

    data, offset, partial = path.read_bytes(), 7, b""
    while offset + 7 <= len(data):
        left = 32768 - offset % 32768
        if left < 7:
            offset += left
            continue
        _, length, kind = struct.unpack("<IHB", data[offset : offset + 7])
        if offset + 7 + length > len(data):
            return  # still being written
        partial += data[offset + 7 : offset + 7 + length]
        offset += 7 + length
        if kind in (1, 4):  # whole, or last part
            record = wandb_internal_pb2.Record()
            record.ParseFromString(partial)
            partial = b""
            yield record


def _finished(path):
    """All records, once the last one is there: W&B's own process may still be writing when `finish` returns."""
    for _ in range(100):
        found = list(_records(path))
        if any(r.WhichOneof("record_type") == "exit" for r in found):
            return found
        time.sleep(0.2)
    raise AssertionError(f"{path} was not written to its end in 20 s")


def test_an_offline_run_holds_measures_curves_config_and_the_record(bench, monkeypatch):  # noqa: F811
    monkeypatch.delenv("WANDB_MODE", raising=False)
    code, out, _ = bench("run", "--method", "eap", *CHEAP, "--wandb", "offline", "--results", "r", "--json")
    assert code == 0
    from pathlib import Path

    record = json.loads(Path(json.loads(out)[0]["record"]).read_text())
    [path] = Path("r/wandb").rglob("*.wandb")
    config, summary, history, artifacts = {}, {}, [], []
    for found in _finished(path):
        kind = found.WhichOneof("record_type")
        if kind == "run":
            config |= {u.key: json.loads(u.value_json) for u in found.run.config.update}
        elif kind == "summary":
            summary |= {u.key or u.nested_key[0]: json.loads(u.value_json) for u in found.summary.update}
        elif kind == "history":
            history.append({i.key or i.nested_key[0]: json.loads(i.value_json) for i in found.history.item})
        elif kind == "artifact":
            artifacts.append(found.artifact.name)
        elif kind == "request" and found.request.HasField("log_artifact"):
            artifacts.append(found.request.log_artifact.artifact.name)
    assert config["label"] == "eap"
    assert config["solution_id"] == record["solution_id"]
    for name, measure in record["measures"].items():
        assert summary[name] == pytest.approx(measure["value"]), name
    faithfulness = [row["faithfulness/y"] for row in history if "faithfulness/y" in row]
    assert faithfulness == pytest.approx(record["curves"]["faithfulness"]["y"])
    assert any(name.startswith("record-") for name in artifacts)


def _run_with_tracker(tmp_path, methods):
    from test_runner import FakeTask

    from mechboard.runs.labels import Selected
    from mechboard.runs.plan import make_plan

    warnings, store = [], Store(tmp_path)
    tracker = WandbTracker("offline", store, warnings.append)
    plan = make_plan([Selected(m) for m in methods], [FakeTask()], seeds=2, data_seeds=1)
    outcomes = list(Runner(store, [Quiet(), tracker], Inline(device="cpu"), device="cpu").run(plan))
    return outcomes, warnings


def test_without_wandb_the_run_is_complete_and_there_is_one_warning(tmp_path, monkeypatch):
    original = builtins.__import__

    def absent(name, *rest, **more):
        if name == "wandb":
            raise ModuleNotFoundError("No module named 'wandb'")
        return original(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", absent)
    outcomes, warnings = _run_with_tracker(tmp_path, [counted, drawn])
    assert [o.status for o in outcomes] == ["done"] * 3
    assert len(warnings) == 1
    assert "No module named 'wandb'" in warnings[0]


def test_an_outage_in_the_middle_is_one_warning_and_loses_no_record(tmp_path, monkeypatch):
    calls = []

    def init(**settings):
        calls.append(settings)
        raise ConnectionError("the network is unreachable")

    monkeypatch.setattr(wandb, "init", init)
    outcomes, warnings = _run_with_tracker(tmp_path, [counted, drawn])
    assert [o.status for o in outcomes] == ["done"] * 3
    assert len(warnings) == len(calls) == 1
    assert "the network is unreachable" in warnings[0]
    assert len(list(tmp_path.rglob("seed-*.json"))) == 3


@pytest.mark.parametrize(("value", "code"), [(0.7, 0), (None, 1)])
def test_a_failed_cell_is_a_failed_run_on_wandb_and_a_finished_one_is_not(tmp_path, monkeypatch, value, code):
    from unittest.mock import MagicMock

    sent = MagicMock()
    monkeypatch.setattr(wandb, "init", sent)
    monkeypatch.setattr(wandb, "Artifact", MagicMock())
    warnings, found = [], record(value)
    tracker = WandbTracker("offline", Store(tmp_path), warnings.append)
    tracker.ended(Outcome(found, found.status, 1.5), 1, 1)
    assert not warnings
    sent.return_value.finish.assert_called_once_with(exit_code=code)
    (summary,) = sent.return_value.summary.update.call_args.args
    assert summary == {"status": found.status, "seconds": 1.5} | {n: m.value for n, m in found.measures.items()}
    assert bool(found.measures) == (value is not None)


def test_what_exhibits_tabulate_is_a_table_by_their_name(tmp_path, monkeypatch):
    from unittest.mock import MagicMock

    sent, tables = MagicMock(), []
    monkeypatch.setattr(wandb, "init", sent)
    monkeypatch.setattr(wandb, "Artifact", MagicMock())
    monkeypatch.setattr(wandb, "Table", lambda **given: tables.append(given) or given)
    warnings, found = [], record(0.7, exhibits=feature_exhibits())
    WandbTracker("offline", Store(tmp_path), warnings.append).ended(Outcome(found, "done", 1.5), 1, 1)
    assert not warnings
    logged = {name: each for call in sent.return_value.log.call_args_list for name, each in call.args[0].items()}
    assert set(logged) == {"feature-circuit", "linearity"}
    circuit = logged["feature-circuit"]
    assert circuit["columns"][:4] == ["place", "position", "feature", "score"]
    first = dict(zip(circuit["columns"], circuit["data"][0], strict=True))
    assert (first["place"], first["feature"], first["score"]) == ("embed", "7", 0.8)
    assert first["contexts"].splitlines()[0] == "4.2: the [boy] runs"
    assert first["promoted"] == "is +1.50, was +0.25"
    assert [row[1] for row in logged["linearity"]["data"]] == ["embed", "resid_0"]


def test_cached_cells_are_not_sent_again(tmp_path, monkeypatch):
    run(tmp_path, [counted])
    monkeypatch.setattr(wandb, "init", lambda **_: pytest.fail("was sent"))
    outcomes, warnings = _run_with_tracker(tmp_path, [counted])
    assert [o.status for o in outcomes] == ["cached"]
    assert not warnings
