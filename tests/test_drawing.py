"""Pictures of what scoring leaves: what is in them, that numbers are told in words too, and that no record breaks them."""

import re
import xml.etree.ElementTree as ET

import pytest

from mechboard.contract.scores import Curve
from mechboard.drawing.axes import Axis, round_ticks
from mechboard.drawing.curves import curves_figure
from mechboard.kinds.circuit_exhibits import (
    Agreement,
    ComparedEdge,
    Distribution,
    EdgePath,
    Interpolation,
    KeptCircuit,
    OperatingPoints,
    ScoreGroup,
)

EVIL = "<script>alert(1)</script>\"'&"
HUGE = 1.7e308


def group(name, *counts, mean=0.25, deviation=0.5):
    return ScoreGroup(name=name, counts=counts, n=max(sum(counts), 1), mean=mean, deviation=deviation)


def compared(*rows, known=None, r2=0.27, slope=0.5, intercept=0.0):
    edges = tuple(ComparedEdge(name=f"e{i}", score=s, effect=e, known=known) for i, (s, e) in enumerate(rows))
    return Agreement(measured="here", n_edges=900, r2=r2, slope=slope, intercept=intercept, edges=edges)


def path(name="e", score=1.0, shares=(0.0, 0.5, 1.0), drops=(0.0, 0.25, 2.0)):
    return EdgePath(name=name, score=score, known=True, shares=shares, drops=drops)


def kept(true, false, **settings):
    return KeptCircuit(settings=settings, n_edges=10, true_rate=true, false_rate=false)


def points(*circuits):
    return OperatingPoints(truth="t:true", circuits=circuits)


def drawn(exhibit):
    """The figure of a page as a tree."""
    return ET.fromstring(f"<page>{exhibit.draw('of m')}</page>")


def of_class(tree, *names):
    return [e for e in tree.iter() if set(names) <= set(e.get("class", "").split())]


def places(element):
    return [tuple(map(float, pair.split(","))) for pair in element.get("points").split()]


def marks(tree):
    """Lines of the plots themselves, without those of legends."""
    return list(tree.iter("polyline"))


def said(tree):
    return " ".join(e.get("aria-label") for e in tree.iter("svg") if e.get("role") == "img")


# -- distributions -------------------------------------------------------------------------------


def test_a_histogram_has_an_outline_per_group_and_says_number_mean_and_deviation():
    shown = Distribution(
        bounds=(-1.0, 0.0, 1.0), groups=(group("in t:true", 0, 10), group("outside", 1000, 1)),
        roles=(group("name mover", 3, 0, mean=-0.5),),
    )  # fmt: skip
    tree = drawn(shown)
    assert len([e for e in marks(tree) if "area" in e.get("class")]) == 3
    assert "in t:true: 10 edges, mean 0.25, sd 0.5; outside: 1,001 edges" in said(tree)
    assert "name mover: 3 edges, mean -0.5" in said(tree)
    assert [[c.text for c in row] for row in tree.iter("tr")][1:] == [
        ["in t:true", "10", "0.25", "0.5"],
        ["outside", "1,001", "0.25", "0.5"],
        ["name mover", "3", "-0.5", "0.5"],
    ]


def test_counts_are_logarithmic_and_a_single_edge_is_seen():
    shown = Distribution(bounds=(0.0, 1.0, 2.0, 3.0, 4.0), groups=(group("all", 1000, 100, 1, 0),))
    [outline] = of_class(drawn(shown), "area", "c0")[:1]
    thousand, hundred, one, none = (places(outline)[1 + 2 * i][1] for i in range(4))
    assert hundred - thousand == pytest.approx((one - thousand) / 3, abs=0.2)
    assert none > one


def test_the_larger_group_does_not_cover_the_smaller():
    shown = Distribution(bounds=(0.0, 1.0), groups=(group("small", 2), group("large", 500)))
    first, second = (e for e in marks(drawn(shown)) if "area" in e.get("class"))
    assert first.find("title").text.startswith("large")
    assert second.find("title").text.startswith("small")


def test_a_log_axis_of_sizes_goes_as_far_as_there_are_points():
    found = curves_figure(
        [("m", Curve(x=(1.0, 100.0, 10_000.0), y=(0.0, 0.5, 1.0), x_label="nodes", y_label="y", log_x=True))]
    )
    tree = ET.fromstring(f"<page>{found}</page>")
    (a, _), (b, _), (c, _) = places(next(tree.iter("polyline")))
    assert c - b == pytest.approx(b - a, abs=0.2)
    ticks = [e.text for e in of_class(tree, "tick")]
    assert {"1", "100", "10,000"} <= set(ticks)
    assert not any("%" in tick for tick in ticks)


