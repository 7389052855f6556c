"""A task's page: tables that can be read, its twin, published figures, whose weights, and tasks without records."""

import csv
import json
import re

import pytest
from click.testing import CliRunner
from made_records import AUC, declared, drawn_parts, know_dreams, measure, other_exhibits, record, suite
from test_leaderboard import EVIL, _check, _text

from mechboard.cli.leaderboard import _declared, command
from mechboard.contract.scores import Curve, Quoted, TruthInfo
from mechboard.errors import PluginError
from mechboard.kinds.feature_exhibits import Explanation, SetCurve
from mechboard.leaderboard.site import build_site
from mechboard.plugins.registry import Registry
from mechboard.records.store import Store

QUOTED = Quoted(method="eap", measure="auc[ioi:true]", value=0.904, convention="steps", source="a paper, figure 2")


def pages(out, records, *, tasks=(), suites=()):
    build_site(records, suites, out, (), tasks)
    return {path.relative_to(out).as_posix(): path.read_text() for path in out.rglob("*.html")}


def rows(page, kind):
    """The rows of the tables of a class, as lists of text."""
    return [
        [_text(cell).strip() for cell in re.findall(r"<t[hd][ >].*?</t[hd]>", row, re.S)]
        for table in re.findall(rf'<table class="{kind}">.*?</table>', page, re.S)
        for row in re.findall(r"<tr.*?</tr>", table, re.S)
    ]


def several_truths(value=0.9, **about):
    """A record with three measures against each of two truths, and two against none."""
    made = record(value, task="t", **about)
    other = {f"{name}[t:other]": measure(0.6, **AUC) for name in ("auc", "auc-low", "average-precision")}
    more = {
        "auc-low[t:true]": measure(0.7),
        "average-precision[t:true]": measure(0.8),
        "cmd": measure(0.1),
        "cpr": measure(2.0),
    }
    truths = (*made.task.truths, TruthInfo(name="t:other", n_true=2, n_all=17, source="somebody"))
    return made.model_copy(
        update={"measures": made.measures | more | other, "task": made.task.model_copy(update={"truths": truths})}
    )


# -- measures ------------------------------------------------------------------------------------


def test_many_measures_are_folded_by_truth_and_none_is_lost(tmp_path):
    page = pages(tmp_path, [several_truths()])["tasks/t.html"]
    main, first, second, without = rows(page, "sortable")[::2]
    assert main[1:5] == ["auc[true] ↑", "average-precision[true] ↑", "cmd ↑", "auc[other] ↑"]
    assert first[1:] == ["auc ↑", "auc-low ↑", "average-precision ↑"]
    assert second[1:] == ["auc ↑", "auc-low ↑", "average-precision ↑"]
    assert without[1:] == ["cmd ↑", "cpr ↑"]
    assert re.findall(r"<summary>(.*?)</summary>", page)[:3] == [
        "Against t:true: 3 measures", "Against t:other: 3 measures", "Without a truth: 2 measures",
    ]  # fmt: skip


def test_a_measure_that_only_one_method_states_has_a_column_with_a_dash_for_others(tmp_path):
    odd = record(0.8, label="odd", more={"auc.strange": measure(0.3)})
    page = pages(tmp_path, [record(0.9), record(None, label="broken"), odd])["tasks/t.html"]
    found = rows(page, "sortable")
    assert found[0][2] == "auc.strange ↑"
    assert [(row[0].split()[0], row[2]) for row in found[1:]] == [("m", "–"), ("odd", "0.300"), ("broken", "–")]


# -- curves and exhibits -------------------------------------------------------------------------


def curve(y, **about):
    return Curve(x=(0.0, 1.0), y=(0.0, y), x_label="false", y_label="true", title="ROC", **about)


def test_curves_against_one_truth_with_the_same_axes_share_a_plot(tmp_path):
    names = {"roc[t:true]": curve(1.0), "roc-circuits[t:true]": curve(0.9), "other[t:true]": curve(1.0, log_x=True)}
    page = pages(
        tmp_path, [record(0.9, label="a", curves=names), record(0.8, label="b", curves={"roc[t:true]": curve(0.5)})]
    )
    plots = re.findall(r'<svg class="plot curves".*?</svg>', page["tasks/t.html"], re.S)
    assert [re.findall(r'data-name="(.*?)"', plot) for plot in plots] == [["a", "b", "a (circuits)"], ["a"]]


def test_curves_against_no_truth_share_nothing(tmp_path):
    page = pages(tmp_path, [record(0.9, curves={"kept": curve(1.0), "left": curve(0.5)})])["tasks/t.html"]
    assert page.count('class="plot curves"') == 2


