"""Which commands are another computer's, and what is asked there."""

from __future__ import annotations

from typing import Any

import pytest

from teleclaude.clock import SystemClock
from teleclaude.errors import ConflictError, ForbiddenError, NotFoundError, UnavailableError
from teleclaude.model import Principal, Role
from teleclaude.service.remote import Destination, Remote
from teleclaude.tasks import TaskRegistry
from teleclaude.wire.base import Command
from teleclaude.wire.executions import GetExecution, ListExecutions, StartExecution
from teleclaude.wire.files import GetFile
from teleclaude.wire.sessions import CreateSession, GetSession, ListSessions
from teleclaude.wire.tokens import RevokeToken

OWNER = Principal("local", Role.OWNER)


@pytest.fixture
def remote() -> Remote:
    return Remote("north", TaskRegistry(SystemClock()))


@pytest.mark.parametrize(
    ("command", "there"),
    [
        (GetSession(id="south/work"), GetSession(id="work")),
        (GetExecution(id="south/E1"), GetExecution(id="E1")),
        (ListExecutions(session="south/work"), ListExecutions(session="work")),
        (ListSessions(computer="south"), ListSessions(computer=None)),
        (CreateSession(computer="south", name="x"), CreateSession(computer=None, name="x")),
        (StartExecution(computer="south", argv=["x"]), StartExecution(computer=None, argv=["x"])),
        (GetSession(id="south/east/work"), GetSession(id="east/work")),
    ],
    ids=repr,
)
def test_what_goes_elsewhere(remote: Remote, command: Command[Any], there: Command[Any]) -> None:
    assert remote.destination(command) == Destination("south", there)


@pytest.mark.parametrize(
    "command",
    [
        GetSession(id="work"),
        GetSession(id="north/work"),
        ListSessions(),
        ListSessions(computer="north"),
        CreateSession(computer="north"),
        GetFile(id="south/work", name="x"),
        RevokeToken(id="south/work"),
    ],
    ids=repr,
)
def test_what_stays_here(remote: Remote, command: Command[Any]) -> None:
    assert remote.destination(command) is None


@pytest.mark.parametrize("reference", ["No Name/x", "/x", "south/", "../x"])
def test_what_is_nowhere(remote: Remote, reference: str) -> None:
    with pytest.raises(NotFoundError):
        remote.destination(GetSession(id=reference))


async def test_without_a_link_nobody_is_reached(remote: Remote) -> None:
    with pytest.raises(UnavailableError, match="redis section"):
        await remote.call(OWNER, Destination("south", GetSession(id="x")), None)


class Link:
    def __init__(self) -> None:
        self.keys: list[str | None] = []

    async def call(self, _computer: str, _principal: Principal, _command: Command[Any], *, key: str | None) -> None:
        self.keys.append(key)


async def test_keys_of_different_people_are_different_there(remote: Remote) -> None:
    link: Any = Link()
    detach = remote.attach(link)
    with pytest.raises(ConflictError):
        remote.attach(link)
    destination = Destination("south", GetSession(id="x"))
    for principal in (OWNER, OWNER, Principal("token:x", Role.OWNER)):
        await remote.call(principal, destination, "k")
    await remote.call(OWNER, destination, None)
    assert link.keys[0] == link.keys[1] != link.keys[2]
    assert link.keys[3] is None
    detach()
    assert remote.peers() == ()


async def test_other_computers_are_passed_nothing_on(remote: Remote) -> None:
    remote.attach(Link())  # type: ignore[arg-type]
    with pytest.raises(ForbiddenError, match="ask south itself"):
        await remote.call(Principal("node:east", Role.OPERATOR), Destination("south", GetSession(id="x")), None)
