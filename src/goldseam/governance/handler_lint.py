"""Finds handlers that add to what is there: a redelivered event would add twice.

From the guide, "Pattern 2: Idempotent Business Logic": set the result, not the difference. Pure:
source text goes in, findings come out; nothing is imported or run.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

RULE_SQL: Final = "GS301"
RULE_PYTHON: Final = "GS302"
RULE_WAIVER: Final = "GS303"

WHY: Final = "a redelivered event does it again, and the figure is wrong for ever"
QUESTION: Final = (
    "can the handler write the result and the version it belongs to (SET balance = 450), "
    "or declare effectively-once?"
)
WAIVER: Final = "goldseam: not-idempotent"
"""A comment ``# goldseam: not-idempotent because REASON`` on the line waives its findings."""

_WAIVER = re.compile(rf"#\s*{re.escape(WAIVER)}(?:\s+because\s+(?P<reason>\S.*))?")
_NAME = r"[\"`\[]?(?:\w+[\"`\]]?\.[\"`\[]?)*(?P<column>\w+)[\"`\]]?"
_ADDS = re.compile(
    rf"(?:\bSET\b|,)\s*{_NAME}\s*=\s*(?:coalesce\s*\(\s*)?[\"`\[]?(?:\w+[\"`\]]?\.[\"`\[]?)*"
    r"(?P=column)[\"`\]]?\s*(?:,\s*0\s*\)\s*)?(?P<operator>[-+*/]|\|\|)",
    re.IGNORECASE,
)
_UPDATES = re.compile(r"\b(?:UPDATE|DO\s+UPDATE)\b", re.IGNORECASE)
_ADDING = (ast.Add, ast.Sub, ast.Mult, ast.Div)


@dataclass(frozen=True, slots=True)
class AddsUp:
    """A write in a handler whose second run gives another result."""

    rule: str
    level: Literal["error", "note"]
    handler: str
    line: int
    fact: str
    waived: str | None = None

    @property
    def message(self) -> str:
        """The fact, why it matters and what to ask, in one line."""
        return f"{self.fact}; {WHY}. Ask: {QUESTION}"


@dataclass(frozen=True, slots=True)
class HandlerReport:
    """What one source file has: how many handlers, and what was found in them."""

    handlers: int
    found: tuple[AddsUp, ...]


def lint_source(source: str) -> HandlerReport:
    """Judge every function marked with ``@handles`` in ``source``.

    SQL texts are found as literals in the handler, f-strings included, or as constants of the
    module that it names. What a helper function does is not followed.

    Raises:
        SyntaxError: it is not Python.
    """
    tree = ast.parse(source)
    texts = dict(_constants(tree))
    lines = source.splitlines()
    handlers = 0
    found: set[AddsUp] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _handles(node):
            handlers += 1
            found |= {_waived(each, lines) for each in _judge(node, texts)}
    ordered = sorted(found, key=lambda each: (each.line, each.rule, each.fact))
    return HandlerReport(handlers, tuple(ordered))


def _handles(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    for decorator in node.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        if name == "handles":
            return True
    return False


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            text = _text(node.value)
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if text is not None and isinstance(target, ast.Name):
                    yield target.id, text


def _text(node: ast.expr) -> str | None:
    """The text of a literal; the holes of an f-string read as a name."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "hole" for part in node.values
        )
    return None


def _judge(
    handler: ast.FunctionDef | ast.AsyncFunctionDef, texts: dict[str, str]
) -> Iterator[AddsUp]:
    for node in ast.walk(handler):
        if isinstance(node, ast.AugAssign) and isinstance(node.op, _ADDING):
            if isinstance(node.target, ast.Attribute | ast.Subscript):
                yield _python(handler.name, node.target, node.lineno)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp):
            yield from _assigned(handler.name, node, node.value)
        elif isinstance(node, ast.expr):
            named = node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")
            text = texts.get(named) or _text(node)
            if text is not None and _UPDATES.search(text):
                for match in _ADDS.finditer(text):
                    column, operator = match["column"], match["operator"]
                    fact = f"SET {column} = {column} {operator} ... adds to what is there"
                    yield AddsUp(RULE_SQL, "error", handler.name, node.lineno, fact)


def _assigned(handler: str, node: ast.Assign, value: ast.BinOp) -> Iterator[AddsUp]:
    """``row.balance = row.balance - x``, written out."""
    if isinstance(value.op, _ADDING):
        operands = {ast.unparse(value.left), ast.unparse(value.right)}
        for target in node.targets:
            stored = isinstance(target, ast.Attribute | ast.Subscript)
            if stored and ast.unparse(target) in operands:
                yield _python(handler, target, node.lineno)


def _python(handler: str, target: ast.expr, line: int) -> AddsUp:
    fact = f"{ast.unparse(target)} is changed by a difference"
    return AddsUp(RULE_PYTHON, "error", handler, line, fact)


def _waived(found: AddsUp, lines: list[str]) -> AddsUp:
    match = _WAIVER.search(lines[found.line - 1])
    if match is None:
        return found
    if match["reason"] is None:
        fact = f"the waiver of {found.rule} has no reason; write: # {WAIVER} because REASON"
        return AddsUp(RULE_WAIVER, "error", found.handler, found.line, fact)
    return AddsUp(
        found.rule, found.level, found.handler, found.line, found.fact, match["reason"].strip()
    )
