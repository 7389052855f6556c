"""The site: what it shows, and that nothing in a record can break it."""

import csv
import json
import re
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner
from made_records import AUC, CMD, Vision, drawn_parts, dream, know_dreams, measure, record, suite

from mechboard.cli.leaderboard import _of_these, command
from mechboard.contract.scores import Curve
from mechboard.contract.task import Suite
from mechboard.drawing.circuit import circuit_svg
from mechboard.drawing.curves import curves_figure
from mechboard.errors import SelectionError
from mechboard.kinds.circuit_exhibits import Circuit, FoundEdge, GraphInfo
from mechboard.leaderboard.downloads import plain
from mechboard.leaderboard.site import build_site
from mechboard.leaderboard.words import page_name, titled
from mechboard.methods.activation_patching import activation_patching
from mechboard.records import Record
from mechboard.records.store import Store

EVIL = "<script>alert(1)</script>\"'&=1+1"
SUITE = suite("ioi", "verbs-1", "verbs-2", apart=("unit",))
TASKS = (("ioi", "", None), ("verbs-1", "verbs", 1), ("verbs-2", "verbs", 2), ("unit", "", None))


def some_records():
    """Three methods on four tasks: `sure` is done on two instances, `drawn` has seeds and is better by CMD, `odd` fails."""
    made = []
    for task, family, level in TASKS:
        own = {"task": task, "family": family, "level": level}
        correlated = {} if task == "ioi" else {f"correlation[{task}:true]": measure(0.25)}
        for instance in range(2):
            for label, auc, cmd, seeds in (("sure", 0.9, 0.4, 1), ("drawn", 0.7, 0.2, 3)):
                for seed in range(seeds):
                    scale = measure(cmd, direction="lower", chance=0.8, oracle=0.0)
                    made.append(
                        record(
                            auc + 0.01 * seed, label=label, instance=instance, seed=seed, more={"cmd": scale, **correlated},
                            deterministic=seeds == 1, passes=(3.0, 1.0), **own, **drawn_parts(task),
                        )
                    )  # fmt: skip
            made.append(record(None, label="odd", instance=instance, reason="1 / 0", deterministic=True, **own))
    return made


@pytest.fixture(scope="module")
def records():
    return some_records()


