"""Running commands in tests of the process layer, with their output kept in memory."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from teleclaude.api import Tasks
from teleclaude.clock import SystemClock
from teleclaude.model import ExecutionSpec, LiveState, Outcome
from teleclaude.process import CgroupRoot, ExecutionPolicy, Runner, RunningExecution
from tests.support.wait import eventually


class MemorySink:
    """Keeps a stream; ``fails_after`` bytes it raises ``OSError``."""

    def __init__(self, fails_after: int | None = None) -> None:
        self.data = bytearray()
        self.closed = 0
        self._fails_after = fails_after

    async def write(self, data: bytes) -> None:
        assert not self.closed
        if self._fails_after is not None and len(self.data) + len(data) > self._fails_after:
            raise OSError("no space left")
        self.data += data

    async def close(self) -> None:
        self.closed += 1


@dataclass
class Command:
    execution: RunningExecution
    stdout: MemorySink
    stderr: MemorySink
    states: list[LiveState] = field(default_factory=list)

    @property
    def pid(self) -> int:
        return self.execution.process.pid

    async def printed(self, text: bytes, timeout: float = 5) -> None:
        await eventually(lambda: text in self.stdout.data, timeout)

    async def outcome(self) -> Outcome:
        return await self.execution.wait()


class Commands:
    """A runner, and commands started by it in ``cwd``. An async context manager."""

    def __init__(
        self,
        tasks: Tasks,
        cwd: str,
        policy: ExecutionPolicy = ExecutionPolicy(),  # noqa: B008
        cgroups: CgroupRoot | None = None,
    ) -> None:
        self.runner = Runner(tasks, SystemClock(), policy, os.environ, cgroups)
        self.cwd = cwd
        self._count = 0

    async def __aenter__(self) -> Self:
        await self.runner.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.runner.aclose()

    def use(self, **policy: object) -> None:
        """Settings for what is started from now on."""
        self.runner.policy = ExecutionPolicy(**policy)  # type: ignore[arg-type]

    async def start(
        self,
        script: str | None = None,
        *,
        stdout: MemorySink | None = None,
        stderr: MemorySink | None = None,
        order: MemorySink | None = None,
        **spec: object,
    ) -> Command:
        """Start ``script`` by sh, or ``argv``; the other fields are those of ``ExecutionSpec``."""
        self._count += 1
        request = ExecutionSpec(**{"cwd": self.cwd, "script": script, **spec})  # type: ignore[arg-type]
        prepared = await self.runner.prepare(request, f"e{os.getpid()}-{id(self)}-{self._count}")
        out, err, states = stdout or MemorySink(), stderr or MemorySink(), list[LiveState]()
        sinks = {"stdout": out, "stderr": err} | ({} if order is None else {"order": order})
        execution = await self.runner.start(prepared, sinks, states.append)
        return Command(execution, out, err, states)

    async def run(self, script: str | None = None, **spec: object) -> tuple[Outcome, Command]:
        command = await self.start(script, **spec)  # type: ignore[arg-type]
        return await command.outcome(), command


def is_alive(pid: int) -> bool:
    """Whether ``pid`` runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False


def state_of(pid: int) -> str:
    """The letter of proc(5)."""
    return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0].decode()
