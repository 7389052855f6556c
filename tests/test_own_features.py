"""One's own checkpoint, pairs and dictionaries."""

import json
from pathlib import Path

import pytest
import sae_folders
import torch
from test_cli import bench  # noqa: F401
from test_own import checkpoint, pairs_file, varied  # noqa: F401

from mechboard.errors import UsageError
from mechboard.features import Place
from mechboard.tasks.own_features import own_features

D = 16
HOOKS = {"embed": "blocks.0.hook_resid_pre", "mlp_1": "blocks.1.hook_mlp_out", "resid_1": "blocks.1.hook_resid_post"}


@pytest.fixture
def dictionaries(tmp_path):
    for name, hook in HOOKS.items():
        save(tmp_path / "saes" / name, hook)
    return tmp_path / "saes"


def save(folder, hook, d_in=D, **changed):
    return sae_folders.save(folder, sae_folders.config(hook, d_in, 24), sae_folders.weights(d_in, 24) | changed)


def of_one_length(n=12):
    return [row | {"clean": row["clean"][:4], "corrupt": row["corrupt"][:4]} for row in varied(n)]


def cells_of(out):
    return [(c["method"], c["task"].rsplit("-", 1)[0], c["status"]) for c in json.loads(out)]


def test_dictionaries_make_a_task_of_their_places_alone(checkpoint, tmp_path, dictionaries):  # noqa: F811
    task = own_features(checkpoint, pairs_file(tmp_path, of_one_length()), dictionaries)
    instance = task.load(0, "cpu")
    places = (Place("embed", -1), Place("mlp", 1), Place("resid", 1))
    assert instance.problem.nodes.places == instance.held_out.scope == places
    assert instance.problem.nodes.positions == 4
    assert len(instance.problem.nodes) == 3 * 4 * 25
    assert not task.ranked


def test_without_dictionaries_nodes_are_the_neurons_of_every_place(checkpoint, tmp_path):  # noqa: F811
    problem = own_features(checkpoint, pairs_file(tmp_path, of_one_length())).load(0, "cpu").problem
    assert problem.is_of_neurons
    assert len(problem.nodes.places) == 1 + 2 * 3
    assert set(problem.nodes.sizes.values()) == {D}


def test_pairs_of_different_lengths_are_summed_over_positions(checkpoint, tmp_path):  # noqa: F811
    instance = own_features(checkpoint, pairs_file(tmp_path, varied())).load(0, "cpu")
    assert instance.problem.nodes.positions is None
    contexts = instance.held_out.contexts
    given = {tuple(row[side]) for row in varied() for side in ("clean", "corrupt")}
    assert {tuple(row) for row in contexts.tokens.tolist()} <= given  # no padding
    assert contexts.words[29] == "29"


def test_one_longer_pair_for_scoring_is_enough_to_sum(checkpoint, tmp_path):  # noqa: F811
    rows = of_one_length()
    longer = varied()[2]
    assert len(longer["clean"]) > 4
    path = pairs_file(tmp_path, [*rows, longer])
    for seed in range(4):
        assert own_features(checkpoint, path).load(seed, "cpu").problem.nodes.positions is None


def test_discovery_and_scoring_share_no_pair_and_are_those_of_the_circuit_task(checkpoint, tmp_path):  # noqa: F811
    from mechboard.tasks.own import own_task

    path = pairs_file(tmp_path, varied())
    instance, of_circuit = own_features(checkpoint, path).load(1, "cpu"), own_task(checkpoint, path).load(1, "cpu")
    assert torch.equal(instance.problem.pairs.clean, of_circuit.problem.pairs.clean)
    assert torch.equal(instance.held_out.pairs.clean, of_circuit.held_out.clean)


def test_other_dictionaries_are_another_task(checkpoint, tmp_path, dictionaries):  # noqa: F811
    path = pairs_file(tmp_path, of_one_length())
    first = own_features(checkpoint, path, dictionaries)
    save(dictionaries / "mlp_1", HOOKS["mlp_1"], b_dec=torch.ones(D))
    assert (
        len({first.name, own_features(checkpoint, path, dictionaries).name, own_features(checkpoint, path).name}) == 3
    )


@pytest.mark.parametrize(
    ("methods", "given", "expected"),
    [
        ("random", [], [("random", "own-model-pairs")]),
        ("atp-features", [], [("atp-features", "own-features-model-pairs")]),
        ("eap,atp-features", [], [("eap", "own-model-pairs"), ("atp-features", "own-features-model-pairs")]),
        ("atp-features,random", ["saes"],
         [("atp-features", "own-features-model-pairs"), ("random", "own-features-model-pairs")]),
        ("eap,random", ["saes"],
         [("eap", "own-model-pairs"), ("random", "own-model-pairs"), ("random", "own-features-model-pairs")]),
    ],
)  # fmt: skip
def test_pairs_make_the_tasks_that_the_named_methods_and_dictionaries_ask_for(
    checkpoint, tmp_path, dictionaries, bench, methods, given, expected  # noqa: F811
):  # fmt: skip
    path = pairs_file(tmp_path, of_one_length())
    more = ["--dictionaries", dictionaries] if given else []
    code, out, err = bench(
        "run", "--method", methods, "--model", checkpoint, "--pairs", path, *more, "--results", "r", "--json"
    )
    assert code == 0, err
    assert sorted(cells_of(out)) == sorted((*pair, "done") for pair in expected)
    assert "unsupported" not in err


