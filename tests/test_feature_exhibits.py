"""What scoring features leaves to look at: what no record may hold, averages over tasks, and what pages, terminals and others read."""

import json
import xml.etree.ElementTree as ET
from collections import namedtuple

import pytest
import torch
from made_records import feature_circuit_exhibit, feature_exhibits, record
from pydantic import ValidationError

from mechboard.cli import show
from mechboard.contract.scores import Curve
from mechboard.drawing.explanation import averaged, value_at
from mechboard.errors import InvalidSolution, UsageError
from mechboard.features import FeatureScores, Nodes, Place
from mechboard.kinds.feature_circuit import CircuitEdge, CircuitNode, Context, FeatureCircuit, Promoted
from mechboard.kinds.feature_exhibits import Basis, Explanation, Linearity, PlaceEffects, SetCurve
from mechboard.metrics.linearity import Compared

EVIL = "<script>alert(1)</script>\"'&"
HUGE = 1.7e308
CIRCUIT = feature_circuit_exhibit()
Sized = namedtuple("Sized", "counts faithfulness complement")


def drawn(exhibit):
    """The figure of a page as a tree."""
    return ET.fromstring(f"<page>{exhibit.draw('of m')}</page>")


def of_class(tree, *names):
    return [e for e in tree.iter() if set(names) <= set(e.get("class", "").split())]


def said(tree):
    return [e.get("aria-label") for e in tree.iter("svg") if e.get("role") == "img"]


def cells(tree):
    return [["".join(cell.itertext()) for cell in row] for row in tree.iter("tr")]


def curve(n, y, of="faithfulness", name="features", origin="measured"):
    return SetCurve(of=of, name=name, origin=origin, n_nodes=n, values=y)


def explanation(*curves, **more):
    return Explanation(curves=curves, **more)


def at_place(**changed):
    given = {"place": EVIL, "correlation": None, "slope": None, "estimated": HUGE, "exact": -HUGE, "nodes": (EVIL,),
             "estimates": (HUGE,), "effects": (-HUGE,)}  # fmt: skip
    return PlaceEffects(**given | changed)


# -- what no record may hold -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "made",
    [
        lambda: curve((1.0, 2.0), (0.0,)),
        lambda: curve((2.0, 1.0), (0.0, 1.0)),
        lambda: curve((-1.0,), (0.0,)),
        lambda: curve((1.0,), (float("nan"),)),
        lambda: curve((1.0,), (0.0,), of="beauty"),
        lambda: explanation(),
        lambda: explanation(curve((1.0,), (0.0,)), curve((2.0,), (0.0,))),
        lambda: at_place(correlation=1.5),
        lambda: at_place(estimates=(1.0, 2.0)),
        lambda: at_place(nodes=(), estimates=(), effects=()),
        lambda: Linearity(measured="", bases=()),
        lambda: Context(before="", token="a" * 61, behind="", activation=1.0),
        lambda: Context(before="", token="a", behind="", activation=float("inf")),
        lambda: CircuitNode(place="logits", position=None, feature=1, score=1.0),
        lambda: CircuitNode(place="embed", position=None, feature=1, score=1.0, link="javascript:alert(1)"),
        lambda: CircuitNode(place="embed", position=None, feature=1, score=1.0, link='https://a"onload=x'),
        lambda: CircuitNode(place="embed", position=None, feature=1, score=1.0, promoted=(Promoted(token="", weight=0.0),) * 9),
    ],
)  # fmt: skip
def test_a_part_that_makes_no_sense_is_refused(made):
    with pytest.raises(ValidationError):
        made()


@pytest.mark.parametrize(
    "changed",
    [
        {"edges": (CircuitEdge(source=0, target=9, effect=1.0),)},
        {"edges": (CircuitEdge(source=1, target=1, effect=1.0),)},
        {"nodes": CIRCUIT.nodes[:1] * 2, "edges": ()},
        {"nodes": (CircuitNode(place="embed", position=0, feature=99, score=1.0),), "edges": ()},
        {"nodes": (CircuitNode(place="embed", position=9, feature=0, score=1.0),), "edges": ()},
        {"nodes": (CircuitNode(place="embed", position=None, feature=0, score=1.0),), "edges": ()},
        {"nodes": (CircuitNode(place="mlp_0", position=0, feature=0, score=1.0),), "edges": ()},
        {"nodes": (CircuitNode(place="embed", position=0, feature=None, score=1.0),), "edges": ()},
    ],
)
def test_nodes_and_edges_that_the_circuit_cannot_have_are_refused(changed):
    given = {name: getattr(CIRCUIT, name) for name in ("places", "positions", "nodes", "edges")}
    assert FeatureCircuit(**given)
    with pytest.raises(ValidationError):
        FeatureCircuit(**given | changed)


