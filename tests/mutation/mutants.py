"""Mutants: the source of a module with a small fault, and a description of the fault.

The name of a mutant consists of its file, its function, the original code and the faulty code.  It
has no line number, so that it stays the same when the rest of the file changes.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], tuple[str, type[ast.cmpop]]] = {
    ast.Lt: ("<", ast.LtE), ast.LtE: ("<=", ast.Lt), ast.Gt: (">", ast.GtE),
    ast.GtE: (">=", ast.Gt), ast.Eq: ("==", ast.NotEq), ast.NotEq: ("!=", ast.Eq),
    ast.Is: ("is", ast.IsNot), ast.IsNot: ("is not", ast.Is), ast.In: ("in", ast.NotIn),
    ast.NotIn: ("not in", ast.In),
}  # fmt: skip
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "argmin": "argmax", "argmax": "argmin", "any": "all",
         "all": "any", "floor": "ceil", "ceil": "floor", "minimum": "maximum",
         "maximum": "minimum", "zeros": "ones", "sorted": "list"}  # fmt: skip

VARIADIC = {"digest", "entropy", "generator", "random_state"}
"""Functions that any of their arguments may be left out of: a call would still run."""

SILENT = {"say", "info", "debug", "warning", "print"}
"""Calls whose arguments and effect are words for a reader."""


@dataclass(frozen=True)
class Mutant:
    """One fault.

    Parameters
    ----------
    file : str
        The file below the package.
    name : str
        What it is, in words: function, what was there, what is there now.
    start, end : int
        The bytes of the source that are replaced.
    text : str
        What stands there instead.
    """

    file: str
    name: str
    start: int
    end: int
    text: str

    def applied(self, source: bytes) -> bytes:
        """Return the source with the fault."""
        return source[: self.start] + self.text.encode() + source[self.end :]


def mutants(file: str, source: bytes) -> list[Mutant]:
    """Return every mutant of a file, in the order of the source."""
    lines = [0]
    for line in source.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    found, seen = [], Counter[str]()
    for where, node, text in _changes(ast.parse(source)):
        start = lines[node.lineno - 1] + node.col_offset
        end = lines[node.end_lineno - 1] + node.end_col_offset
        before = " ".join(source[start:end].decode().split())
        name = f"{file} {where}: {before} -> {text}"
        seen[name] += 1
        if seen[name] > 1:
            name += f" (the {seen[name]}th)"
        found.append(Mutant(file, name, start, end, text))
    return found


def _changes(tree: ast.Module) -> Iterator[tuple[str, ast.AST, str]]:
    """Yield the function, a node and the text that shall replace it."""
    stack: list[tuple[str, ast.AST]] = [("module", tree)]
    while stack:
        where, node = stack.pop()
        if _is_passed_over(node):
            continue
        yield from ((where, changed, text) for changed, text in _of(node))
        inside = where
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            inside = node.name if where == "module" else f"{where}.{node.name}"
        stack += [(inside, child) for child in reversed(list(_children(node)))]


def _is_passed_over(node: ast.AST) -> bool:
    """Whether there is no fault to make here: words for readers, and what only types are."""
    if isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom | ast.Assert):
        return True
    if isinstance(node, ast.If):
        return ast.unparse(node.test) == "TYPE_CHECKING"
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        function = node.value.func
        return getattr(function, "attr", getattr(function, "id", "")) in SILENT
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _children(node: ast.AST) -> Iterator[ast.AST]:
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "bases"):
            continue
        if isinstance(node, ast.Raise):
            continue  # that it is raised is tested, not its words
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield child


def _of(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Yield the changes of one node."""
    match node:
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            sign = COMPARISONS[COMPARISONS[type(op)][1]][0]
            yield node, f"({ast.unparse(left)}) {sign} ({ast.unparse(right)})"
        case ast.BinOp(op=ast.Div(), right=ast.Constant(value=str())):
            return  # of a path
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            changed = ast.BinOp(left, OPERATORS[type(op)](), right)
            yield node, f"({ast.unparse(changed)})"
        case ast.AugAssign(target=target, op=op, value=value) if type(op) in OPERATORS:
            yield node, ast.unparse(ast.AugAssign(target, OPERATORS[type(op)](), value))
            yield node, "pass"
        case ast.BoolOp(op=op, values=values):
            other = ast.Or() if isinstance(op, ast.And) else ast.And()
            yield node, f"({ast.unparse(ast.BoolOp(other, values))})"
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield node, f"({ast.unparse(operand)})"
        case ast.Constant(value=bool() as value):
            yield node, str(not value)
        case ast.Constant(value=int() as value):
            yield node, str(value + 1)
        case ast.Constant(value=float() as value):
            yield node, repr(value * 1.25 if value else 0.25)
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            if not isinstance(test, ast.Compare | ast.UnaryOp):
                yield test, f"(not ({ast.unparse(test)}))"
        case ast.Expr(value=ast.Call()) | ast.Continue() | ast.Break():
            yield node, "pass"
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield node, "pass"
        case ast.Call(func=ast.Name(id=name) as function, args=args):
            if name in NAMES and args:
                yield function, NAMES[name]
            yield from _fewer_arguments(node, name)
        case ast.Call(func=ast.Attribute(value=value, attr=name) as function):
            if name in NAMES:
                yield function, f"{ast.unparse(value)}.{NAMES[name]}"
            yield from _fewer_arguments(node, name)


def _fewer_arguments(node: ast.Call, name: str) -> Iterator[tuple[ast.AST, str]]:
    """Yield a call without each of its keywords, or without any of the things that it hashes."""
    for keyword in node.keywords:
        if keyword.arg and isinstance(keyword.value, ast.Constant):
            kept = [other for other in node.keywords if other is not keyword]
            yield node, ast.unparse(ast.Call(node.func, node.args, kept))
    if name in VARIADIC:
        for i in range(len(node.args)):
            yield (
                node,
                ast.unparse(ast.Call(node.func, node.args[:i] + node.args[i + 1 :], node.keywords)),
            )
