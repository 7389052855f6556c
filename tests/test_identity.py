"""What makes an answer stale, and what must not: identities under edits of the source, and what they are made of."""

import json
import linecache
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
import torch
from test_runner import FakeTask, _returning, counted, run

import mechboard
from mechboard.plugins.registry import Registry
from mechboard.protocols import Instance, Truth
from mechboard.runs import closure, identity
from mechboard.runs.closure import tree_hash
from mechboard.tasks.own import own_task

ROOT = Path(mechboard.__file__).resolve().parent.parent
TASKS = ("compiled-fraction", "trained-ioi", "ioi-mini", "pronoun-stories")


def _ids(task_name, method_name="eap"):
    """Solution and evaluation identity of a cell; assets aside, which other tests see to."""
    registry = Registry()
    method, task = registry.load("method", method_name), registry.load("task", task_name)
    solution = identity.solution_id(method, {}, task, {}, 0, 0)
    scorer = "no asset here" if task.assets else identity.evaluation_id("fixed", task)
    return solution, scorer


@pytest.fixture
def edited(monkeypatch):
    """Identities as they would be if the text of one file read otherwise; nothing is written."""
    original = Path.read_text

    def edit(file, change):
        path = next(p for p in (ROOT / file, ROOT / "mechboard" / file) if p.is_file()).resolve()
        before = original(path, encoding="utf-8")
        after = change(before)
        assert after != before
        closure._read.cache_clear()
        monkeypatch.setattr(
            Path, "read_text", lambda self, *a, **k: after if self.resolve() == path else original(self, *a, **k)
        )

    yield edit
    monkeypatch.undo()
    closure._read.cache_clear()


def _code(text):
    return text + "\n_ADDED = 1\n"


def _comment(text):
    lines = text.replace("return ", "return  ", 1).splitlines()  # layout
    return "# a comment\n" + "\n".join(lines) + "\n\n# another\n'''A string that nothing reads.'''\n"


SOLUTION = [
    # method, task, file whose code changes
    ("eap", "compiled-fraction", "methods/eap.py"),
    ("eap", "compiled-fraction", "methods/_products.py"),
    ("activation-patching", "compiled-fraction", "methods/activation_patching.py"),
    ("eap", "compiled-fraction", "bench/graph/trace.py"),
    ("eap", "compiled-fraction", "bench/graph/ablation.py"),
    ("eap", "compiled-fraction", "bench/metrics/answers.py"),
    ("eap", "compiled-fraction", "tasks/compiled/fraction.py"),
    ("eap", "compiled-fraction", "ground_truth/compiled/compiler.py"),
    ("eap", "compiled-fraction", "tasks/compiled/compiled_task.py"),
    ("eap", "trained-ioi", "bench/metrics/answers.py"),
    ("eap", "trained-ioi", "ground_truth/trained/behaviours.py"),
    ("eap", "trained-ioi", "tasks/trained/ioi.py"),
    ("eap", "ioi-mini", "bench/metrics/answers.py"),
    ("eap", "ioi-mini", "tasks/mini/ioi.py"),
    ("eap", "ioi-mini", "tasks/behaviours/indirect_object.py"),
    ("eap", "ioi-mini", "tasks/behaviours/examples.py"),
    ("eap", "ioi-mini", "tasks/tokenizers.py"),
    ("eap", "ioi-mini", "ground_truth/mini/lexicon.py"),
    ("eap", "ioi-mini", "bench/graph/hf.py"),
    ("eap", "pronoun-stories", "tasks/own.py"),
    ("eap", "pronoun-stories", "tasks/tokenizers.py"),
    ("eap", "pronoun-stories", "bench/metrics/answers.py"),
]


@pytest.mark.parametrize(("method", "task", "file"), SOLUTION)
def test_changed_code_that_an_answer_rests_on_makes_it_stale_and_a_comment_does_not(edited, method, task, file):
    before = _ids(task, method)
    edited(file, _comment)
    assert _ids(task, method) == before
    edited(file, _code)
    assert _ids(task, method)[0] != before[0]


@pytest.mark.parametrize("file", ["circuit", "faithfulness", "roc", "ranking", "correlation"])
def test_changed_code_of_a_measure_changes_the_evaluation_and_no_answer(edited, file):
    before = {task: _ids(task) for task in TASKS}
    edited(f"bench/metrics/{file}.py", _comment)
    assert {task: _ids(task) for task in TASKS} == before
    edited(f"bench/metrics/{file}.py", _code)
    for task in TASKS:
        solution, evaluation = _ids(task)
        assert solution == before[task][0]
        assert evaluation != before[task][1] or task == "pronoun-stories"


