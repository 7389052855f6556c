"""The page in a real browser: measures, clicks, keys, filters, permalinks, phones, no foreign request, and axe.

What is drawn on it is in `test_browser_figures.py`; the browser itself is in `conftest.py`.
"""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from made_records import declared, dream, know_dreams, record, suite
from test_leaderboard import SUITE, some_records

from mechboard.contract.scores import Quoted
from mechboard.leaderboard.site import build_site

QUOTED = Quoted(method="sure", measure="auc[paper:true]", value=0.9, convention="steps " * 20, source="a paper")


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, *arguments): ...


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    build_site(some_records(), [SUITE], folder, (), [declared("paper", twin="ioi", quoted=(QUOTED,))])
    return folder


@pytest.fixture(scope="module")
def address(site):
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Silent, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@pytest.fixture
def page(browser, address):
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    opened = context.new_page()
    opened.foreign = []
    opened.problems = []
    opened.on("request", lambda r: None if r.url.startswith((address, "data:")) else opened.foreign.append(r.url))
    opened.on("pageerror", lambda e: opened.problems.append(str(e)))
    # A violation of the content-security policy is an error on the console.
    opened.on("console", lambda m: opened.problems.append(m.text) if m.type in ("error", "warning") else None)
    opened.goto(f"{address}/index.html")
    yield opened
    assert not opened.foreign
    assert not opened.problems
    context.close()


def rows(page, table="circuit-auc"):
    return page.locator(f"table#{table} tbody tr:visible th a").all_text_contents()


def overall(page, table, label):
    return page.locator(f"table#{table} tr[data-label={label}] td").first.text_content().split()[0]


def choose(page, measure):
    page.get_by_role("radio", name=measure, exact=True).check()


def open_filters(page):
    page.get_by_text("Filter and compare").click()


# -- the choice of a measure ---------------------------------------------------------------------


def test_the_choice_of_a_measure_changes_numbers_and_ranks(page):
    assert page.locator("table.matrix:visible").count() == 2
    assert (rows(page), overall(page, "circuit-auc", "sure")) == (["sure", "drawn", "odd"], "0.800")
    choose(page, "CMD")
    assert not page.locator("#circuit-auc").is_visible()
    assert rows(page, "circuit-cmd") == ["drawn", "sure", "odd"]
    assert overall(page, "circuit-cmd", "drawn") == "0.750"
    assert page.locator("#circuit-cmd tr[data-label=sure] td").nth(1).text_content() == "2"
    assert page.locator("#circuit-cmd-apart tr[data-label=sure] td").first.text_content() == "0.400"
    choose(page, "passes")
    assert page.locator("#circuit-passes thead th:visible").first.is_visible()
    assert "Rank" not in page.locator("#circuit-passes thead").text_content()


def test_a_permalink_keeps_the_measure_and_what_else_was_chosen(page, browser):
    choose(page, "CMD")
    open_filters(page)
    page.get_by_label("reference rows").uncheck()
    page.locator("#circuit-cmd thead th").first.get_by_role("button").click()
    other = browser.new_page()
    other.goto(page.url)
    assert other.get_by_role("radio", name="CMD").is_checked()
    assert rows(other, "circuit-cmd") == ["drawn", "odd", "sure"]
    assert not other.locator("#circuit-auc").is_visible()
    choose(other, "AUC")
    assert "measure" not in other.url
    assert "references=off" in other.url
    other.close()


def test_a_measure_is_chosen_by_keys(page):
    page.get_by_role("radio", name="AUC").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#circuit-correlation").is_visible()
    assert page.get_by_role("radio", name="correlation").is_checked()


def test_a_link_to_a_measure_that_is_not_there_shows_the_first(page, address, browser):
    other = browser.new_page()
    other.goto(f"{address}/index.html#measure-circuit=beauty")
    assert other.locator("#circuit-auc").is_visible()
    other.close()


def test_links_within_the_page_leave_the_state_alone(page):
    choose(page, "CMD")
    page.locator("a.skip").press("Enter")
    assert "measure-circuit=cmd" in page.url
    assert page.evaluate("document.activeElement.id") == "main"


# -- sorting, filters, comparison ----------------------------------------------------------------


def test_a_header_sorts_by_mouse_and_by_keyboard_and_says_so(page):
    header = page.locator("#circuit-auc thead th", has_text="ioi")
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "descending"
    by_mouse = rows(page)
    header.get_by_role("button").press("Enter")
    assert header.get_attribute("aria-sort") == "ascending"
    # Of the two with a value the order turns; the failed one has none and stays last.
    assert rows(page) == [by_mouse[1], by_mouse[0], "odd"]
    name = page.locator("#circuit-auc thead th").first
    name.get_by_role("button").focus()
    page.keyboard.press("Space")
    assert rows(page) == ["drawn", "odd", "sure"]


