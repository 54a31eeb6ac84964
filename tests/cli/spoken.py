"""The sentences in the source that people may read, as far as can be told without running it.

An f-string stands for the sentences that come of it.  What it puts in is a 7, which fits a name, an amount and a
sentence alike, unless the source itself says what the words are: a conditional, a variable of the same function or
module, what a loop goes over, what a function of the module returns.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path

ANYTHING = "7"
_MOST = 64
"""The most sentences that one expression is taken apart into."""

Words = dict[str, list[str]]
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Spoken:
    """A sentence, and where it is written."""

    text: str
    where: str


def spoken(path: Path, said_by: Mapping[str, range]) -> Iterator[Spoken]:
    """What is given to the functions in ``said_by`` at the positions that it names, keywords counted on from there."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    texts = _Texts({}, {node.name: node for node in tree.body if isinstance(node, _Function)})
    texts.learn(_inside(tree))
    for scope in (tree, *(node for node in ast.walk(tree) if isinstance(node, _Function))):
        inside = list(_inside(scope))
        known = texts.copy()
        if scope is not tree:
            known.learn(inside)
        for node in inside:
            if isinstance(node, ast.Call) and (name := _name(node.func)) in said_by:
                given = [*node.args, *(keyword.value for keyword in node.keywords)]
                for index in said_by[name]:
                    if index < len(given):
                        yield from (Spoken(text, f"{path.name}:{node.lineno}") for text in known.of(given[index]))


@dataclass
class _Texts:
    """``words``: what the names of a scope may hold, where the source says it.  ``functions``: those of the module."""

    words: Words
    functions: dict[str, _Function]

    def copy(self) -> _Texts:
        return _Texts({name: list(texts) for name, texts in self.words.items()}, self.functions)

    def learn(self, nodes: Iterator[ast.AST] | list[ast.AST]) -> None:
        for node in nodes:
            match node:
                case (
                    ast.Assign(targets=[target], value=value) | ast.AnnAssign(target=target, value=ast.expr() as value)
                ):
                    self._put(target, [value])
                case ast.NamedExpr(target=target, value=value):
                    self._put(target, [value])
                case ast.AugAssign(target=ast.Name(id=name), value=value):
                    self.words[name] = _joined([self.words.get(name) or [ANYTHING], self._some(value)])
                case ast.For(target=target, iter=ast.Tuple(elts=values) | ast.List(elts=values)):
                    self._put(target, values)
                case ast.comprehension(target=target, iter=ast.Tuple(elts=values) | ast.List(elts=values)):
                    self._put(target, values)

    def of(self, node: ast.expr) -> list[str]:
        """Every text that the expression may be; [] if the source does not tell."""
        match node:
            case ast.Constant(value=str(text)):
                return [text]
            case ast.Name(id=name):
                return self.words.get(name, [])
            case ast.JoinedStr(values=values):
                return _joined([self._part(value) for value in values])
            case ast.IfExp(body=body, orelse=orelse):
                return self._either([body, orelse])
            case ast.BoolOp(values=values):
                return self._either(values)
            case ast.BinOp(left=left, op=ast.Add(), right=right) if self.of(left) or self.of(right):
                return _joined([self._some(left), self._some(right)])
            case ast.Call(func=ast.Name(id=name)) if name in self.functions:
                return self._returned(self.functions[name])
        return []

    def _returned(self, function: _Function) -> list[str]:
        inside = list(_inside(function))
        known = _Texts({}, {})
        known.learn(inside)
        returned = [node.value for node in inside if isinstance(node, ast.Return) and node.value is not None]
        return known._either(returned)

    def _put(self, target: ast.expr, values: list[ast.expr]) -> None:
        for value in values:
            match target, value:
                case ast.Name(id=name), _:
                    texts = self.of(value)
                    self.words[name] = self.words.get(name, []) + [text for text in texts if text]
                case ast.Tuple(elts=names), ast.Tuple(elts=parts):
                    for one, part in zip(names, parts, strict=False):
                        self._put(one, [part])

    def _part(self, value: ast.expr) -> list[str]:
        return self._some(value.value if isinstance(value, ast.FormattedValue) else value)

    def _some(self, node: ast.expr) -> list[str]:
        return self.of(node) or [ANYTHING]

    def _either(self, nodes: list[ast.expr]) -> list[str]:
        found = [self.of(node) for node in nodes]
        return [text for texts in found for text in texts or [ANYTHING]] if any(found) else []


def _joined(parts: list[list[str]]) -> list[str]:
    return ["".join(each) for each in islice(product(*parts), _MOST)]


def _name(function: ast.expr) -> str:
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _inside(scope: ast.AST) -> Iterator[ast.AST]:
    """Everything in a scope but what is in functions inside of it, in order."""
    for child in ast.iter_child_nodes(scope):
        if not isinstance(child, _Function):
            yield child
            yield from _inside(child)