def test_curves_against_later_truths_are_folded(tmp_path):
    made = several_truths(curves={"roc[t:true]": curve(1.0), "roc[t:other]": curve(0.5)})
    page = pages(tmp_path, [made])["tasks/t.html"]
    before, _, folded = page.partition("Against the other truths: 1 plots")
    assert before.count('class="plot curves"') == folded.count('class="plot curves"') == 1


def test_of_many_methods_the_best_three_are_shown_and_references_come_last(tmp_path):
    made = [record(0.5 + i / 100, label=f"m{i}", exhibits=other_exhibits("t")) for i in range(6)]
    made.append(record(1.0, label="known", reference=True, exhibits=other_exhibits("t")))
    page = pages(tmp_path, made)["tasks/t.html"]
    section = page[page.index('id="exhibit-agreement"') : page.index('id="exhibit-interpolation"')]
    shown, _, folded = section.partition('<details class="more">')
    assert re.findall(r"<figcaption>(.*?)</figcaption>", shown) == ["m5", "m4", "m3"]
    assert re.findall(r"<figcaption>(.*?)</figcaption>", folded) == ["m2", "m1", "m0", "known"]
    assert "<summary>4 more: m2, m1, m0, known</summary>" in folded


def test_a_method_shows_its_own_figures_on_each_task_and_a_large_one_by_a_link(tmp_path, monkeypatch):
    made = [record(0.9, task=name, **drawn_parts(name)) for name in ("t", "u")]
    page = pages(tmp_path, made)["methods/m.html"]
    assert len(re.findall(r"<summary>Figures on [tu]: circuit, distribution, agreement", page)) == 2
    assert page.count("edges by score") == 2
    monkeypatch.setattr("mechboard.leaderboard.figures._LARGE", 100)
    page = pages(tmp_path / "small", made)["methods/m.html"]
    assert 'href="../tasks/u.html#exhibit-agreement"' in page
    assert "edges by score" not in page


def test_measures_of_parts_that_are_no_truth_are_headed_by_the_part(tmp_path):
    more = {f"{name}[no-errors]": measure(0.5) for name in ("faithfulness", "linearity", "coverage")}
    made = record(0.9, more=more | {f"{name}[t:true]": measure(0.4) for name in ("low", "high", "middle")})
    folds = re.findall(r"<summary>(.*?)</summary>", pages(tmp_path, [made])["tasks/t.html"])
    assert {"No errors: 3 measures", "Against t:true: 4 measures"} <= set(folds)


def test_a_family_shows_what_a_method_left_on_all_of_its_tasks_as_one(tmp_path):
    def left(task, label, y, **more):
        n = {"t": (1.0, 101.0), "u": (1.0, 201.0)}[task]
        curve = SetCurve(of="faithfulness", name="features", n_nodes=n, values=(0.0, y))
        exhibits = {"explanation": Explanation(curves=(curve,)), **other_exhibits(task)}
        return record(0.9, label=label, task=task, family="both", exhibits=exhibits, **more)

    made = [left("t", "a", 1.0), left("u", "a", 0.5), left("t", "known", 1.0, reference=True)]
    made += [left("u", "known", 1.0, reference=True), left("t", "once", 1.0), record(None, label="once", task="u", family="both")]  # fmt: skip
    page = pages(tmp_path, made, suites=[suite("t", "u")])["families/both.html"]
    assert re.findall(r"<figcaption>(.*?)</figcaption>", page) == ["a", "known"]
    assert (
        "explanation of a, faithfulness by number of nodes, mean over 2 tasks: features 0.00 at 1 nodes, 0.62 at 101"
        in page
    )
    assert "exhibit-agreement" not in page


def test_exhibits_of_one_name_and_of_two_types_are_not_made_one(tmp_path):
    curve = SetCurve(of="faithfulness", name="features", n_nodes=(1.0, 2.0), values=(0.0, 1.0))
    odd = {"t": Explanation(curves=(curve,)), "u": other_exhibits("u")["agreement"]}
    made = [record(0.9, task=task, family="both", exhibits={"explanation": each}) for task, each in odd.items()]
    assert "exhibit-" not in pages(tmp_path, made)["families/both.html"]


# -- published figures ---------------------------------------------------------------------------


def test_published_figures_stand_beside_ours_and_nowhere_else(tmp_path):
    made = [record(0.8, label=label, task="ioi", quoted=(QUOTED, QUOTED.model_copy(update={"method": "hisp"})))
            for label in ("eap", "other")]  # fmt: skip
    built = pages(tmp_path, made, suites=[suite("ioi")])
    assert rows(built["tasks/ioi.html"], "published")[1:] == [
        ["eap", "AUC [ioi:true]", "0.904", "0.800", "steps", "a paper, figure 2"],
        ["hisp", "AUC [ioi:true]", "0.904", "not measured", "steps", "a paper, figure 2"],
    ]
    assert "Published, not measured here" in built["tasks/ioi.html"]
    assert "0.904" not in built["index.html"]
    assert "hisp" not in built["index.html"]
    assert len(list(csv.DictReader((tmp_path / "leaderboard.csv").open()))) == 2
    assert "0.904" not in (tmp_path / "leaderboard.csv").read_text()


