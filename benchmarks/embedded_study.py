"""What embedded scores predict: how methods are ordered by compiled, trained-in, interventional and real-model tasks.

    bench run --method edge-bound,difference --task all --data-seeds 3 --results MORE --plugin ... --plugin ...
    bench run --method eap-ig --param eap-ig.steps=1 --task all --data-seeds 3 --results MORE     (and 20)
    python benchmarks/embedded_study.py collect results/reference MORE    writes docs/embedded-scores.csv
    python benchmarks/embedded_study.py                                   writes the tables into docs/embedded-scores.md
    python benchmarks/embedded_study.py enough TASK                       what the true edges of a miniature lack

Everything in the tables follows from the CSV: one row per cell with its headline AUC, CMD and, where exact effects are
known, correlation. On `pronoun-stories` no circuit is known; its "truth" here is what `activation-patching` gives on the
same prompts, from 2 % of the behaviour on, as on the miniatures.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from itertools import combinations
from pathlib import Path
from statistics import fmean

import torch

from mechboard.ground_truth.mini.effects import SHARES, true_edges
from mechboard.methods.eap_ig import eap_ig
from mechboard.metrics.circuit import circuit_metrics
from mechboard.metrics.correlation import correlation
from mechboard.metrics.roc import roc
from mechboard.records import Record
from mechboard.registry import Registry
from mechboard.store import Store

CSV = Path(__file__).parent.parent / "docs" / "embedded-scores.csv"
DOCUMENT = CSV.with_suffix(".md")
START, END = "<!-- tables: python benchmarks/embedded_study.py -->", "<!-- end of tables -->"
KINDS = ("compiled", "trained-in", "interventional", "real model")
MEASURES = ("auc", "cmd", "correlation")
EXACT, WEAKEST = "activation-patching", "difference"
REFERENCES = (EXACT, "random", "ground-truth")
RESOLUTION = 0.005

Row = dict[str, str]
Scores = dict[tuple[str, str], float]


def kind_of(task: str) -> str:
    """Which of the four kinds a task is of."""
    if task.startswith("compiled-"):
        return KINDS[0]
    if task.startswith("trained-"):
        return KINDS[1]
    return KINDS[2] if task.endswith("-mini") else KINDS[3]


def _value(record: Record, name: str | None) -> float | None:
    measure = record.measures.get(name) if name else None
    return measure.value if measure else None


def _on_stories(store: Store, record: Record, exact_store: Store, exact: Record) -> tuple[float, float | None]:
    """AUC and correlation against exact patching on the same prompts."""
    answer = store.read_answer(record.cell, record.solution_id)
    exact_answer = exact_store.read_answer(exact.cell, exact.solution_id)
    assert answer is not None
    assert exact_answer is not None
    scores, effects = answer.tensors["scores"], exact_answer.tensors["scores"]
    model, empty = (_value(record, f"metric-{which}") for which in ("model", "empty"))
    assert model is not None
    assert empty is not None
    return roc(scores, true_edges(effects, SHARES[0], model - empty)).trapezoid, correlation(scores, effects)


def collect(folders: list[Path]) -> None:
    """Read the records of some folders into the CSV."""
    found = [(store, r) for store in map(Store, folders) for _, r in store.records() if isinstance(r, Record)]
    exact = {(r.cell.task, r.cell.data_seed): (store, r) for store, r in found if r.cell.method == EXACT}
    rows: list[list[object]] = []
    for store, record in found:
        cell, headline = record.cell, record.headline or ""
        auc = _value(record, headline) if headline.startswith("auc") else None
        related = _value(record, headline.replace("auc", "correlation"))
        if kind_of(cell.task) == "real model" and cell.method != "ground-truth":
            auc, related = _on_stories(store, record, *exact[cell.task, cell.data_seed])
        values = (auc, _value(record, "cmd"), related)
        numbers = ("" if value is None else f"{value:.6f}" for value in values)
        rows.append([cell.label, cell.task, cell.data_seed, cell.seed, *numbers])
    with CSV.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("method", "task", "data_seed", "seed", *MEASURES))
        writer.writerows(sorted(rows, key=str))


def scores(rows: list[Row], measure: str) -> Scores:
    """Mean of a measure by method and task; methods that lack a value on a task are left out there."""
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in rows:
        if row[measure]:
            values[row["method"], row["task"]].append(float(row[measure]))
    return {key: fmean(found) for key, found in values.items()}


def by_kind(found: Scores) -> dict[str, dict[str, float]]:
    """Mean over the tasks of each kind, by method."""
    grouped: dict[str, dict[str, list[float]]] = {kind: defaultdict(list) for kind in KINDS}
    for (method, task), value in found.items():
        grouped[kind_of(task)][method].append(value)
    return {kind: {m: fmean(v) for m, v in methods.items()} for kind, methods in grouped.items() if methods}


def kendall(a: dict[str, float], b: dict[str, float], *, resolution: float) -> tuple[float, int]:
    """Kendall's tau over the pairs of methods that both tell apart by more than `resolution`, and how many those are."""
    agree = []
    for first, second in combinations(sorted(a.keys() & b.keys()), 2):
        one, other = a[first] - a[second], b[first] - b[second]
        if abs(one) > resolution and abs(other) > resolution:
            agree.append(1.0 if one * other > 0 else -1.0)
    return (fmean(agree) if agree else float("nan")), len(agree)


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def tables(rows: list[Row]) -> str:
    """The tables of the document, in Markdown."""
    parts = []
    for measure, title in (
        ("auc", "AUC (1 is best)"),
        ("cmd", "CMD (0 is best)"),
        ("correlation", "correlation with exact effects (1 is best)"),
    ):
        found = by_kind(scores(rows, measure))
        kinds = [kind for kind in KINDS if kind in found]
        last, sign = found[kinds[-1]], 1 if measure == "cmd" else -1
        names = {m for kind in kinds for m in found[kind]}
        methods = sorted(names, key=lambda m: (m not in last, sign * last.get(m, 0.0), m))
        body = [[m, *(f"{found[k][m]:.3f}" if m in found[k] else "" for k in kinds)] for m in methods]
        parts.append(f"**{title}**\n\n" + _table(["method", *kinds], body))
    parts.append("**Agreement of orders**\n\n" + _agreement(rows))
    parts.append("**AUC by task**\n\n" + _by_task(rows))
    return "\n\n".join(parts) + "\n"


