"""The numbers of the leaderboard, from records made by hand."""

import pytest
from made_records import AUC, CMD, dream, know_dreams, measure, of_methods, record, suite

from mechboard.contract.scores import Measure
from mechboard.errors import UsageError
from mechboard.leaderboard.board import Board
from mechboard.leaderboard.consensus import most_say
from mechboard.leaderboard.groups import PASSES, Group
from mechboard.leaderboard.ranks import half_width, rank_ranges
from mechboard.leaderboard.tables import views

X = "auc[t:true]"


def group(*records):
    return Group(tuple(records))


def board(*records, tasks=("t",), apart=(), unreadable=()):
    return Board.of(records, [suite(*tasks, apart=apart)], unreadable)


def section(*records, tasks=("t",), apart=()):
    return board(*records, tasks=tasks, apart=apart).sections[0]


def standings(*records, tasks=("t",), by="auc", apart=()):
    return {s.label: s for s in section(*records, tasks=tasks, apart=apart).rankings[by].standings}


# -- one method on one task ----------------------------------------------------------------------


def test_a_value_is_the_mean_over_instances_however_many_seeds_each_has():
    rows = [record(0.6, seed=s) for s in range(3)] + [record(1.0, instance=1)]
    assert group(*rows).measure(X).value == pytest.approx(0.8)
    assert group(*rows).score(X) == pytest.approx(0.6)


def test_an_averaged_measure_keeps_what_the_measure_says():
    found = group(record(0.25, anchors=CMD), record(0.75, anchors=CMD, instance=1)).measure(X)
    assert found == Measure(value=0.5, of="3 / 17", **CMD)


def test_a_measure_that_one_record_lacks_has_no_average():
    assert group(record(0.6), record(None, seed=1)).measure(X) is None
    absent = record(0.6, seed=1)
    absent = absent.model_copy(update={"measures": {X: Measure(value=None, direction="higher", note="no anchor")}})
    assert group(record(0.6), absent).measure(X).note == "no anchor"
    assert group(record(0.6)).measure("y") is None


def test_the_spread_is_that_of_instances_and_of_seeds_within_them():
    rows = [
        record(v, instance=i, seed=s) for i, pair in enumerate([(0.5, 0.7), (0.8, 1.0)]) for s, v in enumerate(pair)
    ]
    assert group(*rows).spread(X) == "2 instances 0.600 to 0.900; 2 seeds, sd 0.141"
    assert group(rows[0]).spread(X) == "1 instance; 1 seed"
    assert group(*rows[:2]).spread(X) == "1 instance; 2 seeds, sd 0.141"
    fixed = [record(v, instance=i, deterministic=True) for i, v in enumerate((0.5, 0.7))]
    assert group(*fixed).spread(X) == "2 instances 0.500 to 0.700; deterministic"


def test_the_spread_leaves_out_what_has_no_value_and_instances_of_one_seed():
    rows = [record(0.5), record(0.7, seed=1), record(None, seed=2), record(0.9, instance=1)]
    assert group(*rows).spread(X) == "2 instances 0.600 to 0.900; 2 seeds, sd 0.141"
    assert group(*rows).spread("y") == "1 instance; 1 seed"


def test_a_backward_pass_counts_twice():
    assert group(record(0.6, passes=(3.0, 1.0))).passes == 5.0
    assert group(record(0.6, passes=(3.0, 1.0)), record(0.6, seed=1, passes=(1.0, 0.0)), record(None)).passes == 3.0
    assert group(record(0.6, passes=(3.0, None))).passes is None
    assert group(record(0.6, passes=(3.0, 1.0)), record(0.6, seed=1, passes=(3.0, None))).measure(PASSES).value is None
    found = group(record(0.6, passes=(3.0, 1.0))).measure(PASSES)
    assert (found.value, found.direction) == (5.0, "lower")


