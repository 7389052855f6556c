"""The project beside AutoCircuit: EAP, faithfulness at ten sizes, the test of one edge, ACDC at one threshold, a mask step.

    python benchmarks/autocircuit --venv DIR [--json FILE] [--markdown FILE]

Both compute the same of one random model and random prompts, one task in one process, with one thread, in turn. AutoCircuit runs
in a virtual environment of its own, DIR, which is made from `requirements.txt` here if it is not there: it needs
TransformerLens 2. Seconds are CPU seconds (user and system) of the task alone, without loading; memory is the largest of the
whole process. Only ratios of one run mean anything. How each number is made is in `comparison.py`.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from comparison import Bout, compare
from report import as_markdown
from sides import Side, environment
from workload import SHAPES, make

TASKS = ("eap", "faithfulness", "edges", "acdc", "mask")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--venv", type=Path, help="AutoCircuit's environment; without it the project is measured alone")
    parser.add_argument(
        "--shapes",
        nargs="+",
        choices=SHAPES,
        default=[name for name in SHAPES if name not in ("tiny", "gpt2-small-mask")],
    )
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--rounds", type=int, default=2, help="how often all but edges and ACDC are measured")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    arguments = parser.parse_args()
    theirs = Side("theirs", environment(arguments.venv)) if arguments.venv else None
    found: dict[str, Any] = {
        "machine": platform.machine(),
        "torch": torch.__version__,
        "seed": arguments.seed,
        "shapes": {},
    }
    for name in arguments.shapes:
        print(name, file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder), SHAPES[name], arguments.seed)
            bout = Bout(Side("ours", Path(sys.executable)), theirs, Path(folder), SHAPES[name], arguments.rounds)
            found["shapes"][name] = compare(bout, arguments.tasks)
        if arguments.json:
            arguments.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    table = as_markdown(found)
    if arguments.markdown:
        arguments.markdown.write_text(table, encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
