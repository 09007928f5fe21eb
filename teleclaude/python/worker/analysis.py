"""What a cell is, and its code: statements, and the trailing expression whose value is the result. Pure."""

from __future__ import annotations
import __future__

import ast
import inspect
from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from functools import reduce
from operator import or_
from types import CodeType

CACHE_SIZE = 100

_FUTURES = reduce(or_, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names))


class Mode(Enum):
    """``UNKNOWN`` does not compile; ``ASYNC_DEF`` defines coroutines at its top level and awaits nothing there."""

    SYNC = "sync"
    ASYNC_DEF = "async_def"
    TOP_LEVEL_AWAIT = "top_level_await"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Cell:
    """``body`` and ``tail`` are code to evaluate in that order; ``flags`` hold the cell's ``__future__`` imports.

    Of an ``UNKNOWN`` cell only ``error`` is set.
    """

    mode: Mode
    body: CodeType | None = None
    tail: CodeType | None = None
    flags: int = 0
    error: Exception | None = None


class Analyser:
    """Compiles cells and remembers the latest ``size`` good ones by source and flags; None remembers nothing."""

    def __init__(self, size: int | None = CACHE_SIZE) -> None:
        self._size = size
        self._cells: OrderedDict[tuple[str, int], Cell] = OrderedDict()

    def __len__(self) -> int:
        return len(self._cells)

    def __contains__(self, key: tuple[str, int]) -> bool:
        return key in self._cells

    def analyse(self, source: str, filename: str = "<cell>", flags: int = 0) -> Cell:
        """Never raises for what ``source`` holds. A source met before keeps the file name it had then."""
        known = self._cells.get((source, flags))
        if known is not None:
            self._cells.move_to_end((source, flags))
            return known
        cell = analyse(source, filename, flags)
        if self._size is not None and cell.error is None:
            self._cells[source, flags] = cell
            while len(self._cells) > self._size:
                self._cells.popitem(last=False)
        return cell


def analyse(source: str, filename: str = "<cell>", flags: int = 0) -> Cell:
    """Compile ``source`` with the ``__future__`` features in ``flags``."""
    try:
        return _compile(source, filename, flags)
    # ValueError: NUL characters and lone surrogates; the others: nesting that no compiler takes.
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        return Cell(Mode.UNKNOWN, error=error)


def _compile(source: str, filename: str, flags: int) -> Cell:
    tree = compile(source, filename, "exec", flags | ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, True)
    assert isinstance(tree, ast.Module)
    statements = list(tree.body)
    last = statements[-1] if statements else None
    body = tail = None
    if isinstance(last, ast.Expr):
        statements.pop()
    if statements:
        body = _code(ast.Module(statements, tree.type_ignores), filename, "exec", flags)
        flags |= body.co_flags & _FUTURES
    if isinstance(last, ast.Expr):
        tail = _code(ast.Expression(last.value), filename, "eval", flags)
    if any(code is not None and code.co_flags & inspect.CO_COROUTINE for code in (body, tail)):
        mode = Mode.TOP_LEVEL_AWAIT
    else:
        defines = any(isinstance(statement, ast.AsyncFunctionDef) for statement in tree.body)
        mode = Mode.ASYNC_DEF if defines else Mode.SYNC
    return Cell(mode, body, tail, flags)


def _code(tree: ast.Module | ast.Expression, filename: str, mode: str, flags: int) -> CodeType:
    code = compile(tree, filename, mode, flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, True)
    assert isinstance(code, CodeType)
    return code