def test_a_failed_record_counts_as_chance_within_its_instance():
    rows = [record(1.0), record(None, seed=1), record(0.75, instance=1)]
    assert group(*rows).score(X) == pytest.approx(0.5)
    assert group(record(None)).score(X) == 0.0
    assert group(record(0.25)).score(X) == pytest.approx(-0.5)


def test_the_score_of_a_lower_is_better_measure_has_its_one_at_the_oracle():
    anchors = {"direction": "lower", "chance": 0.8, "oracle": 0.0}
    assert group(record(0.2, anchors=anchors)).score(X) == pytest.approx(0.75)


@pytest.mark.parametrize("lost", ["chance", "oracle"])
def test_without_both_anchors_there_is_no_score(lost):
    anchors = {name: value for name, value in AUC.items() if name != lost}
    assert group(record(0.7, anchors=anchors)).score(X) is None
    assert group(record(0.7), record(0.7, seed=1, anchors=anchors)).score(X) is None


def test_the_status_names_the_first_failure_and_how_many():
    assert group(record(0.7)).status == "done"
    assert group(record(0.7), record(None, seed=1), record(None, seed=2)).status == "failed 2/3"


def test_a_declined_problem_is_no_failure_and_has_no_score():
    declined = group(record(None, status="unsupported", reason="needs an MLP"))
    assert (declined.status, declined.failed, declined.reason) == ("unsupported", (), "needs an MLP")
    assert declined.score(X) is None
    half = group(record(0.9), record(None, status="unsupported", instance=1))
    assert (half.status, half.score(X)) == ("unsupported 1/2", None)
    both = group(record(None, status="unsupported"), record(None, status="crashed", seed=1, reason="signal 11"))
    assert (both.status, both.reason) == ("crashed 1/2", "signal 11")


def test_pictures_are_of_the_first_record_that_is_done():
    rows = [record(None), record(0.7, seed=1), record(0.8, seed=2)]
    assert group(*rows).first is rows[1]
    assert group(rows[0]).first is rows[0]


def test_a_label_is_of_the_method_without_parameters_and_adapter():
    assert group(record(0.7, label="eap-ig[steps=10]", adapter="cut")).method == "eap-ig"


# -- tasks ---------------------------------------------------------------------------------------


def test_a_method_with_old_versions_alone_does_not_stand_beside_those_with_new_ones():
    found = section(record(0.9, label="old"), record(0.6, label="new", version=2))
    assert set(found.tasks["t"].groups) == {"new"}


def test_only_the_newest_version_of_a_task_counts():
    rows = [record(0.9), record(0.6, version=2), record(0.7, version=2, instance=1), record(0.9, version=1, seed=1)]
    assert [r.cell.task_version for r in section(*rows).tasks["t"].groups["m"].records] == [2, 2]
    assert standings(*rows)["m"].score == pytest.approx(0.3)


def test_a_table_has_the_best_first_failures_last_and_ties_by_name():
    rows = {"c": 0.7, "a": 0.7, "worst": 0.5, "lost": None, "failed": None, "best": 0.9}
    found = section(*(record(v, label=m) for m, v in rows.items()))
    assert [label for label, _ in found.tasks["t"].ordered()] == ["best", "a", "c", "worst", "failed", "lost"]


def test_where_lower_is_better_the_lowest_is_first():
    rows = {"worst": 5.0, "best": 0.1, "middle": 0.5, "lost": None}
    found = section(*(record(v, label=m, anchors=CMD) for m, v in rows.items()))
    assert [label for label, _ in found.tasks["t"].ordered()] == ["best", "middle", "worst", "lost"]


def test_tasks_of_the_suite_come_first_then_those_apart_then_the_others():
    rows = [record(0.9, task=task) for task in ("z", "b", "a", "y", "c")]
    found = section(*rows, tasks=("b", "absent", "a"), apart=("z",))
    assert [f.name for f in found.families] == ["b", "a"]
    assert [t.name for t in found.apart] == ["z"]
    assert [t.name for t in found.outside] == ["c", "y"]
    assert [task.name for task, _ in found.of_method("m")] == ["b", "a", "z", "c", "y"]


