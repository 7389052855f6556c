"""The numbers of the leaderboard, from records made by hand."""

import pytest

from mechboard.leaderboard.board import Board, Group, rank_ranges
from mechboard.protocols import Suite
from mechboard.records import (
    Cell,
    CostRecord,
    ErrorRecord,
    MeasureRecord,
    MethodInfo,
    Provenance,
    Record,
    TaskInfo,
)

AUC = {"direction": "higher", "chance": 0.5, "oracle": 1.0}
CMD = {"direction": "lower", "oracle": 0.0}


def record(value, *, label="m", task="t", version=1, instance=0, seed=0, anchors=AUC, passes=None, **method):
    """A cell with one measure `x`, which is its headline; failed if there is no value."""
    cost = None
    if passes:
        cost = CostRecord(
            forwards=passes[0], backwards=passes[1], forward_sequences=1, backward_sequences=1, prompts=1,
            wall_seconds=1.0, evaluation_seconds=1.0, peak_memory_bytes=None,
        )  # fmt: skip
    done = value is not None
    return Record(
        cell=Cell(
            method=label.partition("[")[0], label=label, slug=label.replace("[", "+").rstrip("]"), task=task,
            parameters={"steps": 10} if "[" in label else {}, parameters_passed={}, task_version=version,
            data_seed=instance, seed=seed,
        ),
        status="done" if done else "failed",
        solution_id="1:a",
        scorer_id="1:b" if done else None,
        evaluation_id="1:c" if done else None,
        method=MethodInfo(**{"summary": "", "citation": {}, "deterministic": False, "reference": False} | method),
        task=TaskInfo(summary="", kind="circuit", tier="embedded", ranked=True),
        headline="x" if done else None,
        measures={"x": MeasureRecord(value=value, **anchors)} if done else {},
        cost=cost,
        error=None if done else ErrorRecord(type="E", message="m", traceback="t"),
        provenance=Provenance(
            mechboard="0", command="c", started="s", python="3", packages={}, git_commit=None, git_dirty=None,
            platform="p", cpu="c", threads=1, device="cpu",
        ),
    )  # fmt: skip


def group(*records):
    return Group(tuple(records))


def board(*records, tasks=("t",)):
    return Board.of(records, Suite(name="s", version=1, summary="", tasks=tasks))


def of_methods(values, **more):
    """Records of several methods on tasks t0, t1, ...: label -> a value for each."""
    return [record(v, label=m, task=f"t{i}", **more) for m, row in values.items() for i, v in enumerate(row)]


# -- one method on one task ----------------------------------------------------------------------


def test_a_value_is_the_mean_over_instances_however_many_seeds_each_has():
    rows = [record(0.6, seed=s) for s in range(3)] + [record(1.0, instance=1)]
    assert group(*rows).measure("x").value == pytest.approx(0.8)
    assert group(*rows).headline.value == pytest.approx(0.8)
    assert group(*rows).score == pytest.approx(0.6)


def test_an_averaged_measure_keeps_what_the_measure_says():
    found = group(record(0.25, anchors=CMD), record(0.75, anchors=CMD, instance=1)).measure("x")
    assert found == MeasureRecord(value=0.5, **CMD)


def test_a_measure_that_one_record_lacks_has_no_average():
    assert group(record(0.6), record(None, seed=1)).measure("x") is None
    absent = record(0.6, seed=1)
    absent = absent.model_copy(
        update={"measures": {"x": MeasureRecord(value=None, direction="higher", note="no anchor")}}
    )
    assert group(record(0.6), absent).measure("x").note == "no anchor"
    assert group(record(0.6)).measure("y") is None
    assert group(record(None)).headline is None


def test_the_spread_is_that_of_instances_and_of_seeds_within_them():
    rows = [
        record(v, instance=i, seed=s) for i, pair in enumerate([(0.5, 0.7), (0.8, 1.0)]) for s, v in enumerate(pair)
    ]
    assert group(*rows).spread("x") == "2 instances 0.600 to 0.900; 2 seeds, sd 0.141"
    assert group(rows[0]).spread("x") == "1 instance; 1 seed"
    assert group(*rows[:2]).spread("x") == "1 instance; 2 seeds, sd 0.141"
    fixed = [record(v, instance=i, deterministic=True) for i, v in enumerate((0.5, 0.7))]
    assert group(*fixed).spread("x") == "2 instances 0.500 to 0.700; deterministic"


def test_the_spread_leaves_out_what_has_no_value_and_instances_of_one_seed():
    rows = [record(0.5), record(0.7, seed=1), record(None, seed=2), record(0.9, instance=1)]
    assert group(*rows).spread("x") == "2 instances 0.600 to 0.900; 2 seeds, sd 0.141"
    assert group(*rows).spread("y") == "1 instance; 1 seed"