@pytest.mark.parametrize("name", ["explanation", "linearity", "feature-circuit"])
def test_an_exhibit_is_the_same_when_it_is_read_again(name):
    exhibit = feature_exhibits()[name]
    assert type(exhibit).model_validate_json(exhibit.model_dump_json()) == exhibit


# -- explanation -----------------------------------------------------------------------------------

PUBLISHED = {
    "rc": "11022:.967 6798:.960 3832:.968 2017:.894 1006:.855 560:.775 311:.731 198:.664 128:.515 84:.375 51:.180 32:.046 12:-.153 4:-.124 0:0",
    "nounpp": "13181:1.025 8678:1.025 5122:.939 2668:.973 1306:.909 609:.799 322:.784 183:.730 124:.620 84:.511 49:.219 32:.152 14:.067 4:.004 1:.004",
    "simple": "4384:1.014 3548:1.017 2633:1.013 1794:.985 1121:.964 656:.912 382:.887 246:.859 145:.832 92:.673 60:.497 34:.332 21:.194 9:.017 4:0",
    "within_rc": "6735:1.069 5113:1.076 3542:1.085 2292:1.076 1384:1.061 783:1.042 454:1.019 248:.933 147:.848 84:.695 56:.568 30:.419 20:.703 12:.747 4:0",
}
"""Nodes and faithfulness of features in four structures; their authors' average of these is the next."""
MEANS = {10: 0.12, 20: 0.22, 50: 0.35, 100: 0.61, 200: 0.79, 500: 0.87, 1000: 0.93, 2000: 0.98, 4000: 1.00}


def test_the_average_of_the_published_curves_is_the_published_average():
    tasks = {}
    for task, text in PUBLISHED.items():
        points = [tuple(map(float, pair.split(":"))) for pair in reversed(text.split())]
        tasks[task] = explanation(curve(*zip(*points, strict=True)), source="them")
    mean = averaged(tasks)
    [found] = mean.curves
    assert (len(found.n_nodes), found.n_nodes[0], found.n_nodes[-1]) == (100, 4.0, 4384.0)
    ratios = {b / a for a, b in zip(found.n_nodes, found.n_nodes[1:], strict=False)}
    assert max(ratios) / min(ratios) == pytest.approx(1.0)
    for n, value in MEANS.items():
        near = min(range(100), key=lambda i: abs(found.n_nodes[i] - n))
        assert found.values[near] == pytest.approx(value, abs=0.03)
    assert (mean.averaged, mean.source) == (tuple(PUBLISHED), "them")


def test_an_average_is_over_the_sizes_and_the_curves_that_all_tasks_have():
    first = explanation(curve((1.0, 11.0), (0.0, 1.0)), curve((1.0,), (0.0,), name="neurons"))
    second = explanation(curve((1.0, 6.0, 21.0), (0.5, 0.5, 0.0)), curve((1.0, 2.0), (0.0, 0.0), of="completeness"))
    [found] = averaged({"a": first, "b": second}).curves
    assert found.key == ("faithfulness", "features", "measured")
    assert (found.n_nodes[0], found.n_nodes[-1]) == (1.0, 11.0)
    assert (found.values[0], found.values[-1]) == (pytest.approx(0.25), pytest.approx((1.0 + 0.5 * 10 / 15) / 2))
    near = min(range(100), key=lambda i: abs(found.n_nodes[i] - 6.0))
    n = found.n_nodes[near]
    other = 0.5 if n <= 6 else 0.5 * (21 - n) / 15
    assert found.values[near] == pytest.approx(((n - 1) / 10 + other) / 2)


def test_a_curve_stays_at_its_ends_and_may_have_two_values_of_one_size():
    steps = curve((2.0, 4.0, 4.0, 8.0), (0.0, 1.0, 2.0, 3.0))
    assert [value_at(steps, n) for n in (1.0, 3.0, 4.0, 6.0, 99.0)] == [0.0, 0.5, 1.0, 2.5, 3.0]


