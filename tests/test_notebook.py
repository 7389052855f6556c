"""The door for notebooks: `mechboard.run`, `load`, `read`, and what they show."""

import gc
import json
import re
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ET
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from models import random_decoder, random_pairs
from notebook_cells import fresh_main, run_cell
from test_cli import bench  # noqa: F401

import mechboard
from mechboard.errors import PluginError, RecordError, SelectionError, StoreError, UsageError
from mechboard.graph import Ablation, Graph
from mechboard.metrics.answers import logit_difference
from mechboard.plugins.registry import Registry
from mechboard.protocols import CircuitProblem, EdgeScores, Instance, NoParameters, Task, Truth, method
from mechboard.runs import identity

ROOT = Path(__file__).parent.parent
CHEAP = "compiled-brackets"


@dataclass(frozen=True, kw_only=True)
class Tiny(Task):
    """A random model whose truth is its first edges."""

    kind: str = "circuit"

    def load(self, data_seed, device):
        decoder, pairs = random_decoder("gpt2", dtype=torch.float32), random_pairs(seed=data_seed + 1)
        graph = Graph.of(decoder.config)
        problem = CircuitProblem(
            model=decoder, graph=graph, pairs=pairs, metric=logit_difference,
            ablation=Ablation("resample", decoder, pairs), batch_size=5,
        )  # fmt: skip
        truth = Truth(name=f"{self.name}:first", edges=torch.arange(graph.n_edges) < 20, source="<i>made up</i>")
        return Instance(problem=problem, held_out=random_pairs(seed=data_seed + 9), truths=(truth,))


TINY = Tiny(name="tiny", summary="A random model <b>")


@dataclass(frozen=True)
class Slope:
    slope: float = 1.0
    steps: int = 2


@method(name="falling", kinds=("circuit",), deterministic=True)
def falling(problem, generator, parameters: Slope):
    """Earlier edges first."""
    return EdgeScores(parameters.slope * torch.linspace(1, 0.1, problem.graph.n_edges))


@method(name="drawn", kinds=("circuit",), deterministic=False)
def drawn(problem, generator, parameters: NoParameters):
    """Whatever is drawn."""
    return EdgeScores(torch.randn(problem.graph.n_edges, generator=generator))


@method(name="broken", kinds=("circuit",), deterministic=True)
def broken(problem, generator, parameters: NoParameters):
    """Nothing."""
    raise ValueError("<script>alert(1)</script>")


def run(methods=falling, tasks=TINY, **settings):
    return mechboard.run(methods, tasks, progress="quiet", **settings)


@pytest.fixture
def where(monkeypatch):
    """Which executors were used."""
    used = []
    for module, name in (("pool", "Pool"), ("inline", "Inline")):
        module = __import__(f"mechboard.runs.workers.{module}", fromlist=[name])
        original = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, _n=name, _o=original, **k: used.append(_n) or _o(*a, **k))
    return used


# -- the package -----------------------------------------------------------------------------------


def test_importing_the_package_imports_nothing_heavy_and_is_fast():
    code = (
        "import sys, time; begun = time.perf_counter(); import mechboard; took = time.perf_counter() - begun\n"
        "heavy = {'torch', 'pandas', 'numpy', 'pydantic', 'rich', 'transformers'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert {'run', 'load', 'read', 'Results'} <= set(dir(mechboard))\n"
        "print(took)"
    )
    fastest = float("inf")
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        fastest = min(fastest, float(done.stdout))
    assert fastest < 0.3