@pytest.mark.parametrize(
    "file",
    ["methods/eap_ig.py", "tasks/compiled/reverse.py", "tasks/mini/ioi.py", "bench/runs/runner.py", "bench/cli/run.py",
     "bench/records/record.py", "bench/records/store.py", "leaderboard/board.py", "bench/__init__.py"],
)  # fmt: skip
def test_changed_code_that_an_answer_does_not_rest_on_leaves_it(edited, file):
    before = {task: _ids(task) for task in ("compiled-fraction", "trained-ioi")}
    edited(file, _code)
    assert {task: _ids(task) for task in before} == before


def test_a_syntax_tree_is_hashed_without_docstrings_comments_and_layout():
    assert tree_hash("def f(a, b):\n    'Doc.'\n    return (a\n      + b)  # c") == tree_hash("def f(a,b): return a+b")
    for other in ("def f(a, b): return a - b", "def f(b, a): return a + b", "def g(a, b): return a + b"):
        assert tree_hash("def f(a, b): return a + b") != tree_hash(other)
    assert tree_hash("x = 'text'") != tree_hash("x = 'other'")
    assert tree_hash("x = 1") != tree_hash("x = 1.0")


def _write(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)


def _plugin(folder):
    return Registry((folder / "mine.py",)).load("method", "mine")


MINE = (
    '"""Mine."""\nfrom beside import scale\nfrom mechboard.protocols import EdgeScores, NoParameters, method\n'
    '@method(name="mine", kinds=("circuit",), deterministic=True)\n'
    "def mine(problem, generator, parameters: NoParameters):\n    return EdgeScores(scale(problem))\n"
)


def test_a_loose_plugin_is_hashed_with_what_it_imports_from_beside_it(tmp_path, monkeypatch):
    task = Registry().load("task", "compiled-fraction")
    monkeypatch.syspath_prepend(str(tmp_path))
    _write(tmp_path, mine=MINE, beside="import further\nscale = 1", further="x = 1", stranger="x = 1")
    ids = []
    for edit in ({}, {"beside": "import further\nscale = 2"}, {"further": "x = 2"}, {"stranger": "x = 2"}):
        _write(tmp_path, **edit)
        for name in ("beside", "further", "mechboard_scratch_mine"):
            sys.modules.pop(name, None)
        closure._search.cache_clear()
        closure._read.cache_clear()
        ids.append(identity.solution_id(_plugin(tmp_path), {}, task, {}, 0, 0))
    assert len(set(ids)) == 3
    assert ids[2] == ids[3]


def test_a_task_is_told_apart_by_its_fields_and_not_by_what_describes_it():
    @dataclass
    class Declared:
        name: str
        size: int
        draw: object
        version: int = 1
        summary: str = ""
        _cache: int = 0

        def truth_hashes(self):
            return {}

    def same(x, by=1):
        return x

    def solution(**fields):
        task = Declared(**({"name": "t", "size": 3, "draw": partial(same, by=2)} | fields))
        return identity.solution_id(counted, {}, task, {}, 0, 0)

    assert solution(summary="other", _cache=5) == solution()
    others = [solution(size=4), solution(draw=partial(same, by=3)), solution(name="u"), solution(version=2)]
    assert len({solution(), *others}) == 5


def test_a_method_made_by_a_factory_is_told_apart_by_what_it_closes_over():
    one, two = (_returning(partial(torch.full, (3,), value)) for value in (1.0, 2.0))
    task = FakeTask()
    assert identity.solution_id(one, {}, task, {}, 0, 0) != identity.solution_id(two, {}, task, {}, 0, 0)


@pytest.mark.parametrize(
    "change", [{"parameters": {"steps": 4}}, {"assets": {"a": "b"}}, {"data_seed": 1}, {"seed": 1}]
)
def test_parameters_files_and_seeds_are_part_of_the_solution(change):
    given = {"parameters": {"steps": 3}, "assets": {}, "data_seed": 0, "seed": 0}
    a, b = (identity.solution_id(counted, task=FakeTask(), **(given | extra)) for extra in ({}, change))
    assert a != b