def test_tasks_that_share_no_size_or_no_curve_have_no_average():
    low, high = explanation(curve((1.0, 2.0), (0.0, 1.0))), explanation(curve((5.0, 9.0), (0.0, 1.0)))
    assert averaged({"a": low, "b": high}) is None
    assert averaged({"a": low, "b": explanation(curve((1.0, 2.0), (0.0, 1.0), name="neurons"))}) is None
    assert averaged({"a": low, "b": CIRCUIT}) is None


def test_measured_sets_published_curves_and_chance_become_one_exhibit():
    published = Curve(x=(1.0, 4.0), y=(0.0, 0.5), x_label="nodes", y_label="faithfulness", title="a paper, figure 3")
    chance = published.model_copy(update={"y_label": "faithfulness of the complement", "title": ""})
    made = Explanation.of(
        {"no-errors": Sized((1, 3), (0.1, 0.7), (0.8, 0.2))}, [("neurons", published)], [("features", chance)]
    )
    assert [curve.key for curve in made.curves] == [
        ("faithfulness", "no-errors", "measured"),
        ("completeness", "no-errors", "measured"),
        ("faithfulness", "neurons", "published"),
        ("completeness", "features", "chance"),
    ]
    assert made.curves[1].values == (0.8, 0.2)
    assert made.source == "a paper, figure 3"
    assert list(made.lines()) == ["no-errors: 3 nodes keep half, 3 keep 0.700"]


def test_two_panels_show_what_circuits_keep_and_what_they_leave_with_published_curves_behind():
    tree = drawn(feature_exhibits()["explanation"])
    assert [text.split(":")[0] for text in said(tree)] == [
        "of m, faithfulness by number of nodes", "of m, completeness by number of nodes",
    ]  # fmt: skip
    assert "neurons 0.00 at 1 nodes, 0.90 at 1,000" in said(tree)[0]
    first = next(tree.iter("svg"))
    kinds = [line.get("class") for line in first.iter("polyline")]
    assert kinds == ["zero", "line published c0", "chance", "line c0", "line c1"]
    assert "published: a paper, figure 3" in "".join(tree.itertext())
    rows = cells(tree)
    assert rows[0] == ["at nodes", "1", "10", "20", "50", "100", "200", "500", "1,000"]
    assert rows[1][:4] == ["faithfulness, features", "0.000", "0.500", "0.505"]
    assert rows[2][0] == "faithfulness, features, published"
    assert rows[2][1] == ""
    assert [row[0].partition(",")[0] for row in rows[1:]] == ["faithfulness"] * 4 + ["completeness"] * 2
    assert "chance, features" in [line.findtext("title") for line in first.iter("polyline")]


def test_a_set_has_the_same_colour_in_both_panels():
    tree = drawn(explanation(curve((1.0, 2.0), (0.0, 1.0)), *(curve((1.0, 2.0), (0.5, 0.5), of=of, name="neurons") for of in ("faithfulness", "completeness"))))  # fmt: skip
    second = list(tree.iter("svg"))[-1]
    assert [e.get("class") for e in tree.iter("polyline")][-1] == "line c1"
    assert second is not None


# -- linearity -------------------------------------------------------------------------------------


def test_places_have_correlation_slope_and_sums_as_computed_by_hand():
    nodes = Nodes({Place("embed", -1): 3, Place("resid", 0): 2}, frozenset({Place("resid", 0)}), positions=2)
    parts = [
        Compared(Place("embed", -1), (0, 1, 4), (1.0, 2.0, 3.0), (0.5, 1.0, 1.5)),
        Compared(Place("resid", 0), (8,), (2.0,), (-1.0,)),
    ]
    made = Linearity.of({"features": (nodes, parts), "neurons": (nodes, [])}, "here")
    [basis] = made.bases
    first, second = basis.places
    assert (len(first.nodes), first.correlation, first.slope) == (3, pytest.approx(1.0), pytest.approx(0.5))
    assert (first.estimated, first.exact) == (6.0, 3.0)
    assert (second.correlation, second.slope) == (None, None)
    assert (first.nodes, first.estimates, first.effects) == (("embed/0@0", "embed/1@0", "embed/1@1"), *parts[0][2:])
    assert second.nodes == ("resid_0/error@0",)
    assert made.table()[0] == {
        "basis": "features", "place": "embed", "correlation": 1.0, "slope": 0.5, "estimated": 6.0, "exact": 3.0, "nodes": 3,
    }  # fmt: skip
    assert "features at embed: r 1.000, sum +6 estimated, +3 exact" in list(made.lines())


