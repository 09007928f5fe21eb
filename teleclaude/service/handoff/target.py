"""The computer a session is handed to: decide once, and start what is now its own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog

from teleclaude.clock import Clock
from teleclaude.errors import ConflictError, IndeterminateError, NoSpaceError, TeleclaudeError, UnavailableError
from teleclaude.events import Fact, SessionArrived, SessionCreated, SessionStateChanged
from teleclaude.model import Kind, Lost, Principal, Role, Session, Starting, handoff
from teleclaude.model.handoff import Claim, Effect, Offer, Step, Supersede
from teleclaude.service.handoff import mapping
from teleclaude.service.handoff.git import Packed, Repository
from teleclaude.service.handoff.intake import Handler, Intake, sender_of
from teleclaude.service.handoff.keeper import Keeper
from teleclaude.service.handoff.messages import answer_reply, claim_reply
from teleclaude.service.handoff.staging import Staged, Staging
from teleclaude.service.remote import NODE
from teleclaude.service.settings import Settings
from teleclaude.service.table import Live, SessionTable
from teleclaude.service.terminals import Terminals
from teleclaude.store import receipts
from teleclaude.store.handoffs import Ownership
from teleclaude.streams import StreamStore
from teleclaude.wire.base import Command
from teleclaude.wire.handoff import AnswerReply, ClaimReply, InquireHandoff, OfferHandoff, SupersedeHandoff

log = structlog.get_logger(__name__)

INTERRUPTED = "start_interrupted"
"""Why a session is lost that was on record as starting and that tmux does not have."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A session that can be taken now."""

    session: Session
    end: int
    staged: Staged
    carried: list[tuple[str, int, int | None]]


