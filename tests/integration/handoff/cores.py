"""Cores of several computers in this process, each with directories and a tmux server of its own."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeVar

from teleclaude.bus import Bus
from teleclaude.clock import SystemClock
from teleclaude.config import load_config
from teleclaude.daemon.directories import ensure_token, prepare
from teleclaude.model import Principal, Role
from teleclaude.paths import Paths
from teleclaude.process import become_subreaper
from teleclaude.service import Core, Parts, Settings, build_core
from teleclaude.store import Database, EventLog
from teleclaude.streams import StreamStore, make_watcher
from teleclaude.tasks import TaskRegistry
from teleclaude.testing.fabric import Network
from teleclaude.wire.base import Command
from teleclaude.wire.handoff import HandoffReply, HandoffSession
from teleclaude.wire.output import ReadOutput
from teleclaude.wire.sessions import CreateSession, GetSession, InputReply, ListSessions, SendInput, SessionView
from teleclaude.wire.waits import Until, WaitReply, WaitSession
from tests.support.tmux import PrivateTmux

R = TypeVar("R")

ME = Principal("local", Role.OWNER)


class Computer:
    """What the tests ask of one core, in few words."""

    def __init__(self, name: str, core: Core, project: Path) -> None:
        self.name = name
        self.core = core
        self.project = project

    async def ask(self, command: Command[R]) -> R:
        return await self.core.hub.call(ME, command)

    async def new(self, command: str, name: str = "work") -> SessionView:
        return await self.ask(CreateSession(name=name, command=command, cwd=str(self.project)))

    async def get(self, reference: str = "work") -> SessionView:
        return await self.ask(GetSession(id=reference))

    async def text(self, text: str, reference: str = "work") -> InputReply:
        return await self.ask(SendInput(id=reference, text=text))

    async def sees(self, text: str, reference: str = "work") -> WaitReply:
        reply = await self.ask(WaitSession(id=reference, until=Until(text=text), from_=0, timeout_ms=10_000))
        assert reply.outcome == "matched", reply
        return reply

    async def output(self, reference: str = "work") -> bytes:
        return (await self.ask(ReadOutput(id=reference, limit=1 << 20))).data

    async def hand(self, to: str, reference: str = "work", timeout_ms: int = 10_000) -> HandoffReply:
        return await self.ask(HandoffSession(id=reference, computer=to, timeout_ms=timeout_ms))

    async def all(self) -> list[SessionView]:
        return (await self.ask(ListSessions())).sessions

    async def running(self) -> list[str]:
        return [session.name for session in (await self.ask(ListSessions(state="running"))).sessions]


@asynccontextmanager
async def computer(
    name: str, folder: Path, network: Network, tmux: PrivateTmux | None = None
) -> AsyncIterator[Computer]:
    """One that takes part in ``network``. With ``tmux`` its terminals outlive it, so that it can be started again."""
    paths, project = Paths(folder / "state", folder / "run"), folder / "project"
    lasting, tmux = tmux, tmux or PrivateTmux(paths.runtime, "control")

    def configure() -> Settings:
        project.mkdir(parents=True, exist_ok=True)
        prepare(paths)
        ensure_token(paths.token)
        trusted = json.dumps([{"path": str(project), "name": "project"}])
        environ = {
            "TELECLAUDE_COMPUTER__NAME": name,
            "TELECLAUDE_COMPUTER__TRUSTED_DIRS": trusted,
            "TELECLAUDE_TMUX__SOCKET_NAME": tmux.socket_name,
            "TELECLAUDE_SESSIONS__SHELL": "/bin/bash",
            "XDG_CONFIG_HOME": os.environ["XDG_CONFIG_HOME"],
        }
        return Settings(load_config(None, environ))

    settings = await asyncio.to_thread(configure)
    clock = SystemClock()
    try:
        async with AsyncExitStack() as stack:
            tasks = await stack.enter_async_context(TaskRegistry(clock))
            database = await stack.enter_async_context(Database(paths.database, clock=clock))
            watcher = await stack.enter_async_context(make_watcher(tasks))
            streams = StreamStore(paths.streams, watcher=watcher, segment_bytes=1 << 16)
            await stack.enter_async_context(streams)
            server = await stack.enter_async_context(tmux.open())
            parts = Parts(
                settings=settings,
                paths=paths,
                database=database,
                bus=Bus(EventLog(database)),
                streams=streams,
                server=server,
                tasks=tasks,
                clock=clock,
            )
            core = await stack.enter_async_context(build_core(parts))
            stack.callback(network.join(name, core.hub))
            # A daemon is the parent of what its programs leave, and gone when they end; this process is not.
            become_subreaper(False)
            yield Computer(name, core, project)
            await core.close_intake()
    finally:
        if lasting is None:
            await tmux.reap()
