"""The site: what it shows, and that nothing in a record can break it."""

import csv
import json
import re
from html.parser import HTMLParser

import pytest
import torch
from test_runner import FakeTask, _returning, counted, drawn, run

from mechboard.leaderboard.board import Board, rank_ranges
from mechboard.leaderboard.picture import circuit_svg
from mechboard.leaderboard.site import build_site, page_name
from mechboard.protocols import EdgeScores, Suite
from mechboard.records import EdgeRecord, GraphInfo, Record

SUITE = Suite(name="s", version=1, summary="", tasks=("fake",))
EVIL = "<script>alert(1)</script>\"'&=1+1"


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    task = FakeTask()
    odd = _returning(lambda n: 1 / 0)
    folder = tmp_path_factory.mktemp("records")
    _, outcomes = run(folder, [counted, drawn, odd], task, seeds=3, data_seeds=2)
    return [o.record for o in outcomes]


@pytest.fixture(scope="module")
def site(records, tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    build_site(records, SUITE, out)
    return out


class _Checker(HTMLParser):
    """Open elements must close in order."""

    void = frozenset({"meta", "link", "br", "img", "input", "hr"})

    def __init__(self):
        super().__init__()
        self.open, self.links, self.tags = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [v for k, v in attrs if k in ("href", "src") and v]
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def _check(path):
    checker = _Checker()
    checker.feed(path.read_text())
    assert not checker.open, path
    return checker


def test_every_page_is_well_formed_and_links_only_to_files_that_exist(site):
    pages = list(site.rglob("*.html"))
    assert {p.name for p in pages} == {
        "index.html",
        "submit.html",
        "fake.html",
        "counted.html",
        "drawn.html",
        "odd.html",
    }
    for page in pages:
        for link in _check(page).links:
            if not link.startswith(("#", "data:")):
                path, _, fragment = link.partition("#")
                target = page.parent / path
                assert target.is_file(), f"{page}: {link}"
                assert not fragment or f'id="{fragment}"' in target.read_text(), f"{page}: {link}"


def test_nothing_is_requested_from_elsewhere(site):
    for path in site.rglob("*"):
        if path.suffix in (".html", ".css", ".js"):
            assert not re.search(r"https?://|(?:src|href)=.//|url\(", path.read_text()), path


def test_every_page_forbids_all_but_its_own_script_and_style_and_has_no_inline_one(site):
    for page in site.rglob("*.html"):
        text = page.read_text()
        [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
        assert "default-src 'none'; script-src 'self'; style-src 'self';" in policy
        assert "unsafe" not in policy
        assert text.index("Content-Security-Policy") < text.index("<link") < text.index("<script")
        assert not re.search(r"<style|<script(?! src=)|\sstyle=|\son[a-z]+=|javascript:", text), page


def test_the_matrix_shows_values_and_failures_without_a_script(site):
    text = (site / "index.html").read_text()
    assert ">failed 2/2<" in text
    assert text.count("<tr") == 4
    assert "aria-label" in text


def test_a_failed_cell_counts_as_chance_and_is_marked(records):
    board = Board.of(records, SUITE)
    standing = {s.label: s for s in board.standings}
    assert standing["odd"].score == 0.0
    assert standing["odd"].imputed
    assert not standing["counted"].imputed


def test_a_method_that_lacks_a_task_is_partial_and_unranked(records):
    board = Board.of(records, Suite(name="s", version=1, summary="", tasks=("fake", "other")))
    for standing in board.standings:
        assert standing.partial
        assert standing.rank is None
        assert standing.score is None


def test_adding_a_method_moves_no_other_methods_score(records):
    alone = Board.of([r for r in records if r.cell.method == "counted"], SUITE)
    together = Board.of(records, SUITE)
    score = {s.label: s.score for s in together.standings}
    assert alone.standings[0].score == score["counted"]


def test_spread_is_stated_by_source(records):
    board = Board.of(records, SUITE)
    headline = records[0].headline
    assert board.groups["counted", "fake"].spread(headline).endswith("deterministic")
    assert re.search(r"2 instances .*; 3 seeds, sd 0\.\d+", board.groups["drawn", "fake"].spread(headline))


def test_equal_methods_share_a_rank_range():
    ranges = rank_ranges({"a": [0.9, 0.8, 0.7], "b": [0.9, 0.8, 0.7], "c": [0.1, 0.0, 0.1]})
    assert ranges == {"a": (1, 2), "b": (1, 2), "c": (3, 3)}


def test_one_task_separates_nobody():
    assert rank_ranges({"a": [1.0], "b": [0.0]}) == {"a": (1, 2), "b": (1, 2)}


def test_downloads_hold_every_number(site, records):
    rows = list(csv.DictReader((site / "leaderboard.csv").open()))
    done = [r for r in records if r.status == "done"]
    assert len(rows) == sum(len(r.measures) for r in done) + 2
    documents = json.loads((site / "leaderboard.json").read_text())["records"]
    assert len(documents) == len(records)
    assert documents[0]["measures"] == json.loads(records[0].model_dump_json())["measures"]


def _poisoned(value, path=()):
    """The same document with HTML in every string and every name that a plugin or a stranger may choose."""
    if isinstance(value, dict):
        named = path[-1:] in (("measures",), ("curves",), ("citation",), ("assets",), ("packages",), ("parameters",))
        return {(f"{k}{EVIL}" if named else k): _poisoned(v, (*path, k)) for k, v in value.items()}
    if isinstance(value, list):
        return [_poisoned(v, path) for v in value]
    if isinstance(value, str) and path[-1] not in ("status", "direction", "level"):
        return value + EVIL
    return value


def test_text_in_records_is_shown_as_text_everywhere(records, tmp_path):
    done, failed = (next(r for r in records if r.status == s) for s in ("done", "failed"))
    evil = [Record.model_validate(_poisoned(json.loads(r.model_dump_json()))) for r in (done, failed)]
    assert evil[0].measures[evil[0].headline].value is not None
    build_site(evil, SUITE, tmp_path, unreadable=[EVIL])
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) == 5
    for page in pages:
        checker = _check(page)
        assert checker.tags.count("script") == 1, page
        assert "<script>alert" not in page.read_text()
    rows = list(csv.reader((tmp_path / "leaderboard.csv").open()))
    assert rows[1][0] == f"counted{EVIL}"


def test_a_name_that_a_spreadsheet_would_run_is_defused():
    from mechboard.leaderboard.site import _plain

    assert _plain("=HYPERLINK(1)") == "'=HYPERLINK(1)"
    assert _plain(-0.5) == -0.5


def test_page_names_are_safe_file_names_and_distinct():
    labels = ["eap", "eap-ig[steps=10]", "../x", "a/b", "a b", "ä"]
    names = [page_name(label) for label in labels]
    assert len(set(names)) == len(labels)
    assert not any("/" in name for name in names)


def test_a_circuit_picture_tells_hits_from_false_and_missed_edges():
    graph = GraphInfo(n_layers=2, n_heads=2, has_mlp=True, parallel=False, level="qkv", n_edges=0)
    edges = [
        EdgeRecord(name="input->a0.h0<q>", score=1.0, found=True, known=True),
        EdgeRecord(name="input->m0", score=0.5, found=True, known=False),
        EdgeRecord(name="m0->logits", score=None, found=False, known=True),
    ]
    svg = circuit_svg(edges, graph, title=EVIL)
    assert "1 hit, 1 false, 1 missed edges" in svg
    assert svg.count("<path") == 3
    assert "<script>" not in svg


def _site_of(records, out):
    build_site(records, SUITE, out)
    return {path.relative_to(out).as_posix(): path.read_text() for path in out.rglob("*.html")}


def test_an_unknown_cost_is_called_unknown_on_every_page(records, tmp_path):
    done = next(r for r in records if r.status == "done" and r.cell.method == "counted")
    cost = done.cost.model_copy(update={"forwards": None, "backwards": None})
    pages = _site_of([done.model_copy(update={"cost": cost})], tmp_path)
    assert pages["tasks/fake.html"].count("unknown") == 2
    assert "unknown forwards and unknown backwards of 5 prompts" in pages["methods/counted.html"]
    assert "not all of their passes could be counted: counted." in pages["index.html"]
    assert "<circle" not in pages["index.html"]


def test_a_note_of_a_record_stands_on_every_page_with_its_cells(records, tmp_path):
    drawn_ones = [r for r in records if r.cell.method == "drawn"]
    noted = [r.model_copy(update={"notes": ("every score is 0",)}) if r.cell.seed == 1 else r for r in drawn_ones]
    pages = _site_of(noted, tmp_path)
    for name in ("index.html", "tasks/fake.html", "methods/drawn.html"):
        assert "every score is 0 (data-0 seed-1, data-1 seed-1)" in pages[name], name


def test_a_citation_is_a_line_of_text_and_no_dictionary(records, tmp_path):
    from mechboard.methods.activation_patching import activation_patching

    done = next(r for r in records if r.status == "done")
    method = done.method.model_copy(update={"citation": activation_patching.citation})
    page = _site_of([done.model_copy(update={"method": method})], tmp_path)["methods/counted.html"]
    assert "and Garriga-Alonso, Adrià (2023). Towards Automated Circuit Discovery" in page
    assert "arXiv:2304.14997</dd>" in page
    assert "{&#39;" not in page


def test_a_task_whose_every_cell_failed_has_a_page(tmp_path):
    task = FakeTask()
    _, outcomes = run(tmp_path / "r", [_returning(lambda n: EdgeScores(torch.zeros(1)))], task)
    build_site([o.record for o in outcomes], SUITE, tmp_path / "site")
    assert "invalid 1/1" in (tmp_path / "site" / "tasks" / "fake.html").read_text()


def test_a_method_that_made_the_truth_of_one_task_is_not_ranked_in_a_suite_with_it(records):
    done = [r for r in records if r.status == "done" and r.method.deterministic]
    elsewhere = [
        r.model_copy(
            update={
                "cell": r.cell.model_copy(update={"task": "measured"}),
                "method": r.method.model_copy(update={"reference": True}),
            }
        )
        for r in done
    ]
    (alone,) = Board.of([*done, *elsewhere], SUITE).standings
    (both,) = Board.of([*done, *elsewhere], SUITE.__class__(**{**vars(SUITE), "tasks": ("fake", "measured")})).standings
    assert alone.rank == (1, 1)
    assert not alone.reference
    assert both.rank is None
    assert both.reference
