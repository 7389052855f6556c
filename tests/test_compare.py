"""What `bench compare` calls worse, what it excuses, and what must never pass in silence."""

import json
import math
import random
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
from test_cli import bench  # noqa: F401

from mechboard.comparison.compare import FAILING, UNCHANGED, Verdict, compare, nothing_compared
from mechboard.comparison.wanted import Tolerance, full_name, parse_measures
from mechboard.errors import UsageError
from mechboard.records import ErrorRecord, MethodInfo
from mechboard.records.store import read_record

REFERENCE = Path(__file__).parent.parent / "results" / "reference"
MINI = "agreement-simple-mini@v1/data-0/seed-0.json"
AUC, CORRELATION = (f"{name}[agreement-simple-mini:exact-2%]" for name in ("auc", "correlation"))


@pytest.fixture
def sides(tmp_path):
    """Two results folders with the same record of `eap`; the path of HEAD's."""
    for side in ("base", "head"):
        path = tmp_path / side / "eap" / MINI
        path.parent.mkdir(parents=True)
        path.write_text(read_record(REFERENCE / "eap" / MINI).model_dump_json())
    return tmp_path / "head" / "eap" / MINI


def edit(path, change):
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def without(name):
    return lambda record: record["measures"].pop(name)


def set_measure(name, **fields):
    return lambda record: record["measures"][name].update(fields)


def end_as(status):
    """The record of a cell that did not come to its end."""

    def change(record):
        error = {"type": "RuntimeError", "message": "on purpose", "traceback": ""}
        record.update(status=status, error=error, headline=None, measures={}, curves={}, exhibits={}, notes=[])

    return change


def set_cost(factor):
    def change(record):
        record["cost"]["forwards"] *= factor
        record["cost"]["backwards"] *= factor

    return change


def lose_truths(record):
    record["task"]["truths"] = record["task"]["truths"][1:]


def cmd_up_and_costly(record):
    set_measure("cmd", value=0.9)(record)
    set_cost(100)(record)


HOLES = {
    "the headline became null": (set_measure(AUC, value=None), "not comparable"),
    "there is no headline any more": (lambda r: r.update(headline=None), "not comparable"),
    "another measure became the headline": (lambda r: r.update(headline="cmd"), "not comparable"),
    "CMD rose from .13 to .9 at a hundred times the cost": (cmd_up_and_costly, "worse"),
    "a hundred times the cost alone": (set_cost(100), "worse"),
    "the cost is no longer known": (lambda r: r.update(cost=None), "not comparable"),
    "a truth was removed": (lose_truths, "not comparable"),
    "a truth lost edges": (lambda r: r["task"]["truths"][0].update(n_true=3), "not comparable"),
    "a measure is gone": (without("cmd"), "not comparable"),
    "a measure became null": (set_measure(CORRELATION, value=None), "not comparable"),
    "a measure is declared the other way round": (set_measure("cmd", direction="higher"), "not comparable"),
    "the other way round, and so seemingly better": (set_measure("cmd", direction="higher", value=0.9), "not comparable"),
    "the cell failed": (end_as("failed"), "newly failing"),
    "the cell ran out of time": (end_as("timeout"), "newly failing"),
    "the scorer is another": (lambda r: r.update(scorer_id="1:0123"), "not comparable"),
    "the graph is another": (lambda r: r["task"]["facts"][0].update(text="3 layers, 478 edges"), "not comparable"),
    "a lower-is-better measure rose": (set_measure("cmd", value=0.2), "worse"),
    "a higher-is-better measure fell": (set_measure(AUC, value=0.9), "worse"),
}  # fmt: skip


@pytest.mark.parametrize("hole", HOLES)
def test_what_passed_before_fails_now(bench, sides, hole):  # noqa: F811
    assert bench("compare", "base", "head", "--tolerance", "0.01")[0] == 0
    change, verdict = HOLES[hole]
    edit(sides, change)
    code, out, _ = bench("compare", "base", "head", "--tolerance", "0.01", "--json")
    assert code == 1
    assert verdict in {cell["verdict"] for cell in json.loads(out)["cells"] if cell["fails"]}