def test_own_tasks_are_told_apart_by_content_not_by_the_names_of_folders(tmp_path):
    for name, text in (("a", "1"), ("b", "2")):
        (tmp_path / name / "ckpt").mkdir(parents=True)
        (tmp_path / name / "ckpt" / "config.json").write_text(text)
    (tmp_path / "ids.jsonl").write_text("{}")
    names = [own_task(tmp_path / name / "ckpt", tmp_path / "ids.jsonl").name for name in "ab"]
    assert names[0] != names[1]
    assert all(name.startswith("own-ckpt-ids-") for name in names)
    (tmp_path / "b" / "ckpt" / "config.json").write_text("1")
    assert own_task(tmp_path / "b" / "ckpt", tmp_path / "ids.jsonl").name == names[0]
    (tmp_path / "b" / "ckpt" / "tokenizer.json").write_text("{}")
    assert own_task(tmp_path / "b" / "ckpt", tmp_path / "ids.jsonl").name != names[0]


# -- what identities are made of ------------------------------------------------------------------


def test_the_formula_of_an_identity_does_not_change_by_accident():
    """A change here makes every record stale: raise `FORMULA` if it is meant."""
    assert identity.digest({"b": [1, None], "a": Path("x")}) == "3:8ea2c0f31b799f047143f378"
    source = "from . import x\n@d\nasync def f(a, /, b: int = 1, *c, **k):\n    return [a, *c][0:b] or {**k, 'u': u'u'}"
    assert tree_hash(source) == ("58fa1df2602edb5a35a29b9c29162634dcf36b48756a1ceb808f159225b320a8")


def one(x):
    return x


def two(x):
    return x


class Held:
    def __init__(self, size):
        self.size, self._cache = size, size

    def one(self): ...

    def two(self): ...


def _without_file(text):
    space = {"__name__": "typed_in"}
    exec(text, space)
    return space["f"]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (1, 2),
        (True, False),
        (1.0, 2.0),
        ("1", 1),
        (None, 0),
        ((1, 2), (2, 1)),
        ([1], [2]),
        ({1}, {2}),
        (frozenset({1}), frozenset({1, 2})),
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {"b": 1}),
        (torch.zeros(2), torch.ones(2)),
        (one, two),
        (partial(one, 1), partial(two, 1)),
        (partial(one, 1), partial(one, 2)),
        (partial(one, x=1), partial(one, x=2)),
        (Held(1).one, Held(1).two),
        (Held(1).one, Held(2).one),
        (Held, FakeTask),
        (Held(1), Held(2)),
        (Held(None), type("Other", (Held,), {})(None)),
        (_without_file("def f(x): return x + 1"), _without_file("def f(x): return x + 2")),
        (_without_file("def f(x): return x + 1"), _without_file("def f(x): return x - 1")),
        (_without_file("def f(x): return 'a'"), _without_file("def f(x): return 'b'")),
        (_without_file("def f(x): return x.a"), _without_file("def f(x): return x.b")),
        (_without_file("def f(x): return lambda: 1"), _without_file("def f(x): return lambda: 2")),
        (_without_file("f = lambda x: x"), _without_file("def f(x): return x")),
        (_without_file("def g(n):\n  return lambda: n\nf = g(1)"), _without_file("def g(n):\n  return lambda: n\nf = g(2)")),
    ],
)  # fmt: skip
def test_values_that_differ_make_identities_that_differ(a, b):
    a, b = (identity.digest(identity.describe(value, set())) for value in (a, b))
    assert a != b


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (Path("a"), Path("b")),
        (json, pytest),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (set("abcdefgh"), set("hgfedcba")),
        ({("b", 1), ("a", 2)}, {("a", 2), ("b", 1)}),
        (_without_file("def f(x): return x"), _without_file("def f(x):  return x")),
        (_without_file("def f(x): return lambda: 1"), _without_file("def f(x): return lambda: 1")),
        ({partial(one, a=1, b=2)}, {partial(one, b=2, a=1)}),
        (Held(1), Held(1)),
    ],
)
def test_where_files_lie_and_in_which_order_things_stand_makes_no_difference(a, b):
    a, b = (identity.describe(value, set()) for value in (a, b))
    assert identity.digest(a) == identity.digest(b)


def test_a_set_is_described_in_the_same_order_in_every_process():
    words = {f"word {i}" for i in range(20)}
    assert identity.describe(words, set()) == sorted(json.dumps(word) for word in words)


