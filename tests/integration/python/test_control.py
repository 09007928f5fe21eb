"""Ending cells: interrupts, cancels, time-outs, deaths, and what a session is afterwards."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from functools import partial
from pathlib import Path

import psutil
import pytest

from teleclaude.errors import BusyError, ConflictError, ExitedError, LimitError
from teleclaude.model import (
    CancelledState,
    CompletedState,
    ExecutionError,
    FailedState,
    FailureReason,
    PausedState,
    TimedOutState,
)
from tests.support.python import Cell, Driven, MemorySink, Sessions
from tests.support.wait import eventually


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def gone(pid: int) -> bool:
    return not alive(pid)


async def interrupted(cell: Cell) -> tuple[ExecutionError, float]:
    """The error of an interrupted cell, and how long it took."""
    began = asyncio.get_running_loop().time()
    await cell.running.interrupt()
    outcome = await cell.outcome()
    assert isinstance(outcome, FailedState), outcome
    assert outcome.reason is FailureReason.EXCEPTION
    assert outcome.error is not None
    return outcome.error, asyncio.get_running_loop().time() - began


@pytest.mark.parametrize(
    "code",
    [
        "print('go')\nwhile True: pass",
        "import time; print('go'); time.sleep(60)",
        "import asyncio; print('go'); await asyncio.sleep(60)",
        "import threading; print('go'); threading.Event().wait()",
        "import asyncio\nasync def f():\n  await asyncio.sleep(60)\nprint('go'); asyncio.run(f())",
        "import asyncio\nprint('go'); await asyncio.sleep(0)\nwhile True: pass",
    ],
    ids=["loop", "sleep", "await", "lock", "asyncio.run", "loop after await"],
)
async def test_d15_an_interrupt_is_a_keyboardinterrupt_in_time(python: Driven, code: str) -> None:
    await python.run("x = 1")
    cell = python.submit(code)
    await cell.printed("go")
    error, seconds = await interrupted(cell)
    assert error.type == "KeyboardInterrupt"
    assert seconds < 1  # 0.2 on an idle machine; the benchmark measures it
    assert await python.value("x") == 1


async def test_d15_an_interrupt_before_the_first_line_counts(python: Driven) -> None:
    for _ in range(20):
        cell = python.submit("while True: pass")
        await cell.started()
        error, _ = await interrupted(cell)
        assert error.type == "KeyboardInterrupt"


async def test_d15_background_tasks_survive_an_interrupt(python: Driven) -> None:
    await python.run(
        "import asyncio\nticks = 0\nasync def tick():\n  global ticks\n"
        "  while True:\n    ticks += 1\n    await asyncio.sleep(0)\ntask = asyncio.create_task(tick())"
    )
    cell = python.submit("print('go'); await asyncio.sleep(60)")
    await cell.printed("go")
    error, _ = await interrupted(cell)
    assert error.type == "KeyboardInterrupt"
    assert await python.value("task.done()") is False


async def test_d16_what_cannot_be_interrupted_is_killed(python: Driven) -> None:
    await python.run("x = 1")
    cell = python.submit("while True:\n  try:\n    print('go')\n    while True: pass\n  except BaseException: pass")
    await cell.printed("go")
    await cell.running.cancel()
    outcome = await cell.outcome()
    assert isinstance(outcome, CancelledState)
    assert outcome.ending.namespace_lost is True
    assert outcome.ending.signal == "KILL"
    assert (await python.error("x")).type == "NameError"
    assert python.session.epoch == 2
    assert python.heard.facts == [("restarted", 2)]


async def test_d16_a_cancel_that_is_obeyed_keeps_the_namespace(python: Driven) -> None:
    await python.run("x = 1")
    cell = python.submit("import time; print('go'); time.sleep(60)")
    await cell.printed("go")
    await cell.running.cancel()
    await cell.running.cancel()
    outcome = await cell.outcome()
    assert isinstance(outcome, CancelledState)
    assert outcome.ending.namespace_lost is None
    assert await python.value("x") == 1
    with pytest.raises(ExitedError):
        await cell.running.cancel()


async def test_d17_the_child_that_a_cell_waits_for_dies_with_an_interrupt(python: Driven) -> None:
    worker = psutil.Process(python.session.pid)

    def sleeper() -> psutil.Process | None:
        found = (child for child in worker.children(recursive=True) if child.name() == "sleep" and alive(child.pid))
        return next(found, None)

    for start in (
        "subprocess.run(['sleep', '600'])",
        "os.system('sleep 600')",
        "subprocess.run('sleep 600; true', shell=True)",
    ):
        cell = python.submit(f"import os, subprocess\nprint('go')\n{start}")
        await cell.printed("go")
        child = await eventually(sleeper)
        assert child is not None
        error, _ = await interrupted(cell)
        assert error.type == "KeyboardInterrupt", start
        await eventually(partial(gone, child.pid))
        assert await python.value("1") == 1


async def test_d18_busy_or_queued(python: Driven) -> None:
    first = python.submit("print('go'); import time; time.sleep(60)")
    with pytest.raises(BusyError):
        python.submit("1")
    with pytest.raises(BusyError):
        await python.session.variables.list()
    second = python.submit("ran = True; 2", queue=True)
    third = python.submit("'ran' in globals()", queue=True)
    await second.running.cancel()
    await first.printed("go")
    await first.running.cancel()
    assert isinstance(await first.outcome(), CancelledState)
    assert isinstance(await second.outcome(), CancelledState)
    outcome = await third.outcome()
    assert isinstance(outcome, CompletedState)
    assert outcome.result is not None
    assert outcome.result.value is False
    assert second.states == []
    assert second.stdout.closed == second.stderr.closed == 1


async def test_d18_a_cancel_before_the_start_counts(python: Driven) -> None:
    cell = python.submit("ran = True")
    await cell.running.cancel()
    outcome = await cell.outcome()
    assert isinstance(outcome, CancelledState)
    assert outcome.ending.started_at is None
    assert (await python.error("ran")).type == "NameError"


async def test_d18_the_queue_has_an_end(sessions: Sessions) -> None:
    python = await sessions.start(max_queued=1)
    first = python.submit("import time; time.sleep(60)")
    await first.started()
    python.submit("1", queue=True)
    with pytest.raises(LimitError):
        python.submit("2", queue=True)


async def test_d24_a_worker_that_dies_fails_its_cell(sessions: Sessions) -> None:
    python, other = await sessions.start(), await sessions.start()
    await other.run("x = 1")
    for code, exit_code, signal in (
        ("import os; os._exit(1)", 1, None),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", None, "KILL"),
        ("import ctypes; ctypes.string_at(0)", None, "SEGV"),
    ):
        epoch = python.session.epoch
        began = asyncio.get_running_loop().time()
        cell = await python.run(code)
        outcome = await cell.outcome()
        assert asyncio.get_running_loop().time() - began < 3
        assert isinstance(outcome, FailedState)
        assert outcome.reason is FailureReason.WORKER_DIED
        assert (outcome.ending.exit_code, outcome.ending.signal) == (exit_code, signal)
        assert outcome.ending.namespace_lost is True
        await eventually(partial(python.heard.ends_with, ("exited", exit_code, signal)))
        with pytest.raises(ExitedError):
            python.submit("1")
        assert await python.session.restart() == epoch + 1
        assert await python.value("1+1") == 2
    assert await other.value("x") == 1


async def test_d24_memory_beyond_the_cap_is_an_error(sessions: Sessions) -> None:
    python = await sessions.start(memory_bytes=512 << 20)
    assert (await python.error("x = bytearray(1 << 30)")).type == "MemoryError"
    assert await python.value("1+1") == 2


async def test_d24_output_before_a_death_is_kept(python: Driven) -> None:
    cell = await python.run("import os\nprint('last words')\nos._exit(1)")
    assert cell.stdout.data == b"last words\n"


async def test_d24_a_death_is_no_cancel_while_its_output_is_still_stored(sessions: Sessions) -> None:
    """The session is closed for its worker's death before the cell's last output has been taken."""
    python = await sessions.start(drain_ms=5000)
    free = asyncio.Event()
    cell = python.submit("import os\nprint('last words')\nos._exit(1)", sink=lambda: MemorySink(free))
    waiting = python.submit("1", queue=True)
    await eventually(partial(python.heard.ends_with, ("exited", 1, None)))
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(python.session.aclose())
        await asyncio.sleep(0)
        free.set()
    for outcome, code in ((await cell.outcome(), 1), (await waiting.outcome(), None)):
        assert isinstance(outcome, FailedState)
        assert (outcome.reason, outcome.ending.exit_code) == (FailureReason.WORKER_DIED, code)
    assert cell.stdout.data == b"last words\n"


async def test_restart_cancels_what_runs_and_waits(python: Driven) -> None:
    await python.run("x = 1")
    running = python.submit("print('go'); import time; time.sleep(60)")
    waiting = python.submit("1", queue=True)
    await running.printed("go")
    assert await python.session.restart() == 2
    for cell in (running, waiting):
        assert isinstance(await cell.outcome(), CancelledState)
    assert (await python.error("x")).type == "NameError"


async def test_a_cell_sent_during_a_restart_waits_for_it(python: Driven) -> None:
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        restart = group.create_task(python.session.restart())
        await asyncio.sleep(0)
        assert isinstance(await (await python.run("1+1")).outcome(), CompletedState)
    assert restart.result() == 2


async def test_a_cell_that_takes_too_long(python: Driven) -> None:
    cell = await python.run("import time; print('partial'); time.sleep(60)", timeout_ms=300)
    outcome = await cell.outcome()
    assert isinstance(outcome, TimedOutState)
    assert cell.stdout.data == b"partial\n"
    assert await python.value("1+1") == 2


async def test_a_paused_cell_goes_on_or_ends(python: Driven) -> None:
    cell = python.submit("import itertools, time\nfor n in itertools.count(): print(n); time.sleep(0.001)")
    await cell.printed("5")
    await cell.running.pause()
    assert isinstance(cell.running.state, PausedState)
    pid = python.session.pid
    assert Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    await cell.running.resume()
    seen = len(cell.stdout.data)
    await eventually(lambda: len(cell.stdout.data) > seen)
    await cell.running.pause()
    await cell.running.cancel()
    assert isinstance(await cell.outcome(), CancelledState)
    assert await python.value("1+1") == 2


async def test_signals_reach_the_session(python: Driven) -> None:
    cell = python.submit(
        "import signal, time\ngot = []\nsignal.signal(signal.SIGUSR1, lambda *a: got.append(1))\n"
        "print('go')\nwhile not got: time.sleep(0.01)\nlen(got)"
    )
    await cell.printed("go")
    await cell.running.signal("USR1")
    outcome = await cell.outcome()
    assert isinstance(outcome, CompletedState)
    with pytest.raises(ExitedError):
        await cell.running.signal("USR1")


async def test_d30_a_worker_that_does_not_answer_is_said_to_be_unresponsive(sessions: Sessions) -> None:
    python = await sessions.start(heartbeat_ms=50)
    assert python.session.is_responsive
    pid = python.session.pid
    assert pid is not None
    os.kill(pid, 19)
    await eventually(lambda: python.heard.facts == [("unresponsive", 3)])
    assert not python.session.is_responsive
    os.kill(pid, 18)
    await eventually(lambda: python.heard.facts[-1] == ("responsive",))
    os.kill(pid, 19)
    await eventually(lambda: python.heard.facts[-1] == ("unresponsive", 3))
    assert await python.session.restart() == 2
    assert await python.value("1+1") == 2


async def test_d30_a_paused_session_misses_nothing(sessions: Sessions) -> None:
    python = await sessions.start(heartbeat_ms=20)
    cell = python.submit("import time; print('go'); time.sleep(60)")
    await cell.printed("go")
    await cell.running.pause()
    await asyncio.sleep(0.3)
    assert python.heard.facts == []
    await cell.running.cancel()
    await cell.outcome()


async def test_controls_of_a_queued_cell(python: Driven) -> None:
    first = python.submit("import time; time.sleep(60)")
    second = python.submit("1", queue=True)
    with pytest.raises(ConflictError):
        await second.running.pause()
    with pytest.raises(ConflictError):
        await second.running.write_stdin(b"x")
    await second.running.interrupt()
    await first.running.cancel()
    assert isinstance(await second.outcome(), CancelledState)


async def test_a_session_closed_during_its_restart_leaves_nothing(sessions: Sessions) -> None:
    python = await sessions.start()
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        restart = group.create_task(_refused(python.session.restart()))
        await asyncio.sleep(0)
        await python.session.aclose()
    assert restart.result()
    assert python.heard.facts == []


async def _refused(work: Coroutine[None, None, object]) -> bool:
    try:
        await work
    except ExitedError:
        return True
    return False


async def test_a_task_that_stops_the_loop_ends_itself_only(python: Driven) -> None:
    await python.run("import asyncio\nasyncio.get_running_loop().call_later(0.02, asyncio.get_running_loop().stop)")
    await eventually(lambda: b"RuntimeError" in python.late.data)
    assert await python.value("await asyncio.sleep(0, 7)") == 7
    await python.run("async def leave(): raise SystemExit\ntask = asyncio.create_task(leave())")
    await eventually(lambda: b"SystemExit" in python.late.data)
    assert await python.value("1+1") == 2
