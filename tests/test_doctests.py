import doctest
import importlib
import pkgutil

import pytest

PACKAGES = ["mechboard", *(f"mechboard.{name}" for name in ("methods", "tasks", "ground_truth", "leaderboard"))]
MODULES = sorted({
    module.name
    for package in PACKAGES
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}.")
    if not module.name.endswith("__main__")
})  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_hold(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_every_package_is_walked():
    assert {"mechboard.graph.graph", "mechboard.methods.eap", "mechboard.leaderboard.board"} <= set(MODULES)
