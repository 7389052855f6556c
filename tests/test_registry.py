from pathlib import Path

import pytest

import mechboard.plugins.registry as registry_module
from mechboard.errors import PluginError, SelectionError, UsageError
from mechboard.plugins.registry import Plugin, Registry
from mechboard.runs.selection import select

ROOT = Path(__file__).parent.parent
NOT_A_TASK = {
    "__init__", "suites", "own", "own_files", "own_removal", "own_samples", "own_pairs", "own_features", "tokenizers", "mini_behaviour", "mini_features", "sva", "figure3", "compiled_task", "trained_task", "mini_task", "llama2c",
    "paper_task", "assets", "figures", "words", "convert", "corpora", "scorer", "table",
    "backdoor_task", "classifier", "digit_task", "idx", "rudeness",
}  # fmt: skip


def test_every_method_file_is_registered_and_every_registration_has_a_file():
    files = {p.stem for p in (ROOT / "methods").glob("*.py") if not p.stem.startswith("_")}
    modules = {p.value.partition(":")[0] for p in Registry().plugins("method").values()}
    assert {m.removeprefix("mechboard.methods.") for m in modules if m.startswith("mechboard.methods.")} == files


def test_every_task_file_is_registered_and_every_registration_has_a_file():
    files = {p.stem for p in (ROOT / "tasks").rglob("*.py") if p.parent.name != "behaviours"} - NOT_A_TASK
    values = [p.value for p in Registry().plugins("task").values() if p.value.startswith("mechboard.")]
    assert {v.partition(":")[0].rpartition(".")[2] for v in values} == files


def test_every_builtin_loads_and_says_of_itself_what_its_source_says():
    registry = Registry()
    for what in ("method", "task", "suite"):
        for name, plugin in registry.plugins(what).items():
            loaded, described = registry.load(what, name), plugin.describe()
            assert loaded.name == described["name"] == name
            assert loaded.summary
            if what == "method":
                assert set(described["kinds"]) == loaded.kinds


def test_the_embedded_suite_is_every_embedded_task():
    registry = Registry()
    tasks = [registry.load("task", name) for name in registry.plugins("task")]
    suite = registry.load("suite", "embedded")
    embedded = [t.name for t in tasks if t.tier == "embedded" and t.kind == suite.kind]
    assert sorted(suite.tasks + suite.apart) == sorted(embedded)
    assert {registry.load("task", name).kind for name in suite.tasks} == {suite.kind}


def _with(monkeypatch, *plugins):
    class Entry:
        def __init__(self, name, value, distribution):
            self.name, self.value = name, value
            self.dist = type("D", (), {"name": distribution})

    def entry_points(group):
        return [Entry(*p) for p in plugins] if group == "mechboard.methods" else []

    monkeypatch.setattr(registry_module, "entry_points", entry_points)
    return Registry()


def test_a_broken_plugin_shows_its_error_and_stops_no_other(monkeypatch):
    registry = _with(
        monkeypatch, ("bad", "no_such_module:thing", "bad-dist"), ("eap", "mechboard.methods.eap:eap", "mechboard")
    )
    assert registry.load("method", "eap").name == "eap"
    assert registry.plugins("method")["bad"].describe() == {"summary": ""}
    with pytest.raises(PluginError, match="bad-dist does not load from 'no_such_module:thing'.*uninstall bad-dist"):
        registry.load("method", "bad")


def test_a_name_that_two_distributions_claim_names_both(monkeypatch):
    registry = _with(
        monkeypatch, ("eap", "mechboard.methods.eap:eap", "first"), ("eap", "mechboard.methods.eap_ig:eap_ig", "second")
    )
    with pytest.raises(PluginError, match="both first .* and second"):
        registry.load("method", "eap")


def test_a_plugin_of_the_wrong_type_or_name_is_refused(monkeypatch):
    registry = _with(
        monkeypatch, ("digest", "mechboard.runs.identity:digest", "x"), ("eep", "mechboard.methods.eap:eap", "x")
    )
    with pytest.raises(PluginError, match="is a function; valid: an object that follows mechboard.protocols.Method"):
        registry.load("method", "digest")
    with pytest.raises(PluginError, match="registers the method 'eap' as 'eep'"):
        registry.load("method", "eep")