@pytest.fixture(scope="module")
def site(records, tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    build_site(records, [SUITE], out)
    return out


class _Checker(HTMLParser):
    """Open elements must close in order."""

    void = frozenset({"meta", "link", "br", "img", "input", "hr"})

    def __init__(self):
        super().__init__()
        self.open, self.links, self.tags, self.ids = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [v for k, v in attrs if k in ("href", "src") and v]
        self.ids += [v for k, v in attrs if k == "id"]
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
    assert len(checker.ids) == len(set(checker.ids)), path
    return checker


def _site_of(records, out, *suites):
    build_site(records, suites or [suite("t")], out)
    return {path.relative_to(out).as_posix(): path.read_text() for path in out.rglob("*.html")}


def _text(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", html))


# -- every page ----------------------------------------------------------------------------------


def test_every_page_is_well_formed_and_links_only_to_files_that_exist(site):
    pages = list(site.rglob("*.html"))
    assert {p.relative_to(site).as_posix() for p in pages} == {
        "index.html", "submit.html", "families/verbs.html", "tasks/ioi.html", "tasks/verbs-1.html", "tasks/verbs-2.html",
        "tasks/unit.html", "methods/sure.html", "methods/drawn.html", "methods/odd.html",
    }  # fmt: skip
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


# -- the front page ------------------------------------------------------------------------------


def tables(site):
    """Every table of the front page: its id, the header and rows as lists of text."""
    found = {}
    for name, body in re.findall(
        r'<table[^>]*id="([^"]+)"[^>]*>(.*?)</table>', (site / "index.html").read_text(), re.S
    ):
        rows = [re.findall(r"<t[hd][ >].*?</t[hd]>", row, re.S) for row in re.findall(r"<tr.*?</tr>", body, re.S)]
        found[name] = [[_text(cell).strip() for cell in row] for row in rows]
    return found


def test_families_are_columns_tasks_apart_have_their_own_table(site):
    found = tables(site)
    assert found["circuit-auc"][0] == ["Method", "Overall", "Rank", "ioi", "verbs 2 tasks"]
    assert found["circuit-auc-apart"][0] == ["Method", "unit"]
    assert found["circuit-auc"][1] == ["sure", "0.800 ± 0.000", "1", "0.900", "0.900"]
    assert found["circuit-auc"][3][:4] == ["odd", "0.000* ± 0.000", "3", "failed 2/2"]


def test_every_measure_has_its_tables_and_only_the_first_is_shown_without_a_script(site):
    text = (site / "index.html").read_text()
    views = re.findall(r'<div class="view" data-measure="([^"]+)"( hidden)?>', text)
    assert views == [("auc", ""), ("correlation", " hidden"), ("cmd", " hidden"), ("passes", " hidden")]
    found = tables(site)
    assert [row[0] for row in found["circuit-cmd"][1:]] == ["drawn", "sure", "odd"]
    assert found["circuit-cmd"][1][:4] == ["drawn", "0.750 ± 0.000", "1", "0.200"]
    assert found["circuit-passes"][0][:2] == ["Method", "Mean"]
    assert found["circuit-passes"][1] == ["sure", "5.0", "5.0", "5.0"]


def test_the_caption_says_over_how_many_families_the_mean_is(site):
    said = [_text(c).strip() for c in re.findall(r"<caption>.*?</caption>", (site / "index.html").read_text(), re.S)]
    assert "mean over 2 families of s v1" in said[0]
    assert "mean over 1 of 2 families of s v1" in said[2]
    assert said[2].endswith("No value on: ioi.")


def test_without_a_chance_of_cmd_the_page_says_that_there_is_no_overall(tmp_path):
    page = _site_of([record(0.9, more={"cmd": measure(0.1, **CMD)})], tmp_path)["index.html"]
    assert "No overall score: no chance is known for this measure" in page
    assert tables(tmp_path)["circuit-cmd"][0] == ["Method", "t"]


def test_what_a_method_declined_is_shown_with_its_reason_and_is_not_failed(tmp_path):
    rows = [record(0.9, label="a"), record(None, label="picky", status="unsupported", reason="needs an MLP")]
    pages = _site_of(rows, tmp_path)
    assert tables(tmp_path)["circuit-auc"][2] == ["picky", "0/1 tasks", "not ranked", "unsupported"]
    assert 'title="needs an MLP"' in pages["index.html"]
    for name in ("tasks/t.html", "methods/picky.html"):
        assert re.search(r"unsupported: .*needs an MLP", pages[name]), name
        assert "failed" not in pages[name]


def test_an_adapted_run_is_not_a_native_one(tmp_path):
    pages = _site_of([record(0.9, label="eap"), record(0.8, label="eap", adapter="cut")], tmp_path)
    assert [row[0] for row in tables(tmp_path)["circuit-auc"][1:]] == ["eap", "eap@cut"]
    assert "<code>cut</code>" in pages["methods/eap~40cut.html"]
    assert "Adapter" not in pages["methods/eap.html"]


def test_records_that_were_left_out_are_listed(tmp_path):
    rows = [record(0.9, label=m) for m in ("a", "b")] + [record(0.9, label="x", anchors=AUC | {"chance": 0.1})]
    build_site(rows, [suite("t")], tmp_path, unreadable=["broken.json"])
    text = (tmp_path / "index.html").read_text()
    assert "<li>broken.json</li>" in text
    assert "it states chance 0.1, where most state 0.5" in text
    assert not (tmp_path / "methods" / "x.html").exists()
    assert "\nx," not in (tmp_path / "leaderboard.csv").read_text()


def test_a_kind_that_the_page_was_not_told_of_has_its_section(tmp_path, monkeypatch):
    know_dreams(monkeypatch)
    rows = [record(0.9, label="m"), dream(0.4, label="m", adapter="sleep"), dream(0.2, label="n")]
    pages = _site_of(rows, tmp_path, suite("t"), suite("night", kind="dream", name="nights"))
    front = pages["index.html"]
    assert front.index("Which method finds the circuit?") < front.index("Which method tells dreams apart?")
    assert "Each cell says how clear a dream is." in front
    assert 'href="#kind-dream"' in front
    found = tables(tmp_path)
    assert found["dream-clarity"][1] == ["m@sleep", "0.400", "1–2", "0.400"]
    assert found["dream-haste"][0] == ["Method", "Overall", "Rank", "night"]
    assert "haste: lower is better; 9 is chance; 1 is the oracle." in front
    assert '<p class="vision">vision of n: a sea</p>' in pages["tasks/night.html"]
    assert "What was dreamt." in pages["tasks/night.html"]
    assert "<figcaption>Depth</figcaption>" in pages["tasks/night.html"]
    assert "clarity" in pages["methods/n.html"]
    assert "nights" in pages["submit.html"]
    assert not any("AUC" in pages[name] for name in ("methods/n.html", "tasks/night.html"))


def test_the_pages_know_no_kind_and_no_measure_by_name():
    from importlib.resources import files

    folder = files("mechboard.leaderboard")
    sources = [*folder.iterdir(), *(folder / "templates").iterdir(), folder / "static" / "board.js"]
    for source in (s for s in sources if s.name.endswith((".py", ".html", ".js"))):
        text = re.sub(r">>> .*\n.*", "", source.read_text())
        assert not re.search(r"\b(circuit|edges?|AUC|CMD|auc|cmd|correlation)\b", text), source.name


# -- the other pages -----------------------------------------------------------------------------


def test_a_task_shows_facts_truths_family_and_its_siblings(site):
    text = _text((site / "tasks" / "verbs-1.html").read_text())
    assert "Graph2 layers" in text.replace("> ", ">").replace("Graph ", "Graph")
    assert "verbs-1:true: 3 of 17 true; made up" in text
    assert "verbs, level 1; beside verbs-2" in text
    assert "level" not in _text((site / "tasks" / "ioi.html").read_text())


def test_measures_stand_in_the_scorers_order_with_the_headline_first(tmp_path):
    made = record(0.9, more={"zeta": measure(0.1), "cmd": measure(0.3, **CMD), "alpha": measure(0.2)})
    order = [*list(made.measures)[1:3], *list(made.measures)[:1], *list(made.measures)[3:]]
    made = made.model_copy(update={"measures": {name: made.measures[name] for name in order}})
    page = _site_of([made], tmp_path)["tasks/t.html"]
    header = re.findall(r'<th scope="col"[^>]*>(.*?)</th>', page, re.S)
    assert [_text(h).strip() for h in header][1:5] == ["auc[true] ↑", "zeta ↑", "cmd ↓", "alpha ↑"]


def test_a_task_has_one_plot_for_each_name_of_a_curve_with_its_own_title(site):
    page = (site / "tasks" / "ioi.html").read_text()
    assert re.findall(r"<figcaption>(.*?)</figcaption>", page)[:2] == ["ROC against ioi:true", "Faithfulness by share"]
    assert page.count('class="plot curves"') == 2


def test_an_exhibit_draws_itself_and_says_what_it_is(site):
    page = (site / "tasks" / "ioi.html").read_text()
    assert page.count('<svg class="circuit"') == 2
    assert "The strongest edges, as many as the known circuit has" in page
    assert '<li class="key missed">missed</li>' in page


def test_an_exhibit_that_says_nothing_of_itself_does_not_say_what_exhibits_are(tmp_path, monkeypatch):
    know_dreams(monkeypatch)
    monkeypatch.setattr(Vision, "__doc__", None)
    build_site([dream(0.4)], [], tmp_path)
    assert "Something that a page can draw" not in (tmp_path / "tasks" / "night.html").read_text()


def test_a_family_has_a_page_with_its_tasks_by_every_measure(site):
    page = (site / "families" / "verbs.html").read_text()
    assert re.findall(r"<h2>(.*?)</h2>", page) == ["AUC", "correlation", "CMD", "passes"]
    assert "Level 2" in page


def test_a_method_shows_what_its_kinds_show(site):
    page = (site / "methods" / "sure.html").read_text()
    head = page[page.index("<thead>") : page.index("</thead>")]
    header = [_text(h).strip() for h in re.findall(r'<th scope="col"[^>]*>(.*?)</th>', head, re.S)]
    assert header == ["Task", "Family", "Status", "AUC", "correlation", "CMD", "passes",
                      "Headline, its denominators and spread", "Seconds"]  # fmt: skip
    assert "rank 1, overall" in _text(page)
    assert "2 instances 0.900 to 0.900; deterministic" in page


def test_spread_is_stated_by_source(site):
    assert "2 instances 0.710 to 0.710; 3 seeds, sd 0.010" in (site / "tasks" / "ioi.html").read_text()


# -- the command ---------------------------------------------------------------------------------


def _built(tmp_path, *options):
    store = Store(tmp_path / "r")
    store.write(record(0.9, task="trained-ioi"))
    place = ["--results", str(tmp_path / "r"), "--out", str(tmp_path / "site")]
    return CliRunner().invoke(command, ["build", *place, *options])


@pytest.mark.parametrize("options", [(), ("--suite", "embedded")])
def test_the_command_takes_the_suites_of_which_there_are_records(tmp_path, options):
    assert "1 records" in _built(tmp_path, *options).output
    assert "partial" in (tmp_path / "site" / "methods" / "m.html").read_text()
    assert "<strong>embedded v" in (tmp_path / "site" / "submit.html").read_text()


def test_the_command_refuses_a_suite_that_is_not_there(tmp_path):
    assert isinstance(_built(tmp_path, "--suite", "embeded").exception, SelectionError)


def test_of_several_suites_of_a_kind_that_with_most_of_the_tasks_is_taken_then_the_newest():
    def of(name, version, *tasks, kind="circuit"):
        return Suite(name=name, version=version, summary="", kind=kind, tasks=tasks)

    old, new, large = of("old", 1, "a", "b"), of("new", 2, "a", "b"), of("large", 1, "a", "b", "c")
    other, unused = of("other", 1, "d", kind="dream"), of("unused", 9, "e")
    assert _of_these([old, new, large, other, unused], {"a", "b", "d"}) == [new, other]
    assert _of_these([old, new, large, unused], {"a", "b", "c"}) == [large]


# -- downloads -----------------------------------------------------------------------------------


def test_downloads_hold_every_number(site, records):
    rows = list(csv.DictReader((site / "leaderboard.csv").open()))
    assert len(rows) == sum(len(r.measures) or 1 for r in records)
    whole = json.loads((site / "leaderboard.json").read_text())
    assert whole["schema_version"] == 3
    assert len(whole["records"]) == len(records)
    first = next(r for r in records if r.cell.label == "drawn" and r.cell.task == "ioi")
    assert whole["records"][0]["measures"] == json.loads(first.model_dump_json())["measures"]


def test_the_csv_says_kind_family_level_and_adapter(tmp_path):
    build_site([record(0.9, task="t", family="f", level=2, adapter="cut")], [], tmp_path)
    (row,) = csv.DictReader((tmp_path / "leaderboard.csv").open())
    assert [row[name] for name in ("method", "kind", "family", "level", "adapter")] == [
        "m@cut",
        "circuit",
        "f",
        "2",
        "cut",
    ]
    assert list(row)[-4:] == ["kind", "family", "level", "adapter"]


def test_a_name_that_a_spreadsheet_would_run_is_defused():
    assert plain("=HYPERLINK(1)") == "'=HYPERLINK(1)"
    assert plain(-0.5) == -0.5


# -- records of strangers ------------------------------------------------------------------------


def _poisoned(value, path=()):
    """The same document with HTML in every string and every name that a plugin or a stranger may choose."""
    if isinstance(value, dict):
        named = path[-1:] in (
            ("measures",), ("curves",), ("exhibits",), ("citation",), ("assets",), ("packages",), ("parameters",), ("settings",),
        )  # fmt: skip
        return {(f"{k}{EVIL}" if named else k): _poisoned(v, (*path, k)) for k, v in value.items()}
    if isinstance(value, list):
        return [_poisoned(v, path) for v in value]
    if isinstance(value, str) and path[-1] not in ("status", "direction", "level", "kind", "type"):
        return value + EVIL
    return value


def test_text_in_records_is_shown_as_text_everywhere(records, tmp_path):
    done = [r for r in records if r.cell.label == "sure"]
    failed, declined = record(None, label="odd", task="ioi"), record(None, label="no", task="ioi", status="unsupported")
    evil = [Record.model_validate(_poisoned(json.loads(r.model_dump_json()))) for r in (*done, failed, declined)]
    assert evil[0].measures[evil[0].headline].value is not None
    names = suite(*(f"{name}{EVIL}" for name in SUITE.tasks))
    build_site(evil, [names], tmp_path, unreadable=[EVIL])
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) == 2 + 1 + 4 + 3
    for page in pages:
        checker = _check(page)
        assert checker.tags.count("script") == 1, page
        assert "<script>alert" not in page.read_text()
    rows = list(csv.reader((tmp_path / "leaderboard.csv").open()))
    assert rows[1][0] == f"no{EVIL}"


def test_page_names_are_safe_file_names_and_distinct():
    labels = ["eap", "eap-ig[steps=10]", "../x", "a/b", "a b", "ä", "€" * 80, "€" * 81]
    names = [page_name(label) for label in labels]
    assert len(set(names)) == len(labels)
    assert not any("/" in name or len(name) > 240 for name in names)


def test_words_for_measures():
    assert [titled(m) for m in ("precision-at-size", "auc-low", "passes")] == ["precision at size", "AUC low", "passes"]


def test_a_circuit_picture_tells_hits_from_false_and_missed_edges():
    graph = GraphInfo(n_layers=2, n_heads=2, has_mlp=True, parallel=False, level="qkv")
    edges = (
        FoundEdge(name="input->a0.h0<q>", score=1.0, found=True, known=True),
        FoundEdge(name="input->m0", score=0.5, found=True, known=False),
        FoundEdge(name="m0->logits", score=None, found=False, known=True),
    )
    svg = circuit_svg(Circuit(graph=graph, edges=edges), title=EVIL)
    assert "1 hit, 1 false, 1 missed edges" in svg
    assert svg.count("<path") == 3
    assert "<script>" not in svg


@pytest.mark.parametrize("x", [(1.0, 2.0), (0.0, 5.0), (-3.0, 1e300), (5e-324, 1.0)])
@pytest.mark.parametrize("log_x", [True, False])
def test_a_curve_with_points_beyond_its_axis_is_drawn_within_it(x, log_x):
    drawn = curves_figure([("m", Curve(x=x, y=(-1e300, 1e300), x_label="x", y_label="y", log_x=log_x))])
    places = [
        float(v) for pair in re.search(r'class="line c0" points="([^"]*)"', drawn)[1].split() for v in pair.split(",")
    ]
    assert all(0 <= place <= 460 for place in places)


def test_an_unknown_cost_is_called_unknown_on_every_page(tmp_path):
    pages = _site_of([record(0.9, passes=(None, None))], tmp_path)
    assert pages["tasks/t.html"].count("unknown") == 2
    assert "unknown forwards and unknown backwards of 5 prompts" in pages["methods/m.html"]
    assert "not all of their passes could be counted: m." in pages["index.html"]
    assert "<circle" not in pages["index.html"]


def test_a_note_of_a_record_stands_on_every_page_with_its_cells(tmp_path):
    rows = [record(0.9, instance=i, seed=s, notes=("every score is 0",) if s else ()) for i in (0, 1) for s in (0, 1)]
    pages = _site_of(rows, tmp_path)
    for name in ("index.html", "tasks/t.html", "methods/m.html"):
        assert "every score is 0 (data-0 seed-1, data-1 seed-1)" in pages[name], name


def test_a_citation_is_a_line_of_text_and_no_dictionary(tmp_path):
    page = _site_of([record(0.9, citation=dict(activation_patching.citation))], tmp_path)["methods/m.html"]
    assert "and Garriga-Alonso, Adrià (2023). Towards Automated Circuit Discovery" in page
    assert "arXiv:2304.14997</dd>" in page
    assert "{&#39;" not in page


def test_a_task_whose_every_cell_failed_has_a_page(tmp_path):
    page = _site_of([record(None, status="invalid")], tmp_path)["tasks/t.html"]
    assert "invalid 1/1" in page
    assert "none is known" in page


def test_a_method_that_made_the_truth_of_one_task_is_not_ranked_in_a_suite_with_it(tmp_path):
    rows = [record(0.9), record(0.9, task="measured", reference=True)]
    build_site(rows, [suite("t")], tmp_path / "alone")
    build_site(rows, [suite("t", "measured")], tmp_path / "both")
    assert tables(tmp_path / "alone")["circuit-auc"][1][:3] == ["m", "0.800", "1"]
    assert tables(tmp_path / "both")["circuit-auc"][1][0] == "m reference"
    assert tables(tmp_path / "both")["circuit-auc"][1][2] == "not ranked"