def test_a_missing_cell_fails_unless_it_is_allowed(bench, sides):  # noqa: F811
    shutil.copytree(REFERENCE / "eap-ig", "base/eap-ig")
    code, out, _ = bench("compare", "base", "head")
    assert code == 1
    assert re.search(r"missing +eap-ig x ioi-mini", out)
    assert bench("compare", "base", "head", "--allow-missing")[0] == 0
    assert bench("compare", "base", "head", "--allow-incomparable")[0] == 1


def test_what_cannot_be_compared_fails_unless_it_is_allowed(bench, sides):  # noqa: F811
    edit(sides, set_measure("cmd", value=None))
    assert bench("compare", "base", "head")[0] == 1
    assert bench("compare", "base", "head", "--allow-missing")[0] == 1
    assert bench("compare", "base", "head", "--allow-incomparable")[0] == 0


@pytest.mark.parametrize("side", ["base", "head"])
def test_a_record_that_cannot_be_read_fails_on_either_side(bench, sides, side):  # noqa: F811
    shutil.copytree("base/eap", f"{side}/other")
    Path(side, "other", MINI).write_text("{")
    code, out, _ = bench("compare", "base", "head")
    assert code == 1
    assert "not comparable   other x agreement-simple-mini  " in out
    assert "is not valid JSON" in out


def test_a_fall_of_what_is_better_when_lower_is_no_regression(bench, sides):  # noqa: F811
    """Were the direction ignored, a better CMD and fewer passes would be called worse."""
    edit(sides, set_measure("cmd", value=0.01))
    edit(sides, set_cost(0.1))
    code, out, _ = bench("compare", "base", "head", "--json")
    assert code == 0
    better = {cell["measure"] for cell in json.loads(out)["cells"] if cell["verdict"] == "better"}
    assert better == {"cmd", "passes"}


def test_each_measure_has_a_tolerance_of_its_own(bench, sides):  # noqa: F811
    edit(sides, set_measure("cmd", value=0.15))  # from 0.1336
    edit(sides, set_measure(AUC, value=0.98))
    edit(sides, set_cost(1.5))

    def code(*measures):
        return bench("compare", "base", "head", *(part for m in measures for part in ("--measure", m)))[0]

    assert code("auc:0.03,cmd:0.02,passes:+60%") == 0
    assert code("auc:0.03", "cmd:0.02", "passes:2") == 0
    assert code("headline:0.03", "cmd:15%") == 0
    assert code("auc:0.03,cmd:0.01") == 1
    assert code("auc:0.03,passes:+40%") == 1
    assert code("cmd:0.02,passes:+60%") == 1, "the headline is compared even if it is not named"
    assert bench("compare", "base", "head", "--measure", "cmd", "--tolerance", "0.03")[0] == 0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--measure", "acu:0.01"], "No measure of these records matches 'acu'; closest: auc; valid: auc, auc-high,"),
        (["--measure", "auc[nothing]"], r"closest: .*; valid: .*auc\[agreement-simple-mini:exact-2%\]"),
        (["--measure", "auc:-0.01"], r"--measure 'auc:-0.01' was given; valid: NAME, NAME:0.01 \(absolute\)"),
        (["--measure", "auc:1.2.3"], "--measure 'auc:1.2.3' was given"),
        (["--measure", "auc:"], "--measure 'auc:' was given"),
        (["--measure", ""], "--measure '' was given"),
        (["--json", "--format", "junit"], "--json and --format junit were given; valid: one of them"),
    ],
)
def test_a_mistaken_measure_is_an_error_and_no_green_gate(bench, sides, flags, said):  # noqa: F811
    code, out, err = bench("compare", "base", "head", *flags)
    assert (code, out) == (2, "")
    assert re.search(said, err), err


def test_a_measure_without_its_truth_is_that_of_the_headline(bench, sides):  # noqa: F811
    rows = json.loads(bench("compare", "base", "head", "--measure", "auc-low", "--json")[1])["cells"]
    assert [row["measure"] for row in rows] == [AUC, AUC.replace("auc", "auc-low")]
    one = AUC.replace("2%", "1%")
    rows = json.loads(bench("compare", "base", "head", "--measure", f"{one}:0.5,cmd", "--json")[1])["cells"]
    assert [(row["measure"], row["tolerance"]) for row in rows] == [(AUC, 1e-4), (one, 0.5), ("cmd", 1e-4)]


