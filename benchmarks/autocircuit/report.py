"""The comparison as a Markdown table."""

from __future__ import annotations

from typing import Any

from comparison import seconds
from workload import SHAPES

_TASKS = {
    "mask": "mask step",
    "eap": "EAP",
    "faithfulness": "faithfulness, ten sizes",
    "edges": "test of one edge, mean",
    "acdc": "ACDC",
}


def as_markdown(found: dict[str, Any]) -> str:
    """One table per shape: seconds with their kernel part and peak memory of both sides, ratio, agreement."""
    lines: list[str] = []
    for name, tasks in found["shapes"].items():
        shape = SHAPES[name]
        prefix = f", the first {shape.shared} alike" if shape.shared else ""
        lines += [
            f"**{name}**: {shape.prompts} pairs of {shape.tokens} tokens{prefix}",
            "",
            "| | AutoCircuit | mechboard | ratio | agreement |",
            "|---|---|---|---|---|",
        ]
        for task, cells in tasks.items():
            what = _TASKS[task] + (f", threshold {shape.tau:g} of KL" if task == "acdc" else "")
            sides = " | ".join(_cost(cells.get(side)) for side in ("theirs", "ours"))
            ratio = f"{cells['ratio']:.1f}x" if "ratio" in cells else ""
            lines.append(f"| {what} | {sides} | {ratio} | {_agreement(cells['agreement'])} |")
        lines.append("")
    return "\n".join(lines)


def _cost(cell: dict[str, Any] | None) -> str:
    if cell is None:
        return ""
    extrapolated = f", extrapolated {cell['extrapolated']}" if "extrapolated" in cell else ""
    share = cell["system"] / seconds(cell)
    return f"{_three(seconds(cell))} s ({share:.0%} kernel), {cell['peak'] / 1e9:.2f} GB{extrapolated}"


def _three(value: float) -> str:
    """Three digits, without an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}".rstrip(".")


def _agreement(cell: dict[str, Any]) -> str:
    if "same decisions" in cell:
        same = f"{cell['same decisions']:,} of {cell['values']:,} decisions alike"
        return f"{same}, {cell['kept']} edges kept; closest to the threshold {cell['smallest margin']:.1g}"
    if "largest difference" in cell:
        return (
            f"{cell['values']:,} values within {cell['largest difference']:.1g} (largest {cell['largest value']:.2g})"
        )
    return ", ".join(f"{key} {value}" for key, value in cell.items())