def test_a_short_name_is_that_against_the_first_truth_that_most_state():
    easy = record(1.0, label="easy", task="t")
    mine = easy.task.truths[0].model_copy(update={"name": "t:easy"})
    easy = easy.model_copy(
        update={
            "task": easy.task.model_copy(update={"truths": (mine,)}),
            "headline": "auc[t:easy]",
            "measures": {"auc[t:easy]": measure(1.0, **AUC)},
        }
    )
    rows = [record(0.7, label="a"), record(0.6, label="b"), easy]
    task = section(*rows).tasks["t"]
    assert (task.headline, task.named("auc"), task.named("cmd"), task.named(PASSES)) == (
        "auc[t:true]", "auc[t:true]", "cmd[t:true]", PASSES,
    )  # fmt: skip
    assert standings(*rows)["easy"].score is None
    assert standings(*rows)["a"].score == pytest.approx(0.4)


def test_a_measure_without_a_truth_keeps_its_short_name():
    found = section(record(0.7, more={"cmd": measure(0.2, **CMD)}))
    assert found.tasks["t"].named("cmd") == "cmd"
    assert found.tasks["t"].has("cmd")


def test_records_stand_in_one_order_however_they_come():
    rows = [
        record(0.9, label=label, task=task, instance=instance, seed=seed)
        for label in ("a", "b") for task in ("t", "u") for instance in (0, 1) for seed in (0, 1)
    ]  # fmt: skip
    found = board(*rows[::-1])
    assert list(found.records) == rows
    assert found.sections[0].tasks["u"].groups["b"].first is rows[12]


def test_unreadable_records_are_remembered():
    assert board(unreadable=["x.json"]).left_out == ("x.json",)


# -- sections ------------------------------------------------------------------------------------


def test_each_kind_has_a_section_with_its_own_suite(monkeypatch):
    know_dreams(monkeypatch)
    rows = [record(0.9), dream(0.4, label="m"), dream(0.2, label="n")]
    circuits, dreams = Board.of(rows, [suite("t"), suite("night", kind="dream", name="nights")]).sections
    assert [circuits.kind.name, dreams.kind.name] == ["circuit", "dream"]
    assert dreams.measures == ("clarity", "haste", PASSES)
    assert [(s.label, s.score) for s in dreams.ranking.standings] == [("m", 0.4), ("n", 0.2)]
    assert dreams.rankings["haste"].of("m").score == pytest.approx(0.75)
    assert circuits.ranking.of("m").score == pytest.approx(0.8)


def test_a_kind_without_a_suite_has_a_section_and_no_overall_score(monkeypatch):
    know_dreams(monkeypatch)
    _, dreams = Board.of([record(0.9), dream(0.4)], [suite("t")]).sections
    assert [f.name for f in dreams.families] == ["night"]
    assert [(s.score, s.rank) for s in dreams.ranking.standings] == [(None, None)]
    assert all(not table.overall for view in views(dreams) for table in view.tables)


def test_a_suite_of_a_kind_without_records_has_no_section():
    assert [s.kind.name for s in Board.of([record(0.9)], [suite("t"), suite("x", kind="dream")]).sections] == [
        "circuit"
    ]


def test_two_suites_of_one_kind_are_refused():
    with pytest.raises(UsageError, match="'s' and 'other' are both of the kind 'circuit'"):
        Board.of([record(0.9)], [suite("t"), suite("u", name="other")])


def test_measures_of_which_there_is_no_value_cannot_be_chosen():
    assert section(record(0.9)).measures == ("auc", PASSES)
    assert section(record(0.9, more={"cmd": measure(None, **CMD)})).measures == ("auc", PASSES)
    assert section(record(0.9, more={"cmd": measure(0.2, **CMD)})).measures == ("auc", "cmd", PASSES)


# -- overall scores ------------------------------------------------------------------------------

TASKS = ("t0", "t1", "t2")


