"""Workers from start to end: nothing is left, whoever dies."""

from __future__ import annotations

import asyncio
import signal
import socket
import statistics
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import structlog

from teleclaude.clock import SystemClock
from teleclaude.errors import ExitedError, InvalidError, UnavailableError
from teleclaude.model import CancelledState, CellSpec, CompletedState
from teleclaude.python import Place, PythonSession, PythonSettings, WorkerPool
from teleclaude.tasks import TaskRegistry
from tests.support.python import Driven, Heard, MemorySink, Sessions
from tests.support.wait import eventually

_DAEMON = """
import asyncio, sys
from pathlib import Path
from tests.support.python import sessions_in

async def main():
    async with sessions_in(Path("/")) as sessions:
        for code in sys.argv[1:]:
            python = await sessions.start()
            cell = python.submit(code)
            await cell.printed("go")
            print(python.session.pid, cell.stdout.data.decode().split()[1], flush=True)
            if "paused" in code:
                await cell.running.pause()
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


_WORKER = """
import subprocess, sys
from teleclaude.python.worker.interrupts import Interrupts
from teleclaude.python.worker.link import Link

link = Link(int(sys.argv[1]), Interrupts())
print(subprocess.Popen(["sleep", "600"], start_new_session=True).pid, flush=True)
sys.stdin.readline()
link.send({"op": "result"})
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def test_d11_made_outside_a_loop_used_inside(tmp_path: Path) -> None:
    def outside() -> None:
        clock = SystemClock()
        tasks = TaskRegistry(clock)
        session = PythonSession(
            "s",
            Place(str(tmp_path)),
            PythonSettings(),
            pool=WorkerPool(PythonSettings(), tasks),
            tasks=tasks,
            clock=clock,
            listener=Heard(),
        )
        with pytest.raises(RuntimeError, match="no running event loop"):
            session.submit("c", CellSpec("1"), {})

        async def use() -> None:
            async with tasks, session:
                assert session.pid is not None
            await session.aclose()

        asyncio.run(use())

    await asyncio.to_thread(outside)


async def test_d11_nested_callers_and_closing_twice(sessions: Sessions) -> None:
    python = await sessions.start()

    async def inner() -> object:
        return await python.value("1+1")

    async with asyncio.TaskGroup() as group:
        task = group.create_task(inner())
    assert task.result() == 2
    await python.session.aclose()
    await python.session.aclose()
    with pytest.raises(ExitedError):
        python.submit("1")
    assert asyncio.get_running_loop().is_running()


@pytest.mark.parametrize(
    "code",
    [
        "import os, time\nprint('go', os.getpid()); time.sleep(600)",
        "import subprocess\nc = subprocess.Popen(['sleep', '600']); print('go', c.pid); c.wait()",
        "import subprocess\nc = subprocess.Popen(['sleep', '600'], start_new_session=True)\nprint('go', c.pid)",
        "import os, time\n'paused'\nprint('go', os.getpid())\nwhile True: pass",
    ],
    ids=["sleeping", "child", "child in another session", "paused"],
)
async def test_d25_nothing_outlives_a_killed_daemon(code: str) -> None:
    daemon = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _DAEMON, code, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    try:
        assert daemon.stdout is not None
        pids: list[int] = []
        async with asyncio.timeout(30):
            while (line := await daemon.stdout.readline()) != b"ready\n":
                pids += [int(word) for word in line.split() if word.isdigit()]
        assert len(pids) == 2
        assert all(map(alive, pids))
    finally:
        daemon.send_signal(signal.SIGKILL)
        await daemon.wait()
    await eventually(lambda: not any(map(alive, pids)), 2)


async def test_d25_who_finds_the_daemon_gone_while_it_writes_leaves_nothing_either() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        worker = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _WORKER,
            str(theirs.fileno()),
            pass_fds=[theirs.fileno()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            cwd=Path(__file__).parents[3],
        )
        assert worker.stdin is not None
        assert worker.stdout is not None
        async with asyncio.timeout(30):
            child = int(await worker.stdout.readline())
            # Its reading thread would hear nothing of this.
            ours.shutdown(socket.SHUT_RD)
            worker.stdin.write(b"\n")
            await worker.wait()
    assert worker.returncode == -signal.SIGKILL
    await eventually(lambda: not alive(child), 2)


