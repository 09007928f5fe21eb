"""Commands and views that feed menus: where a session may run and what may run in it."""

from __future__ import annotations

from typing import Literal

from teleclaude.model import Role
from teleclaude.wire.base import Command, View


class ComputerView(View):
    """``problem`` says what is in the way of asking it: another version, for example."""

    name: str
    role: str
    version: str
    state: Literal["online", "stale"]
    last_seen: str
    sessions: int
    problem: str | None = None


class ComputerList(View):
    computers: list[ComputerView]


class DirectoryView(View):
    """``exists`` says that a session could start there now."""

    path: str
    name: str
    description: str
    exists: bool


class DirectoryList(View):
    directories: list[DirectoryView]


class AgentProfileView(View):
    """``resumable``: its conversations can be taken up again. ``modes``: what ``NAME:MODE`` may ask for."""

    name: str
    command: list[str]
    installed: bool
    resumable: bool
    modes: list[str]


class AgentList(View):
    agents: list[AgentProfileView]


class ListComputers(Command[ComputerList]):
    """The computers that can be named, this one first."""

    operation = "computer.list"
    role = Role.VIEWER
    mutates = False


class ListDirectories(Command[DirectoryList]):
    """The trusted directories; below owner a session starts in one of them or beneath."""

    operation = "directory.list"
    role = Role.VIEWER
    mutates = False


class ListAgents(Command[AgentList]):
    """The agents' profiles, and whether their programs are there."""

    operation = "agent.list"
    role = Role.VIEWER
    mutates = False
