"""Questions of ``input()`` and their answers."""

from __future__ import annotations

import asyncio

import pytest

from teleclaude.errors import ConflictError
from teleclaude.model import CompletedState
from tests.support.python import Driven, Sessions


async def test_d19_a_question_has_a_prompt_and_an_answer(python: Driven) -> None:
    cell = python.submit("name = input('n? ')\nname + '!'", allow_stdin=True)
    await cell.asked()
    assert cell.prompts == ["n? "]
    await cell.running.write_stdin("née\n".encode())
    outcome = await cell.outcome()
    assert isinstance(outcome, CompletedState)
    assert outcome.result is not None
    assert outcome.result.value == "née!"


async def test_d19_no_answer_in_time_is_a_timeout(sessions: Sessions) -> None:
    python = await sessions.start(input_timeout_ms=50)
    assert (await python.error("input('n? ')", allow_stdin=True)).type == "TimeoutError"
    cell = python.submit(
        "try:\n  input('first')\nexcept TimeoutError: pass\nprint('now', flush=True)\nimport time; time.sleep(60)",
        allow_stdin=True,
    )
    await cell.printed("now")
    with pytest.raises(ConflictError):
        await cell.running.write_stdin(b"late\n")
    await cell.running.cancel()
    await cell.outcome()


async def test_d19_closing_is_the_end_of_input(python: Driven) -> None:
    cell = python.submit(
        "import sys\ntry:\n  input('first')\nexcept EOFError: print('end')\n[sys.stdin.readline(), sys.stdin.read()]",
        allow_stdin=True,
    )
    await cell.asked()
    await cell.running.close_stdin()
    await cell.running.close_stdin()
    outcome = await cell.outcome()
    assert isinstance(outcome, CompletedState)
    assert outcome.result is not None
    assert outcome.result.value == ["", ""]
    assert cell.stdout.data == b"end\n"


@pytest.mark.parametrize("code", ["input('n? ')", "import sys; sys.stdin.readline() or input()"])
async def test_d19_without_allow_stdin_it_fails_at_once(python: Driven, code: str) -> None:
    error = await python.error(code)
    assert error.type == "EOFError"
    assert "allow_stdin" in error.message


async def test_d19_two_questions_never_cross(python: Driven) -> None:
    cell = python.submit(
        "import threading\nanswers = {}\n"
        "def ask(n): answers[n] = input(n)\n"
        "threads = [threading.Thread(target=ask, args=(str(n),)) for n in range(5)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\nanswers",
        allow_stdin=True,
    )
    await cell.asked(5)
    for prompt in list(cell.prompts):
        await cell.running.write_stdin(f"answer {prompt}\n".encode())
    outcome = await cell.outcome()
    assert isinstance(outcome, CompletedState)
    assert outcome.result is not None
    assert outcome.result.value == {str(number): f"answer {number}" for number in range(5)}


async def test_d19_lines_of_stdin_are_questions(python: Driven) -> None:
    cell = python.submit("import sys\nfirst = sys.stdin.readline()\n[first, next(sys.stdin)]", allow_stdin=True)
    for number in (1, 2):
        await cell.asked(number)
        await cell.running.write_stdin(f"line {number}\n".encode())
    outcome = await cell.outcome()
    assert isinstance(outcome, CompletedState)
    assert outcome.result is not None
    assert outcome.result.value == ["line 1\n", "line 2\n"]


async def test_a_waiting_question_can_be_interrupted(python: Driven) -> None:
    for code in ("input('n? ')", "import asyncio\nawait asyncio.to_thread(input, 'n? ')"):
        cell = python.submit(code, allow_stdin=True)
        await cell.asked()
        await cell.running.interrupt()
        async with asyncio.timeout(5):
            await cell.outcome()
        assert await python.value("1+1") == 2
