"""What embedded scores predict: how methods are ordered by compiled, trained-in, interventional and real-model tasks.

    bench run --method all,edge-bound,difference --task all --data-seeds 3 --seeds 5 --results DIR --plugin ...
    bench run --method eap-ig --param eap-ig.steps=1 ...           (and 20)
    python benchmarks/embedded_study.py collect DIR                 writes docs/embedded-scores.csv
    python benchmarks/embedded_study.py tables                      prints the tables of docs/embedded-scores.md

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

from mechboard.metrics.correlation import correlation
from mechboard.metrics.roc import roc
from mechboard.records import Record
from mechboard.store import Store

CSV = Path(__file__).parent.parent / "docs" / "embedded-scores.csv"
KINDS = ("compiled", "trained-in", "interventional", "real model")
MEASURES = ("auc", "cmd", "correlation")
EXACT, CHANCE = "activation-patching", "random"
_SHARE = 0.02

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


def _on_stories(store: Store, record: Record, exact: Record) -> tuple[float, float | None]:
    """AUC and correlation against exact patching on the same prompts."""
    scores, effects = store.read_scores(record.cell), store.read_scores(exact.cell)
    assert scores is not None
    assert effects is not None
    model, empty = (_value(record, f"metric-{which}") for which in ("model", "empty"))
    assert model is not None
    assert empty is not None
    return roc(scores, effects.abs() >= _SHARE * abs(model - empty)).trapezoid, correlation(scores, effects)


def collect(folder: Path) -> None:
    """Read the records of a folder into the CSV."""
    store = Store(folder)
    records = [r for _, r in store.records() if isinstance(r, Record) and r.cell.method != "ground-truth"]
    exact = {(r.cell.task, r.cell.data_seed): r for r in records if r.cell.method == EXACT}
    rows: list[list[object]] = []
    for record in records:
        cell = record.cell
        headline = record.headline or ""
        auc = _value(record, headline) if headline.startswith("auc") else None
        found = _value(record, headline.replace("auc", "correlation"))
        if kind_of(cell.task) == "real model":
            auc, found = _on_stories(store, record, exact[cell.task, cell.data_seed])
        rows.append([cell.label, cell.task, cell.data_seed, cell.seed, *(
            "" if v is None else f"{v:.6f}" for v in (auc, _value(record, "cmd"), found)
        )])  # fmt: skip
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
        last = found[kinds[-1]]
        methods = sorted(
            {m for kind in kinds for m in found[kind]},
            key=lambda m: -last.get(m, 0.0) * (-1 if measure == "cmd" else 1),
        )
        body = [[m, *(f"{found[k][m]:.3f}" if m in found[k] else "" for k in kinds)] for m in methods]
        parts.append(f"**{title}**\n\n" + _table(["method", *kinds], body))
    parts.append("**Agreement of orders**\n\n" + _agreement(rows))
    parts.append("**AUC by task**\n\n" + _by_task(rows))
    return "\n\n".join(parts) + "\n"


def _agreement(rows: list[Row]) -> str:
    """Tau between kinds, over the methods that claim something: neither chance nor exact patching."""
    claims = [row for row in rows if row["method"] not in (CHANCE, EXACT)]
    auc, cmd = (by_kind(scores(claims, measure)) for measure in ("auc", "cmd"))
    body = []
    for name, first, second, resolution in (
        *((f"AUC: {a}, {b}", auc[a], auc[b], 0.005) for a, b in combinations(auc, 2)),
        *((f"CMD: {a}, {b}", cmd[a], cmd[b], 0.005) for a, b in combinations(cmd, 2)),
        *((f"AUC and CMD: {k}", auc[k], {m: -v for m, v in cmd[k].items()}, 0.005) for k in KINDS if k in auc),
    ):
        tau, n = kendall(first, second, resolution=resolution)
        body.append([name, "" if not n else f"{tau:+.2f}", str(n)])
    return _table(["orders compared", "Kendall tau", "pairs of methods both tell apart"], body)


def _by_task(rows: list[Row]) -> str:
    found = scores(rows, "auc")
    methods = sorted({m for m, _ in found})
    tasks = sorted({t for _, t in found}, key=lambda t: (KINDS.index(kind_of(t)), t))
    body = [[t, *(f"{found[m, t]:.3f}" if (m, t) in found else "" for m in methods)] for t in tasks]
    return _table(["task", *methods], body)


def read() -> list[Row]:
    """The rows of the CSV."""
    with CSV.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    if sys.argv[1:2] == ["collect"]:
        collect(Path(sys.argv[2]))
    else:
        print(tables(read()), end="")
