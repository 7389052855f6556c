"""Twins and quoted figures: each paper task and its miniature name each other, and figures say how they were made."""

import pytest
from test_cli import bench  # noqa: F401

from mechboard.kinds import kind
from mechboard.plugins.registry import Registry

REGISTRY = Registry()
TASKS = {name: REGISTRY.load("task", name) for name in REGISTRY.plugins("task")}
AREAS = {  # as printed in figure 2 of Syed et al. 2023
    "ioi": {"eap": 0.904, "acdc": 0.588, "acdc[metric=kl]": 0.868},
    "greater-than": {"eap": 0.896, "acdc": 0.458, "acdc[metric=kl]": 0.849},
    "docstring": {"eap": 0.976, "acdc": 0.972, "acdc[metric=kl]": 0.982, "activation-patching": 0.978},
}


@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if task.twin])
def test_a_twin_is_a_task_of_the_same_kind_that_names_it_too(name):
    twin = TASKS[TASKS[name].twin]
    assert twin.twin == name
    assert twin.kind == TASKS[name].kind
    assert {twin.tier, TASKS[name].tier} == {"embedded", "paper"}


def test_the_papers_tasks_have_a_twin():
    assert {name: TASKS[name].twin for name in AREAS} == {name: f"{name}-mini" for name in AREAS}


@pytest.mark.parametrize("name", AREAS)
def test_figures_are_those_of_the_paper_and_stand_beside_a_measure_that_the_task_has(name):
    assert {q.method: q.value for q in TASKS[name].quoted} == AREAS[name]
    for quoted in TASKS[name].quoted:
        assert kind(TASKS[name].kind).definitions.of(quoted.measure) is not None
        truth = quoted.measure.partition("[")[2].rstrip("]")
        assert f"\n{truth}: " in TASKS[name].description
        assert quoted.convention
        assert "figure 2" in quoted.source


def test_show_tells_a_tasks_twin_its_assets_its_circuits_and_what_was_published(bench, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.delenv("MECHBOARD_ASSETS", raising=False)
    monkeypatch.setenv("MECHBOARD_CACHE", str(tmp_path))
    code, out, _ = bench("show", "ioi")
    assert code == 0
    for text in (
        "asset: gpt2, not here: bench pull gpt2",
        "twin: ioi-mini, which asks the same of another model",
        "ioi:acdc-963: 963 of 32,491 edges\n    780 of 963 (81%) begin or end at an MLP",
        "acdc[metric=kl]      0.868  auc-circuits-low[ioi:acdc-1041]",
        "Processing of the weights here: none.",
    ):
        assert text in out
    assert "twin: ioi," in bench("show", "ioi-mini")[1]
    assert "Published numbers" not in bench("show", "ioi-mini")[1]