def test_the_overall_score_is_the_mean_of_all_tasks_of_the_suite():
    found = standings(*of_methods({"m": [1.0, 0.75, 0.5, 1.0]}), tasks=TASKS)["m"]
    assert (found.score, found.n_tasks, found.n_suite, found.partial) == (pytest.approx(0.5), 3, 3, False)


def in_family(label="m", values=(0.6, 0.6, 0.6, 1.0)):
    """Three tasks of one family and one alone."""
    names = ("a1", "a2", "a3", "b")
    return [
        record(v, label=label, task=n, family="a" if n != "b" else "", level=None if n == "b" else 4 - int(n[1]))
        for n, v in zip(names, values, strict=True)
    ]


def test_a_family_is_averaged_first_and_is_one_voice():
    found = section(*in_family(), tasks=("a1", "a2", "a3", "b"))
    assert [(f.name, [t.name for t in f.tasks]) for f in found.families] == [("a", ["a3", "a2", "a1"]), ("b", ["b"])]
    assert found.ranking.of("m").score == pytest.approx((0.2 + 1.0) / 2)
    assert found.ranking.of("m").n_tasks == 4


def test_ranks_and_intervals_are_over_families():
    # Over four tasks the two would be told apart; over two families, t has one degree of freedom.
    rows = [*in_family("a", (0.9, 0.9, 0.9, 0.7)), *in_family("b", (0.7, 0.7, 0.7, 0.6))]
    found = standings(*rows, tasks=("a1", "a2", "a3", "b"))
    assert {label: s.rank for label, s in found.items()} == {"a": (1, 2), "b": (1, 2)}
    assert found["a"].interval == pytest.approx(half_width([0.8, 0.4]))


def test_a_stranger_does_not_move_a_task_to_another_family():
    moved = record(0.9, label="x", task="a1", family="b")
    found = section(*in_family("m"), *in_family("n"), moved, tasks=("a1", "a2", "a3", "b"))
    assert [f.name for f in found.families] == ["a", "b"]


def test_tasks_apart_and_outside_enter_no_overall_score():
    rows = [record(0.75), record(1.0, task="apart"), record(1.0, task="outside")]
    found = standings(*rows, apart=("apart",))["m"]
    assert (found.score, found.n_suite) == (pytest.approx(0.5), 1)
    failing = standings(record(0.75), record(None, task="apart"), apart=("apart",))["m"]
    assert (failing.score, failing.imputed) == (pytest.approx(0.5), False)


def test_ranked_methods_stand_first_then_whole_references_then_partial_ones():
    rows = of_methods({"low": [0.6] * 3, "high": [0.9] * 3, "some": [0.9] * 2, "few": [0.9]})
    rows += of_methods({"weak reference": [0.95] * 3, "reference": [1.0] * 3}, reference=True)
    found = section(*rows, tasks=TASKS).ranking.standings
    assert [(s.label, s.rank) for s in found] == [
        ("high", (1, 1)), ("low", (2, 2)), ("reference", None), ("weak reference", None), ("few", None), ("some", None),
    ]  # fmt: skip
    scores = {s.label: s.score for s in found}
    assert (scores["few"], scores["reference"]) == (None, 1.0)
    assert {s.label for s in found if s.reference} == {"reference", "weak reference"}
    assert {s.label for s in found if s.partial} == {"few", "some"}


def test_a_better_range_of_ranks_stands_before_a_higher_score():
    rows = of_methods({"erratic": [1.0, 0.6, 1.0], "steady": [0.85] * 3, "low": [0.8] * 3})
    found = section(*rows, tasks=TASKS).ranking.standings
    assert [(s.label, s.rank) for s in found] == [("steady", (1, 2)), ("erratic", (1, 3)), ("low", (2, 3))]
    assert found[1].score > found[0].score


def test_within_a_shared_rank_the_higher_score_stands_first():
    found = section(*of_methods({"a": [0.6, 0.9, 0.6], "b": [0.9, 0.7, 0.9]}), tasks=TASKS).ranking.standings
    assert [(s.label, s.rank) for s in found] == [("b", (1, 2)), ("a", (1, 2))]