def test_an_unknown_name_lists_the_closest_and_all(monkeypatch):
    with pytest.raises(SelectionError, match="closest: eap"):
        Registry().load("method", "eapp")
    with pytest.raises(
        SelectionError,
        match="No task matches 'docstrings'; closest: docstring, docstring-mini, docstring-features-mini; valid: ",
    ):
        select("task", "compiled-reverse,docstrings", Registry().plugins("task"))


def test_a_scratch_file_registers_what_it_defines(tmp_path):
    scratch = tmp_path / "mine.py"
    scratch.write_text((ROOT / "methods" / "random_scores.py").read_text().replace('name="random"', 'name="mine"'))
    registry = Registry((scratch,))
    assert registry.load("method", "mine").name == "mine"


ENDLESS = (
    "from dataclasses import dataclass\nfrom mechboard.protocols import method\n"
    "@dataclass(frozen=True)\nclass Parameters:\n    tau: float = float('inf')\n"
    '@method(name="endless", kinds=("circuit",), deterministic=True)\n'
    "def endless(problem, generator, parameters: Parameters):\n    return None\n"
)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("1/0", "does not run: ZeroDivisionError"),
        ("x = 1", "defines no method and no task"),
        (ENDLESS, "has the default tau=inf; valid: a finite number"),
    ],
)
def test_a_scratch_file_that_is_of_no_use_says_why(tmp_path, text, error):
    scratch = tmp_path / "mine.py"
    scratch.write_text(text)
    with pytest.raises(PluginError, match=error):
        Registry((scratch,)).plugins("method")
    with pytest.raises(UsageError, match="is no file"):
        Registry((tmp_path / "absent.py",)).plugins("method")


def test_loading_is_lazy():
    plugin = Plugin("method", "x", "module_that_does_not_exist:x", "d")
    assert plugin.describe() == {"summary": ""}


# -- what is read from source ----------------------------------------------------------------------


def test_every_builtin_task_says_its_kind_tier_and_family_without_being_imported():
    registry = Registry()
    for name, plugin in registry.plugins("task").items():
        task, described = registry.load("task", name), plugin.describe()
        assert (described["kind"], described["tier"]) == (task.kind, task.tier), name
        assert (described["family"] or name, described["level"]) == (task.family, task.level), name


PACKAGE = {
    "base.py": "from dataclasses import dataclass\nfrom mechboard import protocols\n"
    "@dataclass(frozen=True, kw_only=True)\nclass Base(protocols.Task):\n    kind: str = 'circuit'\n    family: str = 'words'\n"
    "    level: int | None = max(1, 2)\n    def load(self, data_seed, device): ...\n",
    "deep/__init__.py": "from ..base import Base as Above\n",
    "deep/one.py": "raise SystemExit('nobody imports this')\nfrom dataclasses import dataclass\nfrom typing import Generic\n"
    "from . import Above\nfrom .. import base\nimport described_package.base as whole\n"
    "class Mine(Generic[int], Above):\n    family: str = 'mine'\n"
    "here = Mine(name='here', summary='s')\nthere = base.Base(name='there', summary='s', tier='paper')\n"
    "far = whole.Base(name='far', summary='s')\nlost = Nowhere(name='lost', summary='s')\n",
}  # fmt: skip


def test_defaults_are_found_as_a_reader_finds_them(tmp_path, monkeypatch):
    for file, text in {"__init__.py": "", **PACKAGE}.items():
        path = tmp_path / "described_package" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)

    def told(attribute):
        described = Plugin("task", "x", f"described_package.deep.one:{attribute}", "d").describe()
        return [described.get(field) for field in ("kind", "tier", "family", "level", "ranked")]

    assert told("here") == ["circuit", "embedded", "mine", None, True]
    assert told("there") == ["circuit", "paper", "words", None, True]
    assert told("far") == ["circuit", "embedded", "words", None, True]
    assert told("lost") == [None] * 5


def test_a_default_that_is_no_literal_is_not_that_of_the_base(tmp_path, monkeypatch):
    (tmp_path / "hidden_default.py").write_text(
        "from mechboard.protocols import Task\nclass Mine(Task):\n    tier: str = 'pa' + 'per'\nmine = Mine(name='mine')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert "tier" not in Plugin("task", "mine", "hidden_default:mine", "d").describe()


def test_a_scratch_file_says_its_kind(tmp_path):
    scratch = tmp_path / "mine.py"
    scratch.write_text((ROOT / "methods" / "random_scores.py").read_text().replace('name="random"', 'name="mine"'))
    assert Registry((scratch,)).plugins("method")["mine"].describe()["kinds"] == ["circuit", "features", "removal"]
