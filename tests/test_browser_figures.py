"""What is drawn on a task's page, in a real browser: it fits, can be read, folds, and names in a legend pick lines."""

import pytest
from made_records import drawn_parts, other_exhibits, record, suite

from mechboard.leaderboard.site import build_site


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A task with two methods, as the address of its page."""
    out = tmp_path_factory.mktemp("site")
    build_site([record(v, label=m, **drawn_parts("t")) for m, v in (("sure", 0.9), ("drawn", 0.8))], [suite("t")], out)
    return (out / "tasks" / "t.html").as_uri()


def test_a_name_in_the_legend_picks_its_line(browser, address):
    page = browser.new_page(viewport={"width": 1366, "height": 768})
    page.goto(address)
    figure = page.locator("figure", has=page.locator("svg.plot.curves")).first
    figure.locator(".legend li", has_text="drawn").hover()

    def opacity():
        lines = figure.locator("polyline[data-name]").all()
        return {line.get_attribute("data-name"): line.evaluate("e => +getComputedStyle(e).opacity") for line in lines}

    assert opacity()["drawn"] == 1.0 > opacity()["sure"]
    page.mouse.move(0, 0)
    assert opacity() == {"drawn": 1.0, "sure": 1.0}
    page.close()


@pytest.mark.parametrize("width", [390, 1366])
def test_every_plot_is_within_its_page_and_its_words_can_be_read(browser, address, width):
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto(address)
    plots = page.locator(".panel svg.plot")
    assert plots.count() == 2 * (2 + 1 + 1 + 2)
    for plot in plots.all():
        box = plot.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert plot.evaluate("e => 12 * e.getBoundingClientRect().width / e.viewBox.baseVal.width") >= 9
    page.close()


def test_with_many_methods_a_tasks_page_opens_on_the_best_and_unfolds_to_all(browser, tmp_path):
    made = [record(0.5 + i / 100, label=f"method-{i}", exhibits=other_exhibits("t")) for i in range(15)]
    build_site(made, [suite("t")], tmp_path)
    page = browser.new_page(viewport={"width": 1366, "height": 768})
    page.goto((tmp_path / "tasks" / "t.html").as_uri())
    assert page.locator(".gallery > figure:visible").count() == 4 * 3
    page.locator("#exhibit-agreement ~ details summary").first.click()
    assert page.locator(".gallery > figure:visible").count() == 4 * 3 + 12
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_mark_vanishes_in_the_ground(browser, address, scheme):
    page = browser.new_page(color_scheme=scheme)
    page.goto(address)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    marks = page.evaluate(
        "[...document.querySelectorAll('.panel .line, .panel .area, .panel .dot, .panel .ring, .panel .cell')]"
        ".map((e) => [getComputedStyle(e).fill, getComputedStyle(e).stroke])"
    )
    assert len(marks) > 50
    assert all({fill, stroke} - {ground, "none"} for fill, stroke in marks)
    assert "rgb(0, 0, 0)" not in {colour for mark in marks for colour in mark}
    page.close()
