"""Where in a picture a cut is: counts, words, drawing, and what no record may hold."""

import xml.etree.ElementTree as ET

import pytest
import torch
from pydantic import ValidationError

from mechboard.edits import EdgeCuts, EditableMlp, Labelled, RemovalProblem, WeightChange
from mechboard.kinds.removal import removal
from mechboard.kinds.removal_exhibits import CutPixels
from mechboard.metrics.examination import Accuracies
from mechboard.protocols import Instance

PIXELS = CutPixels(rows=((0, 2, 0), (1, 0, 4)), of=5)


def instance(image):
    generator = torch.Generator().manual_seed(0)
    weights = {"hidden": torch.randn(6, 5, generator=generator), "hidden_bias": torch.zeros(5)}
    weights |= {"out": torch.randn(5, 2, generator=generator), "out_bias": torch.zeros(2)}
    inputs = torch.randn(8, 6, generator=generator)
    model = EditableMlp(weights, None, image=image)
    samples = Labelled(inputs, model.logits(Labelled(inputs, torch.zeros(8).long())).argmax(1))
    problem = RemovalProblem(model=model, bad=samples, keep=samples, budgets=(2, 7), batch_size=8)
    return Instance(problem=problem, held_out=Accuracies(bad=samples, other=samples, marked=7))


def scored(instance, edit):
    return removal.score(None, instance, edit).exhibits


def test_each_pixel_shows_how_many_of_its_edges_the_reported_cut_removes():
    of = instance((2, 3))
    names = ["x1->h0", "x1->h4", "x3->h2", "x5->h0", "x5->h1", "x5->h2", "x5->h3"]
    cut = torch.tensor(
        [[name in names[:2] for name in of.problem.model.edges], [name in names for name in of.problem.model.edges]]
    )
    assert scored(of, EdgeCuts(cut=cut))["cut-pixels"] == PIXELS


def test_there_is_no_picture_of_weights_or_of_inputs_that_are_none():
    nothing = EdgeCuts(cut=torch.zeros(2, 30, dtype=torch.bool))
    assert "cut-pixels" not in scored(instance(None), nothing)
    assert "cut-pixels" in scored(instance((2, 3)), nothing)
    change = WeightChange(change={"out_bias": torch.ones(2)}, scales=(1.0,))
    assert "cut-pixels" not in scored(instance((2, 3)), change)


def test_a_terminal_shows_numbers():
    assert list(PIXELS.lines()) == [
        "7 edges cut, from 3 of 6 pixels; at most 4 of the 5 of a pixel",
        " 0 2 0",
        " 1 0 4",
    ]
    assert list(CutPixels(rows=((0,),), of=5).lines()) == ["0 edges cut, from 0 of 1 pixels", " 0"]
    assert len(list(CutPixels(rows=((0,) * 28,) * 28, of=50).lines())) == 1


def test_a_page_shows_squares_words_and_numbers():
    page = ET.fromstring(f"<page>{PIXELS.draw('<a> of b')}</page>")
    svg = page.find(".//svg")
    assert svg.get("aria-label") == f"<a> of b: {PIXELS.said}"
    squares = [rect for rect in svg.iter("rect") if "cell" in rect.get("class")]
    assert [rect.find("title").text for rect in squares] == [
        "row 1, column 2: 2 of 5 edges cut",
        "row 2, column 1: 1 of 5 edges cut",
        "row 2, column 3: 4 of 5 edges cut",
    ]
    assert [rect.get("fill-opacity") for rect in squares] == ["0.55", "0.33", "1.00"]
    left, below = squares[0], squares[2]
    assert float(left.get("x")) < float(below.get("x"))
    assert float(left.get("y")) < float(below.get("y"))
    assert [[cell.text for cell in row] for row in page.iter("tr")] == [
        ["edges cut", "column 1", "column 2", "column 3"],
        ["row 1", "0", "2", "0"],
        ["row 2", "1", "0", "4"],
    ]


def test_of_a_large_picture_the_pixels_that_are_cut_most_are_listed():
    rows = tuple(tuple((r == 3) * (c % 5) for c in range(28)) for r in range(28))
    table = [
        [cell.text for cell in row]
        for row in ET.fromstring(f"<p>{CutPixels(rows=rows, of=50).draw('t')}</p>").iter("tr")
    ]
    assert table[1:3] == [["row 4, column 5", "4"], ["row 4, column 10", "4"]]
    assert len(table) == 1 + sum(c % 5 > 0 for c in range(28))


def test_a_picture_alone_is_a_whole_file():
    svg = ET.fromstring(PIXELS.export("svg", "a & b"))
    assert svg.tag.endswith("svg")
    assert svg.find("{*}style") is not None
    assert svg.get("aria-label").startswith("a & b: ")


@pytest.mark.parametrize("rows", [((1, 2), (3,)), ((6,),), (), ((),), ((-1,),), ((0,) * 65,)])
def test_what_is_no_picture_is_refused(rows):
    with pytest.raises(ValidationError):
        CutPixels(rows=rows, of=5)