def test_a_failure_on_one_task_is_marked_and_costs_its_share():
    found = standings(*of_methods({"a": [1.0, 1.0, None], "b": [1.0, 1.0, 1.0]}), tasks=TASKS)
    assert found["a"].score == pytest.approx(2 / 3)
    assert found["a"].imputed
    assert not found["b"].imputed
    assert found["a"].rank == (1, 2)


def test_a_declined_task_is_a_missing_one():
    declined = record(None, label="a", task="t2", status="unsupported")
    found = standings(*of_methods({"a": [1.0, 1.0], "b": [0.9] * 3}), declined, tasks=TASKS)
    assert (found["a"].score, found["a"].rank, found["a"].n_tasks, found["a"].n_suite) == (None, None, 2, 3)
    assert (found["a"].partial, found["a"].imputed, found["b"].rank) == (True, False, (1, 1))


def test_a_method_that_always_fails_ranks_below_one_that_finds_something():
    found = section(*of_methods({"a": [None] * 3, "b": [0.6] * 3}), tasks=TASKS).ranking.standings
    assert [(s.label, s.score, s.rank) for s in found] == [("b", pytest.approx(0.2), (1, 1)), ("a", 0.0, (2, 2))]


def test_a_task_that_everybody_failed_counts_as_chance_for_them():
    assert standings(*of_methods({"a": [1.0, None]}), tasks=("t0", "t1"))["a"].score == pytest.approx(0.5)


def test_a_method_with_no_task_of_the_suite_is_a_reference_if_it_says_so_elsewhere():
    found = standings(record(0.9, task="elsewhere", reference=True), record(0.9, label="n", task="elsewhere"))
    assert {s.label: (s.reference, s.n_tasks, s.score) for s in found.values()} == {
        "m": (True, 0, None), "n": (False, 0, None),
    }  # fmt: skip


def test_a_task_of_the_suite_that_nobody_ran_leaves_everybody_partial():
    found = standings(record(0.9), tasks=("t", "other"))["m"]
    assert (found.score, found.rank, found.n_tasks, found.n_suite) == (None, None, 1, 2)


def test_adding_a_method_moves_no_other_methods_score():
    rows = of_methods({"a": [0.6, 0.7, 0.8]})
    more = of_methods({"b": [0.9, None, 0.8], "c": [1.0]})
    assert standings(*rows, tasks=TASKS)["a"].score == standings(*rows, *more, tasks=TASKS)["a"].score


def test_cost_and_quality_has_methods_with_both():
    rows = of_methods({"a": [0.75, 1.0]}, passes=(2.0, 1.0)) + of_methods({"secret": [0.75, 1.0]}, passes=(2.0, None))
    rows += of_methods({"partial": [0.75]}, passes=(2.0, 1.0))
    rows += [record(0.5, label="a", task="other", passes=(10.0, 0.0))]
    found = section(*rows, tasks=("t0", "t1"))
    assert found.cost_and_quality() == [("a", pytest.approx(4.0), pytest.approx(0.75))]
    assert found.of_unknown_cost == ["secret"]


# -- other measures ------------------------------------------------------------------------------


def correlated(label, auc, correlations):
    """A method on t0, t1, ...; None where the task has no exact effects."""
    return [
        record(auc, label=label, task=f"t{i}", more={} if c is None else {f"correlation[t{i}:true]": measure(c)})
        for i, c in enumerate(correlations)
    ]


def test_ranks_follow_the_measure():
    rows = [*correlated("a", 0.9, [0.1, 0.1, 0.1]), *correlated("b", 0.8, [0.7, 0.7, 0.7])]
    found = section(*rows, tasks=TASKS)
    assert [s.label for s in found.rankings["auc"].standings] == ["a", "b"]
    ranked = found.rankings["correlation"].standings
    assert [(s.label, s.score, s.rank) for s in ranked] == [
        ("b", pytest.approx(0.7), (1, 1)), ("a", pytest.approx(0.1), (2, 2)),
    ]  # fmt: skip


