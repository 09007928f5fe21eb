"""Helper processes that answer within a deadline or are gone."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from teleclaude.errors import SubprocessStuckError, SubprocessTimeoutError, TooLargeError, UnavailableError

log = structlog.get_logger(__name__)

MAX_OUTPUT_BYTES = 16 * 1024 * 1024
REAP_SECONDS = 5.0
"""How long the kernel may take to end a process after SIGKILL."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A helper that ended by itself. ``returncode`` is negative for a signal, as in ``subprocess``."""

    returncode: int
    stdout: bytes
    stderr: bytes


async def run_bounded(
    argv: Sequence[str | bytes],
    *,
    operation: str,
    timeout: float,
    stdin: bytes | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    grace: float = 1.0,
    max_output: int = MAX_OUTPUT_BYTES,
) -> Completed:
    """Run ``argv`` in a session of its own and return when it has ended, whoever else still holds its pipes.

    After ``timeout`` seconds its process group gets SIGTERM, ``grace`` seconds later SIGKILL. ``stdin`` None is
    /dev/null. Being cancelled ends the process the same way.

    Raises ``SubprocessTimeoutError``; ``SubprocessStuckError`` when even SIGKILL did not end it; ``TooLargeError`` when
    it wrote more than ``max_output`` bytes; ``UnavailableError`` when it cannot be started.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    transport, process = await _start(argv, operation, max_output, stdin=stdin, env=env, cwd=cwd)
    try:
        try:
            async with asyncio.timeout_at(deadline):
                await process.stopped.wait()
        except TimeoutError:
            raise SubprocessTimeoutError(operation, timeout, process.pid) from None
        if process.overflowed:
            raise TooLargeError(f"the program wrote more than {max_output} bytes and was killed", operation=operation)
        await process.drain(min(grace, max(deadline - loop.time(), 0.0)))
        returncode = transport.get_returncode()
        assert returncode is not None
        return Completed(returncode, bytes(process.stdout), bytes(process.stderr))
    finally:
        await _end(transport, process, operation, grace)


class _Process(asyncio.SubprocessProtocol):
    """Collects output. ``stopped`` is set by the end of the process, not of its pipes, or by too much output."""

    def __init__(self, max_output: int) -> None:
        self.pid = 0
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.overflowed = False
        self.stopped = asyncio.Event()
        self.exited = asyncio.Event()
        self._eof = {1: asyncio.Event(), 2: asyncio.Event()}
        self._closed = asyncio.Event()
        self._room = max_output

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._room -= len(data)
        if self._room < 0:
            self.overflowed = True
            self.stopped.set()
            return
        (self.stdout if fd == 1 else self.stderr).extend(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd in self._eof:
            self._eof[fd].set()

    def process_exited(self) -> None:
        self.exited.set()
        self.stopped.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed.set()

    async def drain(self, seconds: float) -> None:
        """Read what the pipes still hold. A descendant may keep them open, so only for a moment."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for eof in self._eof.values():
                    await eof.wait()

    async def wait_closed(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self._closed.wait()


async def _start(
    argv: Sequence[str | bytes],
    operation: str,
    max_output: int,
    *,
    stdin: bytes | None,
    env: Mapping[str, str] | None,
    cwd: str | os.PathLike[str] | None,
) -> tuple[asyncio.SubprocessTransport, _Process]:
    try:
        transport, process = await asyncio.get_running_loop().subprocess_exec(
            lambda: _Process(max_output),
            *argv,
            stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=None if env is None else dict(env),
            cwd=cwd,
            start_new_session=True,
        )
    except OSError as error:
        raise UnavailableError(f"{os.fsdecode(argv[0])} cannot be started: {error}", operation=operation) from error
    process.pid = transport.get_pid()
    pipe = transport.get_pipe_transport(0)
    if isinstance(pipe, asyncio.WriteTransport):
        if stdin:
            pipe.write(stdin)
        pipe.close()
    return transport, process


async def _end(transport: asyncio.SubprocessTransport, process: _Process, operation: str, grace: float) -> None:
    """Leave neither the process nor our ends of its pipes behind."""
    try:
        if not process.exited.is_set():
            await _kill(process, operation, grace)
    finally:
        if not process.exited.is_set():
            _signal_group(process.pid, signal.SIGKILL)
        pipe = transport.get_pipe_transport(0)
        if isinstance(pipe, asyncio.WriteTransport) and pipe.get_write_buffer_size():
            # Closing would wait for what the process did not read.
            pipe.abort()
        transport.close()
        if process.exited.is_set():
            await process.wait_closed()


async def _kill(process: _Process, operation: str, grace: float) -> None:
    for sig, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, REAP_SECONDS)):
        _signal_group(process.pid, sig)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await process.exited.wait()
                return
    log.error("subprocess_stuck", operation=operation, pid=process.pid)
    raise SubprocessStuckError(operation, process.pid)


def _signal_group(pid: int, sig: signal.Signals) -> None:
    # Started as leader of its own group, so the group's number is the pid.
    if pid > 1:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, sig)
