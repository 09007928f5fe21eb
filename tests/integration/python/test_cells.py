"""Cells in a real worker: values, history, the namespace, the loop."""

from __future__ import annotations

from teleclaude.model import CompletedState, FailedState, FailureReason
from tests.support.python import Driven


async def test_d01_history_comes_from_expressions_only(python: Driven) -> None:
    assert await python.value("40+2") == 42
    assert await python.repr("x=5") is None
    assert await python.value("_") == 42
    assert await python.repr("None") is None
    assert (await python.error("1/0")).type == "ZeroDivisionError"
    assert await python.repr("(_, len(Out))") == "(42, 2)"  # 40+2 and the look at _


async def test_d01_one_entry_after_four_cells(python: Driven) -> None:
    for code in ("40+2", "x=5", "None", "1/0"):
        await python.run(code)
    assert await python.repr("(_, Out)") == "(42, {1: 42})"


async def test_d01_three_results_shift(python: Driven) -> None:
    for code in ("'one'", "'two'", "'three'"):
        await python.run(code)
    assert await python.value("[_, __, ___]") == ["three", "two", "one"]


async def test_d02_the_trailing_expression_runs_once(python: Driven) -> None:
    assert await python.value("x=[]; x.append(1) or x") == [1]


async def test_d03_the_namespace_stays_the_same_dict(python: Driven) -> None:
    await python.run("first = id(globals())\ndef later(): return defined_later")
    await python.session.variables.update({"a": 1}, "overwrite")
    await python.run("defined_later = 7")
    assert await python.value("[later(), id(globals()) == first]") == [7, True]
    await python.session.variables.clear()
    await python.run("import builtins; builtins.kept = globals")
    assert await python.value("kept() is globals()") is True


async def test_d09_one_loop_lives_between_cells(python: Driven) -> None:
    await python.run(
        "import asyncio\nticks = 0\nasync def tick():\n  global ticks\n"
        "  while True:\n    ticks += 1\n    await asyncio.sleep(0.001)\n"
        "task = asyncio.create_task(tick()); loop = asyncio.get_running_loop()"
    )
    assert await python.value("await asyncio.sleep(0.05); ticks > 2") is True
    before = await python.value("ticks")
    assert await python.value(f"await asyncio.sleep(0.05); ticks > {before}") is True
    assert await python.value("[loop is asyncio.get_running_loop(), task.done()]") == [True, False]


async def test_d09_every_way_to_run_a_coroutine(python: Driven) -> None:
    await python.run("import asyncio\nasync def f():\n  await asyncio.sleep(0)\n  return 7")
    for code in (
        "asyncio.run(f())",
        "asyncio.get_event_loop().run_until_complete(f())",
        "await f()",
        "(await asyncio.gather(f(), f()))[0]",
        "await asyncio.create_task(f())",
    ):
        for _ in range(2):
            assert await python.value(code) == 7, code


async def test_d26_exit_is_an_error_and_the_session_lives(python: Driven) -> None:
    await python.run("x = 1")
    for code in ("import sys; sys.exit(3)", "quit()", "exit(2)", "raise SystemExit"):
        assert (await python.error(code)).type == "SystemExit"
    assert await python.value("x") == 1


async def test_d28_a_traceback_shows_the_users_lines(python: Driven) -> None:
    await python.run("def divide(a, b):\n    return a / b")
    error = await python.error("import json\n\ndivide(1, 0)")
    assert (error.type, error.message) == ("ZeroDivisionError", "division by zero")
    text = "\n".join(error.traceback)
    assert "divide(1, 0)" in text
    assert "return a / b" in text
    assert "worker" not in text
    library = "\n".join((await python.error("import json\njson.loads('{')")).traceback)
    assert "json.loads('{')" in library
    assert "decoder.py" not in library


async def test_d28_a_syntax_error_carries_line_and_offset(python: Driven) -> None:
    cell = await python.run("x = 1\ny = = 2")
    outcome = await cell.outcome()
    assert isinstance(outcome, FailedState)
    assert outcome.reason is FailureReason.EXCEPTION
    assert outcome.error is not None
    assert outcome.error.type == "SyntaxError"
    assert (outcome.error.line, outcome.error.offset) == (2, 5)
    assert "line 2" in "\n".join(outcome.error.traceback)


async def test_results_that_have_no_value(python: Driven) -> None:
    outcome = await (await python.run("x = 1")).outcome()
    assert isinstance(outcome, CompletedState)
    assert outcome.result is None
    assert outcome.ending.duration_ms is not None
    assert outcome.ending.namespace_lost is None