def test_a_family_without_a_value_of_a_measure_drops_out_for_everybody():
    rows = [*correlated("a", 0.9, [0.2, 0.4, None]), *correlated("b", 0.8, [0.7, 0.7, None])]
    found = section(*rows, tasks=TASKS).rankings["correlation"]
    assert [f.name for f in found.counted] == ["t0", "t1"]
    assert [f.name for f in found.dropped] == ["t2"]
    assert (found.of("a").score, found.of("a").n_suite) == (pytest.approx(0.3), 2)


def test_a_family_drops_out_whole_where_one_of_its_tasks_has_no_value():
    rows = [
        record(0.9, task="a1", family="a", more={"correlation[a1:true]": measure(0.2)}),
        record(0.9, task="a2", family="a"),
        record(0.9, task="b", more={"correlation[b:true]": measure(0.6)}),
    ]
    found = section(*rows, tasks=("a1", "a2", "b")).rankings["correlation"]
    assert [f.name for f in found.counted] == ["b"]
    assert found.of("m").score == pytest.approx(0.6)


def test_a_measure_that_one_entrant_lacks_moves_nobody_elses_overall():
    both = [*correlated("a", 0.9, [0.2, 0.4]), *correlated("b", 0.8, [0.7, None])]
    alone = section(*both[:2], tasks=("t0", "t1")).rankings["correlation"].of("a")
    found = section(*both, tasks=("t0", "t1")).rankings["correlation"]
    assert found.of("a").score == alone.score == pytest.approx(0.3)
    assert (found.of("b").score, found.of("b").n_tasks, found.of("b").n_suite) == (None, 1, 2)


def test_a_measure_that_one_entrant_adds_moves_nobody_elses_overall():
    honest = [
        *correlated("a", 0.9, [0.2, None]),
        *correlated("b", 0.8, [0.7, None]),
        *correlated("c", 0.8, [0.5, None]),
    ]
    found = section(*honest, *correlated("x", 0.9, [0.1, 1.0]), tasks=("t0", "t1")).rankings["correlation"]
    assert [f.name for f in found.counted] == ["t0"]
    assert found.of("a").score == pytest.approx(0.2)


def test_a_value_that_no_ones_scores_can_have_is_no_value_of_the_task():
    rows = [record(0.9, more={"cmd": measure(None, direction="lower", chance=0.8, oracle=0.0)})]
    rows += [record(0.9, task="u", more={"cmd": measure(0.2, direction="lower", chance=0.8, oracle=0.0)})]
    found = section(*rows, tasks=("t", "u")).rankings["cmd"]
    assert [f.name for f in found.dropped] == ["t"]
    assert found.of("m").score == pytest.approx(0.75)


def test_an_entrant_without_an_opinion_is_partial_by_that_measure_alone():
    mute = record(0.5, label="mute", more={X.replace("auc", "correlation"): measure(None)})
    rows = [record(0.9, label=m, more={X.replace("auc", "correlation"): measure(0.5)}) for m in ("a", "b")]
    found = section(*rows, mute)
    assert found.rankings["correlation"].of("mute").partial
    assert found.rankings["correlation"].of("a").score == pytest.approx(0.5)
    assert found.ranking.of("mute").score == 0.0


def test_without_anchors_there_is_no_overall_and_the_order_is_that_of_the_first_measure():
    rows = [record(v, label=m, more={"cmd": measure(0.1, **CMD)}) for m, v in {"a": 0.6, "b": 0.9}.items()]
    rows += [record(None, label="c")]
    found = section(*rows).rankings["cmd"]
    assert found.counted == ()
    assert [(s.label, s.score, s.rank, s.partial) for s in found.standings] == [
        ("b", None, None, False), ("a", None, None, False), ("c", None, None, False),
    ]  # fmt: skip


