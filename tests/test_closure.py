"""Which source a piece of code rests on: every way to import, distributions, and trees as text."""

import sys

import pytest

from mechboard.runs import closure
from mechboard.runs.closure import tree_hash


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Packages `alpha` and `beta` whose modules import each other in every way."""
    files = {
        "alpha/__init__.py": "from . import a_sibling_of_all",
        "alpha/a_sibling_of_all.py": "",
        "alpha/root.py": "from typing import TYPE_CHECKING\nimport json, torch\nfrom . import beside\n"
        "from .beside import x\nfrom .inner import deep\nimport alpha.whole\nimport beta\n"
        "if TYPE_CHECKING:\n    from . import for_types\nelse:\n    from . import otherwise\n"
        "if json:\n    from . import guarded\ndef f():\n    from . import late",
        "alpha/beside.py": "x = 1",
        "alpha/inner/__init__.py": "from .made import y",
        "alpha/inner/made.py": "y = 1",
        "alpha/inner/deep.py": "from .. import above\nfrom ..beside import x\nfrom ..cousin import z",
        "alpha/above.py": "", "alpha/cousin.py": "from . import root\nz = 1", "alpha/whole.py": "",
        "alpha/for_types.py": "", "alpha/otherwise.py": "", "alpha/guarded.py": "", "alpha/late.py": "",
        "alpha/stranger.py": "",
        "beta/__init__.py": "import beta.more", "beta/more.py": "",
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    closure._search.cache_clear()
    yield monkeypatch
    closure._search.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] in ("alpha", "beta")]:
        del sys.modules[name]


ALPHA = {
    "alpha.root", "alpha.beside", "alpha.inner", "alpha.inner.made", "alpha.inner.deep", "alpha.above", "alpha.cousin",
    "alpha.whole", "alpha.otherwise", "alpha.guarded", "alpha.late",
}  # fmt: skip


def test_a_closure_follows_every_way_to_import_but_those_for_type_checkers(package):
    found = set(closure.closure("alpha.root"))
    assert found - {"alpha", "alpha.a_sibling_of_all"} == ALPHA


def test_a_distribution_is_hashed_with_all_its_packages_and_no_others(package):
    package.setattr(closure, "_distributions", lambda: {"alpha": ["One"], "beta": ["Two"]})
    assert {name for name in closure.closure("alpha.root", ["beta.more"]) if name.startswith("beta")} == set()
    package.setattr(closure, "_distributions", lambda: {"alpha": ["One"], "beta": ["One", "Two"], "torch": ["Three"]})
    found = set(closure.closure("alpha.root"))
    assert found - {"alpha", "alpha.a_sibling_of_all"} == ALPHA | {"beta", "beta.more"}
    assert "alpha.stranger" in closure.closure("alpha.root", ["alpha.stranger", "torch"])


def test_what_has_no_source_has_no_file(monkeypatch):
    for name in ("sys", "no_such_thing", "no_such.thing", "math.pi.x", "", "json.no_such"):
        assert closure.source_file(name) is None, name
    assert closure.source_file("json.decoder").name == "decoder.py"
    extension = next(name for name, m in list(sys.modules.items()) if str(getattr(m, "__file__", "")).endswith(".so"))
    assert closure.source_file(extension) is None
    monkeypatch.setitem(sys.modules, "typed_in", type(sys)("typed_in"))
    assert closure.source_file("typed_in") is None
    assert closure.closure("typed_in") == {}


def test_a_package_that_breaks_when_it_is_imported_has_no_modules(package, tmp_path):
    (tmp_path / "alpha" / "inner" / "__init__.py").write_text("None.no_such")
    assert closure.source_file("alpha.inner.deep") is None


def test_the_top_package_which_holds_the_version_is_no_part_of_a_closure():
    found = closure.closure("mechboard.methods.eap")
    assert "mechboard.methods.eap" in found
    assert "mechboard" not in found


def test_the_prefix_of_a_text_and_an_empty_part_make_no_other_tree():
    assert tree_hash("x = u'a'") == tree_hash("x = 'a'")
    assert tree_hash("def f():\n    'Doc.'\n    x") == tree_hash("def f():\n    x")
    assert tree_hash("def f():\n    y('Doc.')") != tree_hash("def f():\n    y()")
    assert tree_hash("x = 1\n2") != tree_hash("x = 1")
    assert tree_hash("del x") != tree_hash("x")
