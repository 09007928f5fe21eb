from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from types import CoroutineType
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from teleclaude.model import StreamTotals
from teleclaude.process.drain import Meter, Outputs


@given(st.lists(st.binary(max_size=20)), st.integers(0, 100))
def test_c04_the_first_bytes_are_kept_and_all_are_counted(pieces: list[bytes], cap: int) -> None:
    meter, kept = Meter(cap), b""
    for piece in pieces:
        part = meter.count(piece)
        meter.keep(part)
        kept += part
    everything = b"".join(pieces)
    assert kept == everything[:cap]
    assert meter.totals == StreamTotals(0, len(kept), len(everything), truncated=len(everything) > cap)
    assert meter.overflowed == (len(everything) > cap)


def test_what_could_not_be_written_is_not_kept() -> None:
    meter = Meter(10)
    meter.count(b"abc")
    assert meter.totals == StreamTotals(0, 0, 3, truncated=True)
    assert not meter.overflowed


class Kept:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.data = b""

    async def write(self, data: bytes) -> None:
        self.data += data

    async def close(self) -> None:
        pass


async def test_c30_one_routine_reads_both_streams() -> None:
    sinks = {"stdout": Kept(), "stderr": Kept()}
    ends = {name: os.pipe() for name in sinks}
    for name, (read, write) in ends.items():
        os.set_blocking(read, False)
        os.write(write, name.encode())
        os.close(write)
    routines: set[str] = set()
    outputs = Outputs({name: read for name, (read, _) in ends.items()}, sinks, 100, lambda: None)
    async with asyncio.TaskGroup() as group:

        def spawn(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
            assert isinstance(work, CoroutineType)
            routines.add(work.cr_code.co_qualname)
            return group.create_task(work, name=name)

        outputs.start(spawn)
    await outputs.finish()
    assert len(routines) == 1
    assert {name: sink.data for name, sink in sinks.items()} == {"stdout": b"stdout", "stderr": b"stderr"}