def test_a_backward_pass_counts_twice():
    assert group(record(0.6, passes=(3.0, 1.0))).passes == 5.0
    assert group(record(0.6, passes=(3.0, 1.0)), record(0.6, seed=1, passes=(1.0, 0.0)), record(None)).passes == 3.0
    assert group(record(0.6)).passes is None


def test_a_failed_record_counts_as_chance_within_its_instance():
    rows = [record(1.0), record(None, seed=1), record(0.75, instance=1)]
    assert group(*rows).score == pytest.approx(0.5)
    assert group(record(None)).score == 0.0
    assert group(record(0.25)).score == pytest.approx(-0.5)


def test_the_score_of_a_lower_is_better_headline_has_its_one_at_the_oracle():
    anchors = {"direction": "lower", "chance": 0.8, "oracle": 0.0}
    assert group(record(0.2, anchors=anchors)).score == pytest.approx(0.75)


@pytest.mark.parametrize("lost", ["chance", "oracle"])
def test_without_both_anchors_there_is_no_score(lost):
    anchors = {name: value for name, value in AUC.items() if name != lost}
    assert group(record(0.7, anchors=anchors)).score is None
    assert group(record(0.7), record(0.7, seed=1, anchors=anchors)).score is None


def test_the_status_names_the_first_failure_and_how_many():
    assert group(record(0.7)).status == "done"
    assert group(record(0.7), record(None, seed=1), record(None, seed=2)).status == "failed 2/3"


def test_pictures_are_of_the_first_record_that_is_done():
    rows = [record(None), record(0.7, seed=1), record(0.8, seed=2)]
    assert group(*rows).first is rows[1]
    assert group(rows[0]).first is rows[0]


def test_the_family_of_a_method_is_its_name_without_parameters():
    assert group(record(0.7, label="eap-ig[steps=10]")).family == "eap-ig"


# -- tables --------------------------------------------------------------------------------------


def test_a_method_with_old_versions_alone_does_not_stand_beside_those_with_new_ones():
    found = board(record(0.9, label="old"), record(0.6, label="new", version=2))
    assert set(found.groups) == {("new", "t")}


def test_only_the_newest_version_of_a_task_counts():
    found = board(
        record(0.9), record(0.6, version=2), record(0.7, version=2, instance=1), record(0.9, version=1, seed=1)
    )
    assert [r.cell.task_version for r in found.groups["m", "t"].records] == [2, 2]
    assert found.standings[0].score == pytest.approx(0.3)


def test_a_table_has_the_best_first_failures_last_and_ties_by_name():
    rows = {"c": 0.7, "a": 0.7, "worst": 0.5, "lost": None, "failed": None, "best": 0.9}
    found = board(*(record(v, label=m) for m, v in rows.items()))
    assert [label for label, _ in found.of_task("t")] == ["best", "a", "c", "worst", "failed", "lost"]


def test_where_lower_is_better_the_lowest_is_first():
    rows = {"worst": 5.0, "best": 0.1, "middle": 0.5, "lost": None}
    found = board(*(record(v, label=m, anchors=CMD) for m, v in rows.items()))
    assert [label for label, _ in found.of_task("t")] == ["best", "middle", "worst", "lost"]


def test_a_table_shows_its_own_task_only():
    found = board(record(0.9), record(0.8, label="other", task="u"))
    assert [label for label, _ in found.of_task("u")] == ["other"]


def test_tasks_of_the_suite_come_first_and_in_its_order():
    rows = [record(0.9, task=task) for task in ("z", "b", "a", "y")]
    found = board(*rows, tasks=("b", "absent", "a"))
    assert found.tasks == ["b", "a", "y", "z"]
    assert [task for task, _ in found.of_method("m")] == ["b", "a", "y", "z"]
    assert board(*rows[:1], record(0.9, label="n", task="b")).of_method("n")[0][1].score == pytest.approx(0.8)


def test_unreadable_records_are_remembered():
    assert Board.of([], Suite(name="s", version=1, summary="", tasks=()), ["x.json"]).unreadable == ("x.json",)


# -- standings -----------------------------------------------------------------------------------

TASKS = ("t0", "t1", "t2")


def test_the_overall_score_is_the_mean_of_all_tasks_of_the_suite():
    found = board(*of_methods({"m": [1.0, 0.75, 0.5, 1.0]}), tasks=TASKS).standings
    assert [(s.score, s.n_tasks, s.n_suite, s.partial) for s in found] == [(pytest.approx(0.5), 3, 3, False)]