def test_nothing_to_compare_exits_4(bench, sides):  # noqa: F811
    for side in ("base", "head"):
        edit(Path(side, "eap", MINI), end_as("failed"))
    assert bench("compare", "base", "head")[:2] == (4, "1 failing; nothing fails\n")
    shutil.rmtree("base/eap")
    assert bench("compare", "base", "head")[0] == 4, "all new"
    shutil.rmtree("head/eap")
    assert bench("compare", "base", "head")[:2] == (4, "no records; nothing fails\n")


def test_cost_alone_is_no_comparison(bench, sides):  # noqa: F811
    for side in ("base", "head"):
        edit(Path(side, "eap", MINI), lambda r: r.update(measures={AUC: r["measures"][AUC] | {"value": None}}))
    assert bench("compare", "base", "head")[0] == 4


def test_only_changes_are_printed_and_the_last_line_counts(bench, sides):  # noqa: F811
    assert bench("compare", "base", "head")[1] == "5 same; nothing fails\n"
    assert len(bench("compare", "base", "head", "-v")[1].splitlines()) == 6
    edit(sides, set_measure("cmd", value=0.2))
    out = bench("compare", "base", "head")[1].splitlines()
    assert out == [
        "worse            eap x agreement-simple-mini  cmd  0.133556 -> 0.2 (+0.0664, tolerance 0.0001)",
        "4 same, 1 worse; 1 of 5 fail",
    ]


def test_a_mended_cell_and_a_new_one_are_told_and_pass(bench, sides):  # noqa: F811
    edit(Path("base/eap", MINI), end_as("failed"))
    shutil.copytree(REFERENCE / "random", "head/random")
    code, out, _ = bench("compare", "base", "head")
    assert code == 0
    assert re.search(r"mended +eap x agreement-simple-mini", out)
    assert re.search(r"new +random x ioi-mini", out)


def test_only_the_newest_version_of_a_task_counts(bench, sides):  # noqa: F811
    newer = Path("head/eap/agreement-simple-mini@v2/data-0/seed-0.json")
    newer.parent.mkdir(parents=True)
    shutil.copy(sides, newer)
    edit(newer, lambda record: record["cell"].update(task_version=2))
    code, out, _ = bench("compare", "base", "head")
    assert code == 1
    assert "the task version differs: 1 in BASE, 2 in HEAD" in out


# -- formats --------------------------------------------------------------------------------------


def _raise_something_nasty(record):
    message = "\x1b[31mred\x00\x1b[0m | <b>&\n`![x](http://y)` @everyone"
    end_as("failed")(record)
    record.update(error={"type": "RuntimeError", "message": message, "traceback": ""})


def test_junit_parses_whatever_a_method_raised_and_has_a_case_per_measure(bench, sides):  # noqa: F811
    shutil.copytree("base/eap", "base/gone")
    edit(Path("base/gone", MINI), lambda r: r["cell"].update(method="gone", label="gone", slug="gone"))
    suite = ElementTree.fromstring(bench("compare", "base", "head", "--format", "junit")[1]).find("testsuite")
    names = [case.get("name") for case in suite.iter("testcase")]
    assert names == [f"eap {m}" for m in (AUC, "cmd", "cpr-clipped", CORRELATION, "passes")] + ["gone cell"]
    assert (suite.get("tests"), suite.get("failures")) == ("6", "1")
    edit(sides, _raise_something_nasty)
    code, out, _ = bench("compare", "base", "head", "--format", "junit", "--allow-missing")
    suite = ElementTree.fromstring(out).find("testsuite")
    assert code == 1
    assert [
        case.find("failure").get("type") for case in suite.iter("testcase") if case.find("failure") is not None
    ] == ["newly failing"]
    assert [case.get("name") for case in suite.iter("testcase") if case.find("skipped") is not None] == ["gone cell"]


