"""Taking over a session whose owner is dead, by an owner's word."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import structlog

from teleclaude.api import Fabric
from teleclaude.clock import Clock
from teleclaude.errors import ConflictError, ForbiddenError, NotFoundError, TeleclaudeError
from teleclaude.events import SessionArrived, SessionStateChanged
from teleclaude.model import HandedOff, Principal, Starting, handoff, is_name
from teleclaude.model.handoff import Effect, NotPossibleError
from teleclaude.service.handoff.keeper import Keeper
from teleclaude.service.handoff.messages import HANDOFF
from teleclaude.service.handoff.staging import Staging
from teleclaude.service.handoff.target import Target
from teleclaude.service.records import Records
from teleclaude.service.remote import NODE
from teleclaude.service.table import Live, SessionTable
from teleclaude.service.terminals import Terminals
from teleclaude.store.handoffs import Ownership
from teleclaude.streams import StreamStore
from teleclaude.wire.handoff import ClaimReply, HandoffReply, InquireHandoff, TakeSession

log = structlog.get_logger(__name__)

INQUIRE_SECONDS = 3.0
HANDOFF_GAP = "handoff"


class Force:
    def __init__(
        self,
        *,
        computer: str,
        keeper: Keeper,
        target: Target,
        table: SessionTable,
        records: Records,
        streams: StreamStore,
        terminals: Terminals,
        staging: Staging,
        fabric: Callable[[], Fabric | None],
        clock: Clock,
    ) -> None:
        self._computer = computer
        self._keeper = keeper
        self._target = target
        self._table = table
        self._records = records
        self._streams = streams
        self._terminals = terminals
        self._staging = staging
        self._fabric = fabric
        self._clock = clock

    async def take(self, principal: Principal, command: TakeSession) -> HandoffReply:
        if principal.name.startswith(NODE):
            raise ForbiddenError("a takeover is asked of the new owner itself, by its own owner")
        session_id = await self._find(command.id)
        before = await self._keeper.ownership(session_id)
        try:
            silent = handoff.silent_peer(before.row)
        except NotPossibleError as error:
            raise ConflictError(f"there is nothing to take over: {error}") from error
        await self._require_silence(session_id, silent)
        live: Live | None = None
        prepared = before.row.prepared
        async with self._keeper.ownerships.turn(session_id):
            asked, before = before, await self._keeper.ownership(session_id)
            if before.row != asked.row:
                raise ConflictError("who owns the session changed meanwhile; look again before you take it")
            step = handoff.force(before.row)
            if Effect.RESUME in step.effects:
                await self._keeper.enact(session_id, before, step)
            elif prepared is not None and prepared.source == silent:
                live = await self._target.arrive(session_id, before, step, prepared.id, silent, forced=True)
            else:
                live = await self._take_back(session_id, before, step.row, silent)
        log.warning("session_taken_by_force", session_id=session_id, computer=silent)
        if live is not None:
            await self._target.start(live, prepared.id if prepared is not None else session_id)
        self._keeper.drive(session_id)
        assert step.row.claim is not None
        return HandoffReply.model_validate(
            {"session": session_id, "from": silent, "to": self._computer, "epoch": step.row.claim.epoch}
        )

    async def _find(self, reference: str) -> str:
        """The session's id, from what is here of it. Raises ``NotFoundError``."""
        wanted = reference.rpartition("/")[2]
        live = self._table.find(wanted)
        if live is not None:
            return live.id
        here = await self._records.find(self._computer, wanted) if is_name(wanted) else await self._records.get(wanted)
        if here is not None and isinstance(here.state, HandedOff):
            return here.id
        for session_id, ownership in self._keeper.ownerships:
            prepared = ownership.row.prepared
            if prepared is None:
                continue
            staged = self._staging.of(prepared.id)
            try:
                name = (await asyncio.to_thread(lambda staged=staged: staged.request)).session.name  # type: ignore[misc]
            except NotFoundError:
                continue
            if wanted in (session_id, name):
                return session_id
        if here is not None:
            return here.id
        raise NotFoundError(
            f"nothing of a session {reference} is here; take it where it was before, or where it was being handed to"
        )

    async def _require_silence(self, session_id: str, silent: str) -> None:
        """Raises ``ConflictError`` when the old owner answers, or any other computer that owns it."""
        fabric = self._fabric()
        if fabric is None:
            return
        others = {peer.name for peer in fabric.peers() if peer.is_online} | {silent}
        answers = await asyncio.gather(*(self._inquire(fabric, name, session_id) for name in sorted(others)))
        for name, answer in zip(sorted(others), answers, strict=True):
            if answer is None:
                continue
            if name == silent:
                raise ConflictError(f"{name} answers, so nothing is taken from it; hand the session over instead")
            if answer.owns:
                raise ConflictError(f"{name} owns the session and answers; hand it over from there")

    async def _inquire(self, fabric: Fabric, computer: str, session_id: str) -> ClaimReply | None:
        try:
            inquiry = InquireHandoff(session=session_id)
            return await fabric.call(computer, HANDOFF, inquiry, timeout=INQUIRE_SECONDS)
        except TeleclaudeError as error:
            log.info("takeover_not_answered", computer=computer, error=str(error))
            return None

    async def _take_back(self, session_id: str, before: Ownership, row: handoff.Row, silent: str) -> Live:
        """Start it again from what stayed here when it left; what it did elsewhere since then is not here."""
        session = await self._records.get(session_id)
        if session is None or not isinstance(session.state, HandedOff):
            raise NotFoundError("what was here of the session is gone")
        assert row.claim is not None
        stream = self._streams.get(session_id)
        await stream.cut()
        stream.thaw()
        await stream.name_hole(HANDOFF_GAP)
        session = replace(session.moved_to(Starting()), epoch=row.claim.epoch)
        live = Live(session, stream, since=self._clock.now())
        self._table.reserve(live, operation=TakeSession.operation)
        try:
            await self._keeper.ownerships.write(
                session_id,
                replace(before, row=row, end=None, pending=Effect.START),
                SessionArrived(computer=silent, epoch=session.epoch, forced=True, offset=stream.bounds().end),
                SessionStateChanged("starting"),
                session=session,
            )
        except BaseException:
            self._table.remove(live)
            raise
        return live
