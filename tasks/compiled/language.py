"""A small declarative language for programs that a transformer can run.

A program has *variables*, each with one value at every position: the token, the position, and what
its operations write. Operations are select/aggregate heads, lookup MLPs and a few numeric MLPs.
Every variable is a vector: one-hot over its values, or a single number.

    program = Program(vocabulary=("<bos>", "a", "b"), length=8)
    previous = program.head("previous", layer=0, value=program.token, values=program.vocabulary,
                            matches=[match(program.position, program.position, lambda q, k: k == q - 1)])
    program.output(previous)

`Program.interpret` runs it with hard attention, the meaning that the compiled model approximates.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

Values = tuple[Hashable, ...]
NUMBER: Values = ("number",)

# A lookup neuron is relu(2 (sum of its inputs - (inputs - 1/2))): 1 where all are 1, and a dead zone
# below that absorbs the attention that a finite gap leaves on other positions.
_SLOPE = 2.0
_DEAD = 0.5


@dataclass(frozen=True)
class Variable:
    """A value at every position. `writer` is the operation that computes it, None for the `input` node.

    The compiler mixes the coordinates of a variable, unless it is `unmixed`.
    """

    name: str
    values: Values
    writer: str | None
    unmixed: bool = False

    @property
    def size(self) -> int:
        """Dimensions that it takes in the residual stream."""
        return len(self.values)


@dataclass(frozen=True)
class Match:
    """One term of a selector: `table[q, k]` in [0, 1]; without a query variable the query is constant."""

    query: Variable | None
    key: Variable
    table: Float[Tensor, "query key"]


@dataclass(frozen=True)
class Head:
    """Select positions by the sum of the matches, average the value there."""

    name: str
    layer: int
    matches: tuple[Match, ...]
    value: Variable
    table: Float[Tensor, "value out"]
    out: Variable


@dataclass(frozen=True)
class Mlp:
    """relu(inputs @ weight_in + bias) @ weight_out, inputs in order of `reads`."""

    name: str
    layer: int
    reads: tuple[Variable, ...]
    weight_in: Float[Tensor, "inputs neurons"]
    bias: Float[Tensor, " neurons"]
    weight_out: Float[Tensor, "neurons out"]
    out: Variable


def match(query: Variable | None, key: Variable, when: Callable[[Any, Any], bool], weight: float = 1.0) -> Match:
    """A selector term that holds where `when(query value, key value)`; query is None for a constant query."""
    rows = query.values if query else (None,)
    table = torch.tensor([[weight * float(when(q, k)) for k in key.values] for q in rows])
    return Match(query, key, table)


def part_of(index: int, symbols: Values) -> Callable[[str], str | None]:
    """A reader of one character of a symbol; None for tokens that are no symbols."""
    return lambda token: token[index] if token in symbols else None


class Program:
    """Operations in the order in which they are declared, and what the output reads."""

    def __init__(self, *, vocabulary: Values, length: int) -> None:
        self.vocabulary = vocabulary
        self.length = length
        self.token = Variable("token", vocabulary, None)
        self.position = Variable("position", tuple(range(length)), None)
        self.operations: list[Head | Mlp] = []
        self.outputs: list[Variable] = []

    def head(
        self,
        name: str,
        *,
        layer: int,
        value: Variable,
        values: Values,
        matches: Sequence[Match] = (),
        read: Callable[[Any], Any] = lambda v: v,
    ) -> Variable:
        """A head that averages `read(value)` over the selected positions; all positions so far without matches.

        `read` maps a value to one of `values` (None for nothing) or, if `values` is `NUMBER`, to a number.
        """
        out = Variable(name, values, name)
        rows = [_encode(read(v), values) for v in value.values]
        self.operations.append(Head(name, layer, tuple(matches), value, torch.tensor(rows), out))
        return out

    def lookup(
        self, name: str, *, layer: int, reads: Sequence[Variable], values: Values, function: Callable[..., Any]
    ) -> Variable:
        """An MLP that maps every combination of input values to one of `values`; None writes nothing."""
        columns, rows = [], []
        for combination in product(*(v.values for v in reads)):
            result = function(*combination)
            if result is not None:
                one_hots = [_encode(c, v.values) for c, v in zip(combination, reads, strict=True)]
                columns.append([_SLOPE * x for one_hot in one_hots for x in one_hot])
                rows.append(_encode(result, values))
        bias = torch.full((len(columns),), -_SLOPE * (len(reads) - _DEAD))
        return self._mlp(name, layer, reads, torch.tensor(columns).T, bias, torch.tensor(rows), values)

    def rectify(self, name: str, *, layer: int, terms: Sequence[tuple[float, Variable]], bias: float = 0.0) -> Variable:
        """An MLP neuron: the number relu(sum of coefficient x number + bias)."""
        weight_in = torch.tensor([[coefficient] for coefficient, _ in terms])
        reads = [variable for _, variable in terms]
        return self._mlp(name, layer, reads, weight_in, torch.tensor([bias]), torch.ones(1, 1), NUMBER)

    def either(self, name: str, *, layer: int, first: Variable, second: Variable) -> Variable:
        """Two MLPs, in this layer and the next, for what at least one of two equal variables carries.

        relu(1 - relu(3/2 - 2 (a + b))): for every value one of the two is dead, so the gradient is zero to the bit. It
        would not be if two neurons of one MLP had to cancel, nor if rounding mixed values on the way between the two.
        """
        size = first.size
        weight_in = -2 * torch.cat([torch.eye(size), torch.eye(size)])
        absent = self._mlp(
            f"no {name}", layer, [first, second], weight_in, torch.full((size,), 1.5), torch.eye(size), first.values,
            unmixed=True,
        )  # fmt: skip
        return self._mlp(name, layer + 1, [absent], -torch.eye(size), torch.ones(size), torch.eye(size), first.values)

    def output(self, *variables: Variable) -> None:
        """What the logits are: the variables' vectors, side by side."""
        self.outputs.extend(variables)

    def _mlp(
        self,
        name: str,
        layer: int,
        reads: Sequence[Variable],
        weight_in: Tensor,
        bias: Tensor,
        weight_out: Tensor,
        values: Values,
        *,
        unmixed: bool = False,
    ) -> Variable:
        out = Variable(name, values, name, unmixed)
        self.operations.append(Mlp(name, layer, tuple(reads), weight_in, bias, weight_out, out))
        return out

    @property
    def variables(self) -> list[Variable]:
        """Every variable, inputs first."""
        return [self.token, self.position, *(operation.out for operation in self.operations)]

    def interpret(self, tokens: Int[Tensor, "batch position"]) -> Float[Tensor, "batch position out"]:
        """Outputs of the program itself: the same arithmetic with hard attention (equal maxima share)."""
        length = tokens.shape[1]
        one_hot = torch.eye(self.length)[:length].expand(len(tokens), -1, -1)
        known = {"token": torch.eye(len(self.vocabulary))[tokens], "position": one_hot}
        causal = torch.ones(length, length).tril().bool()
        for operation in self.operations:
            if isinstance(operation, Mlp):
                read = torch.cat([known[v.name] for v in operation.reads], dim=-1)
                neurons = torch.relu(read @ operation.weight_in + operation.bias)
                known[operation.out.name] = neurons @ operation.weight_out
                continue
            scores = torch.zeros(len(tokens), length, length)
            for m in operation.matches:
                query = known[m.query.name] if m.query else torch.ones(len(tokens), length, 1)
                scores = scores + query @ m.table @ known[m.key.name].transpose(1, 2)
            scores = scores.masked_fill(~causal, -torch.inf)
            best = (scores >= scores.amax(-1, keepdim=True) - 1e-4).float()
            attention = best / best.sum(-1, keepdim=True)
            known[operation.out.name] = attention @ known[operation.value.name] @ operation.table
        return torch.cat([known[v.name] for v in self.outputs], dim=-1)


def _encode(value: Any, values: Values) -> list[float]:
    """One-hot of a value, zeros for None; a number stands for itself."""
    if values == NUMBER:
        return [float(value)]
    if value is not None and value not in values:
        raise ValueError(f"{value!r} was computed; valid: {values!r}.")
    return [float(v == value) for v in values]