def test_markdown_is_a_table_that_no_error_message_can_break(bench, sides):  # noqa: F811
    edit(sides, _raise_something_nasty)
    out = bench("compare", "base", "head", "--format", "markdown")[1].splitlines()
    assert out[0] == "**bench compare: 1 newly failing; 1 of 1 fail**"
    [row] = out[4:]
    assert len(re.findall(r"(?<!\\)\|", row)) == out[2].count("|")
    assert re.search(r"`[^`]*@everyone`", row)
    assert bench("compare", "base", "base", "--format", "markdown")[1].splitlines() == [
        "**bench compare: 5 same; nothing fails**"
    ]


def test_json_is_strict_and_holds_every_row(bench, sides):  # noqa: F811
    out = json.loads(bench("compare", "base", "head", "--format", "json")[1], parse_constant=pytest.fail)
    assert out["counts"] == {"same": 5}
    assert bench("compare", "base", "head", "--json")[1] == bench("compare", "base", "head", "--format", "json")[1]


# -- noise ----------------------------------------------------------------------------------------


def cells(values, *, deterministic=False, data_seed=0, direction="higher", measure=AUC):
    """Records of one cell: one per seed, with these values of one measure."""
    template = read_record(REFERENCE / "eap" / MINI)
    drawn = MethodInfo(**{**template.method.model_dump(), "deterministic": deterministic})
    found = []
    for seed, value in enumerate(values):
        cell = template.cell.model_copy(update={"seed": seed, "data_seed": data_seed})
        measured = template.measures[measure].model_copy(update={"value": value, "direction": direction})
        measures = {**template.measures, measure: measured}
        found.append(template.model_copy(update={"cell": cell, "measures": measures, "method": drawn}))
    return found


def judged(base, head, *, tolerance=0.01, measure="headline"):
    verdicts = compare(base, head, parse_measures([f"{measure}:{tolerance}"]))
    return verdicts[0].verdict if measure == "headline" else verdicts[-1].verdict


STEADY = [0.80, 0.82, 0.78, 0.81, 0.79]
SPREAD = [0.80, 0.95, 0.65, 0.90, 0.70]


@pytest.mark.parametrize(
    ("head", "verdict"),
    [
        ([v - 0.05 for v in STEADY], "worse"),
        ([v + 0.05 for v in STEADY], "better"),
        ([v - 0.005 for v in STEADY], "same"),
        ([0.0] * 5, "worse"),
    ],
)
def test_a_change_that_all_seeds_share_is_a_change(head, verdict):
    assert judged(cells(STEADY), cells(head)) == verdict


def test_a_change_as_large_as_between_bases_own_seeds_is_inside_the_noise():
    other_draws = [0.62, 0.88, 0.91, 0.63, 0.77]
    assert judged(cells(SPREAD), cells(other_draws)) == "inside the noise"
    assert judged(cells(other_draws), cells(SPREAD)) == "inside the noise"
    assert "inside the noise" not in FAILING


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_a_catastrophe_does_not_hide_in_the_wide_interval_of_few_seeds(n):
    """With two seeds a t interval is thirteen standard errors wide to either side."""
    assert judged(cells([0.9, 0.85, 0.88, 0.91][:n]), cells([0.1, 0.6, 0.2, 0.85][:n])) == "worse"


def test_a_head_that_fails_on_some_seeds_does_not_excuse_itself_by_its_own_spread():
    head = [0.80, 0.82, 0.0, 0.81, 0.0]
    differences = [h - b for b, h in zip(STEADY, head, strict=True)]
    mean = sum(differences) / 5
    error = math.sqrt(sum((d - mean) ** 2 for d in differences) / 4 / 5)
    assert abs(mean) < 2.776 * error, "the paired interval alone would have let it pass"
    assert judged(cells(STEADY), cells(head)) == "worse"


def test_a_deterministic_method_has_no_noise():
    assert judged(cells(SPREAD, deterministic=True), cells([v - 0.02 for v in SPREAD])) == "worse"
    base = [r for i, v in enumerate(SPREAD) for r in cells([v], deterministic=True, data_seed=i)]
    head = [r for i, v in enumerate(SPREAD) for r in cells([v - 0.02 * i], deterministic=True, data_seed=i)]
    assert judged(base, head) == "worse"


def test_head_cannot_declare_itself_noisy():
    base, head = cells(SPREAD, deterministic=True), cells([0.62, 0.88, 0.91, 0.63, 0.70])
    assert judged(base, head) == "worse"