class Target:
    """``intake`` has taken in what is decided on."""

    def __init__(
        self,
        *,
        keeper: Keeper,
        table: SessionTable,
        streams: StreamStore,
        terminals: Terminals,
        intake: Intake,
        staging: Staging,
        settings: Settings,
        clock: Clock,
    ) -> None:
        self._keeper = keeper
        self._ownerships = keeper.ownerships
        self._table = table
        self._streams = streams
        self._terminals = terminals
        self._intake = intake
        self._staging = staging
        self._settings = settings
        self._clock = clock

    def handlers(self) -> Mapping[type[Command[Any]], Handler]:
        return {OfferHandoff: self.offer, InquireHandoff: self.inquire, SupersedeHandoff: self.supersede}

    async def offer(self, principal: Principal, command: OfferHandoff) -> AnswerReply:
        sender = sender_of(principal, command.operation)
        message = Offer(command.handoff, command.epoch)
        reason = ""
        live: Live | None = None
        async with self._ownerships.turn(command.session):
            before = await self._keeper.ownership(command.session)
            step = handoff.receive(before.row, sender, message)
            if Effect.START in step.effects:
                try:
                    live = await self.arrive(command.session, before, step, command.handoff, sender)
                except (IndeterminateError, NoSpaceError, UnavailableError):
                    raise  # not decided: the offer comes again
                except TeleclaudeError as error:
                    log.warning("handoff_declined", session_id=command.session, computer=sender, error=str(error))
                    reason = error.detail
                    step = handoff.receive(replace(before.row, prepared=None), sender, message)
                    await self._keeper.enact(command.session, before, step)
            else:
                await self._keeper.enact(command.session, before, step)
        if live is not None:
            self._keeper.drive(command.session)
            await self.start(live, command.handoff)
        elif not any(verdict.accepted and verdict.id == command.handoff for verdict in step.row.verdicts):
            await self._intake.discard(command.handoff)
            reason = reason or "it was not prepared there any more"
        return answer_reply(sender, step.messages, reason)

    async def arrive(
        self, session_id: str, before: Ownership, step: Step, id_: str, sender: str, *, forced: bool = False
    ) -> Live:
        """Own it durably, ready to be started. Raises ``TeleclaudeError`` when it cannot be had; then nothing has
        changed but for what git may have done. Called with the session's turn held.
        """
        assert step.row.claim is not None
        arrival = await self._arrival(session_id, id_, step.row.claim)
        known = await self._keeper.session(session_id)
        session = arrival.session
        stream = await self._streams.install(session_id, arrival.staged.streams)
        live = Live(session, stream, since=self._clock.now())
        now = self._clock.now().timestamp()
        facts: tuple[Fact, ...] = (
            *([] if known is not None else [SessionCreated(name=session.name, kind=session.kind.value)]),
            SessionArrived(computer=sender, epoch=session.epoch, forced=forced, offset=stream.bounds().end),
            SessionStateChanged("starting"),
        )
        try:
            self._table.reserve(live, operation=OfferHandoff.operation)
            await self._ownerships.write(
                session_id,
                replace(before, row=step.row, end=None, pending=Effect.START),
                *facts,
                session=session,
                is_new=known is None,
                extra=lambda connection: receipts.bring(connection, session_id, arrival.carried, now=now),
            )
        except BaseException:
            self._table.remove(live)
            await self._streams.uninstall(session_id, arrival.staged.streams)
            raise
        log.info("session_arrived", session_id=session_id, computer=sender, epoch=session.epoch, forced=forced)
        return live

    async def _arrival(self, session_id: str, id_: str, claim: Claim) -> Arrival:
        staged = self._staging.of(id_)
        request, seal = await asyncio.to_thread(lambda: (staged.request, staged.seal))
        if seal is None:
            raise ConflictError("not everything had come there", operation=OfferHandoff.operation)
        self._intake.require_room(session_id, request.session.name, OfferHandoff.operation)
        carried = request.session
        principal = Principal(f"{NODE}{request.source}", Role(staged.role))
        spec, _ = await asyncio.to_thread(mapping.spec_here, carried, staged.cwd, principal, self._settings.current)
        if request.git and seal.commit is not None:
            await Repository(staged.cwd).apply(id_, Packed(seal.branch, seal.commit), staged.folder / "index")
        session = Session(
            id=session_id,
            name=carried.name,
            kind=Kind.TERMINAL,
            computer=self._ownerships.computer,
            spec=spec,
            state=Starting(),
            created_at=datetime.fromisoformat(carried.created_at),
            owner=carried.owner,
            tags=tuple(carried.tags),
            epoch=claim.epoch,
            title=carried.title,
            input_offset=seal.input_offset,
        )
        known = [(receipt.client_id, receipt.seq, receipt.offset) for receipt in seal.receipts]
        return Arrival(session, seal.end, staged, known)

    async def start(self, live: Live, id_: str) -> None:
        """Start its command; it is owned here whatever comes of that."""
        try:
            await self._terminals.start_carried(live)
        except TeleclaudeError as error:
            log.warning("arrived_session_not_started", session_id=live.id, error=str(error))
        async with self._ownerships.turn(live.id):
            known = self._ownerships.known(live.id)
            if known is not None and known.pending is Effect.START:
                await self._ownerships.write(live.id, replace(known, pending=None))
        await self._intake.discard(id_)

    async def supersede(self, principal: Principal, command: SupersedeHandoff) -> ClaimReply:
        sender = sender_of(principal, command.operation)
        step = await self._keeper.receive(command.session, sender, Supersede(Claim(command.epoch, command.computer)))
        return claim_reply(step.row.claim, owns=step.row.owns)

    async def inquire(self, principal: Principal, command: InquireHandoff) -> ClaimReply:
        sender_of(principal, command.operation)
        row = (await self._keeper.ownership(command.session)).row
        return claim_reply(row.claim, owns=row.owns)

    async def resume(self) -> None:
        """Start what was taken and not started before the last daemon ended; harmless when repeated."""
        for session_id, ownership in self._ownerships:
            if ownership.pending is not Effect.START or (await self._keeper.session(session_id)) is None:
                continue
            async with self._ownerships.turn(session_id):
                known = self._ownerships.known(session_id)
                session = await self._keeper.session(session_id)
                if known is None or known.pending is not Effect.START or session is None:
                    continue
                if isinstance(session.state, Starting):
                    continue  # tmux has not said yet whether it runs
                if isinstance(session.state, Lost) and session.state.exit.reason == INTERRUPTED:
                    await self._start_again(session)
                await self._ownerships.write(session_id, replace(known, pending=None))

    async def _start_again(self, session: Session) -> None:
        live = Live(session, self._streams.get(session.id), since=self._clock.now())
        self._table.reserve(live, operation=OfferHandoff.operation)
        try:
            async with live.lifecycle:
                await self._terminals.start_again(live)
        except TeleclaudeError as error:
            log.warning("arrived_session_not_started", session_id=live.id, error=str(error))
