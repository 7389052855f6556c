"""The page of a features task in a real browser: nodes tell what they stand for, to a pointer, to keys, and without scripts."""

import pytest
from made_records import feature_exhibits, record, suite

from mechboard.leaderboard.site import build_site


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Two methods on a family of two tasks, as the address of the site."""
    out = tmp_path_factory.mktemp("site")
    made = [
        record(value, label=label, task=task, family="both", exhibits=feature_exhibits())
        for task in ("t", "u")
        for label, value in (("sure", 0.9), ("drawn", 0.8))
    ]
    build_site(made, [suite("t", "u")], out)
    return out.as_uri()


@pytest.fixture
def page(browser, address):
    opened, problems = browser.new_page(viewport={"width": 1366, "height": 768}), []
    opened.on("pageerror", lambda e: problems.append(str(e)))
    opened.on("console", lambda m: problems.append(m.text) if m.type in ("error", "warning") else None)
    opened.goto(f"{address}/tasks/t.html")
    yield opened
    opened.close()
    assert not problems


def circuit(page):
    """The first picture, its node of a number, and the card that is shown of it."""
    first = page.locator(".telling").first
    return first, lambda number: first.locator(f".node[data-part='{number}']"), first.locator(".card")


def test_a_pointer_on_a_feature_brings_up_its_contexts_and_what_it_promotes(page):
    first, node, card = circuit(page)
    assert not card.is_visible()
    node(0).hover()
    assert card.is_visible()
    assert card.locator("mark").first.text_content() == "boy"
    assert "score +0.8" in card.text_content()
    assert "promotes is +1.50, was +0.25" in card.text_content()
    assert card.get_by_role("link", name="embed/7@0").get_attribute("href") == "https://www.neuronpedia.org/m/0-res/7"
    faint = first.locator(".edge").evaluate_all("all => all.map((e) => getComputedStyle(e).strokeOpacity)")
    assert set(faint) == {"0.9"}
    node(1).hover()
    assert "resid_0/123456789@1" in card.text_content()
    assert card.locator("mark").count() == 0
    page.mouse.move(1300, 5)
    card.wait_for(state="hidden")


def test_the_card_stays_while_the_pointer_is_on_it_and_goes_with_escape(page):
    _, node, card = circuit(page)
    node(0).hover()
    card.hover()
    page.wait_for_timeout(400)
    assert card.is_visible()
    page.keyboard.press("Escape")
    assert not card.is_visible()


def test_keys_reach_a_feature_and_go_on_to_the_next(page):
    first, node, card = circuit(page)
    node(0).focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    assert node(0).evaluate("e => e === document.activeElement")
    assert "the boy runs" in card.text_content()
    assert node(0).get_attribute("aria-describedby") == card.get_attribute("id")
    page.keyboard.press("Tab")
    page.wait_for_timeout(400)
    assert card.get_by_role("link").evaluate("e => e === document.activeElement")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowUp")
    assert node(1).evaluate("e => e === document.activeElement")
    assert "123456789" in card.text_content()
    page.keyboard.press("ArrowRight")
    assert node(2).evaluate("e => e === document.activeElement")
    page.keyboard.press("Enter")
    assert not card.is_visible()
    page.keyboard.press("Enter")
    assert card.is_visible()
    # One stop for the tab key in each picture.
    assert first.locator(".node[tabindex='0']").count() == 1
    page.keyboard.press("Tab")
    card.wait_for(state="hidden")


def test_a_strangers_token_stands_in_the_card_as_text(page):
    _, node, card = circuit(page)
    node(0).hover()
    assert "<script>alert(1)</script>" in card.text_content()
    assert card.locator("script").count() == 0


@pytest.mark.parametrize("width", [360, 390, 1366])
def test_the_card_is_within_the_window_and_beside_its_node(browser, address, width):
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto(f"{address}/tasks/t.html")
    _, node, card = circuit(page)
    node(0).scroll_into_view_if_needed()
    node(0).focus()
    box, at = card.bounding_box(), node(0).bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert box["y"] >= 0
    assert box["y"] + box["height"] <= 800
    apart = (
        box["x"] >= at["x"] + at["width"]
        or box["x"] + box["width"] <= at["x"]
        or box["y"] >= at["y"] + at["height"]
        or box["y"] + box["height"] <= at["y"]
    )
    assert apart
    page.close()


def test_without_scripts_the_table_says_all_of_it(browser, address):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}/tasks/t.html")
    first, _, card = circuit(page)
    first.get_by_text("Nodes, their contexts and promoted tokens").click()
    assert first.locator("table.nodes mark").first.is_visible()
    assert not card.is_visible()
    assert "point at a part" not in first.text_content()
    assert "the boy runs" not in first.locator("svg .node text").first.text_content()
    assert "the [boy] runs" in first.locator("svg .node title").first.text_content()
    context.close()


@pytest.mark.parametrize("width", [360, 390, 1366])
@pytest.mark.parametrize("path", ["tasks/t.html", "families/both.html", "methods/sure.html"])
def test_no_page_scrolls_sideways_also_unfolded(browser, address, path, width):
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto(f"{address}/{path}")
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["tasks/t.html", "families/both.html"])
def test_axe_finds_nothing_also_while_a_card_is_open(browser, address, path, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = browser.new_page(color_scheme=scheme)
    page.goto(f"{address}/{path}")
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    if path.startswith("tasks"):
        circuit(page)[1](0).focus()
    found = axe.run(page).response["violations"]
    page.close()
    assert not found, [(v["id"], [n["html"][:120] for n in v["nodes"][:3]]) for v in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_mark_of_a_circuit_vanishes_in_the_ground_and_signs_differ(browser, address, scheme):
    page = browser.new_page(color_scheme=scheme)
    page.goto(f"{address}/tasks/t.html")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    first, node, _ = circuit(page)
    lines = {
        sign: first.locator(f".edge.{sign}").evaluate("e => getComputedStyle(e).stroke") for sign in ("plus", "minus")
    }
    assert len({ground, *lines.values()}) == 3
    fills = [node(i).locator("[fill-opacity]").evaluate("e => getComputedStyle(e).fill") for i in (0, 1, 2)]
    assert (fills[0], fills[1]) == (lines["plus"], lines["minus"])
    assert fills[1] == fills[2]
    page.close()
