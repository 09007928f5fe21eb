"""The computer a session is handed to, before anything is released: look whether it could come, and take it in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import structlog

from teleclaude.errors import ConflictError, ForbiddenError, LimitError, TeleclaudeError
from teleclaude.model import Principal, handoff
from teleclaude.model.handoff import Cancel, Prepare, Refused, Row
from teleclaude.service.handoff import mapping
from teleclaude.service.handoff.git import Packed, Repository
from teleclaude.service.handoff.keeper import Keeper
from teleclaude.service.handoff.staging import MAX_STAGED, Staged, Staging
from teleclaude.service.remote import NODE
from teleclaude.service.settings import Settings
from teleclaude.service.table import SessionTable
from teleclaude.tmux import Panes
from teleclaude.wire.base import Command
from teleclaude.wire.handoff import (
    CancelHandoff,
    PartReply,
    PreparedReply,
    PrepareHandoff,
    SealHandoff,
    SealReply,
    SendPart,
    SkipPart,
)

log = structlog.get_logger(__name__)

Handler = Callable[[Principal, Any], Awaitable[Any]]


class Intake:
    def __init__(
        self, *, keeper: Keeper, table: SessionTable, panes: Panes, staging: Staging, settings: Settings
    ) -> None:
        self._keeper = keeper
        self._ownerships = keeper.ownerships
        self._table = table
        self._panes = panes
        self._staging = staging
        self._settings = settings

    def handlers(self) -> Mapping[type[Command[Any]], Handler]:
        return {
            PrepareHandoff: self.prepare,
            SendPart: self.part,
            SkipPart: self.skip,
            SealHandoff: self.seal,
            CancelHandoff: self.cancel,
        }

    async def prepare(self, principal: Principal, command: PrepareHandoff) -> PreparedReply:
        sender = sender_of(principal, command.operation)
        if sender != command.source:
            raise ForbiddenError(f"{sender} cannot hand over for {command.source}", operation=command.operation)
        session = command.session
        config = self._settings.current
        self.require_room(session.id, session.name, command.operation)
        cwd = await asyncio.to_thread(mapping.directory, session, principal, config)
        _, dropped = await asyncio.to_thread(mapping.spec_here, session, cwd, principal, config)
        commits: list[str] = []
        if command.git:
            repository = Repository(cwd)
            commits = await repository.commits()
            await repository.require_clean()
        await self._panes.ping()
        async with self._ownerships.turn(session.id):
            before = await self._keeper.ownership(session.id)
            step = handoff.receive(before.row, sender, Prepare(command.handoff, command.epoch))
            if any(isinstance(sent.message, Refused) for sent in step.messages):
                raise ConflictError(_why_refused(before.row), operation=command.operation)
            if len(await asyncio.to_thread(self._staging.names)) >= MAX_STAGED:
                raise LimitError(
                    f"{MAX_STAGED} handoffs are on their way there; try again", operation=command.operation
                )
            staged = self._staging.of(command.handoff)
            await asyncio.to_thread(staged.begin, command, cwd, principal.role)
            if step.row != before.row:
                await self._ownerships.write(session.id, replace(before, row=step.row))
        return PreparedReply(commits=commits, dropped=dropped)

    async def part(self, principal: Principal, command: SendPart) -> PartReply:
        staged = await self._staged(principal, command.handoff, command.operation)
        write = staged.write_history if command.what == "history" else staged.write_bundle
        return PartReply(end=await asyncio.to_thread(write, command.offset, command.data))

    async def skip(self, principal: Principal, command: SkipPart) -> PartReply:
        staged = await self._staged(principal, command.handoff, command.operation)
        return PartReply(end=await asyncio.to_thread(staged.skip_history, command.end))

    async def seal(self, principal: Principal, command: SealHandoff) -> SealReply:
        staged = await self._staged(principal, command.handoff, command.operation)
        request = staged.request
        self.require_room(request.session.id, request.session.name, command.operation)
        await asyncio.to_thread(staged.finish, command)
        if request.git and command.commit is not None:
            packed = Packed(command.branch, command.commit)
            await Repository(staged.cwd).fetch(command.handoff, staged.bundle, packed)
        return SealReply()

    async def cancel(self, principal: Principal, command: CancelHandoff) -> SealReply:
        sender = sender_of(principal, command.operation)
        step = await self._keeper.receive(command.session, sender, Cancel(command.handoff))
        if step.row.prepared is None:
            await self.discard(command.handoff)
        return SealReply()

    async def give_up_old(self) -> None:
        """Throw away what nobody went on with."""
        for id_ in await asyncio.to_thread(self._staging.expired):
            for session_id, _ in self._ownerships:
                async with self._ownerships.turn(session_id):
                    known = self._ownerships.known(session_id)
                    if known is not None and known.row.prepared is not None and known.row.prepared.id == id_:
                        row = replace(known.row, prepared=None)
                        await self._ownerships.write(session_id, replace(known, row=row))
            await self.discard(id_)

    async def discard(self, id_: str) -> None:
        """Throw away what was brought."""
        staged = self._staging.of(id_)
        try:
            request = await asyncio.to_thread(lambda: staged.request)
            if request.git:
                await Repository(staged.cwd).forget(id_)
        except TeleclaudeError as error:
            log.debug("handoff_not_tidied", handoff=id_, error=str(error))
        await asyncio.to_thread(self._staging.discard, id_)

    def require_room(self, session_id: str, name: str, operation: str) -> None:
        """Raises ``ConflictError`` for a name in use and ``LimitError`` when as many are alive as may be."""
        holder = self._table.find(name)
        if holder is not None and holder.id != session_id:
            raise ConflictError(
                f"a live session is named {name} there; rename one of the two first", operation=operation
            )
        if len(self._table) >= self._table.limit:
            raise LimitError(
                f"{self._table.limit} sessions are alive there, which is sessions.max", operation=operation
            )

    async def _staged(self, principal: Principal, id_: str, operation: str) -> Staged:
        staged = self._staging.of(id_)
        if sender_of(principal, operation) != (await asyncio.to_thread(lambda: staged.request)).source:
            raise ForbiddenError("another computer prepared this handoff", operation=operation)
        return staged


def sender_of(principal: Principal, operation: str) -> str:
    """The computer that speaks. Raises ``ForbiddenError`` for anybody else."""
    if not principal.name.startswith(NODE):
        raise ForbiddenError("only another computer says this", operation=operation)
    return principal.name.removeprefix(NODE)


def _why_refused(row: Row) -> str:
    if row.owns:
        return "the session is owned there"
    if row.released is not None:
        return f"the session is being handed from there to {row.released.target}"
    claim = row.claim
    known = f"{claim.computer} owns it under epoch {claim.epoch}" if claim is not None else "it was refused before"
    return f"the handoff is refused there: {known}"