async def test_d22_an_idle_worker_does_nothing(sessions: Sessions) -> None:
    python = await sessions.start(heartbeat_ms=60_000)
    await python.run("x = 1")

    def switches() -> int:
        lines = Path(f"/proc/{python.session.pid}/status").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)

    await asyncio.sleep(0.2)
    before = switches()
    await asyncio.sleep(0.5)
    assert switches() - before <= 1


async def test_d27_an_interpreter_that_is_none(sessions: Sessions, tmp_path: Path) -> None:
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho no python here\nexec sleep 600\n")
    script.chmod(0o700)
    with pytest.raises(UnavailableError, match="no python here"):
        await sessions.start(interpreter=str(script), ready_timeout_ms=300)
    script.write_text("#!/bin/sh\necho dead at once\nexit 3\n")
    with pytest.raises(UnavailableError, match="dead at once"):
        await sessions.start(interpreter=str(script))
    with pytest.raises(InvalidError, match="cannot be started"):
        await sessions.start(interpreter=str(tmp_path / "missing"))


async def test_d27_ten_at_once_become_ready(sessions: Sessions) -> None:
    pool = await sessions.pool()
    async with asyncio.TaskGroup() as group:
        started = [sessions.make(pool) for _ in range(10)]
        for python in started:
            group.create_task(python.session.start())
    for python in started:
        assert await python.value("1+1") == 2
    for python in started:
        await python.session.aclose()


async def test_d27_creating_and_closing_leaks_nothing(sessions: Sessions) -> None:
    pool = await sessions.pool()
    descriptors = psutil.Process().num_fds()
    for _ in range(10):
        python = sessions.make(pool)
        async with python.session:
            await python.run("import subprocess; subprocess.Popen(['sleep', '600'])")
    assert psutil.Process().num_fds() == descriptors


async def test_a_start_that_is_cancelled_leaves_nothing(sessions: Sessions) -> None:
    pool = await sessions.pool()
    for delay in (0, 0.001, 0.005, 0.01, 0.02):
        python = sessions.make(pool)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(delay):
                await python.session.start()


async def test_d31_a_session_says_where_it_runs(sessions: Sessions) -> None:
    with structlog.testing.capture_logs() as logs:
        await sessions.start()
    ready = next(entry for entry in logs if entry["event"] == "python_session_ready")
    assert ready["session_id"] == "session-1"
    assert ready["loop"]
    assert ready["python"].count(".") == 2


class BrokenSink(MemorySink):
    async def write(self, data: bytes) -> None:
        raise OSError("no room")

    async def close(self) -> None:
        raise OSError("not closed")


async def test_d31_what_goes_wrong_around_a_cell_is_logged_with_its_context(sessions: Sessions) -> None:
    python = await sessions.start(drain_ms=50)
    with structlog.testing.capture_logs() as logs:
        broken = python.submit("print('hello')\n42", sink=BrokenSink)
        assert isinstance(await broken.outcome(), CompletedState)
        never = asyncio.Event()
        stuck = python.submit("print('hello')\n42", sink=lambda: MemorySink(never))
        assert isinstance(await stuck.outcome(), CompletedState)
        cancelled = python.submit("1", sink=BrokenSink)
        await cancelled.running.cancel()
        assert isinstance(await cancelled.outcome(), CancelledState)
        never.set()
    said = {(entry["event"], entry.get("execution_id"), entry.get("stream")) for entry in logs}
    assert said >= {
        ("cell_output_not_written", "cell-1", "stdout"),
        ("cell_sink_not_closed", "cell-1", "stdout"),
        ("cell_sink_not_closed", "cell-1", "stderr"),
        ("cell_output_not_stored", "cell-2", "stdout"),
        ("cell_sink_not_closed", "cell-3", "stdout"),
    }


async def test_d32_a_simple_cell_takes_less_than_5_ms(sessions: Sessions) -> None:
    """The median, as a busy machine has its moments; the benchmark has the figures."""
    python = await sessions.start()
    took = []
    for _ in range(50):
        began = asyncio.get_running_loop().time()
        assert await python.value("1+1") == 2
        took.append(asyncio.get_running_loop().time() - began)
    assert statistics.median(took) < 0.005