def _agreement(rows: list[Row]) -> str:
    """Tau between kinds, over the methods that claim something: no reference, and again without the weakest."""
    claims = [row for row in rows if row["method"] not in REFERENCES]
    auc, cmd, related = (by_kind(scores(claims, measure)) for measure in MEASURES)
    compared = [
        *((f"AUC: {a} and {b}", auc[a], auc[b]) for a, b in combinations(auc, 2)),
        *((f"CMD: {a} and {b}", cmd[a], cmd[b]) for a, b in combinations(cmd, 2)),
        *((f"correlation: {a} and {b}", related[a], related[b]) for a, b in combinations(related, 2)),
        *((f"{k}: AUC and CMD", auc[k], {m: -v for m, v in cmd[k].items()}) for k in KINDS),
    ]
    body = []
    for name, first, second in compared:
        strong = {m: v for m, v in first.items() if m != WEAKEST}
        taus = [kendall(one, second, resolution=RESOLUTION) for one in (first, strong)]
        body.append([name, *(f"{tau:+.2f} ({n} pairs)" if n else "0 pairs" for tau, n in taus)])
    return _table(["orders compared", "Kendall tau", f"without `{WEAKEST}`"], body)


def _by_task(rows: list[Row]) -> str:
    found = scores(rows, "auc")
    methods = sorted({m for m, _ in found})
    tasks = sorted({t for _, t in found}, key=lambda t: (KINDS.index(kind_of(t)), t))
    body = [[t, *(f"{found[m, t]:.3f}" if (m, t) in found else "" for m in methods)] for t in tasks]
    return _table(["task", *methods], body)


def enough(name: str, size: int = 36) -> None:
    """Print which of EAP-IG's strongest edges the true ones lack to be enough, with each one's effect alone."""
    task = Registry().load("task", name)
    instance = task.load(0, "cpu")
    problem = instance.problem
    truth, scores_of = instance.truths[0], eap_ig(problem, torch.Generator(), eap_ig.parameters()).scores
    kept = truth.edges.clone()
    everything = torch.ones_like(kept)
    model, empty, alone = circuit_metrics(problem, problem.pairs, [everything, ~everything, kept])
    print(f"{name}: the {int(kept.sum())} true edges keep {(alone - empty) / (model - empty):.2f}")
    assert truth.effects is not None
    for edge in scores_of.abs().argsort(descending=True)[:size].tolist():
        if not kept[edge]:
            kept[edge] = True
            (value,) = circuit_metrics(problem, problem.pairs, [kept])
            share = truth.effects[edge] / (model - empty)
            print(f"  and {problem.graph.edges[edge]:16} ({share:+.1%} alone): {(value - empty) / (model - empty):.2f}")


def read() -> list[Row]:
    """The rows of the CSV."""
    with CSV.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def written(document: str) -> str:
    """The document with the tables of the CSV between its two markers."""
    before, _, rest = document.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n\n{tables(read())}\n{END}{after}"


if __name__ == "__main__":
    if sys.argv[1:2] == ["collect"]:
        collect([Path(folder) for folder in sys.argv[2:]])
    if sys.argv[1:2] == ["enough"]:
        enough(sys.argv[2])
        sys.exit()
    DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
