"""`bench export`: from a record to a checkpoint that gives the record's numbers."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_cli import bench  # noqa: F401
from test_own_removal import complaint, lines  # noqa: F401
from transformers import AutoModelForCausalLM, AutoTokenizer

from mechboard.edits import EditableDecoder, Edited
from mechboard.graph.hf import load_checkpoint
from mechboard.tasks.own_removal import own_removal

EDITORS = '''
from dataclasses import dataclass
import torch
from mechboard.protocols import EdgeCuts, NoParameters, WeightChange, method

@method(name="nudge", kinds=("removal",), deterministic=True)
def nudge(problem, generator, parameters: NoParameters):
    """Add a little to an MLP."""
    change = 0.3 * torch.randn(problem.model.parameters()["layers.1.mlp_out"].shape, generator=torch.Generator().manual_seed(0))
    return WeightChange(change={"layers.1.mlp_out": change}, scales=(0.5, 1.0))

@method(name="silence", kinds=("removal",), deterministic=True)
def silence(problem, generator, parameters: NoParameters):
    """Cut nothing, one edge, then all of one head's."""
    cut = torch.zeros(len(problem.budgets), problem.model.n_edges, dtype=torch.bool)
    cut[1, problem.model.edges.index("a0.h0->m0")] = True
    cut[-1] = torch.tensor([name.startswith("a1.h1->") for name in problem.model.edges])
    return EdgeCuts(cut=cut)
