"""The mutation runner: what it changes, that it tells a test from no test, and that it only reads the tree."""

import ast

import mutants
import pytest
from mutations import mutations

SOURCE = '''"""Half the size, for a direction "higher"."""

from __future__ import annotations

EMPTY: float | None = None


def best(values: list[float], direction: str = "higher") -> float:
    """The best value."""
    assert len(values) > 0
    chosen = [v for v in values if abs(v) < 3.5]
    return max(chosen) if direction == "higher" else min(
        chosen,
        default=0.0,
    )
'''


def after(source):
    return [m.after for m in mutations("f.py", source)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = a < b", ["x = (a <= b)", "x = (a >= b)"]),
        ("x = a in b", ["x = (a not in b)"]),
        ("x = a + b * c", ["x = (a - b * c)", "x = a + (b / c)"]),
        ("x = not a", ["x = (a)"]),
        ("x = -a", ["x = (a)"]),
        ("x = a.abs()", ["x = (a)"]),
        ("x = a[1:n]", ["x = a[:n]", "x = a[1:]", "x = a[(2):n]"]),
        ("x = sorted(a)", ["x = (sorted(a, reverse=True))"]),
        ("x = f(a, key=b)", ["x = (f(a))"]),
        ("x = zip(a, b, strict=True)", []),
        ("x = (a, b)", ["x = ((b,))", "x = ((a,))"]),
        ("x = {'a': b}", ["x = ({})"]),
        ("x = True", ["x = (False)"]),
        ("x = 0.0", ["x = (1.0)"]),
        ("x = 'lower'", ["x = ('higher')"]),
        ("x = 'any other word'", []),
        ("x = f'{a + b}'", []),
        ("x: tuple[int, str] = a", []),
        ("x = Literal['a', 'b']", []),
        ("x[a] = b", ["pass"]),
        ("x += a", ["pass"]),
        ("x = a if b else c", ["x = a if (not b) else c"]),
        ("if a:\n    f()", ["if (not a):", "pass"]),
        ("def f():\n    return a - b", ["return None", "return -(a - b)", "return (a + b)"]),
        ("def f():\n    raise E", ["pass"]),
    ],
)
def test_every_kind_of_mutation(source, expected):
    assert after(source) == expected


def test_a_mutation_changes_one_place_and_no_line_number():
    found = mutations("f.py", SOURCE)
    assert [m.line for m in found] == sorted(m.line for m in found)
    for mutation in found:
        ast.parse(mutation.text)
        changed = [
            i
            for i, pair in enumerate(zip(SOURCE.split("\n"), mutation.text.split("\n"), strict=True))
            if len(set(pair)) > 1
        ]
        assert changed[0] == mutation.line - 1, mutation
    assert len({m.text for m in found}) == len(found)
    assert not [m for m in found if "assert" in m.before or '"""' in m.before]


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A package under another name than its folder, with one test that sees half of what it does."""
    root = tmp_path / "repository"
    for folder in ("bench", "extra", "tests", "benchmarks"):
        (root / folder).mkdir(parents=True)
    (root / "pyproject.toml").write_text('[tool.pytest.ini_options]\naddopts = "--import-mode=importlib"\n')
    (root / "mechboard").symlink_to("bench")
    (root / "bench" / "extra").symlink_to("../extra")
    (root / "bench" / "__init__.py").touch()
    (root / "extra" / "__init__.py").touch()
    (root / "extra" / "maths.py").write_text("def half(n):\n    return n / 2\n\n\ndef unseen(n):\n    return n - n\n")
    (root / "tests" / "test_maths.py").write_text(
        "from mechboard.extra.maths import half\n\n\ndef test_half():\n    assert half(8) == 4\n"
    )
    (root / "tests" / "test_doctests.py").write_text(
        "import pytest\n\n\n@pytest.mark.parametrize('name', ['mechboard.extra.maths'])\n"
        "def test_examples_in_docstrings_hold(name):\n    pass\n"
    )
    (root / "benchmarks" / "equivalent.toml").write_text(
        '[["extra/maths.py"]]\nbefore = "return n - n"\nafter = "return -(n - n)"\nwhy = "nothing is its own negative"\n'
    )
    monkeypatch.setattr(mutants, "ROOT", root)
    monkeypatch.setattr(mutants, "_WARM", ["torch", "pytest"])
    monkeypatch.setattr(mutants, "EQUIVALENT", root / "benchmarks" / "equivalent.toml")
    monkeypatch.setattr(mutants, "TESTS", {"extra/*.py": ("test_maths.py",)})
    return root


def test_survivors_are_what_no_test_sees_and_the_tree_is_only_read(repository, capsys):
    before = {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()}
    assert mutants.run(["extra/maths.py"], sample=None, seed=0, jobs=2) == 2
    printed = capsys.readouterr().out
    assert "survived: extra/maths.py:6\n    - return n - n\n    + return None" in printed
    assert "    + return (n + n)" in printed
    assert printed.count("survived") == 2
    assert "all: 4 of 6 killed, 66.7%; 1 equivalent left out" in printed
    assert {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()} == before


def test_an_equivalent_mutant_that_does_not_exist_any_more_is_an_error(repository):
    with mutants.EQUIVALENT.open("a") as file:
        file.write('[["extra/maths.py"]]\nbefore = "return n * n"\nafter = "return n / n"\nwhy = "gone"\n')
    with pytest.raises(SystemExit, match=r"lists mutants that do not exist: .*return n \* n"):
        mutants.run(["extra/maths.py"], sample=None, seed=0, jobs=1)


def test_tests_that_fail_on_the_original_stop_the_run_and_are_shown(repository):
    (repository / "tests" / "test_maths.py").write_text("def test_half():\n    assert 'broken' == ''\n")
    with pytest.raises(SystemExit, match="assert 'broken' == ''"):
        mutants.run(["extra/maths.py"], sample=None, seed=0, jobs=1)


def test_a_sample_is_the_same_for_a_seed_and_another_for_another(repository):
    samples = [mutants._chosen(["extra/maths.py"], 3, seed)[0] for seed in (0, 0, 1)]
    assert samples[0] == samples[1] != samples[2]
    assert [len(sample) for sample in samples] == [3, 3, 3]