# -- agreement -----------------------------------------------------------------------------------


def test_every_edge_is_a_point_that_tells_its_name_and_known_edges_are_told_apart():
    both = compared((1.0, 2.0), (None, -1.0))
    known = both.edges[0].model_copy(update={"known": True, "name": "a0.h0->logits"})
    tree = drawn(both.model_copy(update={"edges": (known, both.edges[1])}))
    titles = [e.find("title").text for e in tree.iter("circle") if e.find("title") is not None]
    assert titles == ["e1: no opinion, effect -1", "a0.h0->logits: score 1, effect 2, known edge"]
    assert len([e for e in of_class(tree, "dot", "c2") if e.find("title") is not None]) == 1
    assert "R² 0.270, slope 0.5 over 900 edges, exact effects here" in said(tree)


def test_the_fitted_line_has_the_slope_and_the_intercept_of_all_edges():
    tree = drawn(compared((0.0, 0.0), (4.0, 4.0), slope=0.5, intercept=1.0))
    (x0, y0), (x1, y1) = places(of_class(tree, "guess")[0])
    (_, origin), (_, top) = ((float(e.get("cx")), float(e.get("cy"))) for e in tree.iter("circle") if len(e))
    (a, _), (b, _) = ((float(e.get("cx")), float(e.get("cy"))) for e in tree.iter("circle") if len(e))
    per_x, per_y = (b - a) / 4, (top - origin) / 4
    assert (y1 - y0) / per_y == pytest.approx(0.5 * (x1 - x0) / per_x, rel=0.01)
    assert (y0 - origin) / per_y == pytest.approx(1 + 0.5 * (x0 - a) / per_x, abs=0.02)


def test_no_line_is_drawn_where_none_fits():
    tree = drawn(compared((0.0, 1.0), r2=None, slope=None, intercept=None))
    assert not of_class(tree, "guess")
    assert "no line fits" in said(tree)


# -- interpolation -------------------------------------------------------------------------------


def test_each_edge_has_a_plot_with_its_way_and_the_line_to_its_score():
    tree = drawn(Interpolation(paths=(path("a"), path("b", score=None))))
    assert len([e for e in marks(tree) if "c0" in e.get("class")]) == 2
    [guess] = [e for e in marks(tree) if "guess" in e.get("class")]
    [way] = [e for e in marks(tree) if "c0" in e.get("class")][:1]
    assert places(guess)[0] == places(way)[0]
    assert places(guess)[1][0] == places(way)[-1][0]
    assert "a: drop 2 when ablated, score 1" in said(tree)
    assert "b: drop 2 when ablated, no score" in said(tree)


# -- operating points ----------------------------------------------------------------------------


def test_every_kept_circuit_is_a_point_and_the_best_is_ringed():
    tree = drawn(points(kept(0.5, 0.5, tau=1.0), kept(0.9, 0.1, tau=0.1), kept(1.0, 0.9, tau=0.01)))
    dots = [e for e in of_class(tree, "dot", "faint") if len(e)]
    ring = next(e for e in of_class(tree, "ring") if len(e))
    assert len(dots) == 3
    assert (ring.get("cx"), ring.get("cy")) == (dots[1].get("cx"), dots[1].get("cy"))
    assert "best tau 0.1: TPR 0.900, FPR 0.100, J 0.800" in said(tree)


def test_one_setting_gives_a_line_two_a_grid_with_the_best_cell_and_three_neither():
    one = drawn(points(kept(0.5, 0.5, tau=1.0), kept(0.9, 0.1, tau=0.1)))
    assert "along tau" in said(one)
    assert not [e for e in one.iter("rect") if "cell" in e.get("class").split() and len(e)]
    grid = [kept(0.2 * i, 0.1 * j, first=float(i), second=10.0**j) for i in range(4) for j in range(3)]
    two = drawn(points(*grid))
    cells = [e for e in two.iter("rect") if "cell" in e.get("class").split() and len(e)]
    at = {e.find("title").text.partition(":")[0]: (float(e.get("x")), float(e.get("y"))) for e in cells}
    assert len(set(at.values())) == 12
    assert at["first 1, second 1"][0] < at["first 2, second 1"][0] == at["first 2, second 10"][0]
    assert at["first 1, second 1"][1] == at["first 2, second 1"][1] > at["first 2, second 10"][1]
    best = next(e for e in two.iter("rect") if "ring" in e.get("class").split() and len(e))
    assert len(cells) == 12
    fullest = max(cells, key=lambda e: float(e.get("fill-opacity")))
    assert (best.get("x"), best.get("y")) == (fullest.get("x"), fullest.get("y"))
    assert "first 3, second 1: TPR 0.600, FPR 0.000" in best.find("title").text
    three = drawn(points(kept(0.5, 0.5, a=1.0, b=1.0, c=1.0)))
    assert len([e for e in three.iter("svg") if e.get("role") == "img"]) == 1