def test_filters_hide_and_reset_shows(page):
    open_filters(page)
    page.get_by_label("Status").select_option("failed")
    assert rows(page) == ["odd"]
    page.get_by_label("Status").select_option("")
    page.locator("select[name=method]").select_option("drawn")
    assert rows(page) == rows(page, "circuit-auc-apart") == ["drawn"]
    choose(page, "CMD")
    assert rows(page, "circuit-cmd") == ["drawn"]
    page.get_by_role("button", name="Reset").click()
    page.wait_for_load_state()
    assert len(rows(page)) == 3


def test_columns_can_be_hidden(page):
    open_filters(page)
    page.get_by_role("checkbox", name="ioi").uncheck()
    assert page.locator("#circuit-auc thead th:visible").count() == 4
    assert page.locator("#shown").text_content() == "3 methods, 2 columns shown"
    choose(page, "CMD")
    assert page.locator("#circuit-cmd thead th:visible").count() == 4
    assert page.get_by_role("heading", name="Tasks apart from the overall score").is_visible()
    page.get_by_role("checkbox", name="unit").uncheck()
    assert page.locator("#shown").text_content() == "3 methods, 1 column shown"
    assert not page.get_by_role("heading", name="Tasks apart from the overall score").is_visible()


def test_chosen_rows_are_compared_and_the_view_has_a_link(page, browser):
    page.get_by_role("checkbox", name="Choose sure for comparison").check()
    page.get_by_role("checkbox", name="Choose odd for comparison").check()
    open_filters(page)
    page.get_by_label("only chosen rows").check()
    assert rows(page) == rows(page, "circuit-auc-apart") == ["sure", "odd"]
    choose(page, "CMD")
    assert rows(page, "circuit-cmd") == ["sure", "odd"]
    assert page.get_by_role("checkbox", name="Choose odd for comparison").is_checked()
    other = browser.new_page()
    other.goto(page.url)
    assert rows(other, "circuit-cmd") == ["sure", "odd"]
    assert other.get_by_label("only chosen rows").is_visible()
    other.close()


def test_a_label_with_commas_can_be_chosen(browser, tmp_path):
    made = [record(0.9, label=m) for m in ("a", "b")]
    cell = made[0].cell.model_copy(update={"label": "a[x=1,y=2]"})
    build_site([made[0].model_copy(update={"cell": cell}), made[1]], [suite("t")], tmp_path)
    opened = browser.new_page()
    opened.goto(f"{(tmp_path / 'index.html').as_uri()}#row=a%5Bx%3D1%2Cy%3D2%5D&only=rows")
    assert rows(opened) == ["a[x=1,y=2]"]
    opened.close()


def test_kinds_can_be_chosen(browser, tmp_path, monkeypatch):
    know_dreams(monkeypatch)
    build_site([record(0.9), dream(0.4), dream(0.2, label="n")], [suite("t"), suite("night", kind="dream")], tmp_path)
    opened = browser.new_page()
    opened.goto((tmp_path / "index.html").as_uri())
    opened.get_by_role("radio", name="haste").check()
    assert opened.locator("#circuit-auc").is_visible()
    assert opened.locator("#dream-haste").is_visible()
    assert opened.get_by_role("radio", name="AUC").is_checked()
    opened.get_by_role("link", name="Which method tells dreams apart?").click()
    assert "measure-dream=haste" in opened.url
    open_filters(opened)
    opened.locator("select[name=kind]").select_option("dream")
    assert not opened.locator("#circuit-auc").is_visible()
    assert opened.locator("#shown").text_content() == "2 methods, 1 column shown"
    opened.close()


def test_the_order_of_a_tasks_table_has_a_link_too(page, address, browser):
    page.goto(f"{address}/tasks/ioi.html")
    page.get_by_role("button", name="Sort by Method").click()
    page.get_by_role("button", name="Sort by Method").click()
    other = browser.new_page()
    other.goto(page.url)
    assert other.locator("table.sortable tbody th a").all_text_contents() == ["sure", "odd", "drawn"]
    other.close()


def test_a_cell_leads_to_how_it_was_made(page):
    page.locator("#circuit-auc td.value a").first.click()
    page.wait_for_url("**/methods/*.html#ioi")
    section = page.locator("section#ioi")
    assert "bench run" in section.text_content()
    assert "Python" in section.text_content()


def test_a_family_opens_to_its_tasks(page):
    page.locator("#circuit-auc thead").get_by_role("link", name="verbs").click()
    page.wait_for_url("**/families/verbs.html")
    header = page.locator("table").first.locator("thead a").all_text_contents()
    assert header == ["verbs-1", "verbs-2"]
    page.locator("dl").get_by_role("link", name="verbs-2").click()
    page.wait_for_url("**/tasks/verbs-2.html")


def test_a_curve_reads_out_its_points_by_keys_and_by_mouse(page, address):
    page.goto(f"{address}/tasks/ioi.html")
    plot = page.locator("svg.plot.curves").nth(1)
    out = plot.locator("xpath=following-sibling::output")
    plot.focus()
    page.keyboard.press("ArrowRight")
    first = out.text_content()
    page.keyboard.press("ArrowRight")
    assert "sure: " in first
    assert out.text_content() != first
    plot.hover(position={"x": 200, "y": 100})
    assert "drawn: " in out.text_content()


