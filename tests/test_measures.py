"""What `evaluate_edges` makes of scores, held to a plain reference, on a problem whose metric is known in closed form.

The metric of a circuit is 2 plus the sum of what its edges are worth, so no model is run and every area can be
computed by hand.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from models import random_problem
from scipy.stats import spearmanr

from mechboard.errors import PluginError
from mechboard.graph import Graph
from mechboard.metrics import circuit
from mechboard.metrics.circuit import evaluate_edges, found_circuit
from mechboard.metrics.measures import DEFINITIONS
from mechboard.metrics.precision import precision
from mechboard.metrics.roc import roc
from mechboard.protocols import Truth

EMPTY = 2.0
NAN = float("nan")


class Additive:
    """A problem of 118 edges (head level) or 262 (q/k/v level) with the worth of each edge."""

    def __init__(self, level, monkeypatch):
        problem = random_problem("gpt2", dtype=torch.float32)
        self.problem = replace(problem, graph=Graph.of(problem.model.config, level=level))
        self.n = self.problem.graph.n_edges
        self.worth = torch.randn(self.n, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.5
        monkeypatch.setattr(
            circuit, "circuit_metrics", lambda problem, pairs, sets: [EMPTY + float(self.worth[s].sum()) for s in sets]
        )

    def evaluate(self, scores, *truths, **more):
        return evaluate_edges(self.problem, scores, self.problem.pairs, truths, **more)

    def value(self, name, scores):
        return self.evaluate(scores).measures[name].value

    def faithfulness(self, order, counts, *, complement=False):
        worth = self.worth.numpy()[order]
        kept = np.array([worth[c:].sum() if complement else worth[:c].sum() for c in counts])
        return kept / worth.sum()


@pytest.fixture
def small(monkeypatch):
    return Additive("head", monkeypatch)


@pytest.fixture
def large(monkeypatch):
    return Additive("qkv", monkeypatch)


@pytest.fixture
def scores(small):
    return torch.randn(small.n, generator=torch.Generator().manual_seed(1))


def strongest_first(scores):
    return np.argsort(-np.abs(scores.numpy()), kind="stable")


def highest_first(scores):
    return np.argsort(-scores.numpy(), kind="stable")


def truth_of(edges, **more):
    return Truth(name="t:set", edges=edges, source="made up", **more)


# -- which order makes which number --------------------------------------------------------------


def test_cmd_ranks_edges_by_strength_whatever_their_sign(small, scores):
    counts = range(1, small.n + 1)
    f = small.faithfulness(strongest_first(scores), counts)
    expected = np.trapezoid(np.abs(1 - f), [c / small.n for c in counts])
    assert small.value("cmd", scores) == pytest.approx(expected)
    assert small.value("cmd", -scores) == pytest.approx(expected)
    signed = small.faithfulness(highest_first(scores), counts)
    assert np.trapezoid(np.abs(1 - signed), [c / small.n for c in counts]) != pytest.approx(expected, abs=0.01)


def test_cpr_ranks_edges_by_score_highest_first(small, scores):
    counts = range(1, small.n + 1)
    f = small.faithfulness(highest_first(scores), counts)
    x = [c / small.n for c in counts]
    assert small.value("cpr", scores) == pytest.approx(np.trapezoid(f, x))
    assert small.value("cpr-clipped", scores) == pytest.approx(np.trapezoid(np.clip(f, 0, 1), x))
    by_strength = small.faithfulness(strongest_first(scores), counts)
    assert np.trapezoid(by_strength, x) != pytest.approx(np.trapezoid(f, x), abs=0.01)


def test_completeness_is_what_the_strongest_edges_leave_behind(small, scores):
    counts = range(1, small.n + 1)
    rest = small.faithfulness(strongest_first(scores), counts, complement=True)
    x = [c / small.n for c in counts]
    assert small.value("completeness", scores) == pytest.approx(np.trapezoid(np.abs(rest), x))


def test_mibs_ten_percentages_make_a_number_of_their_own(large):
    scores = torch.randn(large.n, generator=torch.Generator().manual_seed(1))
    counts = [1, 3, 5, 13, 26, 52, 131, 262]  # 0.1 % and 0.2 % of 262 edges are one edge, as is 0.5 %
    f = large.faithfulness(strongest_first(scores), counts)
    result = large.evaluate(scores)
    expected = np.trapezoid(np.abs(1 - f), [c / 262 for c in counts])
    assert result.measures["cmd-mib"].value == pytest.approx(expected)
    assert result.measures["cmd-mib"].of == "8 circuits"
    assert result.measures["cmd"].value != pytest.approx(expected, abs=1e-3)


def test_an_edge_without_a_score_enters_every_circuit_last(small, scores):
    silent = scores.clone()
    silent[strongest_first(scores)[:10].copy()] = NAN
    at_the_end = torch.where(silent.isnan(), torch.zeros_like(silent), silent)
    assert small.value("cmd", silent) == pytest.approx(small.value("cmd", at_the_end))
    curve = small.evaluate(silent).curves["faithfulness-signed"]
    asked = small.faithfulness(highest_first(torch.where(silent.isnan(), -torch.inf, silent)), range(1, small.n + 1))
    assert curve.y == pytest.approx(asked.tolist())


# -- what stands beside the numbers --------------------------------------------------------------

MEASURES = {
    # name: direction, chance, oracle, of
    "auc[t:set]": ("higher", 0.5, 1.0, "12 / 118 edges"),
    "average-precision[t:set]": ("higher", 12 / 118, 1.0, "12 / 118 edges"),
    "precision-at-size[t:set]": ("higher", 12 / 118, 1.0, "12 / 118 edges"),
    "auc-signed[t:set]": ("higher", 0.5, 1.0, "12 / 118 edges"),
    "correlation[t:set]": ("higher", 0.0, 1.0, "exact effects of 118 edges"),
    "rank-correlation[t:set]": ("higher", 0.0, 1.0, "exact effects of 118 edges"),
    "auc-low[t:set]": ("higher", 0.5, 1.0, "12 / 118 edges"),
    "auc-high[t:set]": ("higher", 0.5, 1.0, "12 / 118 edges"),
    "cmd": ("lower", None, 0.0, "118 circuits of 1 to 118 edges"),
    "cmd-mib": ("lower", None, 0.0, "7 circuits"),
    "completeness": ("lower", None, 0.0, "118 circuits of 1 to 118 edges"),
    "cpr-clipped": ("higher", None, 1.0, "118 circuits of 1 to 118 edges"),
    "cpr": ("higher", None, None, "118 circuits of 1 to 118 edges"),
    "coverage": ("higher", None, None, "118 / 118 edges"),
    "metric-model": ("higher", None, None, "5 prompts"),
    "metric-empty": ("lower", None, None, "5 prompts"),
}


@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_says_which_way_is_better_and_what_its_anchors_and_denominators_are(small, scores, name):
    result = small.evaluate(scores, truth_of(torch.arange(small.n) < 12, effects=scores))
    found = result.measures[name]
    assert (found.direction, found.chance, found.oracle, found.of) == MEASURES[name]
    assert bool(found.note) == (name == "cpr")


def test_measures_come_in_the_order_in_which_they_are_read(small, scores):
    first = truth_of(torch.arange(small.n) < 12, effects=scores)
    assert list(small.evaluate(scores, first).measures) == list(MEASURES)
    second = Truth(name="t:other", edges=torch.arange(small.n) < 30, source="made up")
    of_truths = ["auc[t:other]", "average-precision[t:other]", "precision-at-size[t:other]", "auc-signed[t:other]"]
    names = list(MEASURES)
    assert list(small.evaluate(scores, first, second).measures) == [
        *names[:6], *of_truths, *names[6:8], "auc-low[t:other]", "auc-high[t:other]", *names[8:],
    ]  # fmt: skip
    assert list(small.evaluate(scores).measures) == names[8:]
    of_kept_circuits = {"auc-circuits", "auc-circuits-low", "youden"}
    assert set(DEFINITIONS.table) == {name.partition("[")[0] for name in MEASURES} | of_kept_circuits


def test_a_task_states_what_random_scores_have_where_that_depends_on_it(small, scores):
    usable = small.evaluate(scores, chance={"cmd": 0.9}).measures
    small.worth = torch.zeros_like(small.worth)
    useless = small.evaluate(scores, chance={"cmd": 0.9}).measures
    for measures in (usable, useless):
        assert {name: m.chance for name, m in measures.items() if m.chance is not None} == {"cmd": 0.9}
    with pytest.raises(PluginError, match="states the chance of 'auc'; valid: cmd; "):
        small.evaluate(scores, chance={"cmd": 0.9, "auc": 0.4})


def test_the_metric_itself_is_reported_with_everything_kept_and_with_nothing(small, scores):
    assert small.value("metric-empty", scores) == pytest.approx(EMPTY)
    assert small.value("metric-model", scores) == pytest.approx(EMPTY + float(small.worth.sum()))


def test_the_headline_is_the_first_truths_auc_and_cmd_where_none_is_known(small, scores):
    first = truth_of(torch.arange(small.n) < 12)
    second = Truth(name="t:other", edges=torch.arange(small.n) < 30, source="made up")
    assert small.evaluate(scores, first, second).headline == "auc[t:set]"
    assert small.evaluate(scores, second, first).headline == "auc[t:other]"
    assert small.evaluate(scores).headline == "cmd"


def test_without_an_effect_of_the_ablation_there_is_no_faithfulness_and_the_note_says_why(small, scores):
    small.worth = small.worth / small.worth.sum() * 0.05  # of 2.05
    result = small.evaluate(scores, truth_of(torch.arange(small.n) < 12))
    for name in ("cmd", "cmd-mib", "cpr", "cpr-clipped", "completeness"):
        assert result.measures[name].value is None
        assert result.measures[name].note.startswith("invalid-anchor")
    assert result.measures["metric-empty"].value == EMPTY
    assert set(result.curves) == {"roc[t:set]", "precision-recall[t:set]"}
    assert result.headline == "auc[t:set]"


def test_curves_are_those_of_the_numbers(small, scores):
    counts = range(1, small.n + 1)
    curves = small.evaluate(scores, truth_of(torch.arange(small.n) < 12)).curves
    strong, signed = strongest_first(scores), highest_first(scores)
    expected = {
        "faithfulness": small.faithfulness(strong, counts),
        "faithfulness-signed": small.faithfulness(signed, counts),
        "completeness": small.faithfulness(strong, counts, complement=True),
    }
    assert set(curves) == {*expected, "roc[t:set]", "precision-recall[t:set]"}
    for name, y in expected.items():
        assert curves[name].y == pytest.approx(y.tolist()), name
        assert curves[name].x == pytest.approx([c / small.n for c in counts])
        assert (curves[name].x_label, curves[name].y_label) == ("share of edges", "faithfulness")


def test_the_roc_curve_runs_over_false_positives(small):
    scores = torch.zeros(small.n)
    scores[:4] = torch.tensor([4.0, 3.0, 2.0, 1.0])
    edges = torch.zeros(small.n, dtype=torch.bool)
    edges[[0, 2]] = True
    curve = small.evaluate(scores, truth_of(edges)).curves["roc[t:set]"]
    assert curve.x == pytest.approx((0, 0, 1 / 116, 1 / 116, 1))
    assert curve.y == pytest.approx((0, 0.5, 0.5, 1, 1))
    assert (curve.x_label, curve.y_label) == ("false positive rate", "true positive rate")


def test_the_precision_recall_curve_runs_over_recall(small):
    scores = torch.zeros(small.n)
    scores[:4] = torch.tensor([4.0, 3.0, 2.0, 1.0])
    edges = torch.zeros(small.n, dtype=torch.bool)
    edges[[0, 2]] = True
    curve = small.evaluate(scores, truth_of(edges)).curves["precision-recall[t:set]"]
    assert curve.x == pytest.approx((0, 0.5, 0.5, 1))
    assert curve.y == pytest.approx((1, 1, 2 / 3, 2 / 3))
    assert (curve.x_label, curve.y_label) == ("recall", "precision")


def test_each_number_against_a_truth_stands_under_its_own_name(small):
    """Scores on which no two of them agree."""
    scores = torch.linspace(-1, 2, small.n)
    scores[20:60] = 0.5
    effects = (torch.arange(small.n) - 40.0) ** 3
    edges = (torch.arange(small.n) % 7 == 0) | (torch.arange(small.n) > 100)
    found = small.evaluate(scores, truth_of(edges, effects=effects)).measures
    ranked, signed, precise = roc(scores, edges), roc(scores, edges, signed=True), precision(scores, edges)
    expected = {
        "auc": ranked.trapezoid,
        "average-precision": precise.average,
        "precision-at-size": precise.at_size,
        "auc-signed": signed.trapezoid,
        "correlation": np.corrcoef(scores, effects)[0, 1],
        "rank-correlation": spearmanr(scores, effects).statistic,
        "auc-low": ranked.pessimistic,
        "auc-high": ranked.optimistic,
    }
    assert len({round(value, 6) for value in expected.values()}) == len(expected)
    for name, value in expected.items():
        assert found[f"{name}[t:set]"].value == pytest.approx(value, abs=1e-6), name


def test_coverage_is_the_share_of_edges_with_an_opinion(small, scores):
    scores[:18] = NAN
    measure = small.evaluate(scores).measures["coverage"]
    assert measure.value == pytest.approx(100 / 118)
    assert measure.of == "100 / 118 edges"


# -- the circuit that is shown -------------------------------------------------------------------


def test_the_circuit_has_the_size_of_the_known_one_and_then_what_it_missed(small):
    scores = torch.zeros(small.n)
    scores[[3, 5, 7, 9]] = torch.tensor([1.0, -4.0, 3.0, 2.0])
    known = torch.zeros(small.n, dtype=torch.bool)
    known[[3, 5, 11]] = True
    scores[11] = NAN
    rows = [(e.name, e.score, e.found, e.known) for e in found_circuit(small.problem.graph, scores, truth_of(known))]
    names = small.problem.graph.edges
    assert rows == [
        (names[5], -4.0, True, True),
        (names[7], 3.0, True, False),
        (names[9], 2.0, True, False),
        (names[3], 1.0, False, True),
        (names[11], None, False, True),
    ]


def test_an_edge_that_scores_zero_is_not_found_however_few_there_are(small):
    scores = torch.zeros(small.n)
    scores[2], scores[4] = -1.0, NAN
    known = torch.arange(small.n) < 3
    found = found_circuit(small.problem.graph, scores, truth_of(known))
    assert [e.name for e in found if e.found] == [small.problem.graph.edges[2]]
    assert len(found) == 3


def test_without_a_known_circuit_the_thirty_strongest_edges_are_shown(small, scores):
    found = found_circuit(small.problem.graph, scores, None)
    assert [e.name for e in found] == [small.problem.graph.edges[i] for i in strongest_first(scores)[:30]]
    assert all(e.found and e.known is None for e in found)