def test_of_equally_good_settings_both_plots_mark_the_same():
    tree = drawn(points(kept(0.9, 0.1, tau=3.0), kept(0.9, 0.1, tau=1.0), kept(0.2, 0.1, tau=2.0)))
    assert [e.find("title").text[:11] for e in of_class(tree, "ring") if len(e)] == ["best: tau 3"] * 2


def test_kept_circuits_say_what_axes_marks_and_numbers_are():
    tree = drawn(points(*(kept(0.5, 0.1, tau=10.0 ** (-power)) for power in range(12)), kept(0.9, 0.1, tau=0.5)))
    words = [e.text for e in tree.iter("text")]
    assert {"false positive rate", "true positive rate", "tau, log scale", "Youden's J"} <= set(words)
    assert len([word for word in words if word.startswith("1e-")]) <= 6
    assert "kept circuit" in "".join(tree.itertext())
    assert [[c.text for c in row] for row in tree.iter("tr")][:2] == [
        ["best 13 of 13 circuits", "TPR", "FPR", "J", "edges"],
        ["tau 0.5", "0.900", "0.100", "0.800", "10"],
    ]
    lines = [places(e) for e in marks(tree) if e.get("class") == "line c0"]
    steps = {round(b[0] - a[0]) for a, b in zip(lines[0], lines[0][1:], strict=False)}
    assert max(steps) < 40


def test_settings_that_span_little_stand_on_a_linear_axis():
    words = [e.text for e in drawn(points(*(kept(0.5, 0.1, k=float(k)) for k in (1, 2, 3)))).iter("text")]
    assert "k" in words
    assert "k, log scale" not in words


def test_circuits_that_lack_a_setting_are_points_and_in_no_grid():
    tree = drawn(points(kept(0.5, 0.1, a=1.0, b=1.0), kept(0.9, 0.1, a=1.0)))
    assert len([e for e in tree.iter("rect") if "cell" in e.get("class").split() and len(e)]) == 1


# -- records of strangers ------------------------------------------------------------------------

ODD = {
    "one score": Distribution(bounds=(2.0, 2.0), groups=(group("all", 5),)),
    "no groups": Distribution(bounds=(0.0, 1.0), groups=()),
    "empty bins": Distribution(bounds=(0.0, 1.0), groups=(group("none", 0),), roles=(group("r", 0),)),
    "huge scores": Distribution(bounds=(-HUGE, 0.0, HUGE), groups=(group("all", 2**62, 1, mean=HUGE, deviation=HUGE),)),
    "tiny scores": Distribution(bounds=(0.0, 5e-324), groups=(group("all", 1),)),
    "falling bounds": Distribution(bounds=(1.0, -1.0, 0.5), groups=(group("all", 1, 2),)),
    "no edges": compared(),
    "one edge": compared((0.0, 0.0)),
    "equal scores": compared((3.0, 1.0), (3.0, 2.0), r2=None, slope=None, intercept=None),
    "huge effects": compared((HUGE, -HUGE), (-HUGE, HUGE), slope=HUGE, intercept=-HUGE),
    "tiny effects": compared((5e-324, 5e-324), slope=5e-324),
    "no paths": Interpolation(paths=()),
    "huge drops": Interpolation(paths=(path(score=-HUGE, drops=(0.0, HUGE, -HUGE)),)),
    "strange shares": Interpolation(paths=(path(shares=(5.0, -3.0, 5.0)),)),
    "no drops": Interpolation(paths=(path(score=0.0, drops=(0.0, 0.0, 0.0)),)),
    "one circuit": points(kept(0.5, 0.5, tau=0.0)),
    "no setting": points(kept(0.5, 0.5), kept(0.1, 0.9)),
    "huge settings": points(kept(0.5, 0.5, tau=HUGE), kept(0.6, 0.5, tau=-HUGE), kept(0.6, 0.5, tau=5e-324)),
    "only huge": points(kept(0.5, 0.5, tau=HUGE), kept(0.6, 0.5, tau=1e-300)),
    "worse than nothing": points(kept(0.0, 1.0, a=1.0, b=2.0), kept(0.0, 1.0, a=1.0, b=2.0)),
}