def test_a_task_without_published_figures_has_no_such_table(tmp_path):
    assert "Published" not in pages(tmp_path, [record(0.9)])["tasks/t.html"]


# -- tasks without records, and twins ------------------------------------------------------------


@pytest.fixture
def twins(tmp_path):
    """`ioi` awaits its weights, `ioi-mini` has results, `verbs` has neither twin nor records."""
    made = [
        record(v, label=label, task="ioi-mini", more={"cmd": measure(0.125)}) for label, v in (("eap", 0.9), ("x", 0.7))
    ]
    tasks = [
        declared("ioi", twin="ioi-mini", quoted=(QUOTED,), description="the whole story"),
        declared("verbs", tier="embedded"),
        declared("ioi-mini", tier="embedded"),
    ]
    return pages(tmp_path, made, tasks=tasks, suites=[suite("ioi-mini")])


def test_a_declared_task_has_a_page_that_says_what_it_awaits(twins):
    page = twins["tasks/ioi.html"]
    assert "awaits its weights" in page
    assert "<code>bench pull ioi</code>, then <code>bench run --method NAME --task ioi</code>" in page
    assert "the whole story" in page
    assert rows(page, "published")[1][:4] == ["eap", "AUC [ioi:true]", "0.904", "not measured"]
    assert "<code>bench run --method NAME --task verbs</code>" in twins["tasks/verbs.html"]
    assert "awaits its first run" in twins["tasks/verbs.html"]


def test_a_task_with_records_is_told_by_these(twins):
    assert "There are no results" not in twins["tasks/ioi-mini.html"]
    assert "Measures" in twins["tasks/ioi-mini.html"]


def test_a_task_that_awaits_its_weights_shows_its_twins_numbers_as_the_twins(twins):
    table = rows(twins["tasks/ioi.html"], "beside")
    assert table[0] == ["Method", "ioi", "AUC", "CMD"]
    assert table[1] == ["ioi-mini embedded model"] * 2
    assert table[2] == ["eap", "awaits its weights", "0.900", "0.125"]
    assert table[3] == ["x", "0.700", "0.125"]


def test_a_task_says_that_its_numbers_are_not_those_of_the_twin_that_awaits_weights(twins):
    page = _text(twins["tasks/ioi-mini.html"])
    assert "The twin of ioi-mini is ioi: summary of ioi" in page
    assert "ioi-miniembedded modelioiawaits its weights" in page
    assert "All numbers on this page are those of ioi-mini." in page


def test_the_front_page_lists_what_awaits_weights_and_folds_what_was_not_run(twins):
    before, _, after = twins["index.html"].partition("1 tasks that nothing was run on")
    assert "Paper tier, awaiting weights" in before
    assert rows(before, "awaiting")[1] == ["ioi", "bench pull ioi", "ioi-mini", "summary of ioi"]
    assert rows(after, "awaiting")[1][:2] == ["verbs", "bench run --method NAME --task verbs"]


def test_without_declared_tasks_nothing_is_said_of_weights(tmp_path):
    assert "awaiting" not in pages(tmp_path, [record(0.9)])["index.html"]


def test_twins_with_results_stand_side_by_side_by_the_same_measures(tmp_path):
    made = [
        record(0.9, label="eap", task="ioi", tier="paper", twin="ioi-mini", assets={"gpt2 revision": "abc"}),
        record(0.8, label="eap", task="ioi-mini", more={"cmd": measure(0.1)}),
        record(None, label="bad", task="ioi-mini"),
    ]
    built = pages(tmp_path, made)
    table = rows(built["tasks/ioi.html"], "beside")
    assert table[0] == ["Method", "AUC", "CMD"]
    assert table[1] == ["ioi true weights", "ioi-mini embedded model"] * 2
    assert table[2] == ["eap", "0.900", "0.800", "–", "0.100"]
    assert table[3] == ["bad", "not run", "failed 1/1", "not run", "failed 1/1"]
    mirrored = rows(built["tasks/ioi-mini.html"], "beside")
    assert mirrored[1] == ["ioi-mini embedded model", "ioi true weights"] * 2
    assert mirrored[2] == ["eap", "0.800", "0.900", "0.100", "–"]


def test_a_twin_whose_every_cell_failed_has_no_results_of_any_weights(tmp_path):
    made = [record(0.9, task="ioi-mini"), record(None, task="ioi", tier="paper", twin="ioi-mini")]
    assert rows(pages(tmp_path, made)["tasks/ioi.html"], "beside")[1] == [
        "ioi no results yet",
        "ioi-mini embedded model",
    ]


