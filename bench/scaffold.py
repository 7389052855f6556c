"""Writes an installable package with a method of one's own: what `bench new method NAME` leaves behind.

`examples/edge-bound` is its output, and a test compares the two, so that the example cannot go stale.
"""

from __future__ import annotations

import re
from pathlib import Path

from mechboard.errors import UsageError, WriteError

_PYPROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "mechboard-{name}"
version = "0.1.0"
description = "The method {name} for mechboard"
requires-python = ">=3.11"
dependencies = ["mechboard"]

# This line is the whole registration: name = "module:attribute".
[project.entry-points."mechboard.methods"]
{name} = "{module}:{attribute}"

[tool.setuptools]
py-modules = ["{module}"]
"""

_MODULE = '''\
"""{title}: how much an edge could matter at most, to first order.

    score(u -> v) = mean over prompts and positions of |u_clean - u_ablated| |dm / dx_v|

By Cauchy-Schwarz this bounds what EAP estimates at each position. It has no sign, so it says how
strong an edge may be, never whether it helps. Replace this text and the formula by your own.

Cost: two forwards and one backward.
"""

from dataclasses import dataclass

import torch

from mechboard.graph import input_gradients, metric_gradient, record_tape
from mechboard.protocols import CircuitProblem, EdgeScores, method


@dataclass(frozen=True)
class Parameters:
    """`power`: exponent of the gradient's norm."""

    power: float = 1.0


@method(name="{name}", kinds=("circuit",), deterministic=True)
def {attribute}(problem: CircuitProblem, generator: torch.Generator, parameters: Parameters) -> EdgeScores:
    """Score every edge by the product of two norms."""
    model, qkv = problem.model, problem.model.graph
    scores = torch.zeros(qkv.n_sources, qkv.n_destinations, device=model.device)
    for pairs in problem.batches():
        outputs = problem.ablation.outputs(pairs)
        tape = record_tape(model, model.embed(pairs.clean), subtract_from=outputs)  # outputs <- clean - ablated
        differences = outputs.norm(dim=-1).flatten(1)
        at_end = metric_gradient(model, tape.final, problem.metric, pairs)
        for destinations, gradients, _ in input_gradients(model, tape, at_end):
            scores[:, destinations] += differences @ gradients.norm(dim=-1).flatten(1).T ** parameters.power
    return EdgeScores(problem.graph.flat(problem.graph.sum_qkv(scores)) / problem.pairs.clean.numel())
'''

_TEST = '''\
"""The method keeps mechboard's contract: one test per check of `bench check {name}`."""

from mechboard.conformance import conformance_test

test_{attribute} = conformance_test("{name}")
'''

_README = """\
# {name}

A method for mechboard.

    pip install -e .
    bench check {name}
    bench run --method {name} --task all
    pytest
"""


def write_method_package(name: str, parent: Path) -> Path:
    """Write the package into `parent/name`; returns that folder.

    Raises:
        UsageError: the name is not usable, or the folder exists.
        WriteError: it cannot be written.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise UsageError(
            f"A method cannot be named {name!r}; valid: lower-case words joined by '-', such as 'my-method'."
        )
    folder = parent / name
    if folder.exists():
        raise UsageError(f"{str(folder)!r} exists already; choose another name or --into DIR.")
    attribute = name.replace("-", "_")
    words = {
        "name": name,
        "attribute": attribute,
        "module": f"mechboard_{attribute}",
        "title": name.replace("-", " ").capitalize(),
    }
    files = {
        "pyproject.toml": _PYPROJECT,
        f"{words['module']}.py": _MODULE,
        f"test_{attribute}.py": _TEST,
        "README.md": _README,
    }
    try:
        folder.mkdir(parents=True)
        for file, text in files.items():
            (folder / file).write_text(text.format(**words), encoding="utf-8")
    except OSError as error:
        raise WriteError(
            f"{str(folder)!r} cannot be written ({error.strerror}); choose another place with --into DIR."
        ) from error
    return folder
