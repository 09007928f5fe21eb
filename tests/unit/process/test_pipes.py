from __future__ import annotations

import asyncio
import os

import pytest

from teleclaude.errors import ConflictError, LimitError
from teleclaude.process.pipes import MAX_PENDING_BYTES, InputPipe, OutputPipe
from tests.support.wait import eventually


@pytest.fixture
def ends() -> tuple[int, int]:
    """A pipe whose ends are both non-blocking; each test closes the one that it gives away."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    return read, write


def opened() -> asyncio.Event:
    gate = asyncio.Event()
    gate.set()
    return gate


async def test_bytes_come_as_they_are_and_then_the_end(ends: tuple[int, int]) -> None:
    read, write = ends
    pipe = OutputPipe(read)
    os.write(write, b"\xff\0\r\n")
    assert await pipe.read(opened()) == b"\xff\0\r\n"
    os.close(write)
    assert await pipe.read(opened()) == b""
    pipe.close()
    pipe.close()
    assert await pipe.read(opened()) == b""


async def test_b05_nothing_is_read_while_the_gate_is_closed(ends: tuple[int, int]) -> None:
    read, write = ends
    pipe, gate = OutputPipe(read), opened()
    waiting = asyncio.gather(pipe.read(gate))
    await eventually(lambda: pipe.is_empty)
    gate.clear()
    os.write(write, b"x")
    await eventually(lambda: not pipe.is_empty)
    assert not waiting.done()
    gate.set()
    assert list(await waiting) == [b"x"]
    pipe.close()
    os.close(write)


async def test_input_arrives_before_its_end(ends: tuple[int, int]) -> None:
    read, write = ends
    pipe = InputPipe(write, b"a" * 200_000)
    pipe.write(b"b")
    pipe.finish()
    assert not pipe.is_open
    with pytest.raises(ConflictError):
        pipe.write(b"c")
    output, got = OutputPipe(read), b""
    while data := await output.read(opened()):
        got += data
    assert got == b"a" * 200_000 + b"b"
    output.close()
    pipe.close()


async def test_input_that_nobody_reads_has_a_bound(ends: tuple[int, int]) -> None:
    read, write = ends
    pipe = InputPipe(write)
    pipe.write(b"x" * MAX_PENDING_BYTES)
    pipe.write(b"y")  # what the pipe took made room
    with pytest.raises(LimitError):
        pipe.write(b"x" * (MAX_PENDING_BYTES + 1))
    pipe.close()
    os.close(read)


async def test_a_reader_that_went_away_closes_input(ends: tuple[int, int]) -> None:
    read, write = ends
    pipe = InputPipe(write)
    os.close(read)
    pipe.write(b"x")
    assert not pipe.is_open
    with pytest.raises(ConflictError):
        pipe.write(b"y")
    pipe.finish()
    pipe.close()


async def test_a_reader_that_goes_away_later_closes_input(ends: tuple[int, int]) -> None:
    read, write = ends
    pipe = InputPipe(write, b"x" * 200_000)
    assert pipe.is_open
    os.close(read)
    await eventually(lambda: not pipe.is_open)
