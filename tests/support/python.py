"""Python sessions as tests use them: real workers, output kept in memory."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from teleclaude.clock import SystemClock
from teleclaude.model import CellSpec, CompletedState, ExecutionError, FailedState, LiveState, Outcome, RunningState
from teleclaude.process.outcome import LeaderExit
from teleclaude.python import Place, PythonSession, PythonSettings, RunningCell, WorkerPool
from teleclaude.tasks import TaskRegistry
from tests.support.wait import eventually

DEADLINE_SECONDS = 20.0


class MemorySink:
    def __init__(self, delay: asyncio.Event | None = None) -> None:
        self.data = b""
        self.closed = 0
        self._delay = delay

    async def write(self, data: bytes) -> None:
        if self._delay is not None:
            await self._delay.wait()
        self.data += data

    async def close(self) -> None:
        self.closed += 1


@dataclass
class Heard:
    """What a session said of itself, in order."""

    facts: list[object] = field(default_factory=list)

    def ends_with(self, fact: object) -> bool:
        return self.facts[-1:] == [fact]

    def restarted(self, epoch: int) -> None:
        self.facts.append(("restarted", epoch))

    def exited(self, how: LeaderExit) -> None:
        self.facts.append(("exited", how.code, how.signal))

    def unresponsive(self, missed: int) -> None:
        self.facts.append(("unresponsive", missed))

    def responsive(self) -> None:
        self.facts.append(("responsive",))


@dataclass
class Cell:
    """A submitted cell and everything that came of it."""

    running: RunningCell
    stdout: MemorySink
    stderr: MemorySink
    prompts: list[str]
    states: list[LiveState]

    async def outcome(self) -> Outcome:
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await self.running.wait()

    async def started(self) -> None:
        await eventually(lambda: isinstance(self.running.state, RunningState), DEADLINE_SECONDS)

    async def printed(self, text: str) -> None:
        await eventually(lambda: text in self.stdout.data.decode(), DEADLINE_SECONDS)

    async def asked(self, count: int = 1) -> None:
        await eventually(lambda: len(self.prompts) >= count, DEADLINE_SECONDS)


class Driven:
    """A session and short ways to use it."""

    def __init__(self, session: PythonSession, heard: Heard, late: MemorySink) -> None:
        self.session = session
        self.heard = heard
        self.late = late
        self._numbers = itertools.count(1)

    def submit(self, code: str, *, sink: Callable[[], MemorySink] = MemorySink, **options: Any) -> Cell:
        stdout, stderr, prompts, states = sink(), sink(), list[str](), list[LiveState]()
        spec = CellSpec(code, **options)
        self.session.admit(spec)
        running = self.session.submit(
            f"cell-{next(self._numbers)}",
            spec,
            {"stdout": stdout, "stderr": stderr},
            changed=states.append,
            asks=prompts.append,
        )
        return Cell(running, stdout, stderr, prompts, states)

    async def run(self, code: str, **options: Any) -> Cell:
        """Submit and wait for the outcome."""
        cell = self.submit(code, **options)
        await cell.outcome()
        return cell

    async def repr(self, code: str) -> str | None:
        """The repr of a value; None when there is none. Fails on any other outcome."""
        outcome = await (await self.run(code)).outcome()
        assert isinstance(outcome, CompletedState), outcome
        return outcome.result.repr if outcome.result else None

    async def value(self, code: str) -> object:
        outcome = await (await self.run(code)).outcome()
        assert isinstance(outcome, CompletedState), outcome
        assert outcome.result is not None
        return outcome.result.value

    async def error(self, code: str, **options: Any) -> ExecutionError:
        outcome = await (await self.run(code, **options)).outcome()
        assert isinstance(outcome, FailedState), outcome
        assert outcome.error is not None
        return outcome.error


class Sessions:
    """Starts sessions. An async context manager: leaving it closes them, and their pool."""

    def __init__(self, tasks: TaskRegistry, folder: Path) -> None:
        self.tasks = tasks
        self.folder = folder
        self.settings = PythonSettings()
        self._stack = AsyncExitStack()
        self._numbers = itertools.count(1)

    async def __aenter__(self) -> Sessions:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    def settings_with(self, **changes: Any) -> PythonSettings:
        return replace(self.settings, **changes)

    async def pool(self, **changes: Any) -> WorkerPool:
        return await self._stack.enter_async_context(WorkerPool(self.settings_with(**changes), self.tasks))

    def make(self, pool: WorkerPool, env: Mapping[str, str] | None = None, **changes: Any) -> Driven:
        heard, late = Heard(), MemorySink()
        session = PythonSession(
            f"session-{next(self._numbers)}",
            Place(str(self.folder), env or {}),
            self.settings_with(**changes),
            pool=pool,
            tasks=self.tasks,
            clock=SystemClock(),
            listener=heard,
            late=late.write,
        )
        return Driven(session, heard, late)

    async def start(self, env: Mapping[str, str] | None = None, **changes: Any) -> Driven:
        driven = self.make(await self.pool(**changes), env, **changes)
        await self._stack.enter_async_context(driven.session)
        return driven


@asynccontextmanager
async def sessions_in(folder: Path) -> AsyncIterator[Sessions]:
    async with TaskRegistry(SystemClock()) as tasks, Sessions(tasks, folder) as sessions:
        yield sessions
