"""What menus offer: computers, trusted directories, agents."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from teleclaude import __version__
from teleclaude.api import Peer
from teleclaude.clock import Clock, timestamp
from teleclaude.config import AgentProfile
from teleclaude.model import Principal
from teleclaude.service.settings import Settings
from teleclaude.wire.base import Command
from teleclaude.wire.places import (
    AgentList,
    AgentProfileView,
    ComputerList,
    ComputerView,
    DirectoryList,
    DirectoryView,
    ListAgents,
    ListComputers,
    ListDirectories,
)

Handler = Callable[[Principal, Any], Awaitable[Any]]


class Places:
    """``sessions`` counts the live ones of this computer, ``peers`` are the other computers."""

    def __init__(
        self,
        *,
        computer: str,
        settings: Settings,
        clock: Clock,
        sessions: Callable[[], int],
        peers: Callable[[], Sequence[Peer]],
    ) -> None:
        self._computer = computer
        self._settings = settings
        self._clock = clock
        self._sessions = sessions
        self._peers = peers

    def handlers(self) -> Mapping[type[Command[Any]], Handler]:
        return {ListComputers: self.computers, ListDirectories: self.directories, ListAgents: self.agents}

    async def computers(self, _principal: Principal, _command: ListComputers) -> ComputerList:
        return ComputerList(computers=[self.this_computer(), *map(_peer, self._peers())])

    def this_computer(self) -> ComputerView:
        return ComputerView(
            name=self._computer,
            role=self._settings.current.computer.role,
            version=__version__,
            state="online",
            last_seen=timestamp(self._clock.now()),
            sessions=self._sessions(),
        )

    async def directories(self, _principal: Principal, _command: ListDirectories) -> DirectoryList:
        trusted = self._settings.current.computer.trusted_dirs

        def look() -> list[DirectoryView]:
            return [
                DirectoryView(
                    path=str(entry.path),
                    name=entry.name or entry.path.name,
                    description=entry.description,
                    exists=entry.path.is_dir() and os.access(entry.path, os.X_OK),
                )
                for entry in trusted
            ]

        return DirectoryList(directories=await asyncio.to_thread(look))

    async def agents(self, _principal: Principal, _command: ListAgents) -> AgentList:
        profiles = dict(self._settings.current.agents)
        return AgentList(agents=await asyncio.to_thread(lambda: [_agent(*item) for item in sorted(profiles.items())]))


def _peer(peer: Peer) -> ComputerView:
    problem = peer.problem
    if problem is None and peer.version != __version__:
        problem = f"runs version {peer.version}, and this computer {__version__}"
    return ComputerView(
        name=peer.name,
        role=peer.role,
        version=peer.version,
        state="online" if peer.is_online else "stale",
        last_seen=timestamp(peer.last_seen),
        sessions=peer.sessions,
        problem=problem,
    )


def _agent(name: str, profile: AgentProfile) -> AgentProfileView:
    search = profile.env.get("PATH", os.environ.get("PATH", os.defpath))
    return AgentProfileView(
        name=name,
        command=list(profile.command),
        installed=shutil.which(profile.command[0], path=search) is not None,
        resumable=profile.resume is not None,
        modes=list(profile.modes),
    )
