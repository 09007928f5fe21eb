from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from teleclaude.tasks import pidfd, process_start_time, send_signal, watch_child, watch_process
from tests.support.files import open_descriptors
from tests.support.wait import eventually


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


@pytest.fixture(params=["pidfd", "polling"])
def _either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "polling":
        monkeypatch.delattr(os, "pidfd_open")


def test_start_time_names_a_process(sleeper: subprocess.Popen[bytes]) -> None:
    start = process_start_time(sleeper.pid)
    assert start is not None
    assert start > 0
    assert process_start_time(sleeper.pid) == start


def test_start_time_survives_a_strange_process_name() -> None:
    script = "open('/proc/self/comm', 'w').write('a) Z (b'); print(flush=True); input()"
    with subprocess.Popen(
        ["python3", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert process_start_time(process.pid) is not None
        process.kill()


def test_zombie_has_no_start_time() -> None:
    with subprocess.Popen(["true"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert process_start_time(process.pid) is None
    assert process_start_time(process.pid) is None


@pytest.mark.usefixtures("_either_way")
async def test_watch_tells_the_end(sleeper: subprocess.Popen[bytes]) -> None:
    calls: list[str] = []
    async with watch_process(sleeper.pid, process_start_time(sleeper.pid)) as watch:
        watch.on_exit(lambda: calls.append("exit"))
        assert not await watch.wait(0.01)
        assert not watch.ended
        sleeper.kill()
        assert await watch.wait(5)
        await eventually(lambda: calls == ["exit"])
        watch.on_exit(lambda: calls.append("late"))
        await eventually(lambda: calls == ["exit", "late"])
        assert await watch.wait()


@pytest.mark.usefixtures("_either_way")
async def test_watch_of_a_zombie_or_stranger_has_ended(sleeper: subprocess.Popen[bytes]) -> None:
    start = process_start_time(sleeper.pid)
    assert start is not None
    async with watch_process(sleeper.pid, start + 1) as watch:
        assert watch.ended
    sleeper.kill()
    await eventually(lambda: process_start_time(sleeper.pid) is None)
    async with watch_process(sleeper.pid) as watch:
        assert watch.ended
    sleeper.wait()
    async with watch_process(sleeper.pid) as watch:
        assert watch.ended


async def test_watch_of_a_child_tells_its_end_also_when_it_is_a_zombie_already(
    sleeper: subprocess.Popen[bytes],
) -> None:
    start = process_start_time(sleeper.pid)
    assert start is not None
    async with watch_child(sleeper.pid, start) as watch:
        assert not watch.ended
        sleeper.kill()
        assert await watch.wait(5)
    async with watch_child(sleeper.pid, start) as late:
        assert await late.wait(5)


async def test_watch_fires_fast(sleeper: subprocess.Popen[bytes]) -> None:
    loop = asyncio.get_running_loop()
    async with watch_process(sleeper.pid) as watch:
        began = loop.time()
        sleeper.kill()
        assert await watch.wait(5)
        assert loop.time() - began < 1


@pytest.mark.usefixtures("_either_way")
async def test_closed_watch_is_silent_and_frees_its_descriptor(sleeper: subprocess.Popen[bytes]) -> None:
    before = open_descriptors()
    calls: list[str] = []
    watch = watch_process(sleeper.pid)
    watch.on_exit(lambda: calls.append("exit"))
    watch.close()
    await watch.aclose()
    assert open_descriptors() == before
    sleeper.kill()
    sleeper.wait()
    await asyncio.sleep(pidfd.POLL_SECONDS * 2)
    assert calls == []


@pytest.mark.usefixtures("_either_way")
def test_signal_reaches_only_the_same_process(sleeper: subprocess.Popen[bytes]) -> None:
    start = process_start_time(sleeper.pid)
    assert start is not None
    assert not send_signal(sleeper.pid, start + 1, signal.SIGKILL)
    assert sleeper.poll() is None
    assert send_signal(sleeper.pid, start, signal.SIGTERM)
    assert sleeper.wait(5) == -signal.SIGTERM
    assert not send_signal(sleeper.pid, start, signal.SIGTERM)


@pytest.mark.parametrize("pid", [1, 0, -1, -77])
def test_special_pids_are_refused(pid: int) -> None:
    with pytest.raises(ValueError, match="no single process"):
        send_signal(pid, None, signal.SIGTERM)
    with pytest.raises(ValueError, match="no single process"):
        watch_process(pid)