def test_a_chance_of_the_tasks_own_is_the_scale_of_cmd():
    rows = [record(0.9, label=m, more={"cmd": measure(v, direction="lower", chance=0.8, oracle=0.0)})
            for m, v in {"a": 0.2, "b": 0.4}.items()]  # fmt: skip
    found = section(*rows).rankings["cmd"]
    assert [(s.label, s.score) for s in found.standings] == [("a", pytest.approx(0.75)), ("b", pytest.approx(0.5))]


def test_passes_are_averaged_over_families_ordered_by_fewer_and_rank_nobody():
    rows = [record(0.9, label="dear", task=t, family=f, passes=(n, 0.0))
            for t, f, n in (("a1", "a", 10.0), ("a2", "a", 20.0), ("b", "b", 45.0))]  # fmt: skip
    rows += [record(0.6, label="cheap", task=t, family=f, passes=(1.0, 1.0))
             for t, f in (("a1", "a"), ("a2", "a"), ("b", "b"))]  # fmt: skip
    found = section(*rows, tasks=("a1", "a2", "b")).rankings[PASSES]
    assert [(s.label, s.score, s.rank) for s in found.standings] == [("cheap", 3.0, None), ("dear", 30.0, None)]


# -- whose anchors -------------------------------------------------------------------------------


def with_chance(chance, *, value=0.4, **cell):
    return record(0.9, more={"cmd": measure(value, direction="lower", chance=chance, oracle=0.0)}, **cell)


def test_an_entrants_own_anchor_does_not_count_and_its_record_is_left_out():
    rows = [with_chance(0.8, label="a"), with_chance(0.8, label="b"), with_chance(40.0, label="x")]
    found = board(*rows)
    (only,) = found.sections
    assert set(only.tasks["t"].groups) == {"a", "b"}
    assert only.rankings["cmd"].of("a").score == pytest.approx(0.5)
    (said,) = found.left_out
    assert said == "x x t@v1 data-0 seed-0 is left out: of cmd it states chance 40, where most state 0.8"
    assert [r.cell.label for r in found.records] == ["a", "b"]


def test_many_seeds_of_an_entrant_are_one_voice():
    rows = [with_chance(0.8, label="a"), with_chance(0.8, label="b")]
    rows += [with_chance(40.0, label="x", seed=s) for s in range(9)]
    assert set(section(*rows).tasks["t"].groups) == {"a", "b"}
    assert most_say([("a", 1), ("a", 1), ("b", 2)]) == 1
    assert most_say([]) is None


def test_anchors_may_differ_between_instances_tasks_and_measures():
    rows = [with_chance(0.8, instance=0), with_chance(0.5, instance=1), with_chance(0.4, value=0.2, task="u")]
    found = board(*rows, tasks=("t", "u"))
    assert not found.left_out
    assert found.sections[0].rankings["cmd"].of("m").score == pytest.approx(((0.5 + 0.2) / 2 + 0.5) / 2)


def test_another_direction_or_oracle_is_left_out_too():
    rows = [record(0.9, label=m) for m in ("a", "b")]
    odd = [record(0.9, label="x", anchors=AUC | {"oracle": 0.9}), record(0.1, label="y", anchors=CMD)]
    left = board(*rows, *odd).left_out
    assert ["oracle 0.9, where most state 1" in left[0], "lower is better, where most state higher" in left[1]] == [
        True
    ] * 2


def test_who_states_no_anchor_is_measured_by_that_of_most_and_a_lone_claim_is_ignored():
    found = board(with_chance(0.8, label="a"), with_chance(0.8, label="b"), with_chance(None, label="old"))
    assert not found.left_out
    assert found.sections[0].rankings["cmd"].of("old").score == pytest.approx(0.5)
    found = board(with_chance(None, label="a"), with_chance(None, label="b"), with_chance(40.0, label="x"))
    assert not found.left_out
    assert found.sections[0].rankings["cmd"].counted == ()


def test_rounding_is_no_other_anchor():
    assert not board(with_chance(0.8, label="a"), with_chance(0.8 + 1e-9, label="b")).left_out


