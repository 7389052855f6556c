"""Published circuits as data: how many edges each version counts, of how many, and how they differ."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from mechboard.errors import ModelError
from mechboard.graph import Graph
from mechboard.ground_truth import published
from mechboard.ground_truth.published import CIRCUITS, Version, explained, has_mlp, read

FILES = sorted(Path(published.__file__).parent.glob("*.json"))
GPT2 = Graph(n_layers=12, n_heads=12, has_mlp=True, parallel=False)
ATTENTION_ONLY = Graph(n_layers=4, n_heads=8, has_mlp=False, parallel=False)
GRAPHS = {"ioi": GPT2, "greater-than": GPT2, "docstring": ATTENTION_ONLY}
# True edges and direct ones, of how many edges (and inputs of heads).
COUNTS = {
    "ioi:acdc-963": (963, None, 32_491),
    "ioi:acdc-1041": (963, (78, 432), 32_491),
    "ioi:autocircuit-739": (739, None, 32_491),
    "ioi:mlp0-242": (242, None, 32_491),
    "ioi:attn-182": (182, None, 29_089),
    "greater-than:235": (235, None, 32_491),
    "greater-than:262": (235, (27, 432), 32_491),
    "docstring:24": (24, None, 1_281),
    "docstring:37": (24, (13, 96), 1_281),
}
TRUTHS = {truth.name: truth for name, circuit in CIRCUITS.items() for truth in circuit.truths(GRAPHS[name])}


def edges(name):
    graph = GRAPHS[name.partition(":")[0]]
    return {graph.edges[i] for i in TRUTHS[name].edges.nonzero()[:, 0].tolist()}


@pytest.mark.parametrize("name", COUNTS)
def test_each_version_counts_what_its_source_counts(name):
    n_true, direct, n_all = COUNTS[name]
    truth, graph = TRUTHS[name], GRAPHS[name.partition(":")[0]]
    assert int(truth.edges.sum()) == n_true
    assert (graph.n_edges if truth.universe is None else int(truth.universe.sum())) == n_all
    inputs = sum(d.endswith(">") for d in graph.destinations)
    assert (None if truth.direct is None else (int(truth.direct.sum()), inputs)) == direct


def test_there_are_no_other_versions_and_the_headline_comes_first():
    assert list(TRUTHS) == list(COUNTS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_files_counts_are_those_of_its_edges(path):
    content = json.loads(path.read_text())
    counts, listed = content["counts"], [tuple(edge) for edge in content["edges"]]
    by_head = {(source, destination.partition("<")[0]) for source, destination in listed}
    assert len(listed) == len(set(listed)) == counts.get("gt_addition_edges", counts.get("gt_edges"))
    assert len(content.get("direct_edges", [])) == counts.get("gt_direct_edges", 0)
    assert by_head == {tuple(edge) for edge in content["edges_head_level"]}
    assert len(by_head) == counts["gt_edges_head_level"]


@pytest.mark.parametrize(
    ("name", "n_true", "n_all"), [("ioi", 526, 11_611), ("greaterthan", 145, 11_611), ("docstring", 20, 449)]
)
def test_edges_by_head_are_edges_of_the_graph_of_heads(name, n_true, n_all):
    shape = ATTENTION_ONLY if name == "docstring" else GPT2
    graph = Graph(n_layers=shape.n_layers, n_heads=shape.n_heads, has_mlp=shape.has_mlp, parallel=False, level="head")
    content = json.loads(next(p for p in FILES if p.stem == f"{name}.acdc").read_text())
    assert int(graph.edge_mask(map("->".join, content["edges_head_level"])).sum()) == n_true
    assert graph.n_edges == n_all


def test_780_of_the_963_edges_of_ioi_are_of_mlps_and_what_kinds_they_are():
    kinds = Counter(published._kind(edge) for edge in edges("ioi:acdc-963"))
    assert sum(map(has_mlp, edges("ioi:acdc-963"))) == 780
    assert kinds["MLP to MLP"] == 66
    assert [kinds[f"MLP to {x}"] for x in "qkv"] == [189] * 3
    assert [kinds[f"head to {x}"] for x in "qkv"] == [52, 36, 36]
    assert (kinds["head to MLP"], kinds["MLP to logits"], kinds["head to logits"]) == (123, 12, 13)
    assert (kinds["input to MLP"], kinds["input to logits"]) == (12, 1)
    assert [kinds[f"input to {x}"] for x in "qkv"] == [9, 18, 18]


def test_versions_of_ioi_lie_in_each_other_and_share_the_edges_without_mlps():
    acdc, auto, mlp0, core = (edges(f"ioi:{n}") for n in ("acdc-963", "autocircuit-739", "mlp0-242", "attn-182"))
    assert mlp0 < auto < acdc
    assert core == {edge for edge in mlp0 if not has_mlp(edge)}
    assert core == {edge for edge in acdc if not has_mlp(edge)} - {"input->logits"}
    assert {edge for edge in mlp0 - core if "m" in edge.split("->")[0]} == {e for e in mlp0 if e.startswith("m0->")}


def test_the_core_without_mlps_speaks_of_every_edge_without_one_and_of_no_other():
    universe = TRUTHS["ioi:attn-182"].universe
    assert {GPT2.edges[i] for i in universe.nonzero()[:, 0].tolist()} == {e for e in GPT2.edges if not has_mlp(e)}


@pytest.mark.parametrize("name", ["greaterthan", "docstring"])
def test_autocircuit_draws_the_same_edges_as_acdc_where_one_version_stands_for_both(name):
    assert set(read(f"{name}.autocircuit.json").edges) == set(read(f"{name}.acdc.json").edges)


@pytest.mark.parametrize("name", ["ioi:acdc-1041", "greater-than:262", "docstring:37"])
def test_direct_edges_are_of_inputs_that_true_edges_lead_to_or_that_the_source_keeps_anyway(name):
    graph, truth = GRAPHS[name.partition(":")[0]], TRUTHS[name]
    inputs = {d for d, is_direct in zip(graph.destinations, truth.direct.tolist(), strict=True) if is_direct}
    reached = {edge.split("->")[1] for edge in edges(name)}
    assert inputs == {node for node in reached if node.endswith(">")}


def test_heads_keep_the_roles_that_the_source_gives_them():
    roles = TRUTHS["ioi:acdc-963"].roles
    assert roles["name mover"] == ("a9.h9", "a10.h0", "a9.h6")
    assert sum(map(len, roles.values())) == 26
    assert TRUTHS["greater-than:235"].roles["MLATE"] == ("m8", "m9", "m10", "m11")


@pytest.fixture
def changed(tmp_path, monkeypatch):
    """Write a changed copy of ioi.acdc.json, which is then what is read."""
    content = json.loads((Path(published.__file__).parent / "ioi.acdc.json").read_text())

    def change(**parts):
        (tmp_path / "ioi.acdc.json").write_text(json.dumps(content | parts))
        monkeypatch.setattr(published, "_path", lambda file: tmp_path / file)
        read.cache_clear()
        return Version("ioi:acdc-963", "ioi.acdc.json")

    yield change, content
    read.cache_clear()


def test_a_file_that_lost_an_edge_is_refused(changed):
    change, content = changed
    version = change(edges=content["edges"][1:])
    with pytest.raises(ModelError, match=r"ioi.acdc.json holds 962 edges and 78 direct ones; 963 and 78 were counted"):
        version.truth(GPT2)


def test_a_file_whose_edges_and_counts_were_both_changed_is_refused_by_the_versions_name(changed):
    change, content = changed
    version = change(edges=content["edges"][1:], counts=content["counts"] | {"gt_addition_edges": 962})
    with pytest.raises(ModelError, match=r"ioi.acdc.json holds 962 edges for ioi:acdc-963; restore the file"):
        version.truth(GPT2)


def test_an_edge_that_the_graph_lacks_is_named(changed):
    change, content = changed
    version = change(edges=[*content["edges"][1:], ["a0.h12", "logits"]])
    with pytest.raises(
        ModelError, match=r"that ioi:acdc-963 is about: 'a0.h12->logits' is no edge of this graph of 12 layers"
    ):
        version.truth(GPT2)


def test_a_file_that_is_no_circuit_is_refused(changed):
    change, _ = changed
    version = change(edges=[["input"]])
    with pytest.raises(ModelError, match=r"ioi.acdc.json cannot be read .*; restore the file"):
        version.truth(GPT2)


def test_a_circuit_is_no_truth_about_another_model():
    with pytest.raises(ModelError, match=r"ioi:acdc-963 is drawn on a graph of 32,491 edges and this model has 1,281"):
        CIRCUITS["ioi"].truths(ATTENTION_ONLY)


def test_a_circuit_is_explained_by_what_was_counted():
    said = re.sub(r"\s+", " ", explained(CIRCUITS["ioi"]))
    for text in (
        "ioi:acdc-963: 963 of 32,491 edges 780 of 963 (81%) begin or end at an MLP; no MLP has a role in this circuit",
        "ioi:acdc-1041: 1,041 of 32,923 edges 963 of 32,491 between nodes, and 78 of 432 direct ones",
        "ioi:attn-182: 182 of 29,089 edges speaks of edges without an MLP alone",
        "lacks 224 edges of ioi:acdc-963: MLP to q 112, head to MLP 71, MLP to logits 12",
        "ArthurConmy/Automatic-Circuit-Discovery@bc99ace8",
        "name mover: a9.h9, a10.h0, a9.h6",
    ):
        assert text in said
    assert "adds" not in said
    assert "nobody" not in explained(CIRCUITS["greater-than"])