def test_all_methods_are_those_of_circuits_unless_dictionaries_are_given(checkpoint, tmp_path, dictionaries, bench):  # noqa: F811
    arguments = ("run", "--method", "all", "--model", checkpoint, "--pairs", pairs_file(tmp_path, of_one_length()))
    code, out, _ = bench(*arguments, "--dry-run", "--results", "r")
    assert code == 0
    assert "own-features" not in out
    code, out, _ = bench(*arguments, "--dictionaries", dictionaries, "--dry-run", "--results", "r")
    assert code == 0
    assert "own-model" not in out
    assert "ig-features" in out


def refused(bench, checkpoint, tmp_path, dictionaries):  # noqa: F811
    path = pairs_file(tmp_path, of_one_length())
    code, out, err = bench(
        "run",
        "--method",
        "random",
        "--model",
        checkpoint,
        "--pairs",
        path,
        "--dictionaries",
        dictionaries,
        "--results",
        "r",
    )
    assert code == 2, (out, err)
    assert err.count("\n") == 1
    return err


def test_dictionaries_that_are_not_there_are_a_usage_error(checkpoint, tmp_path, bench):  # noqa: F811
    assert "absent' is no folder; valid: one with a folder per place" in refused(
        bench, checkpoint, tmp_path, tmp_path / "absent"
    )
    (tmp_path / "empty").mkdir()
    assert "There is no dictionary in" in refused(bench, checkpoint, tmp_path, tmp_path / "empty")


def test_a_dictionary_of_another_width_is_a_usage_error(checkpoint, tmp_path, dictionaries, bench):  # noqa: F811
    save(dictionaries / "mlp_1", HOOKS["mlp_1"], d_in=8)
    said = refused(bench, checkpoint, tmp_path, dictionaries)
    assert "The dictionary of mlp_1 reads vectors of width 8 and the model's have 16; it is of another model." in said


def test_a_dictionary_of_a_place_that_the_model_has_not_is_a_usage_error(checkpoint, tmp_path, dictionaries, bench):  # noqa: F811
    save(dictionaries / "resid_7", "blocks.7.hook_resid_post")
    assert "A dictionary is for resid_7 and the model has no such place" in refused(
        bench, checkpoint, tmp_path, dictionaries
    )


def test_a_dictionary_with_nan_is_a_usage_error(checkpoint, tmp_path, dictionaries, bench):  # noqa: F811
    save(dictionaries / "mlp_1", HOOKS["mlp_1"], b_enc=torch.full((24,), float("nan")))
    said = refused(bench, checkpoint, tmp_path, dictionaries)
    assert "mlp_1" in said
    assert "finite" in said


def test_dictionaries_without_pairs_say_what_is_valid(checkpoint, dictionaries, bench):  # noqa: F811
    code, _, err = bench("run", "--method", "random", "--model", checkpoint, "--dictionaries", dictionaries)
    assert code == 2
    assert (
        "--model, --dictionaries were given; valid: --model with --pairs, or --model with --bad and --keep; --dictionaries go with --pairs."
        in err
    )


def test_a_line_that_is_no_pair_is_named(checkpoint, tmp_path, dictionaries):  # noqa: F811
    rows = [*of_one_length(), {"clean": [1], "corrupt": [2]}]
    with pytest.raises(UsageError, match="line 13 lacks answer, wrong"):
        own_features(checkpoint, pairs_file(tmp_path, rows), dictionaries).load(0, "cpu")


def test_the_record_tells_the_files_and_the_command(checkpoint, tmp_path, dictionaries, bench):  # noqa: F811
    path = pairs_file(tmp_path, of_one_length())
    arguments = ("--model", checkpoint, "--pairs", path, "--dictionaries", dictionaries, "--results", "r", "--json")
    code, out, err = bench("run", "--method", "atp-features", *arguments)
    assert code == 0, err
    record = json.loads(Path(json.loads(out)[0]["record"]).read_text())
    assert {"pairs.jsonl", "model.safetensors", "--dictionaries mlp_1/cfg.json"} <= set(record["provenance"]["assets"])
    assert record["headline"] == "faithfulness" or "faithfulness" in record["measures"]
    assert "3 places of 24 features, embed to resid_1" in json.dumps(record["task"]["facts"])
