"""The true edges of a compiled program, which follow from the program and the ablation.

An edge is true if its destination reads a variable that its source writes, and if ablation can
change that variable. Under `resample` and per-position `mean`, a variable that depends on the
position alone is the same in every run, so the edges that carry only it have no effect; under
`zero` and `mean-global` they have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mechboard.graph import AblationKind

from .language import Head, Program, Variable


def depends_on_tokens(program: Program) -> dict[str, bool]:
    """Whether each variable differs between prompts at one position."""
    known = {"token": True, "position": False}
    for operation in program.operations:
        if isinstance(operation, Head):
            read = [operation.value, *(v for m in operation.matches for v in (m.query, m.key) if v is not None)]
            # Averaging over a prefix mixes positions but never prompts.
            known[operation.out.name] = any(known[v.name] for v in read)
        else:
            known[operation.out.name] = any(known[v.name] for v in operation.reads)
    return known


def _reads(program: Program, node_of: Mapping[str, str]) -> Iterator[tuple[Variable, str]]:
    for operation in program.operations:
        node = node_of[operation.name]
        if isinstance(operation, Head):
            for m in operation.matches:
                if m.query is not None:
                    yield m.query, f"{node}<q>"
                yield m.key, f"{node}<k>"
            yield operation.value, f"{node}<v>"
        else:
            for variable in operation.reads:
                yield variable, node
    for variable in program.outputs:
        yield variable, "logits"


def true_edges(program: Program, ablation: AblationKind, node_of: Mapping[str, str]) -> list[str]:
    """Names of the true edges, given the node (`a0.h2`, `m1`) on which each operation runs."""
    changes = depends_on_tokens(program) if ablation in ("resample", "mean") else None
    names = {
        f"{node_of[variable.writer] if variable.writer else 'input'}->{destination}"
        for variable, destination in _reads(program, node_of)
        if changes is None or changes[variable.name]
    }
    return sorted(names)