def test_every_public_name_is_there_and_no_other():
    for name in mechboard.__all__:
        assert getattr(mechboard, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'plot'"):
        mechboard.plot  # noqa: B018


# -- what is given ---------------------------------------------------------------------------------


def test_what_has_a_name_runs_in_other_processes_and_an_object_here(where):
    assert run("random", CHEAP)[0].status == "done"
    assert run(drawn, TINY)[0].status == "done"
    assert run("random", CHEAP, inline=True)[0].status == "done"
    assert where == ["Pool", "Inline", "Inline"]


def test_an_installed_object_is_as_good_as_its_name(where):
    run(Registry().load("method", "random"), Registry().load("task", CHEAP))
    assert where == ["Pool"]


def test_an_object_in_a_process_of_its_own_is_refused():
    with pytest.raises(UsageError, match="inline=False was given, and 'falling' exists in this session only"):
        run(falling, CHEAP, inline=False)
    with pytest.raises(UsageError, match="inline= was given with timeout=, which takes a process per cell"):
        run(falling, timeout=3)


def test_names_globs_suites_and_objects_can_be_mixed_and_each_runs_once():
    results = run([falling, "rand*,random", falling], [TINY, "compiled-bra*"])
    assert {(r.cell.method, r.cell.task) for r in results} == {
        (m, t) for m in ("falling", "random") for t in ("tiny", CHEAP)
    }
    assert len(results) == 4


@pytest.mark.parametrize(
    ("methods", "tasks", "said"),
    [
        ("eapp", CHEAP, "No method matches 'eapp'; closest: eap"),
        (len, CHEAP, "The function 'len' was given as a method; valid: a name, or a function under @"),
        (falling, Tiny, "was given as a task; valid: a name, or an object"),
        ([], CHEAP, "No method was given"),
        ([falling, replace(falling, deterministic=False)], TINY, "Two methods are called 'falling'"),
    ],
)
def test_what_cannot_be_run_is_refused_in_a_sentence(methods, tasks, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        run(methods, tasks)


def test_parameters_are_held_to_the_types_of_their_defaults():
    assert run(parameters={"falling": {"slope": 2}})[0].cell.label == "falling[slope=2.0]"
    for given, said in (
        ({"falling": {"steps": "3"}}, "falling.steps is '3'; valid: a value of type int"),
        ({"falling": {"steps": True}}, "falling.steps is True"),
        ({"falling": {"slope": float("nan")}}, "falling.slope is nan; valid: a value of type float, finite"),
        ({"falling": {"tau": 1}}, "parameter of falling"),
        ({"eap": {"tau": 1}}, "No selected method matches 'eap'"),
    ):
        with pytest.raises(UsageError, match=re.escape(said)):
            run(parameters=given)
    with pytest.raises(UsageError, match="seeds=0 was given; valid: a whole number from 1 on"):
        run(seeds=0)
    with pytest.raises(UsageError, match="device= 'gpu' is not usable here; valid: cpu"):
        run(device="gpu")


def test_a_script_without_a_main_guard_runs(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import mechboard\nprint('once')\n"
        f"print([r.status for r in mechboard.run('random', '{CHEAP}', progress='quiet')])\n"
    )
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "once\n['done']\n", done.stderr


# -- what is kept ----------------------------------------------------------------------------------


def test_a_folder_is_shared_with_the_command_line(bench, monkeypatch):  # noqa: F811
    assert bench("run", "--method", "random", "--task", CHEAP, "--results", "r")[0] == 0
    made = mechboard.read("r")[0]
    monkeypatch.setattr("mechboard.runs.workers.pool.Pool.run", lambda *a: iter(()))
    assert list(run("random", CHEAP, results="r")) == [made]


def test_records_made_in_a_notebook_are_kept_for_the_command_line(bench, monkeypatch):  # noqa: F811
    monkeypatch.setattr(sys, "argv", ["ipykernel_launcher", "-f", "/private/kernel.json"])
    [made] = run("random", CHEAP, results="r")
    assert made.provenance.command == f"mechboard.run(['random'], ['{CHEAP}'])"
    [cell] = json.loads(bench("run", "--method", "random", "--task", CHEAP, "--results", "r", "--json")[1])
    assert cell["status"] == "cached"
    [manifest, _] = sorted(Path("r/runs").glob("*.json"))
    assert "kernel.json" not in manifest.read_text()


def test_a_read_only_folder_is_refused(tmp_path):
    (tmp_path / "READ_ONLY").touch()
    with pytest.raises(StoreError, match="is read-only"):
        run(results=tmp_path)


def test_a_temporary_folder_lives_as_long_as_what_came_of_it():
    results = run()
    part, folder = results[:1], results.folder
    del results
    gc.collect()
    assert folder.is_dir()
    del part
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    assert not folder.exists()


# -- what goes wrong -------------------------------------------------------------------------------


def test_a_cell_that_fails_is_told_and_not_raised():
    results = run([falling, broken])
    assert [r.cell.method for r in results.failed] == ["broken"]
    assert results.failed[0].error.type == "ValueError"
    assert "failed: broken x tiny@v1 data-0 seed-0: ValueError" in repr(results)


def test_what_is_not_crossed_is_on_the_result(monkeypatch):
    monkeypatch.setattr("mechboard.runs.plan.locate", lambda asset: None)
    results = run([falling, replace(drawn, name="other", kinds=frozenset({"features"}))], [TINY, "pronoun-stories"])
    told = {(u.label, u.task): u.status for u in results.unplanned}
    assert told == {
        ("other", "tiny"): "unsupported", ("falling", "pronoun-stories"): "skipped", ("other", "pronoun-stories"): "skipped",
    }  # fmt: skip
    for shown in (repr(results), results._repr_html_()):
        assert "assets not here: bench pull" in shown
        assert "unsupported" in shown


def test_an_interrupt_leaves_what_has_ended():
    @method(name="stopping", kinds=("circuit",), deterministic=True)
    def stopping(problem, generator, parameters: NoParameters):
        """Never."""
        raise KeyboardInterrupt

    results = run([falling, stopping, drawn])
    assert [r.cell.method for r in results] == ["falling"]
    assert results.interrupted
    assert [(u.label, u.status) for u in results.unplanned] == [("stopping", "interrupted"), ("drawn", "interrupted")]
    assert "interrupted: 1 of 3 cells have ended" in repr(results)


# -- results ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def results():
    return run([falling, drawn, broken], TINY, seeds=2, data_seeds=2, parameters={"falling": {"slope": 2.0}})


def test_results_are_a_sequence_of_records(results):
    assert len(results) == len(list(results)) == 8
    assert results[-1] == results.records[-1]
    assert isinstance(results[1:3], mechboard.Results)
    assert len(results[1:3]) == 2


def test_results_are_selected_by_name_label_glob_and_status(results):
    assert len(results.where(method="drawn")) == 4
    assert len(results.where(method="falling[slope=2.0]")) == len(results.where(method="fall*")) == 2
    assert len(results.where(method="falling", task="tiny", status="done")) == 2
    assert len(results.where(method="broken", status="done")) == 0
    with pytest.raises(SelectionError, match="No method of these results matches 'brokn'; closest: broken"):
        results.where(method="brokn")
    with pytest.raises(SelectionError, match="No task of these results"):
        results.where(task="tiney")


def test_the_frame_has_a_row_for_every_cell_and_measure(results):
    import pandas as pd

    frame = results.frame()
    assert len(frame) == sum(max(1, len(r.measures)) for r in results)
    auc = frame[frame.headline & (frame.name == "drawn")]
    assert set(auc.measure) == {"auc"}
    assert set(auc.truth) == {"tiny:first"}
    assert sorted(auc.value) == sorted(r.headline_measure.value for r in results.where(method="drawn"))
    assert list(auc.groupby(["task", "measure"])["value"].count()) == [4]
    assert {"method", "family", "tier", "data_seed", "seed", "chance", "oracle", "of", "wall_seconds"} <= set(frame)
    types = {name: str(frame.dtypes[name]) for name in ("level", "value", "headline", "method", "reference")}
    assert types == {"level": "Int64", "value": "float64", "headline": "bool", "method": "string", "reference": "bool"}
    assert pd.isna(frame.level).all()


def test_a_failed_cell_has_one_row_without_a_measure(results):
    frame = results.where(method="broken", status="failed").frame()
    assert len(frame) == 2
    assert frame.measure.isna().all()
    assert frame.value.isna().all()
    assert not frame.headline.any()
    assert frame.note[0] == "ValueError: <script>alert(1)</script>"


def test_a_frame_of_nothing_has_the_same_columns(results):
    nothing = results.where(method="broken", status="done")
    assert dict(nothing.frame().dtypes) == dict(results.frame().dtypes)
    assert list(nothing.curves().columns) == list(results.curves().columns)


def test_curves_are_a_row_per_point_by_name_with_or_without_the_truth(results):
    done = results.where(method="falling")
    every = done.curves()
    assert set(every.curve) == {name.partition("[")[0] for name in done[0].curves}
    roc = done.curves("roc")
    assert len(roc) == sum(len(r.curves["roc[tiny:first]"].x) for r in done)
    assert len(done.curves("roc[tiny:first]")) == len(roc)
    assert list(roc[roc.data_seed == 1].y) == list(done[1].curves["roc[tiny:first]"].y)


def test_the_table_shows_the_mean_headline_and_says_what_failed(results):
    mean = sum(r.headline_measure.value for r in results.where(method="drawn")) / 4
    for shown in (repr(results), results._repr_html_()):
        assert f"{mean:.3f}" in shown
        assert "failed 2/2" in shown
        assert "8 cells: 6 done, 2 failed" in shown
    row = next(line for line in repr(results).splitlines() if line.startswith("tiny"))
    assert row.split()[:2] == ["tiny", "auc"]


# -- pictures and pages ----------------------------------------------------------------------------


def pages(results):
    loaded = mechboard.load(TINY)
    return [results._repr_html_(), results[0]._repr_html_(), results.failed[0]._repr_html_(), loaded._repr_html_()]


def test_what_is_shown_is_escaped_and_fetches_nothing(results):
    for page in pages(results):
        assert "<script" not in page
        assert "<b>" not in page
        assert "<i>" not in page
        assert not re.findall(r"(?:src|href)=|url\(|@import", page)
        assert set(re.findall(r"https?://[^\"]*", page)) <= {"http://www.w3.org/2000/svg"}


def test_colours_are_the_notebooks_own():
    """A light and a dark page both read: no background of its own, no ink that only one of them shows."""
    page = run([falling, broken])._repr_html_()
    [style] = re.findall(r"<style>(.*?)</style>", page, re.S)
    assert "background" not in style
    assert set(re.findall(r"[;{]color:([^;}]*)", style)) == {"inherit", "#d1453b"}


def test_a_record_shows_itself_short_in_words_and_whole_on_a_page(results):
    record = results[0]
    assert repr(record) == str(record)
    assert repr(record).startswith("Record(falling[slope=2.0] x tiny@v1 data-0 seed-0: done, auc[tiny:first] 1.000)")
    page = record._repr_html_()
    for name in record.measures:
        assert name in page
    assert '<svg xmlns="http://www.w3.org/2000/svg" class="circuit"' in page
    assert "ValueError" in results.failed[0]._repr_html_()


@pytest.mark.parametrize("what", ["circuit", "curve"])
def test_a_picture_in_a_notebook_has_its_own_style_and_leaks_none(results, what):
    record = results[0]
    shown = record.exhibits["circuit"] if what == "circuit" else record.curves["faithfulness"]
    drawn_here = shown._repr_html_()
    root = ET.fromstring(drawn_here)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    name = root.attrib["class"]
    style = root.find("{http://www.w3.org/2000/svg}style").text
    selectors = [s for group in re.findall(r"([^{}]+)\{", style) for s in group.split(",")]
    assert all(s.strip().removeprefix("svg").startswith(f".{name}") for s in selectors), selectors
    used = {c for e in root.iter() for c in e.get("class", "").split() if c in ("line", "edge", "hit", "frame", "grid")}
    assert used
    for each in used:
        assert f".{each}{{" in style
    if what == "circuit":
        assert shown._repr_svg_() == drawn_here


def test_several_curves_have_a_legend_and_no_scores_are_cut_away(results):
    from mechboard.drawing.curves import curves_svg

    curves = [(f"method <{n}>", r.curves["faithfulness"]) for n, r in enumerate(results[:3])]
    root = ET.fromstring(curves_svg(curves))
    texts = [t.text for t in root.findall("{http://www.w3.org/2000/svg}text")]
    assert {"method <0>", "method <1>", "method <2>"} <= set(texts)
    assert len([e for e in root.iter() if e.get("data-name")]) == 3
    assert curves_svg([]) == ""


# -- load and read ---------------------------------------------------------------------------------


def test_an_instance_can_be_played_with_and_says_what_it_is():
    instance = mechboard.load(TINY, data_seed=1)
    assert isinstance(instance, Instance)
    assert torch.equal(instance.problem.pairs.clean, random_pairs(seed=2).clean)
    said = repr(instance)
    assert said.startswith("tiny@v1 data-1: A random model")
    for part in ("discovery prompts: 5", "held out: 5", "truth: tiny:first, 20 of"):
        assert part in said
    assert mechboard.load("compiled-brackets").truths[0].name == "compiled-brackets:program"


def test_an_instance_of_nothing_is_refused():
    with pytest.raises(SelectionError, match="closest: ioi-mini"):
        mechboard.load("ioi-min")
    with pytest.raises(UsageError, match="A int was given as a task"):
        mechboard.load(3)


def test_records_of_a_folder_and_of_a_file_are_read(tmp_path):
    made = run([falling, drawn], results=tmp_path)
    assert set(map(repr, mechboard.read(tmp_path))) == set(map(repr, made))
    [path] = tmp_path.glob("drawn/**/seed-0.json")
    assert list(mechboard.read(path)) == [made.where(method="drawn")[0]]


def test_a_record_that_cannot_be_read_is_warned_of_and_listed(tmp_path):
    run([falling, drawn], results=tmp_path)
    [path] = tmp_path.glob("drawn/**/seed-0.json")
    path.write_text("{")
    with pytest.warns(UserWarning, match="1 records in .* cannot be read and are left out"):
        results = mechboard.read(tmp_path)
    assert [at for at, _ in results.unreadable] == [path]
    assert [r.cell.method for r in results] == ["falling"]
    assert "unreadable" in repr(results)
    with pytest.raises(RecordError, match="is not valid JSON"):
        mechboard.read(path)


def test_a_folder_without_records_says_what_would_be_one(tmp_path):
    with pytest.raises(StoreError, match="holds no record; valid: a results folder"):
        mechboard.read(tmp_path)
    with pytest.raises(StoreError, match="There is no results folder"):
        mechboard.read(tmp_path / "absent")


# -- cells of a notebook ---------------------------------------------------------------------------

METHOD = """
import torch
from mechboard.protocols import EdgeScores, NoParameters, method
import beside
FACTOR = {factor}
TABLE = {{"first": lambda: {table}, "again": (lambda: helper(TABLE))}}
def helper(x):
    return {helper}
class Scale:
    def of(self, x):
        return {scale}
@method(name="mine", kinds=("circuit",), deterministic=True)
def mine(problem, generator, parameters: NoParameters):
    {comment}
    scores = torch.linspace(1, 0, problem.graph.n_edges) {body}
    return EdgeScores(FACTOR * Scale().of(helper(scores)) + TABLE["first"]() + beside.nothing())
"""
PLAIN = {
    "factor": "1.0", "helper": "x", "scale": "x", "body": "", "comment": "'''Mine.'''", "table": "0",
}  # fmt: skip


@pytest.fixture
def cells(monkeypatch, tmp_path):
    """A session: `run_cell(source)` and its `__main__`, with a module beside the notebook."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "beside", raising=False)
    (tmp_path / "beside.py").write_text("def nothing():\n    return 0\n")
    main, count = fresh_main(), iter(range(10**6))
    yield lambda source: (run_cell(main, source, f"{tmp_path}/{next(count)}"), main)[1]
    sys.modules.pop("beside", None)


def solution_id(m, task=TINY):
    return identity.solution_id(m, {}, task, {}, 0, 0)


def test_a_method_in_a_cell_is_another_when_its_cell_or_what_it_names_has_changed(cells):
    first = solution_id(cells(METHOD.format(**PLAIN)).mine)
    assert solution_id(cells(METHOD.format(**PLAIN)).mine) == first
    assert solution_id(cells(METHOD.format(**PLAIN | {"comment": "'''Other words.'''  # and a comment"})).mine) == first
    for change in ({"body": "* 2"}, {"helper": "x * 2"}, {"factor": "2.0"}, {"scale": "2 * x"}, {"table": "1"}):
        assert solution_id(cells(METHOD.format(**PLAIN | change)).mine) != first, change


def test_a_method_in_a_cell_is_another_when_a_module_beside_the_notebook_has_changed(cells):
    first = solution_id(cells(METHOD.format(**PLAIN)).mine)
    Path("beside.py").write_text("def nothing():\n    return 0 * 2\n")
    assert solution_id(cells("").mine) != first


TASK = """
from dataclasses import dataclass
from mechboard.protocols import Task
SIZE = {size}
@dataclass(frozen=True, kw_only=True)
class Mine(Task):
    '''A task in a cell.'''
    kind: str = "circuit"
    def load(self, data_seed, device):
        return SIZE + {body}
task = Mine(name="mine", summary="In a cell")
"""


def test_a_task_in_a_cell_is_another_when_its_cell_or_what_it_names_has_changed(cells):
    def made(**words):
        return solution_id(falling, cells(TASK.format(**words)).task)

    first = made(size=1, body=0)
    assert cells("").task.description == "A task in a cell."
    assert made(size=1, body=0) == first
    assert made(size=1, body=1) != first
    assert made(size=2, body=0) != first


def test_a_method_in_a_changed_cell_runs_again_and_an_unchanged_one_does_not(cells, tmp_path):
    def once(change):
        return run(cells(METHOD.format(**PLAIN | change)).mine, TINY, results=tmp_path)[0]

    first = once({})
    assert first.method.summary == "Mine."
    assert once({}) == first
    assert once({"body": "* -1"}).measures["cpr"] != first.measures["cpr"]


def test_a_declaration_that_breaks_the_contract_says_so_in_the_cell(cells):
    with pytest.raises(PluginError, match="takes 1 arguments"):
        cells("from mechboard.protocols import method\n@method(name='a', kinds=('circuit',), deterministic=True)\n"
              "def a(problem): return None")  # fmt: skip


# -- the example -----------------------------------------------------------------------------------


def test_the_example_notebook_runs_where_a_reader_runs_it_and_shows_what_it_says(tmp_path):
    output = tmp_path / "shown.json"
    command = [sys.executable, ROOT / "tests" / "notebook_cells.py", "notebook.ipynb", output]
    done = subprocess.run(command, cwd=ROOT / "examples", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shown = json.loads(output.read_text())
    [table] = [text for text in shown if "10 cells: 10 done" in text]
    assert "<th>difference</th><th>eap</th>" in table
    assert any(re.search(r"compiled-brackets@v\d+ data-0", text) for text in shown)
    assert sum('class="circuit"' in text for text in shown) == 1
    assert sum('data-name="' in text for text in shown) == 1
    assert "activation-patching" in shown[-1]


def test_the_example_notebook_is_committed_without_outputs():
    notebook = json.loads((ROOT / "examples" / "notebook.ipynb").read_text())
    for cell in notebook["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_results_in_a_kernel_are_one_line_that_is_redrawn(monkeypatch):
    from mechboard.notebook import progress

    class Display:
        shown: ClassVar[list[str]] = []

        def update(self, data, raw):
            self.shown.append(data["text/plain"])

    monkeypatch.setattr(progress, "_display", Display)
    mechboard.run([falling, broken], TINY)
    assert re.fullmatch(r"2/2 cells, 1 failed, \d+s", Display.shown[-1])
    assert "falling x tiny@v1" in Display.shown[0]