def test_a_record_of_another_kind_than_most_or_of_none_is_left_out(monkeypatch):
    know_dreams(monkeypatch)
    rows = [record(0.9, label="a"), record(0.9, label="b"), record(0.9, label="x", kind="dream")]
    rows += [record(None, label="y", task="u", kind="unheard-of")]
    left = board(*rows).left_out
    assert "unheard-of" in left[0]
    assert "states the kind 'dream' of its task, where most state 'circuit'" in left[1]


# -- cells ---------------------------------------------------------------------------------------


def cells(found, by="auc", table=0):
    view = next(v for v in views(found) if v.measure == by)
    return {s.label: row for s, row in view.tables[table].rows}


def test_a_cell_of_a_family_is_the_mean_of_its_tasks_and_says_of_which():
    found = cells(section(*in_family(values=(0.6, 0.7, 0.8, 1.0)), tasks=("a1", "a2", "a3", "b")))["m"]
    assert [(c.status, c.text, c.shade) for c in found] == [("done", "0.700", 8), ("done", "1.000", 20)]
    assert found[0].about == "mean of 3 tasks: a3 0.800, a2 0.700, a1 0.600"


def test_a_cell_says_what_is_missing_failed_or_declined():
    rows = [*in_family("some")[:2], *in_family("bad", (0.6, None, 0.6, None)), *in_family("whole")]
    rows += [record(None, label="picky", task="b", status="unsupported", reason="needs an MLP")]
    found = cells(section(*rows, tasks=("a1", "a2", "a3", "b")))
    assert [(c.status, c.text) for c in found["some"]] == [("missing", "2/3 tasks"), ("missing", "not run")]
    assert [(c.status, c.text) for c in found["bad"]] == [("failed", "failed on 1/3 tasks"), ("failed", "failed 1/1")]
    assert [(c.status, c.text, c.about) for c in found["picky"]][1] == ("unsupported", "unsupported", "needs an MLP")


def test_a_task_without_the_measure_shows_its_headline_where_that_measure_is_the_first():
    other = record(0.9, task="u", truth=False)
    other = other.model_copy(update={"headline": "cmd", "measures": {"cmd": measure(0.3, **CMD)}})
    found = section(record(0.9), other)
    (cell,) = cells(found, table=1)["m"]
    assert (cell.instead, cell.text, cell.score) == ("CMD", "0.300", None)
    assert [c.instead for c in cells(found, by="cmd", table=1)["m"]] == [""]
    assert [(c.status, c.text) for c in cells(found, by="cmd")["m"]] == [("none", "–")]


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


def test_half_an_interval_is_students():
    assert half_width(around(0.5, 0.1)) == pytest.approx(0.2484, abs=1e-4)
    assert half_width([0.5]) is None


def test_differences_are_paired_over_families():
    hard_and_easy = [0.1, 0.9, 0.4]
    assert rank_ranges({"a": [s + 0.05 for s in hard_and_easy], "b": hard_and_easy}) == {"a": (1, 1), "b": (2, 2)}


def test_a_range_counts_everyone_who_may_stand_before_or_after():
    scores = {"a": around(0.9, 0.0), "b": around(0.5, 0.05), "c": around(0.5, -0.05), "d": around(0.0, 0.0)}
    assert rank_ranges(scores) == {"a": (1, 1), "b": (2, 3), "c": (2, 3), "d": (4, 4)}


def test_two_families_are_enough_where_the_difference_is_the_same_on_both():
    assert rank_ranges({"a": [0.9, 0.9], "b": [0.5, 0.5]}) == {"a": (1, 1), "b": (2, 2)}


def test_one_family_separates_nobody():
    assert rank_ranges({"a": [1.0], "b": [0.0]}) == {"a": (1, 2), "b": (1, 2)}


def test_equal_methods_share_a_rank_range():
    ranges = rank_ranges({"a": [0.9, 0.8, 0.7], "b": [0.9, 0.8, 0.7], "c": [0.1, 0.0, 0.1]})
    assert ranges == {"a": (1, 2), "b": (1, 2), "c": (3, 3)}
