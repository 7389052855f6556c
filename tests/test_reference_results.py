"""The committed records: every embedded cell is there, done, and some are run again and compared."""

from pathlib import Path

import pytest
from test_cli import bench  # noqa: F401

from mechboard.errors import RecordError
from mechboard.plugins.registry import Registry
from mechboard.records.store import Store

REFERENCE = Path(__file__).parent.parent / "results" / "reference"
TOLERANCE = 0.02
INSTANCES, SEEDS = 3, 5
VARIANTS = ("acdc[metric=kl]", "eap[at=corrupt]", "eap-ig[rule=midpoint]", "eap-ig[rule=right]")


# Their ablation replaces outputs by means or zeros, which no prompt has.
WITHOUT_A_CORRUPT_RUN = ("compiled-arithmetic", "compiled-fraction", "compiled-induction")


# Records of masks on circuits are of one seed, and of hard-concrete there are none: they take ten minutes a seed.
ONE_SEED, WITHOUT_CIRCUIT_RECORDS = ("learned-mask",), ("hard-concrete",)
OF_REMOVAL = (
    "gradient-ascent", "hard-concrete", "joint-finetune", "learned-mask", "magnitude", "npo", "random", "task-arithmetic", "unedited",
)  # fmt: skip
OF_FEATURES, FEATURE_INSTANCES = ("ig-features", "atp-features", "exact-features", "random"), 2
BACKDOORS = ("acdc", "activation-patching", "eap", "eap-ig")
CUT = {"backdoor-disjoint": BACKDOORS, "backdoor-entangled": BACKDOORS, "rude-mini": ("eap", "eap-ig")}


def _records():
    found = [record for _, record in Store(REFERENCE).records()]
    assert not [r for r in found if isinstance(r, RecordError)]
    return found


def test_every_embedded_cell_is_there_and_done():
    registry = Registry()
    suite = registry.load("suite", "embedded")
    tasks = {n: registry.load("task", n) for n in (*suite.tasks, *suite.apart)}
    wanted = {(label, t, d, 0) for label in VARIANTS for t in tasks for d in range(INSTANCES)}
    for name in registry.plugins("method"):
        method = registry.load("method", name)
        if "circuit" not in method.kinds or name in WITHOUT_CIRCUIT_RECORDS:
            continue
        seeds = 1 if method.deterministic or name in ONE_SEED else SEEDS
        wanted |= {(name, t, d, s) for t in tasks for d in range(INSTANCES) for s in range(seeds)}
    records = {(r.cell.label, r.cell.task, r.cell.data_seed, r.cell.seed): r for r in _records()}
    assert wanted <= set(records)
    for key in wanted:
        declined = key[0] == "eap[at=corrupt]" and key[1] in WITHOUT_A_CORRUPT_RUN
        assert records[key].status == ("unsupported" if declined else "done"), key
        assert records[key].cell.task_version == tasks[key[1]].version, key


def test_every_cell_of_the_removal_suite_is_there_and_done():
    suite = Registry().load("suite", "removal")
    wanted = {(name, t, d) for name in OF_REMOVAL for t in suite.tasks for d in range(INSTANCES)}
    wanted |= {(f"{name}@cut", t, d) for t, names in CUT.items() for name in names for d in range(INSTANCES)}
    found = {(r.cell.label, r.cell.task, r.cell.data_seed): r.status for r in _records() if r.task.kind == "removal"}
    assert wanted <= set(found)
    assert set(found.values()) == {"done"}


def test_removal_has_the_unedited_model_at_zero_and_the_known_edges_at_one():
    records = [r for r in _records() if r.task.kind == "removal"]
    assert {r.headline_measure.value for r in records if r.cell.method == "unedited"} == {0.0}
    known = [r for r in records if r.cell.method == "ground-truth"]
    assert len(known) == 2 * INSTANCES
    assert min(r.headline_measure.value for r in known) >= 0.97
    assert min(r.measures["restored-accuracy"].value for r in known) >= 0.97


def test_every_cell_of_the_features_suite_is_there_and_ranks_above_random():
    suite = Registry().load("suite", "features")
    wanted = {(m, t, d) for m in OF_FEATURES for t in suite.tasks for d in range(FEATURE_INSTANCES)}
    records = [r for r in _records() if r.task.kind == "features" and r.cell.method != "ground-truth"]
    assert {(r.cell.method, r.cell.task, r.cell.data_seed) for r in records} == wanted
    assert {r.status for r in records} == {"done"}
    values = {(r.cell.method, r.cell.task, r.cell.data_seed): r.headline_measure.value for r in records}
    for method, task, instance in wanted:
        if method != "random":
            assert values[method, task, instance] > values["random", task, instance]
    assert all(r.exhibits.keys() >= {"explanation", "circuit", "linearity"} for r in records)


def test_the_known_features_are_found_by_the_row_that_is_shown_them():
    known = [
        r for r in _records() if r.task.kind == "features" and r.cell.method == "ground-truth" and r.status == "done"
    ]
    assert known
    for record in known:
        (headline, *_) = [m.value for name, m in record.measures.items() if name.startswith("auc[")]
        assert headline == 1.0


def test_records_were_made_by_a_clean_commit_and_hold_no_path_of_a_machine():
    for record in _records():
        assert record.provenance.git_commit
        assert not record.provenance.git_dirty
        assert "/home/" not in record.model_dump_json()


def test_random_is_at_chance_and_the_oracle_at_one():
    circuits = [r for r in _records() if r.task.kind == "circuit"]
    values = [r.headline_measure.value for r in circuits if r.cell.method == "random" and r.task.truths]
    assert sum(values) / len(values) == pytest.approx(0.5, abs=0.05)
    for record in circuits:
        if record.cell.method == "ground-truth" and record.task.truths:
            assert record.headline_measure.value == 1.0


def test_only_what_needs_a_circuit_or_a_corrupt_run_declines_a_task_without_one():
    declined = {(r.cell.label, r.cell.task, r.error.message) for r in _records() if r.status != "done"}
    of_circuit = ("ground-truth", "pronoun-stories", "no circuit is known for this task")
    # Too few of its features carry one variable clearly.
    of_features = ("ground-truth", "register-features-mini", "it is not known for this task which features carry what")
    others = {(label, task, reason.partition(";")[0]) for label, task, reason in declined - {of_circuit, of_features}}
    assert {of_circuit, of_features} <= declined
    assert {(label, task) for label, task, _ in others} == {("eap[at=corrupt]", t) for t in WITHOUT_A_CORRUPT_RUN}
    assert {reason for _, _, reason in others} == {"at=corrupt needs a run of the model on corrupt prompts"}


@pytest.mark.parametrize(
    "task", ["compiled-redundant", "compiled-arithmetic", "compiled-fraction", "trained-induction"]
)
def test_cells_that_are_run_again_agree(bench, task):  # noqa: F811
    assert bench("run", "--method", "eap,eap-ig,ground-truth", "--task", task, "--results", "again")[0] == 0
    again = {(r.cell.label, r.cell.task): r for _, r in Store("again").records()}
    assert len(again) == 3
    for record in _records():
        key = (record.cell.label, record.cell.task)
        if key in again and record.cell.data_seed == 0:
            for name, measure in record.measures.items():
                other = again[key].measures[name].value
                assert other == pytest.approx(measure.value, abs=TOLERANCE * max(1, abs(measure.value))), (key, name)


def test_the_folder_is_read_only_to_runs(bench):  # noqa: F811
    code, _, err = bench("run", "--method", "eap", "--task", "compiled-fraction", "--results", REFERENCE)
    assert code == 2
    assert "is read-only" in err