async def test_d32_a_warm_worker_is_there_at_once(sessions: Sessions) -> None:
    pool = await sessions.pool(warm=2)
    await eventually(lambda: pool.warm == 2, 20)
    python = sessions.make(pool, {"GREETING": "hello"})
    began = asyncio.get_running_loop().time()
    await python.session.start()
    seconds = asyncio.get_running_loop().time() - began
    assert seconds < 0.1
    folder, greeting = str(sessions.folder), "hello"
    assert await python.value("import os; [os.getcwd(), os.environ['GREETING']]") == [folder, greeting]
    await eventually(lambda: pool.warm == 2, 20)
    await python.session.aclose()


async def test_d32_a_warm_worker_that_died_is_not_given_out(sessions: Sessions) -> None:
    pool = await sessions.pool(warm=1)
    await eventually(lambda: pool.warm == 1, 20)
    (worker,) = psutil.Process().children()
    worker.kill()
    await eventually(lambda: not alive(worker.pid))
    python = sessions.make(pool)
    async with python.session:
        assert await python.value("1+1") == 2


async def test_other_settings_for_workers_to_come(sessions: Sessions, tmp_path: Path) -> None:
    pool = await sessions.pool(warm=2)
    await eventually(lambda: pool.warm == 2, 20)
    pool.resettle(replace(sessions.settings, warm=1))
    assert pool.warm == 1
    pool.resettle(replace(sessions.settings, interpreter=str(tmp_path / "missing")))
    assert pool.warm == 0
    with pytest.raises(InvalidError):
        await sessions.make(pool).session.start()


async def test_environment_that_the_interpreter_reads_at_its_start(sessions: Sessions) -> None:
    pool = await sessions.pool(warm=1)
    await eventually(lambda: pool.warm == 1, 20)
    python = sessions.make(pool, {"PYTHONPATH": "/somewhere/else"})
    async with python.session:
        assert await python.value("import sys; '/somewhere/else' in sys.path") is True


async def test_the_working_directory_is_the_users_not_the_workers(sessions: Sessions) -> None:
    (sessions.folder / "json.py").write_text("raise RuntimeError('shadowed')")
    (sessions.folder / "mine.py").write_text("value = 7")
    python = await sessions.start()
    assert await python.value("import mine; mine.value") == 7
    assert await python.value("__name__") == "__main__"
    assert await python.value(
        "import pickle; f = lambda: 0\nclass A: pass\npickle.loads(pickle.dumps(A())) is not None"
    )


async def test_a_worker_that_breaks_the_protocol_is_ended(python: Driven) -> None:
    await python.run("import os, socket, stat")
    cell = await python.run(
        "for fd in range(3, 50):\n"
        "  try:\n"
        "    if stat.S_ISSOCK(os.fstat(fd).st_mode): os.write(fd, b'\\xff' * 100)\n"
        "  except OSError: pass\n"
        "import time; time.sleep(60)"
    )
    assert not isinstance(await cell.outcome(), CompletedState)
    await eventually(lambda: python.heard.facts)
    assert await python.session.restart() == 2
    assert await python.value("1+1") == 2


def _installed(*versions: str) -> list[Path]:
    """Those of pyenv, where it is in use."""
    homes = (Path.home() / ".pyenv/versions").glob("*/bin/python")
    return sorted(home for home in homes if home.parts[-3].startswith(tuple(f"{version}." for version in versions)))


_OTHERS, _OLD = _installed("3.9", "3.10", "3.12", "3.13"), _installed("2.7", "3.6", "3.8")


@pytest.mark.parametrize("interpreter", _OTHERS, ids=lambda path: str(path.parts[-3]))
async def test_other_interpreters_serve_as_well(sessions: Sessions, interpreter: Path) -> None:
    python = await sessions.start(interpreter=str(interpreter))
    assert await python.value("import sys; x = await __import__('asyncio').sleep(0, list(sys.version_info[:2])); x")
    cell = python.submit("print('go')\nwhile True: pass")
    await cell.printed("go")
    await cell.running.interrupt()
    await cell.outcome()
    assert await python.value("len(x)") == 2


@pytest.mark.parametrize("interpreter", _OLD, ids=lambda path: str(path.parts[-3]))
async def test_interpreters_that_are_too_old_are_told_so(sessions: Sessions, interpreter: Path) -> None:
    with pytest.raises(UnavailableError, match=r"Python 3\.9 or newer is needed, and this is \d"):
        await sessions.start(interpreter=str(interpreter))