def test_every_node_is_a_point_and_every_place_a_row():
    tree = drawn(feature_exhibits()["linearity"])
    titles = [e.find("title").text for e in tree.iter("circle") if e.find("title") is not None]
    assert "resid_0/error@1: estimate -0.2, exact 0.1" in titles
    assert cells(tree)[1] == ["features, embed", "2", "0.900", "0.8", "1", "0.9"]
    assert "embed r 0.90" in said(tree)[0]


# -- the circuit -----------------------------------------------------------------------------------


def test_features_are_rectangles_errors_triangles_blue_supports_and_red_opposes():
    nodes = {node.get("data-part"): node for node in of_class(drawn(CIRCUIT), "node") if node.get("data-part")}
    shape = {i: [(e.tag, e.get("class")) for e in node if e.get("fill-opacity")] for i, node in nodes.items()}
    assert shape == {"0": [("rect", "plus")], "1": [("rect", "minus")], "2": [("polygon", "minus")]}
    depth = [float(next(e for e in node if e.get("fill-opacity")).get("fill-opacity")) for node in nodes.values()]
    assert depth[0] > depth[1] > depth[2]


def test_columns_are_positions_and_rows_places_from_below():
    tree = drawn(CIRCUIT)
    boxes = {n.get("data-part"): n.find("text") for n in of_class(tree, "node") if n.get("data-part")}
    x, y = ({i: float(t.get(axis)) for i, t in boxes.items()} for axis in "xy")
    assert x["0"] < x["1"]
    assert y["0"] > y["1"]
    words = [t.text for t in next(tree.iter("svg")).iter("text")]
    assert {"The", "boy", "0", "1", "embed", "resid 0"} <= set(words)


def test_edges_are_as_wide_as_their_effect_and_coloured_by_sign():
    strong, weak = sorted(of_class(drawn(CIRCUIT), "edge"), key=lambda e: -float(e.get("stroke-width")))
    assert (strong.get("class"), weak.get("class")) == ("edge minus", "edge plus")
    assert strong.get("data-joins") == "0 1"
    assert strong.find("title").text == "embed/7@0 to resid_0/123456789@1: -0.6"


def test_the_table_holds_contexts_with_the_active_token_marked_and_promoted_tokens():
    tree = drawn(CIRCUIT)
    assert [mark.text for mark in tree.iter("mark")] == ["boy", EVIL]
    row = next(r for r in cells(tree) if r and r[0].startswith("embed/7@0"))
    assert row[1:] == ["+0.8", "the boy runs 4.2a " + EVIL + " 1", "is +1.50, was +0.25"]
    assert [a.get("href") for a in tree.iter("a")] == ["https://www.neuronpedia.org/m/0-res/7"]
    assert ["embed/7@0", "resid_0/123456789@1", "-0.6"] in cells(tree)
    assert said(tree)[0] == "of m: 2 features, 1 errors, 2 edges; the strongest node is embed/7@0, +0.8"


def test_a_circuit_without_positions_or_nodes_is_drawn_too():
    nodes = tuple(n.model_copy(update={"position": None, "feature": i}) for i, n in enumerate(CIRCUIT.nodes[:1] * 25))
    summed = CIRCUIT.model_copy(update={"positions": None, "nodes": nodes, "edges": ()})
    assert len([n for n in of_class(drawn(summed), "node") if n.get("data-part")]) == 25
    assert float(next(drawn(summed).iter("svg")).get("width")) < 700
    assert said(drawn(CIRCUIT.model_copy(update={"nodes": (), "edges": ()})))