def test_ranked_methods_stand_first_then_whole_references_then_partial_ones():
    rows = of_methods({"low": [0.6] * 3, "high": [0.9] * 3, "some": [0.9] * 2, "few": [0.9]})
    rows += of_methods({"weak reference": [0.95] * 3, "reference": [1.0] * 3}, reference=True)
    rows += of_methods({"unanchored": [0.7] * 3}, anchors=CMD)
    found = board(*rows, tasks=TASKS).standings
    assert [(s.label, s.rank) for s in found] == [
        ("high", (1, 1)), ("low", (2, 2)), ("reference", None), ("weak reference", None), ("unanchored", None),
        ("few", None), ("some", None),
    ]  # fmt: skip
    scores = {s.label: s.score for s in found}
    assert scores["unanchored"] is None
    assert scores["few"] is None
    assert scores["reference"] == 1.0
    assert {s.label for s in found if s.reference} == {"reference", "weak reference"}
    assert {s.label for s in found if s.partial} == {"few", "some"}


def test_a_better_range_of_ranks_stands_before_a_higher_score():
    rows = of_methods({"erratic": [1.0, 0.6, 1.0], "steady": [0.85] * 3, "low": [0.8] * 3})
    found = board(*rows, tasks=TASKS).standings
    assert [(s.label, s.rank) for s in found] == [("steady", (1, 2)), ("erratic", (1, 3)), ("low", (2, 3))]
    assert found[1].score > found[0].score


def test_within_a_shared_rank_the_higher_score_stands_first():
    found = board(*of_methods({"a": [0.6, 0.9, 0.6], "b": [0.9, 0.7, 0.9]}), tasks=TASKS).standings
    assert [(s.label, s.rank) for s in found] == [("b", (1, 2)), ("a", (1, 2))]


def test_a_failure_on_one_task_is_marked_and_costs_its_share():
    rows = of_methods({"a": [1.0, 1.0, None], "b": [1.0, 1.0, 1.0]})
    found = {s.label: s for s in board(*rows, tasks=TASKS).standings}
    assert found["a"].score == pytest.approx(2 / 3)
    assert found["a"].imputed
    assert not found["b"].imputed
    assert found["a"].rank == (1, 2)


def test_a_method_that_always_fails_ranks_below_one_that_finds_something():
    found = board(*of_methods({"a": [None] * 3, "b": [0.6] * 3}), tasks=TASKS).standings
    assert [(s.label, s.score, s.rank) for s in found] == [("b", pytest.approx(0.2), (1, 1)), ("a", 0.0, (2, 2))]


def test_a_method_with_no_task_of_the_suite_is_a_reference_if_it_says_so_elsewhere():
    found = board(record(0.9, task="elsewhere", reference=True), record(0.9, label="n", task="elsewhere"))
    assert {s.label: (s.reference, s.n_tasks) for s in found.standings} == {"m": (True, 0), "n": (False, 0)}


def test_cost_and_quality_has_methods_with_both():
    rows = of_methods({"a": [0.75, 1.0]}, passes=(2.0, 1.0)) + of_methods({"free": [0.75, 1.0]})
    rows += of_methods({"partial": [0.75]}, passes=(2.0, 1.0))
    rows += [record(0.5, label="a", task="other", passes=(10.0, 0.0))]
    found = board(*rows, tasks=("t0", "t1")).cost_and_quality()
    assert found == [("a", pytest.approx(6.0), pytest.approx(0.75))]


# -- rank ranges ---------------------------------------------------------------------------------


def around(mean, spread):
    return [mean - spread, mean, mean + spread]


@pytest.mark.parametrize(
    ("mean", "ranges"),
    [
        # Student's t at 97.5 % with 2 degrees of freedom is 4.303, and 4.303 / sqrt(3) = 2.484.
        (0.26, {"a": (1, 1), "b": (2, 2)}),
        (0.24, {"a": (1, 2), "b": (1, 2)}),
        (-0.24, {"a": (1, 2), "b": (1, 2)}),
        (-0.26, {"a": (2, 2), "b": (1, 1)}),
    ],
)
def test_two_methods_are_told_apart_only_beyond_the_interval_of_their_difference(mean, ranges):
    assert rank_ranges({"a": around(mean, 0.1), "b": [0.0, 0.0, 0.0]}) == ranges


def test_differences_are_paired_over_tasks():
    hard_and_easy = [0.1, 0.9, 0.4]
    assert rank_ranges({"a": [s + 0.05 for s in hard_and_easy], "b": hard_and_easy}) == {"a": (1, 1), "b": (2, 2)}


def test_a_range_counts_everyone_who_may_stand_before_or_after():
    scores = {"a": around(0.9, 0.0), "b": around(0.5, 0.05), "c": around(0.5, -0.05), "d": around(0.0, 0.0)}
    assert rank_ranges(scores) == {"a": (1, 1), "b": (2, 3), "c": (2, 3), "d": (4, 4)}


def test_two_tasks_are_enough_where_the_difference_is_the_same_on_both():
    assert rank_ranges({"a": [0.9, 0.9], "b": [0.5, 0.5]}) == {"a": (1, 1), "b": (2, 2)}