def test_what_only_caches_is_no_part_of_a_value():
    a, b = Held(1), Held(1)
    b._cache = 7
    assert identity.describe(a, set()) == identity.describe(b, set())


def test_a_function_that_closes_over_a_name_bound_later_has_an_identity():
    def closes_over():
        return later

    described = identity.describe(closes_over, set())
    later = 1
    assert described != identity.describe(closes_over, set())


def _typed(text):
    """A function that was typed in, as an interactive session keeps it: without a file, but with its source."""
    name = f"<typed {len(linecache.cache)}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    space = {"__name__": "typed_in"}
    exec(compile(text, name, "exec"), space)
    return space["f"]


def test_a_function_that_was_typed_in_is_told_by_its_source_or_by_its_code_where_that_is_a_fragment():
    whole = [_typed(text) for text in ("def f(x):\n    return x  # one", "def f(x): return x", "def f(x): return -x")]
    first, again, other = (identity.describe(f, set()) for f in whole)
    assert first == again != other
    for fragment in ("f = dict(\n    a=lambda x: {})['a']", "f = [\n    lambda x: {},\n][0]"):
        typed = [_typed(fragment.format(body)) for body in ("x", "x", "-x")]
        first, again, other = (identity.describe(f, set()) for f in typed)
        assert first == again != other


def test_the_modules_of_a_values_code_are_told():
    roots = set()
    identity.describe({"draw": partial(one, FakeTask), "held": [Held(1)], "method": run}, roots)
    assert roots == {one.__module__, FakeTask.__module__}


def _scorer(task, *truths):
    return identity.scorer_id(task, Instance(problem=None, held_out=None, truths=truths))


def test_a_scorer_is_the_source_of_the_measures_and_no_other(edited):
    task = FakeTask()
    before = _scorer(task)
    for file in ("bench/graph/trace.py", "bench/kinds/circuit.py"):
        edited(file, _code)
    assert _scorer(task) == before
    edited("bench/metrics/roc.py", _code)
    assert _scorer(task) != before


def test_a_scorer_is_its_truths_with_their_effects_and_the_chance_that_the_task_states():
    task, edges = FakeTask(), torch.arange(9) < 3
    truth = Truth(name="a", edges=edges, source="s")
    effects = [replace(truth, effects=torch.full((9,), value)) for value in (1.0, 2.0)]
    truths = [(), (truth,), *((t,) for t in effects), (replace(truth, name="b"),), (replace(truth, edges=~edges),)]
    ids = [_scorer(task, *given) for given in truths]
    assert _scorer(task, replace(truth, source="told otherwise")) == ids[1]
    stated = FakeTask(chance={"cmd": 0.5})
    ids.append(_scorer(stated, truth))
    assert len(set(ids)) == 7
    assert identity.evaluation_id("solution", stated) != identity.evaluation_id("solution", task)


def test_an_answer_rests_on_no_scorer_and_a_score_on_its_kind_but_on_no_picture(edited):
    """A changed measure scores anew and runs no method; a changed picture or trial does neither."""
    from mechboard.methods.eap import eap

    task = Registry().load("task", "compiled-fraction")

    def ids():
        return identity.solution_id(eap, {}, task, {}, 0, 0), identity.evaluation_id("solution", task)

    solution, evaluation = ids()
    for file in ("bench/drawing/circuit.py", "bench/drawing/curves.py", "bench/conformance/circuit.py"):
        edited(file, _code)
    assert ids() == (solution, evaluation)
    edited("bench/kinds/circuit.py", _code)
    assert ids()[0] == solution
    assert ids()[1] != evaluation
    scored = ids()[1]
    edited("bench/metrics/circuit.py", _code)
    assert ids()[0] == solution
    assert ids()[1] != scored


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("summary", "told otherwise"),
        ("citation", {"title": "told otherwise"}),
        ("tier", "paper"),
        ("family", "others"),
        ("level", 3),
        ("ranked", False),
        ("oracles", ("eap",)),
        ("chance", {"cmd": 0.5}),
    ],
)
def test_what_describes_a_task_makes_no_answer_stale(name, value):
    before = identity.solution_id(counted, {}, FakeTask(), {}, 0, 0)
    assert identity.solution_id(counted, {}, FakeTask(**{name: value}), {}, 0, 0) == before