def test_twins_that_name_each_other_stand_there_once_and_a_twin_that_is_nowhere_is_left_out(tmp_path):
    made = [record(0.9, task="a", twin="b"), record(0.9, task="b", twin="a"), record(0.9, task="c", twin="gone")]
    built = pages(tmp_path, made)
    assert built["tasks/a.html"].count("The twin of a is") == 1
    assert "Beside its twin" not in built["tasks/c.html"]


def test_a_kind_without_any_record_has_its_declared_tasks(tmp_path, monkeypatch):
    know_dreams(monkeypatch)
    built = pages(
        tmp_path,
        [record(0.9)],
        tasks=[declared("night", kind="dream")],
        suites=[suite("t"), suite("night", kind="dream")],
    )
    assert "awaits its weights" in built["tasks/night.html"]
    assert built["index.html"].index("Which method tells dreams apart?") < built["index.html"].index("bench pull night")


def test_text_of_declared_tasks_and_published_figures_is_shown_as_text(tmp_path):
    evil = Quoted(method=EVIL, measure=EVIL, value=1.0, convention=EVIL, source=EVIL)
    tasks = [declared(f"ioi{EVIL}", twin=f"t{EVIL}", quoted=(evil,), description=EVIL, citation={EVIL: EVIL})]
    assets = {"gpt2 revision": f"abc from {EVIL}"}
    pages(
        tmp_path,
        [record(0.9, task=f"t{EVIL}", quoted=(evil,), assets=assets), record(0.9, label="n", task="u")],
        tasks=tasks,
    )
    for page in tmp_path.rglob("*.html"):
        assert _check(page).tags.count("script") == 1, page
        assert "<script>alert" not in page.read_text()


# -- weights -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("revision", "said"),
    [
        ("607a30d", "verified revision gpt2 607a30d"),
        ("unverified", "unverified: nobody has seen that they are those of the published model"),
        ("607a30d from http://127.0.0.1:9", "from another hub (gpt2 607a30d from http://127.0.0.1:9): these numbers are not those of the published model"),
    ],
)  # fmt: skip
def test_a_page_says_whose_weights_its_numbers_rest_on(tmp_path, revision, said):
    assets = {"gpt2/model.safetensors": "00ff", "gpt2 revision": revision}
    page = _text(pages(tmp_path, [record(0.9, tier="paper", assets=assets)])["tasks/t.html"])
    assert f"Weights {said}" in page.replace("Weights", "Weights ").replace("  ", " ")


def test_weights_that_differ_are_told_with_their_methods_and_the_worst_first(tmp_path):
    made = [
        record(0.9, label="a", tier="paper", assets={"m revision": "abc", "t revision": "def"}),
        record(0.9, label="b", tier="paper", assets={"m revision": "abc", "t revision": "unverified"}),
        record(None, label="failed", tier="paper", assets={"m revision": "other from x"}),
    ]
    page = _text(pages(tmp_path, made)["tasks/t.html"])
    assert "another hub" not in page
    assert page.index("published model: b") < page.index("verified revision m abc, t def: a")


def test_the_front_page_tells_whose_weights_a_papers_column_rests_on(tmp_path):
    made = [record(0.9), record(0.9, task="ioi", tier="paper", assets={"gpt2 revision": "unverified"})]
    page = _text(pages(tmp_path, made, suites=[suite("t")])["index.html"])
    assert "ioi unverified weights" in page
    assert "t embedded" not in page


def test_a_model_that_ships_has_no_line_of_weights(tmp_path):
    assert "<dt>Weights" not in pages(tmp_path, [record(0.9, assets={"mini/model": "00"})])["tasks/t.html"]


# -- the command ---------------------------------------------------------------------------------


def test_the_command_gives_every_task_without_records_a_page(tmp_path):
    Store(tmp_path / "r").write(record(0.9, task="trained-ioi"))
    done = CliRunner().invoke(command, ["build", "--results", str(tmp_path / "r"), "--out", str(tmp_path / "site")])
    assert done.exit_code == 0, done.output
    made = {path.stem for path in (tmp_path / "site" / "tasks").iterdir()}
    assert made == set(Registry().plugins("task"))
    assert "awaits its first run" in (tmp_path / "site" / "tasks" / "ioi-mini.html").read_text()


def test_a_task_that_does_not_load_is_told_of_and_left_out(capsys):
    class Broken:
        def plugins(self, what):
            return {"gone": None, "known": None}

        def load(self, what, name):
            raise PluginError(f"The task {name!r} does not load; mend it.")

    assert _declared(Broken(), {"known"}) == []
    assert "note: The task 'gone' does not load" in capsys.readouterr().err


def test_records_alone_are_in_the_downloads(twins, tmp_path):
    whole = json.loads((tmp_path / "leaderboard.json").read_text())
    assert {r["cell"]["task"] for r in whole["records"]} == {"ioi-mini"}