'''  # fmt: skip


@pytest.fixture(scope="session")
def recorded(complaint, tmp_path_factory):  # noqa: F811
    """Records of both, made once, and the flags that they were made with."""
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "editors.py").write_text(EDITORS)
    flags = ("--model", complaint[0], "--bad", complaint[1], "--keep", complaint[2])
    run = ("run", "--method", "nudge,silence", *flags, "--plugin", "editors.py", "--inline", "--results", "r", "--json")
    done = subprocess.run(
        [sys.executable, "-m", "mechboard", *map(str, run)], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder, {c["method"]: c["record"] for c in json.loads(done.stdout)}, flags


@pytest.fixture
def made(recorded, bench):  # noqa: F811
    """A copy of them in the folder of a test."""
    folder, records, flags = recorded
    shutil.copytree(folder / "r", "r")
    return records, flags


def numbers(complaint, folder):  # noqa: F811
    """Both losses of a checkpoint on what the task holds out."""
    held_out = own_removal(*complaint).load(0, "cpu").held_out
    decoder = load_checkpoint(folder)
    problem = own_removal(*complaint).load(0, "cpu").problem
    model = EditableDecoder(decoder, problem.model.graph, problem.model.ablated_by)
    return {name: estimate.value for name, estimate in held_out.examine(Edited(model)).items()}


def columns(record):
    exhibit = json.loads(Path(record).read_text())["exhibits"]["columns"]
    return [{c["name"]: c["values"][row] for c in exhibit["columns"]} for row in range(len(exhibit["rows"]))]


def test_the_reloaded_checkpoint_gives_the_numbers_of_the_reported_edit(complaint, made, bench):  # noqa: F811
    records, flags = made
    code, out, err = bench("export", records["nudge"], *flags, "--out", "edited")
    assert (code, err) == (0, "")
    assert out.startswith("edited: nudge on own-model-bad-keep-")
    assert "weights changed at scale 1\n" in out
    measures = json.loads(Path(records["nudge"]).read_text())["measures"]
    unedited = columns(records["nudge"])[0]
    for name, value in numbers(complaint, "edited").items():
        assert value == pytest.approx(measures[name]["value"], abs=1e-5)
        assert abs(value - unedited[name]) > 1e-3


@pytest.mark.parametrize(("method", "point", "row"), [("nudge", "0.5", 1), ("silence", "21", 4)])
def test_another_point_gives_its_own_numbers(complaint, made, bench, method, point, row):  # noqa: F811
    records, flags = made
    code, _, err = bench("export", records[method], *flags, "--point", point, "--out", "new/edited")
    assert code == 0, err
    assert numbers(complaint, "new/edited") == pytest.approx(columns(records[method])[row], abs=1e-5)


def test_it_opens_with_its_tokenizer_and_first_token(complaint, made, bench):  # noqa: F811
    records, flags = made
    assert bench("export", records["nudge"], *flags, "--out", "edited")[0] == 0
    tokenizer, original = (AutoTokenizer.from_pretrained(folder) for folder in ("edited", complaint[0]))
    model = AutoModelForCausalLM.from_pretrained("edited")
    text = "The farmers near the gate"
    assert tokenizer(text)["input_ids"] == original(text)["input_ids"]
    assert model.config.bos_token_id == original.bos_token_id == 0
    assert model(torch.tensor([tokenizer(text)["input_ids"]])).logits.isfinite().all()


def test_an_edit_of_an_exported_model_starts_from_what_it_is(made, bench):  # noqa: F811
    """The way from a complaint to an edited checkpoint can be gone again."""
    records, flags = made
    bench("export", records["nudge"], *flags, "--out", "edited")
    run = ("run", "--method", "eap", "--model", "edited", *flags[2:], "--results", "again", "--json", "--inline")
    code, out, _ = bench(*run)
    unedited = columns(json.loads(out)[0]["record"])[0]
    assert code == 0
    assert unedited == pytest.approx(columns(records["nudge"])[-1], abs=1e-5)


def test_what_no_weights_hold_is_refused_and_leaves_nothing(made, bench):  # noqa: F811
    records, flags = made
    code, _, err = bench("export", records["silence"], *flags, "--out", "edited")
    assert code == 2
    assert "silence x own-model-bad-keep-" in err
    assert "cannot be written as a checkpoint: 1 of the edges that are cut, such as a0.h0->m0" in err
    assert [p.name for p in Path().iterdir()] == ["r"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["RECORD", "--out", "edited"], "give the --model, --bad and --keep"),
        (
            ["RECORD", "FLAGS", "--out", "edited", "--point", "7"],
            "--point 7 was given; valid for this record, scales: 0.5, 1.",
        ),
        (["r/absent.json", "FLAGS", "--out", "edited"], "no record 'r/absent.json'"),
        (["RECORD", "FLAGS", "--out", "r"], "'r' is not empty and nothing is overwritten"),
        (["RECORD", "--model", "m", "--out", "edited"], "--model was given; valid: --model with"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(made, bench, arguments, said):  # noqa: F811
    records, flags = made
    stands_for = {"RECORD": [records["nudge"]], "FLAGS": flags}
    code, _, err = bench("export", *(part for a in arguments for part in stands_for.get(a, [a])))
    assert code == 2
    assert said in err
    assert not Path("edited").exists()


def test_other_samples_than_the_records_are_refused(complaint, made, bench, tmp_path):  # noqa: F811
    records, flags = made
    other = lines(tmp_path / "bad.jsonl", [{"tokens": [0, 1, n]} for n in range(2, 9)])
    code, _, err = bench("export", records["nudge"], *flags[:2], "--bad", other, *flags[4:], "--out", "edited")
    assert code == 2
    assert "give what the record was made with: `bench run --method nudge,silence --model" in err


def test_a_record_without_its_answer_or_with_anothers_is_refused(made, bench):  # noqa: F811
    records, flags = made
    beside = {name: Path(record).with_suffix(".safetensors") for name, record in records.items()}
    beside["nudge"].write_bytes(beside["silence"].read_bytes())
    assert "is the answer of another run" in bench("export", records["nudge"], *flags, "--out", "edited")[2]
    beside["nudge"].unlink()
    assert "has no answer beside it" in bench("export", records["nudge"], *flags, "--out", "edited")[2]


def test_a_circuit_record_has_no_edited_model(bench):  # noqa: F811
    record = "r/eap/compiled-brackets@v2/data-0/seed-0.json"
    assert bench("run", "--method", "eap", "--task", "compiled-brackets", "--results", "r", "--inline")[0] == 0
    code, _, err = bench("export", record, "--out", "edited")
    assert code == 2
    assert "a circuit record says something of a model and changes nothing in it" in err
