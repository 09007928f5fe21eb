"""What cells print: all of it, in order, and never in another cell's output."""

from __future__ import annotations

import asyncio

import pytest

from teleclaude.model import CompletedState
from tests.support.python import Driven, MemorySink, Sessions
from tests.support.wait import eventually


async def test_d12_output_precedes_the_result(python: Driven) -> None:
    expected = "".join(f"{number}\n" for number in range(10_000)).encode()
    for _ in range(20):
        cell = await python.run("for n in range(10_000): print(n)\nn")
        assert cell.stdout.data == expected
        assert cell.stdout.closed == 1
        assert cell.running.totals["stdout"].total == len(expected)


async def test_d13_descriptors_children_and_c_in_order(python: Driven) -> None:
    cell = await python.run(
        "import ctypes, os, subprocess, sys\n"
        "libc = ctypes.CDLL(None)\n"
        "for n in range(3):\n"
        "    print('python', n)\n"
        "    os.write(1, b'descriptor\\n')\n"
        "    subprocess.run([sys.executable, '-c', 'print(\"child\")'])\n"
        "    libc.printf(b'C\\n')\n"
        "    os.system('echo shell')\n"
    )
    lines = "".join(f"python {number}\ndescriptor\nchild\nC\nshell\n" for number in range(3))
    assert cell.stdout.data.decode() == lines
    assert cell.stderr.data == b""


async def test_d13_interleaved_writers_keep_their_order_and_the_framing(python: Driven) -> None:
    """A thread, a child, C and the main thread write at once; each one's lines are whole and in its order."""
    cell = await python.run(
        "import ctypes, os, subprocess, sys, threading\n"
        "libc = ctypes.CDLL(None)\n"
        "def write(name, one):\n"
        "    for n in range(300): one(f'{name} {n}\\n'.encode())\n"
        "child = subprocess.Popen([sys.executable, '-uc', 'for n in range(300): print(f\"child {n}\")'])\n"
        "threads = [threading.Thread(target=write, args=a) for a in (\n"
        "    ('descriptor', lambda line: os.write(1, line)), ('C', libc.printf), ('print', lambda line:\n"
        "    print(line.decode(), end=''))) ]\n"
        "for thread in threads: thread.start()\n"
        "write('main', lambda line: sys.stdout.buffer.write(line) and sys.stdout.flush())\n"
        "for thread in threads: thread.join()\n"
        "child.wait()"
    )
    assert isinstance(await cell.outcome(), CompletedState)
    lines = cell.stdout.data.decode().splitlines()
    for name in ("descriptor", "C", "print", "child", "main"):
        assert [line for line in lines if line.startswith(f"{name} ")] == [f"{name} {n}" for n in range(300)]
    assert len(lines) == 1500
    assert await python.value("1+1") == 2


async def test_d13_a_large_printf_that_holds_the_gil(python: Driven) -> None:
    cell = await python.run(
        "import ctypes\nlibc = ctypes.PyDLL(None)\nlibc.printf(b'%s\\n', b'x' * 100_000)\n"
        "libc.fflush(None)\nprint('after')"
    )
    assert cell.stdout.data == b"x" * 100_000 + b"\nafter\n"


async def test_d14_the_drain_timeout_is_the_one_configured(sessions: Sessions) -> None:
    python = await sessions.start(drain_ms=100)
    free = asyncio.Event()
    cell = python.submit("print('hello')\n42", sink=lambda: MemorySink(free))
    began = asyncio.get_running_loop().time()
    outcome = await cell.outcome()
    assert asyncio.get_running_loop().time() - began < 2
    assert isinstance(outcome, CompletedState)
    assert outcome.result is not None
    assert outcome.result.value == 42
    totals = cell.running.totals["stdout"]
    assert (totals.end, totals.total, totals.truncated) == (0, 6, True)
    free.set()
    assert await python.value("1+1") == 2


@pytest.mark.parametrize("sabotage", ["sys.stdout.close()", "os.close(1)", "sys.stdout = None", "sys.stderr = 5"])
async def test_d29_the_next_cell_prints_again(python: Driven, sabotage: str) -> None:
    await python.run(f"import os, sys\n{sabotage}")
    cell = await python.run("print('out'); import sys; print('err', file=sys.stderr)")
    assert (cell.stdout.data, cell.stderr.data) == (b"out\n", b"err\n")