def test_instances_that_differ_in_difficulty_are_no_noise():
    """Ten points between instances excuse nothing: both sides have the same instances."""
    base = [
        r for i, level in enumerate((0.5, 0.7, 0.9)) for r in cells([level, level + 0.01, level - 0.01], data_seed=i)
    ]
    head = [
        r for i, level in enumerate((0.5, 0.7, 0.84)) for r in cells([level, level + 0.01, level - 0.01], data_seed=i)
    ]
    assert judged(base, head) == "worse"


def test_unequal_numbers_of_seeds_weigh_instances_equally():
    base = cells([0.5] * 4) + cells([0.5], data_seed=1)
    head = cells([0.5] * 4) + cells([0.4], data_seed=1)
    [verdict, *_] = compare(base, head, parse_measures(["headline"]))
    assert verdict.change == pytest.approx(-0.05)
    assert verdict.pairs == 5


def test_a_method_that_draws_anew_is_called_worse_in_few_cases_only():
    draw, alarms = random.Random(0), 0
    for _ in range(400):
        base, head = ([draw.gauss(0.5, 0.1) for _ in range(5)] for _ in range(2))
        alarms += judged(cells(base), cells(head), tolerance=0) == "worse"
    assert 2 <= alarms <= 32


def test_the_interval_is_the_paired_t_interval():
    from scipy.stats import ttest_rel

    head = [0.62, 0.88, 0.91, 0.63, 0.77]
    [verdict, *_] = compare(cells(SPREAD), cells(head), parse_measures(["headline"]))
    expected = ttest_rel(head, SPREAD).confidence_interval(0.95)
    assert verdict.interval == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_a_value_that_is_no_finite_number_never_passes(value, side):
    pair = [cells(STEADY), cells(STEADY)]
    pair[side] = cells([*STEADY[:4], value])
    assert judged(*pair) == "not comparable"


def test_one_seed_that_lost_its_value_is_not_averaged_away():
    assert judged(cells(STEADY), cells([*STEADY[:4], None])) == "not comparable"
    assert judged(cells([*STEADY[:4], None]), cells(STEADY)) == "same"


def test_one_seed_that_is_missing_or_fails_is_not_averaged_away():
    [first, *rest] = compare(cells(STEADY), cells(STEADY[:4]), parse_measures(["headline"]))
    assert (first.verdict, first.reason) == ("missing", "1 of 5 records are not in HEAD")
    assert [v.verdict for v in rest] == ["same"]
    head = cells(STEADY)
    head[3] = head[3].model_copy(update={"status": "crashed"})
    assert judged(cells(STEADY), head) == "newly failing"


def test_a_lower_direction_counts_for_seeds_too():
    base = cells(SPREAD, measure="cmd", direction="lower")
    up = cells([v + 0.1 for v in SPREAD], measure="cmd", direction="lower")
    assert judged(base, up, measure="cmd") == "worse"
    assert judged(up, base, measure="cmd") == "better"


def test_two_records_of_one_cell_are_refused():
    with pytest.raises(UsageError, match="HEAD holds two records of eap x agreement-simple-mini@v1 data-0 seed-0"):
        compare(cells([0.5]), cells([0.5]) + cells([0.6]), parse_measures([]))


@pytest.mark.parametrize(("fall", "verdict"), [(0.13, "inside the noise"), (0.16, "worse")])
def test_noise_excuses_no_more_than_two_sets_of_bases_own_seeds_would_differ(fall, verdict):
    """Five seeds of 0.079 spread: the mean of five has a half interval of 0.098, the difference of two such 0.139."""
    base = [0.40, 0.45, 0.50, 0.55, 0.60]
    head = [v - fall for v in reversed(base)]  # so that the paired interval, 0.196, is wider than both
    assert judged(cells(base), cells(head)) == verdict


def test_what_is_done_on_neither_side_is_told_with_how_many_cells():
    both = [[r.model_copy(update={"status": "failed"}) for r in cells(STEADY)] for _ in range(2)]
    [verdict] = compare(*both, parse_measures(["headline"]))
    assert (verdict.verdict, verdict.pairs, verdict.label) == ("failing", 5, "eap")