# -- sizes ---------------------------------------------------------------------------------------

FAMILIES = ("agreement-mini", "docstring-mini", "greater-than-mini", "ioi-mini", "trained-greater-than",
            "trained-induction", "trained-ioi", "gendered-pronoun", "double-object", "acronyms")  # fmt: skip


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """As many families as a suite may have, with methods of long names, some with a rank and some without."""
    out = tmp_path_factory.mktemp("wide")
    made = [
        record(0.8 + 0.01 * place, label=label, task=name, notes=("noted",), reference=label == "activation-patching")
        for label in ("activation-patching", "eap-ig[steps=10]", "information-flow-routes")
        for place, name in enumerate(FAMILIES)
    ]
    made += [record(0.9, label="partial-method", task=name) for name in FAMILIES[:4]]
    made += [record(None, label="failing", task=name) for name in FAMILIES]
    build_site(made, [suite(*FAMILIES)], out)
    return out


@pytest.mark.parametrize("measure", ["auc", "passes"])
def test_on_a_laptop_every_family_fits_without_scrolling_sideways(browser, wide, measure):
    page = browser.new_page(viewport={"width": 1366, "height": 768})
    page.goto(f"{(wide / 'index.html').as_uri()}#measure-circuit={measure}")
    widths = page.evaluate(
        "[...document.querySelectorAll('.scroll')].filter(e => e.offsetParent).map(e => [e.scrollWidth, e.clientWidth])"
    )
    assert widths
    assert all(content <= box for content, box in widths)
    page.close()


@pytest.mark.parametrize("scripts", [True, False])
def test_the_first_screen_of_a_phone_shows_a_method_and_its_number(browser, wide, scripts):
    context = browser.new_context(viewport={"width": 390, "height": 844}, java_script_enabled=scripts)
    page = context.new_page()
    page.goto((wide / "index.html").as_uri())
    row = page.locator("#circuit-auc tbody tr").first
    assert row.locator("th a").text_content() == "eap-ig[steps=10]"
    for part in (row.locator("th a"), row.locator("td strong").first):
        box = part.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
        assert box["y"] + box["height"] <= 844
    context.close()


# -- every page ----------------------------------------------------------------------------------

PAGES = [
    "index.html",
    "families/verbs.html",
    "tasks/ioi.html",
    "tasks/paper.html",
    "methods/odd.html",
    "methods/sure.html",
    "submit.html",
]


@pytest.mark.parametrize("path", PAGES)
def test_every_page_keeps_its_content_security_policy_and_still_has_its_style(page, address, path):
    page.goto(f"{address}/{path}")
    assert page.evaluate("getComputedStyle(document.querySelector('header')).display") == "flex"
    assert page.evaluate("getComputedStyle(document.body).margin") == "0px"
    if path == "index.html":
        shade = "getComputedStyle(document.querySelector('td.value[class*=shade-]')).backgroundColor"
        assert float(page.evaluate(shade).rpartition(", ")[2].rstrip(")")) > 0.05


def test_pages_opened_as_files_keep_their_style_and_their_script(browser, site):
    opened, problems = browser.new_page(), []
    opened.on("console", lambda m: problems.append(m.text))
    opened.goto((site / "index.html").as_uri())
    assert opened.evaluate("getComputedStyle(document.querySelector('header')).display") == "flex"
    assert opened.locator("#filters").is_visible()
    opened.close()
    assert not problems


def test_a_script_that_came_with_a_record_would_not_run(browser, address):
    opened, problems = browser.new_page(), []
    opened.on("console", lambda m: problems.append(m.text))
    opened.goto(f"{address}/index.html")
    opened.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran = 1\">')")
    opened.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))")
    opened.wait_for_timeout(200)
    assert opened.evaluate("window.ran") is None
    assert len([p for p in problems if "Content Security Policy" in p]) >= 2
    opened.close()


def test_pages_are_readable_without_scripts(browser, address):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}/index.html")
    assert page.locator("#circuit-auc tbody tr:visible").count() == 3
    assert page.locator("table.matrix:visible").count() == 2
    assert not page.locator("#filters").is_visible()
    assert not page.get_by_role("radio").first.is_visible()
    page.goto(f"{address}/tasks/ioi.html")
    assert page.locator("svg.plot").first.is_visible()
    context.close()


@pytest.mark.parametrize("width", [360, 390, 1200])
def test_no_page_scrolls_sideways(browser, address, width):
    page = browser.new_page(viewport={"width": width, "height": 800})
    for path in PAGES:
        page.goto(f"{address}/{path}")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", [*PAGES, "index.html#measure-circuit=cmd", "index.html#status=failed"])
def test_axe_finds_nothing(browser, address, path, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = browser.new_page(color_scheme=scheme)
    page.goto(f"{address}/{path}")
    # What is folded has to hold as well.
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    found = axe.run(page).response["violations"]
    page.close()
    assert not found, [(v["id"], [n["html"][:120] for n in v["nodes"][:3]]) for v in found]
