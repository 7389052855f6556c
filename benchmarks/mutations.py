"""Small mutations of Python source, one at a time: what `benchmarks/mutants.py` tries on the tests.

A mutation replaces one expression or one simple statement and leaves the rest of the text as it is, so that line
numbers stay. Annotations, decorators, imports, assertions, docstrings and texts of messages are left alone: a change
there is no change of behaviour that a test should see.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_NAMES = {"min": "max", "max": "min", "amin": "amax", "amax": "amin", "any": "all", "all": "any"}
_WORDS = {"higher": "lower", "lower": "higher"}
_NOT_BEHAVIOUR = ("annotation", "returns", "decorator_list")
_GUARDS_OF_TYPES = ("strict", "encoding")  # keywords whose loss no correct program feels


@dataclass(frozen=True)
class Mutation:
    """One change of one file: the lines it touches before and after, and the whole text after it."""

    path: str
    line: int
    before: str
    after: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}\n    - {self.before}\n    + {self.after}"


def mutations(path: str, source: str) -> list[Mutation]:
    r"""All mutations of a source text, in its order.

    >>> for mutation in mutations("f.py", "if not ready or n < abs(1):\n    raise"):
    ...     print(mutation.after)
    if (not ready and n < abs(1)):
    if (ready) or n < abs(1):
    if not ready or (n <= abs(1)):
    if not ready or (n >= abs(1)):
    if not ready or n < (1):
    if not ready or n < abs((2)):
    pass
    """
    found = []
    for node in _nodes(ast.parse(source)):
        changes = [(node, new) for new in _replacements(node)]
        changes += [(bare, ast.UnaryOp(ast.Not(), bare)) for bare in _bare_conditions(node)]
        found += [_spliced(path, source, old, new) for old, new in changes]
    return found


def _spliced(path: str, source: str, node: ast.expr | ast.stmt, new: ast.AST) -> Mutation:
    lines = source.encode().splitlines(keepends=True)
    last = node.end_lineno or node.lineno
    head, tail = lines[node.lineno - 1][: node.col_offset], lines[last - 1][node.end_col_offset :]
    text = ast.unparse(new)
    if isinstance(new, ast.expr) and not isinstance(new, ast.Slice):
        text = f"({text})"
    changed = head + text.encode() + tail
    shown = (b"".join(lines[node.lineno - 1 : last]), changed)
    before, after = (" ".join(part.decode().split()) for part in shown)
    rest = b"\n" * (last - node.lineno)
    whole = b"".join([*lines[: node.lineno - 1], changed, rest, *lines[last:]])
    return Mutation(path, node.lineno, before, after, whole.decode())


def _nodes(node: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    """Nodes that stand for behaviour, outermost first."""
    if isinstance(node, ast.JoinedStr | ast.Assert) or (isinstance(node, ast.keyword) and node.arg in _GUARDS_OF_TYPES):
        return
    if isinstance(node, ast.expr | ast.stmt):
        yield node
    for name, value in ast.iter_fields(node):
        if name not in _NOT_BEHAVIOUR:
            if name == "slice" and isinstance(value, ast.Tuple):  # an index, or the arguments of a type
                value = value.elts
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from _nodes(child)


def _replacements(node: ast.expr | ast.stmt) -> Iterator[ast.AST]:
    match node:
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=int() as value):
            yield ast.Constant(value + 1)
        case ast.Constant(value=float() as value):
            yield ast.Constant(2 * value or 1.0)
        case ast.Constant(value=str() as value) if value in _WORDS:
            yield ast.Constant(_WORDS[value])
        case ast.Name() if node.id in _NAMES:
            yield ast.Name(_NAMES[node.id])
        case ast.Attribute() if node.attr in _NAMES:
            yield ast.Attribute(node.value, _NAMES[node.attr])
        case ast.Compare():
            for i, op in enumerate(node.ops):
                for other in _COMPARISONS[type(op)]:
                    yield ast.Compare(node.left, [*node.ops[:i], other(), *node.ops[i + 1 :]], node.comparators)
        case ast.BoolOp():
            yield ast.BoolOp(ast.And() if isinstance(node.op, ast.Or) else ast.Or(), node.values)
        case ast.BinOp() if type(node.op) in _OPERATORS:
            yield ast.BinOp(node.left, _OPERATORS[type(node.op)](), node.right)
        case ast.UnaryOp():
            yield node.operand
        case ast.Slice():
            if node.lower:
                yield ast.Slice(None, node.upper, node.step)
            if node.upper:
                yield ast.Slice(node.lower, None, node.step)
        case ast.Call():
            yield from _calls(node)
        case ast.Tuple(ctx=ast.Load()) | ast.List(ctx=ast.Load()) | ast.Set():
            for i in range(len(node.elts)):
                yield type(node)([*node.elts[:i], *node.elts[i + 1 :]])
        case ast.Dict():
            for i in range(len(node.keys)):
                yield ast.Dict(node.keys[:i] + node.keys[i + 1 :], node.values[:i] + node.values[i + 1 :])
        case ast.stmt():
            yield from _statements(node)


def _bare_conditions(node: ast.expr | ast.stmt) -> Iterator[ast.expr]:
    """Conditions that no other mutation turns round."""
    conditions = [node.test] if isinstance(node, ast.If | ast.IfExp | ast.While) else []
    if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        conditions += [condition for generator in node.generators for condition in generator.ifs]
    yield from (c for c in conditions if not isinstance(c, ast.Compare | ast.BoolOp | ast.UnaryOp))


def _calls(node: ast.Call) -> Iterator[ast.AST]:
    match node.func:
        case ast.Name(id="abs"):
            yield node.args[0]
        case ast.Attribute(attr="abs"):
            yield node.func.value
        case ast.Name(id="sorted") if not any(k.arg == "reverse" for k in node.keywords):
            yield ast.Call(node.func, node.args, [*node.keywords, ast.keyword("reverse", ast.Constant(True))])
    for i, keyword in enumerate(node.keywords):
        if keyword.arg not in _GUARDS_OF_TYPES:
            yield ast.Call(node.func, node.args, node.keywords[:i] + node.keywords[i + 1 :])


def _statements(node: ast.stmt) -> Iterator[ast.AST]:
    match node:
        case ast.Return(value=ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            yield ast.Return(ast.Constant(None))
            if isinstance(value, ast.BinOp):
                yield ast.Return(ast.UnaryOp(ast.USub(), value))
        case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Raise():
            yield ast.Pass()
        case ast.Assign(targets=[ast.Subscript() | ast.Attribute()]):
            yield ast.Pass()
        case ast.Continue():
            yield ast.Break()
        case ast.Break():
            yield ast.Continue()
