"""Commands for a session that was handed over: passed on to the computer that has it now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from teleclaude.clock import Clock
from teleclaude.errors import ConflictError
from teleclaude.model import HandedOff, Principal, Session, is_name
from teleclaude.model.handoff import Claim, Supersede
from teleclaude.service.access import covers
from teleclaude.service.handoff.keeper import Keeper
from teleclaude.service.records import Records
from teleclaude.service.remote import NODE, Destination, Remote
from teleclaude.service.table import SessionTable
from teleclaude.wire.base import Command
from teleclaude.wire.handoff import HandoffSession
from teleclaude.wire.output import ReadOutput, SearchOutput
from teleclaude.wire.screens import ReadScreen, RenderScreen
from teleclaude.wire.sessions import (
    CloseSession,
    ResizeSession,
    RestartSession,
    SendBytes,
    SendInput,
    SendKeys,
    SignalSession,
    UpdateSession,
)
from teleclaude.wire.waits import WaitReply, WaitSession

Wait = Callable[[Principal, WaitSession], Awaitable[WaitReply]]

RELAYED = (
    CloseSession,
    HandoffSession,
    ReadOutput,
    ReadScreen,
    RenderScreen,
    ResizeSession,
    RestartSession,
    SearchOutput,
    SendBytes,
    SendInput,
    SendKeys,
    SignalSession,
    UpdateSession,
    WaitSession,
)
"""What is said to a session. Its record here (get, list, purge) and the stream up to its leaving stay here."""

MOST_MOVES = 4


class Relay:
    def __init__(self, *, keeper: Keeper, remote: Remote, table: SessionTable, records: Records, clock: Clock) -> None:
        self._keeper = keeper
        self._ownerships = keeper.ownerships
        self._remote = remote
        self._table = table
        self._records = records
        self._clock = clock

    async def destination(self, principal: Principal, command: Command[Any]) -> Destination | None:
        """Where a session is that was here once; None for everything else, and for what the principal may not know of.

        Raises ``ConflictError`` for another computer: it does better to ask there itself, and is told where.
        """
        if not isinstance(command, RELAYED) or (isinstance(command, CloseSession) and command.purge):
            return None
        if not self._ownerships.any_elsewhere:
            return None
        session = await self._ended(command.id.rpartition("/")[2])
        if session is None or not isinstance(session.state, HandedOff) or not covers(principal, session.id):
            return None
        state = session.state
        if principal.name.startswith(NODE):
            raise ConflictError(
                f"session {session.name} was handed to {state.computer}; ask for {state.computer}/{session.id}",
                operation=command.operation,
                computer=state.computer,
                session_id=session.id,
                epoch=state.epoch,
            )
        return Destination(state.computer, command.model_copy(update={"id": state.session_id}))

    async def wait(self, principal: Principal, command: WaitSession, here: Wait) -> WaitReply:
        """A wait that the session leaves from under goes on where it went."""
        began = self._clock.monotonic()
        reply = await here(principal, command)
        if reply.outcome != "exited" or principal.name.startswith(NODE):
            return reply
        destination = await self.destination(principal, command)
        if destination is None:
            return reply
        left = command.timeout_ms - round((self._clock.monotonic() - began) * 1000)
        rest = destination.command.model_copy(update={"timeout_ms": max(0, left)})
        there: WaitReply = await self.call(principal, Destination(destination.computer, rest), None)
        return there

    async def _ended(self, reference: str) -> Session | None:
        if self._table.find(reference) is not None:
            return None
        if is_name(reference):
            return await self._records.find(self._ownerships.computer, reference)
        return await self._records.get(reference)

    async def call(self, principal: Principal, destination: Destination, key: str | None) -> Any:
        """As ``Remote.call``, and on to where the session has gone since."""
        for _ in range(MOST_MOVES):
            try:
                return await self._remote.call(principal, destination, key)
            except ConflictError as error:
                computer, epoch = error.fields.get("computer"), error.fields.get("epoch")
                session_id = error.fields.get("session_id")
                if not (isinstance(computer, str) and isinstance(epoch, int) and isinstance(session_id, str)):
                    raise
                if computer == self._ownerships.computer or not is_name(computer):
                    raise
                if self._ownerships.known(session_id) is not None:
                    await self._keeper.receive(session_id, destination.computer, Supersede(Claim(epoch, computer)))
                command = destination.command.model_copy(update={"id": session_id})
                destination = Destination(computer, command)
        return await self._remote.call(principal, destination, key)