def test_a_headline_without_a_value_is_told_and_another_measure_without_one_is_not():
    headline = [cells([None]), cells([None])]
    [verdict] = compare(*headline, parse_measures(["headline"]))
    assert (verdict.verdict, verdict.measure, verdict.pairs) == ("no value", AUC, 1)
    other = [cells([None], measure="cmd"), cells([None], measure="cmd")]
    verdicts = compare(*other, parse_measures(["headline", "cmd"]))
    assert [(v.verdict, v.measure) for v in verdicts] == [("same", AUC)]


def test_a_name_without_its_truth_is_that_of_the_headline_though_another_truth_stands_first():
    [record] = cells([0.5])
    names = ["agreement-simple-mini:exact-2%", "agreement-simple-mini:exact-1%"]
    assert [truth.name for truth in record.task.truths][:2] == names
    of_second = record.model_copy(update={"headline": f"auc[{names[1]}]"})
    without = record.model_copy(update={"headline": "cmd"})
    assert full_name(record, "auc") == full_name(without, "auc") == f"auc[{names[0]}]"
    assert full_name(of_second, "auc") == f"auc[{names[1]}]"
    assert full_name(without.model_copy(update={"headline": None}), "auc") == f"auc[{names[0]}]"
    assert full_name(record, "no-such") is None


@pytest.mark.parametrize(
    ("word", "fails", "told", "compared"),
    [
        ("worse", True, True, True), ("missing", True, True, False), ("newly failing", True, True, False),
        ("not comparable", True, True, False), ("inside the noise", False, True, True), ("better", False, True, True),
        ("same", False, False, True), ("mended", False, True, True), ("new", False, True, False),
        ("failing", False, False, False), ("no value", False, False, False),
    ],
)  # fmt: skip
def test_what_each_verdict_does_to_a_gate(word, fails, told, compared):
    assert (word in FAILING) == fails
    assert (word not in UNCHANGED) == told
    assert nothing_compared([Verdict(word, "m", "t", "auc")]) == (not compared)
    assert nothing_compared([Verdict(word, "m", "t", "passes")])


def test_of_several_failures_the_first_seeds_is_told():
    errors = [ErrorRecord(type=f"Error{seed}", message="m", traceback="t") for seed in range(3)]
    head = [
        r.model_copy(update={"status": "failed", "error": e}) for r, e in zip(cells([0.5] * 3), errors, strict=True)
    ]
    for order in (head, head[::-1]):
        [verdict] = compare(cells([0.5] * 3)[::-1], order, parse_measures(["headline"]))
        assert verdict.reason == "3 records are failed: Error0: m"


def test_a_base_that_disagrees_with_itself_about_what_is_better_is_not_comparable():
    base = [cells(STEADY[:2])[0], cells(STEADY[:2], direction="lower")[1]]
    verdicts = compare(base, base, parse_measures(["headline"]))
    assert [(v.verdict, v.pairs) for v in verdicts] == [("not comparable", 2)]
    assert "BASE itself disagrees" in verdicts[0].reason


@pytest.mark.parametrize("sides", [("higher", "lower"), ("lower", "higher")])
def test_a_head_that_calls_the_other_direction_better_is_not_comparable(sides):
    base, head = (cells([0.5], direction=direction, measure="cmd") for direction in sides)
    verdict = compare(base, head, parse_measures(["cmd"]))[-1]
    assert verdict.verdict == "not comparable"
    assert verdict.reason == f"{sides[0]} is better in BASE, {sides[1]} in HEAD"


@pytest.mark.parametrize(("base", "head", "tolerance"), [(1, 0.98, 0.02), (0.9, 0.6, 0.3), (0.0, 1e-9, 0.0)])
def test_a_change_of_just_the_tolerance_is_none_whatever_the_rounding_of_decimals(base, head, tolerance):
    assert judged(cells([base]), cells([head]), tolerance=tolerance) == "same"


def test_a_share_of_a_value_below_zero_is_no_tolerance_below_zero():
    assert Tolerance(0.2, relative=True).around(-2) == pytest.approx(0.4)
    assert Tolerance(0.2).around(-2) == 0.2