def test_a_terminal_a_table_and_other_programs_read_the_same_nodes():
    assert next(CIRCUIT.lines()) == "       +0.8  embed/7@0            a label  the [boy] runs  -> is was"
    row = CIRCUIT.table()[0]
    assert (row["place"], row["feature"], row["promoted"]) == ("embed", "7", "is +1.50, was +0.25")
    assert {tuple(each) for each in CIRCUIT.table()} == {tuple(row)}
    document = json.loads(json.dumps(CIRCUIT.document()))
    assert document["nodes"][0]["node"] == "embed/7@0"
    assert document["feature_edges"][0] == {"source": "embed/7@0", "target": "resid_0/123456789@1", "effect": -0.6}
    dot = CIRCUIT.export("dot", 'a "title"')
    assert 'label="a \\"title\\""' in dot
    assert '"embed/7@0" -> "resid_0/123456789@1" [color=red, label="-0.6"];' in dot
    first, second = CIRCUIT.export("links", "a title").splitlines()
    assert first.startswith(
        "https://neuronpedia.org/quick-list/?name=a%20title&features=%5B%7B%22modelId%22%3A%20%22m%22"
    )
    assert second == "embed/7@0\t+0.8\thttps://www.neuronpedia.org/m/0-res/7"
    assert CIRCUIT.model_copy(update={"nodes": CIRCUIT.nodes[1:], "edges": ()}).export("links", "t").startswith("#")


# -- records of strangers --------------------------------------------------------------------------


def stranger():
    """Names, words and numbers of somebody who means ill."""
    huge = curve((0.0, 1.0, HUGE), (-HUGE, HUGE, 0.0), name=EVIL)
    node = CIRCUIT.nodes[0].model_copy(update={"score": -HUGE, "label": EVIL, "promoted": (Promoted(token=EVIL, weight=HUGE),)})  # fmt: skip
    return [
        explanation(huge, curve((5.0,), (HUGE,), name="x", origin="published"), source=EVIL, averaged=(EVIL,)),
        Linearity(measured=EVIL, bases=(Basis(name=EVIL, places=(at_place(),)), Basis(name="", places=(at_place(effects=(0.0,)),)))),
        CIRCUIT.model_copy(update={"words": (EVIL,), "nodes": (node, *CIRCUIT.nodes[1:])}),
    ]  # fmt: skip


@pytest.mark.parametrize("exhibit", stranger(), ids=lambda e: e.type)
def test_text_and_numbers_of_a_stranger_break_no_picture(exhibit):
    markup = [exhibit.draw(EVIL), *(exhibit.export(form, EVIL) for form in exhibit.exports)]
    for text in markup[:2]:
        tree = ET.fromstring(f"<page>{text}</page>")
        assert not [e for e in tree.iter() if e.tag.endswith("script")]
        assert "nan" not in text.lower().replace("finance", "")
        assert "inf" not in text
    assert list(exhibit.lines())


def test_curves_of_a_stranger_have_an_average():
    made = stranger()[0]
    assert averaged({"a": made, "b": made}) is not None


# -- bench show ------------------------------------------------------------------------------------


def test_show_exports_and_ranks_the_first_exhibit_that_can_be(tmp_path, capsys, monkeypatch):
    made = record(0.9, exhibits=feature_exhibits())
    assert next(iter(made.exhibits)) == "explanation"
    show._show_record(made, tmp_path, None, "dot")
    assert "digraph features" in capsys.readouterr().out
    show._show_record(made, tmp_path, None, "svg")
    assert "faithfulness" in capsys.readouterr().out
    with pytest.raises(UsageError, match="no format 'gif'"):
        show._show_record(made, tmp_path, None, "gif")
    monkeypatch.setattr(show, "solution_beside", lambda *_: FeatureScores(torch.arange(3.0)))
    small = CIRCUIT.model_copy(
        update={"places": CIRCUIT.places[:1], "positions": None, "words": (), "nodes": (), "edges": ()}
    )
    with pytest.raises(InvalidSolution, match="3 scores for 8 nodes"):
        show._show_record(record(0.9, exhibits=feature_exhibits() | {"feature-circuit": small}), tmp_path, 2, None)
    monkeypatch.setattr(show, "solution_beside", lambda *_: FeatureScores(torch.arange(8.0)))
    show._show_record(record(0.9, exhibits=feature_exhibits() | {"feature-circuit": small}), tmp_path, 2, None)
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()[-2:]] == [
        ["+7", "embed/7"],
        ["+6", "embed/6"],
    ]
