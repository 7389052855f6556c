"""The page in a real browser: clicks, keys, filters, permalinks, no foreign request, and axe.

Drives the system's Chromium by path (MECHBOARD_CHROMIUM, or one on PATH); skipped, visibly, where there is none.
"""

import os
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from test_leaderboard import SUITE
from test_runner import FakeTask, _returning, counted, drawn, run

from mechboard.leaderboard.site import build_site

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = os.environ.get("MECHBOARD_CHROMIUM") or next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH: the page is not tested in a browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, *arguments): ...


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    _, outcomes = run(
        tmp_path_factory.mktemp("records"),
        [counted, drawn, _returning(lambda n: 1 / 0)],
        FakeTask(),
        seeds=2,
        data_seeds=2,
    )
    build_site([o.record for o in outcomes], SUITE, folder)
    return folder


@pytest.fixture(scope="module")
def address(site):
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Silent, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        launched.close()


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


def rows(page):
    return page.locator("#matrix tbody tr:visible th a").all_text_contents()


def test_a_header_sorts_by_mouse_and_by_keyboard_and_says_so(page):
    header = page.locator("#matrix thead th", has_text="fake")
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "descending"
    by_mouse = rows(page)
    header.get_by_role("button").press("Enter")
    assert header.get_attribute("aria-sort") == "ascending"
    # Of the two with a value the order turns; the failed one has none and stays last.
    assert rows(page) == [by_mouse[1], by_mouse[0], "odd"]
    name = page.locator("#matrix thead th").first
    name.get_by_role("button").focus()
    page.keyboard.press("Space")
    assert rows(page) == ["counted", "drawn", "odd"]


def test_filters_hide_and_reset_shows(page):
    page.get_by_label("Status").select_option("failed")
    assert rows(page) == ["odd"]
    page.get_by_label("Status").select_option("")
    page.locator("select[name=family]").select_option("drawn")
    assert rows(page) == ["drawn"]
    page.get_by_role("button", name="Reset").click()
    page.wait_for_load_state()
    assert len(rows(page)) == 3


def test_columns_can_be_hidden(page):
    page.get_by_text("Columns").click()
    page.get_by_role("checkbox", name="fake").uncheck()
    assert page.locator("#matrix thead th:visible").count() == 3
    assert "0 tasks shown" in page.locator("#shown").text_content()


def test_chosen_rows_are_compared_and_the_view_has_a_link(page, address, browser):
    page.get_by_label("Choose counted for comparison").check()
    page.get_by_label("Choose odd for comparison").check()
    page.get_by_label("only chosen rows").check()
    assert rows(page) == ["counted", "odd"]
    page.locator("#matrix thead th").first.get_by_role("button").click()
    page.locator("#matrix thead th").first.get_by_role("button").click()
    assert rows(page) == ["odd", "counted"]
    other = browser.new_page()
    other.goto(page.url)
    assert rows(other) == ["odd", "counted"]
    other.close()


def test_the_order_of_a_tasks_table_has_a_link_too(page, address, browser):
    page.goto(f"{address}/tasks/fake.html")
    page.get_by_role("button", name="Sort by Method").click()
    page.get_by_role("button", name="Sort by Method").click()
    other = browser.new_page()
    other.goto(page.url)
    assert other.locator("table.sortable tbody th a").all_text_contents() == ["odd", "drawn", "counted"]
    other.close()


def test_a_cell_leads_to_how_it_was_made(page):
    page.locator("#matrix td.value a").first.click()
    page.wait_for_url("**/methods/*.html#fake")
    section = page.locator("section#fake")
    assert "bench" in section.text_content() or "pytest" in section.text_content()
    assert "Python" in section.text_content()


def test_a_curve_reads_out_its_points_by_keys_and_by_mouse(page, address):
    page.goto(f"{address}/tasks/fake.html")
    plot = page.locator("svg.plot.curves").nth(1)
    out = plot.locator("xpath=following-sibling::output")
    plot.focus()
    page.keyboard.press("ArrowRight")
    first = out.text_content()
    page.keyboard.press("ArrowRight")
    assert "counted: " in first
    assert out.text_content() != first
    plot.hover(position={"x": 200, "y": 100})
    assert "drawn: " in out.text_content()


@pytest.mark.parametrize("path", ["index.html", "tasks/fake.html", "methods/counted.html", "submit.html"])
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
    assert page.locator("#matrix tbody tr:visible").count() == 3
    assert not page.locator("#filters").is_visible()
    page.goto(f"{address}/tasks/fake.html")
    assert page.locator("svg.plot").first.is_visible()
    context.close()


@pytest.mark.parametrize("width", [360, 1200])
def test_no_page_scrolls_sideways(browser, address, width):
    page = browser.new_page(viewport={"width": width, "height": 800})
    for path in ("index.html", "tasks/fake.html", "methods/counted.html", "submit.html"):
        page.goto(f"{address}/{path}")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["index.html", "tasks/fake.html", "methods/odd.html", "submit.html"])
def test_axe_finds_nothing(browser, address, path, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = browser.new_page(color_scheme=scheme)
    page.goto(f"{address}/{path}")
    found = axe.run(page).response["violations"]
    page.close()
    assert not found, [(v["id"], [n["html"][:120] for n in v["nodes"][:3]]) for v in found]
