from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from teleclaude.python.worker import analysis
from teleclaude.python.worker.analysis import Analyser, Mode, analyse


@pytest.mark.parametrize(
    "code",
    ["def f(): await x", "lambda: await foo()", "class A: z = await foo()", "return 3", "x = (", "yield 1", "a\0b"],
)
def test_d07_what_does_not_compile_is_unknown(code: str) -> None:
    cell = analyse(code)
    assert cell.mode is Mode.UNKNOWN
    assert isinstance(cell.error, SyntaxError | ValueError)
    assert cell.body is None
    assert cell.tail is None


@pytest.mark.parametrize(
    "code",
    [
        "await f()",
        "x = await f()",
        "[await f() for i in y]",
        '"".join([f"{await f()}"])',
        'f"{await f()}"',
        "await a if b else c",
        "async with a: pass",
        "async for x in y: pass",
        "print(await f())",
        "{await f(): 1}",
        "{await f()}",
        "if x:\n  await f()",
        "x = 1\ny = await f()\nx",
        "[x async for x in y]",
    ],
)
def test_d08_top_level_await(code: str) -> None:
    assert analyse(code).mode is Mode.TOP_LEVEL_AWAIT


@pytest.mark.parametrize(
    ("code", "mode"),
    [
        ("async def f():\n  await x", Mode.ASYNC_DEF),
        ("async def f(): pass\nf", Mode.ASYNC_DEF),
        ("async def f(): pass\nawait f()", Mode.TOP_LEVEL_AWAIT),
        ("def f():\n  async def g():\n    await x", Mode.SYNC),
        ("1", Mode.SYNC),
        ("", Mode.SYNC),
        ("# nothing", Mode.SYNC),
    ],
)
def test_d08_other_modes(code: str, mode: Mode) -> None:
    assert analyse(code).mode is mode


def test_only_a_trailing_expression_is_the_tail() -> None:
    assert analyse("x = 1").tail is None
    assert analyse("1\nx = 1").tail is None
    cell = analyse("x = 1; x")
    assert cell.body is not None
    assert cell.tail is not None
    assert analyse("'text'").body is None


def test_d10_the_cache_holds_the_latest_hundred() -> None:
    analyser = Analyser()
    cells = {number: analyser.analyse(f"x = {number}") for number in range(100)}
    assert analyser.analyse("x = 0") is cells[0]
    analyser.analyse("x = 100")
    assert len(analyser) == 100
    assert ("x = 1", 0) not in analyser
    assert ("x = 0", 0) in analyser
    assert analyser.analyse("x = 2") is cells[2]


def test_d10_flags_are_part_of_the_key() -> None:
    analyser = Analyser()
    cell = analyser.analyse("from __future__ import annotations\nx: undefined = 1")
    assert cell.flags
    assert analyser.analyse("x: y = 1", flags=cell.flags) is not analyser.analyse("x: y = 1")


def test_d10_the_size_is_configurable() -> None:
    small, none = Analyser(1), Analyser(None)
    for analyser in (small, none):
        first = analyser.analyse("1")
        analyser.analyse("2")
        assert analyser.analyse("1") is not first
    assert (len(small), len(none)) == (1, 0)


def test_d10_what_does_not_compile_is_not_kept() -> None:
    analyser = Analyser()
    analyser.analyse("x = (")
    assert len(analyser) == 0


def test_the_flag_is_the_named_constant() -> None:
    source = Path(analysis.__file__).read_text("utf-8")
    assert "PyCF_ALLOW_TOP_LEVEL_AWAIT" in source
    assert ast.PyCF_ALLOW_TOP_LEVEL_AWAIT == 0x2000


def test_nesting_that_no_compiler_takes() -> None:
    limit = sys.getrecursionlimit()
    assert analyse("(" * 100_000).mode is Mode.UNKNOWN
    assert analyse("-" * (limit * 100) + "1").mode is Mode.UNKNOWN
    assert analyse("x = '\ud800'").mode is Mode.UNKNOWN