@pytest.mark.parametrize("exhibit", ODD.values(), ids=ODD)
def test_odd_numbers_stay_within_the_picture(exhibit):
    for tree in (drawn(exhibit), ET.fromstring(exhibit._repr_html_())):
        text = ET.tostring(tree, encoding="unicode")
        assert not re.search(r'"[^"]*\b(nan|inf)\b[^"]*"', re.sub(r'aria-label="[^"]*"', "", text))
        for element in tree.iter():
            numbers = [
                float(element.get(name)) for name in ("cx", "cy", "x", "y", "x1", "x2", "y1", "y2") if element.get(name)
            ]
            if element.get("points"):
                numbers += [n for pair in places(element) for n in pair]
            assert all(-60 <= n <= 2000 for n in numbers), ET.tostring(element)


def evil_exhibits():
    return [
        Distribution(bounds=(0.0, 1.0), groups=(group(EVIL, 1),), roles=(group(EVIL * 9, 1),)),
        compared((1.0, 2.0)).model_copy(
            update={"measured": EVIL, "edges": (ComparedEdge(name=EVIL, score=1.0, effect=1.0, known=True),)}
        ),
        Interpolation(paths=(path(EVIL),)),
        points(kept(0.5, 0.1, **{EVIL: 1.0})).model_copy(update={"truth": EVIL}),
        points(kept(0.5, 0.1, **{EVIL: 1.0, "b" + EVIL: 2.0})),
    ]


@pytest.mark.parametrize("exhibit", evil_exhibits(), ids=lambda e: e.type)
def test_names_are_shown_as_text(exhibit):
    for markup in (exhibit.draw(EVIL), exhibit.export("svg", EVIL), exhibit._repr_html_()):
        assert "<script" not in markup
        assert ET.fromstring(f"<page>{markup}</page>").find(".//script") is None


@pytest.mark.parametrize("exhibit", evil_exhibits(), ids=lambda e: e.type)
def test_a_picture_alone_brings_its_style_and_leaks_none(exhibit):
    root = ET.fromstring(exhibit._repr_html_())
    style = root.find("{http://www.w3.org/2000/svg}style").text
    selectors = [s for group in re.findall(r"([^{}]+)\{", style) for s in group.split(",")]
    assert all(s.strip().removeprefix("svg").startswith(".mechboard-plot") for s in selectors)
    for used in {c for e in root.iter() for c in e.get("class", "").split()} - {"mechboard-plot", "tick", "label"}:
        assert f".{used}{{" in style, used


# -- axes and curves -----------------------------------------------------------------------------


@pytest.mark.parametrize("ends", [(-0.3, 1.2), (0.0, 1e-9), (-HUGE, HUGE), (1.0, 1.0 + 1e-15), (-7e5, 3.0)])
def test_ticks_are_few_and_within_the_axis(ends):
    ticks = round_ticks(*ends)
    assert 1 <= len(ticks) <= 8
    assert all(ends[0] <= value <= ends[1] for _, value in ticks)


def test_ticks_are_round():
    assert [text for text, _ in round_ticks(0.0, 45.0)] == ["0", "10", "20", "30", "40"]
    assert [text for text, _ in round_ticks(-2.3, 3.7)] == ["-2", "0", "2"]


def test_an_axis_around_values_holds_them_and_zero():
    axis = Axis.around([2.0, 3.0], "x")
    assert axis.low <= 0.0 < axis.share(2.0) < axis.share(3.0) < 1.0


def test_twenty_curves_differ_in_colour_or_dash():
    curve = Curve(x=(0.0, 1.0), y=(0.0, 1.0), x_label="x", y_label="y", title="t")
    markup = curves_figure([(f"m{i}", curve) for i in range(20)])
    lines = re.findall(r'<polyline class="(line c\d)"[^>]*?(?:stroke-dasharray="([^"]*)")? data-name', markup)
    assert len(set(lines)) == len(lines) == 20