@pytest.mark.parametrize(
    "sabotage", ["os.close(1)", "os.close(1); os.close(2)", "os.closerange(0, 3)", "os.dup2(2, 1)"]
)
async def test_d29_closed_descriptors_cost_the_cell_its_output_only(python: Driven, sabotage: str) -> None:
    error = await python.error(f"import os\n{sabotage}\nprint('lost')\n1 / 0")
    assert error.type in ("OSError", "ZeroDivisionError")
    again = await python.run("import os, sys; print('again'); print('err', file=sys.stderr); os.system('echo child')")
    assert isinstance(await again.outcome(), CompletedState)
    assert (again.stdout.data, again.stderr.data) == (b"again\nchild\n", b"err\n")


async def test_d29_replaced_input_and_stdout_come_back(python: Driven) -> None:
    await python.run("import builtins, io, sys\nbuiltins.input = lambda *a: 'fake'\nsys.stdout = io.StringIO()")
    cell = python.submit("print(input('n? '))", allow_stdin=True)
    await cell.asked()
    await cell.running.write_stdin(b"real\n")
    await cell.outcome()
    assert cell.prompts == ["n? "]
    assert cell.stdout.data == b"real\n"


async def test_output_of_a_thread_goes_to_its_cell_or_nowhere_else(python: Driven) -> None:
    first = await python.run(
        "import threading\ngo = threading.Event(); done = threading.Event()\n"
        "def late():\n  go.wait(); print('late'); done.set()\n"
        "threading.Thread(target=late).start(); print('first')"
    )
    second = await python.run("go.set(); done.wait(); print('second')")
    assert (first.stdout.data, second.stdout.data) == (b"first\n", b"second\n")
    await eventually(lambda: python.late.data == b"late\n")


async def test_output_of_a_child_that_outlives_its_cell(python: Driven) -> None:
    first = await python.run(
        "import subprocess\nchild = subprocess.Popen('read line; echo late', shell=True, stdin=subprocess.PIPE)"
    )
    second = await python.run("child.communicate(b'go\\n'); print('second')")
    assert (first.stdout.data, second.stdout.data) == (b"", b"second\n")
    await eventually(lambda: python.late.data == b"late\n")


async def test_output_of_a_task_between_cells(python: Driven) -> None:
    cell = await python.run(
        "import asyncio\nasync def late():\n  await asyncio.sleep(0.01)\n  print('late')\n"
        "task = asyncio.create_task(late())"
    )
    await eventually(lambda: python.late.data == b"late\n")
    assert cell.stdout.data == b""


async def test_output_beyond_the_cap_is_counted(sessions: Sessions) -> None:
    python = await sessions.start(max_output_bytes=1000)
    cell = await python.run("print('x' * 5_000_000); 'kept'")
    assert cell.stdout.data == b"x" * 1000
    totals = cell.running.totals["stdout"]
    assert (totals.end, totals.total, totals.truncated) == (1000, 5_000_001, True)


async def test_a_forked_child_does_not_speak_for_the_worker(python: Driven) -> None:
    cell = await python.run(
        "import os\npid = os.fork()\nif pid == 0:\n  print('child', flush=True)\n  os._exit(0)\nos.waitpid(pid, 0)[1]"
    )
    assert isinstance(await cell.outcome(), CompletedState)
    assert cell.stdout.data == b"child\n"


async def test_a_forked_child_that_comes_back_from_the_cell_ends(python: Driven) -> None:
    cell = await python.run("import os\npid = os.fork()\nprint('both')")
    assert isinstance(await cell.outcome(), CompletedState)
    assert await python.value("os.waitpid(pid, 0)[1]") == 0
    assert await python.value("import asyncio; await asyncio.sleep(0.01, 7)") == 7


async def test_a_forged_frame_on_stdout_is_output(python: Driven) -> None:
    cell = await python.run("import os\nos.write(1, b'\\x00\\x00\\x00\\x02{}')\n'fine'")
    assert isinstance(await cell.outcome(), CompletedState)
    assert cell.stdout.data == b"\x00\x00\x00\x02{}"
