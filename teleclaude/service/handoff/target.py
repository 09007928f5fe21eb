"""The computer a session is handed to: take in, look, and decide once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog

from teleclaude.clock import Clock
from teleclaude.errors import (
    ConflictError,
    ForbiddenError,
    IndeterminateError,
    LimitError,
    NoSpaceError,
    TeleclaudeError,
    UnavailableError,
)
from teleclaude.events import Fact, SessionArrived, SessionCreated, SessionStateChanged
from teleclaude.model import Kind, Lost, Principal, Role, Session, Starting, handoff
from teleclaude.model.handoff import Cancel, Claim, Effect, Offer, Prepare, Refused, Row, Step, Supersede
from teleclaude.service.handoff import mapping
from teleclaude.service.handoff.git import Packed, Repository
from teleclaude.service.handoff.keeper import Keeper
from teleclaude.service.handoff.messages import answer_reply, claim_reply
from teleclaude.service.handoff.staging import MAX_STAGED, Staged, Staging
from teleclaude.service.remote import NODE
from teleclaude.service.settings import Settings
from teleclaude.service.table import Live, SessionTable
from teleclaude.service.terminals import Terminals
from teleclaude.store import receipts
from teleclaude.store.handoffs import Ownership
from teleclaude.streams import StreamStore
from teleclaude.tmux import Panes
from teleclaude.wire.base import Command
from teleclaude.wire.handoff import (
    AnswerReply,
    CancelHandoff,
    ClaimReply,
    InquireHandoff,
    OfferHandoff,
    PartReply,
    PreparedReply,
    PrepareHandoff,
    SealHandoff,
    SealReply,
    SendPart,
    SkipPart,
    SupersedeHandoff,
)

log = structlog.get_logger(__name__)

INTERRUPTED = "start_interrupted"
"""Why a session is lost that was on record as starting and that tmux does not have."""

Handler = Callable[[Principal, Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A session that can be taken now."""

    session: Session
    end: int
    staged: Staged
    carried: list[tuple[str, int, int | None]]


class Target:
    def __init__(
        self,
        *,
        keeper: Keeper,
        table: SessionTable,
        streams: StreamStore,
        terminals: Terminals,
        panes: Panes,
        staging: Staging,
        settings: Settings,
        clock: Clock,
    ) -> None:
        self._keeper = keeper
        self._ownerships = keeper.ownerships
        self._table = table
        self._streams = streams
        self._terminals = terminals
        self._panes = panes
        self._staging = staging
        self._settings = settings
        self._clock = clock

    def handlers(self) -> Mapping[type[Command[Any]], Handler]:
        return {
            PrepareHandoff: self.prepare,
            SendPart: self.part,
            SkipPart: self.skip,
            SealHandoff: self.seal,
            OfferHandoff: self.offer,
            CancelHandoff: self.cancel,
            InquireHandoff: self.inquire,
            SupersedeHandoff: self.supersede,
        }

    # Before anything is released

    async def prepare(self, principal: Principal, command: PrepareHandoff) -> PreparedReply:
        sender = sender_of(principal, command.operation)
        if sender != command.source:
            raise ForbiddenError(f"{sender} cannot hand over for {command.source}", operation=command.operation)
        session = command.session
        config = self._settings.current
        self._require_room(session.id, session.name, command.operation)
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
        self._require_room(request.session.id, request.session.name, command.operation)
        await asyncio.to_thread(staged.finish, command)
        if request.git and command.commit is not None:
            packed = Packed(command.branch, command.commit)
            await Repository(staged.cwd).fetch(command.handoff, staged.bundle, packed)
        return SealReply()

    async def cancel(self, principal: Principal, command: CancelHandoff) -> SealReply:
        sender = sender_of(principal, command.operation)
        step = await self._keeper.receive(command.session, sender, Cancel(command.handoff))
        if step.row.prepared is None:
            await self._discard(command.handoff)
        return SealReply()

    # From the release on

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
            await self._discard(command.handoff)
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
        self._require_room(session_id, request.session.name, OfferHandoff.operation)
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
        await self._discard(id_)

    async def _discard(self, id_: str) -> None:
        staged = self._staging.of(id_)
        try:
            request = await asyncio.to_thread(lambda: staged.request)
            if request.git:
                await Repository(staged.cwd).forget(id_)
        except TeleclaudeError as error:
            log.debug("handoff_not_tidied", handoff=id_, error=str(error))
        await asyncio.to_thread(self._staging.discard, id_)

    async def supersede(self, principal: Principal, command: SupersedeHandoff) -> ClaimReply:
        sender = sender_of(principal, command.operation)
        step = await self._keeper.receive(command.session, sender, Supersede(Claim(command.epoch, command.computer)))
        return claim_reply(step.row.claim, owns=step.row.owns)

    async def inquire(self, principal: Principal, command: InquireHandoff) -> ClaimReply:
        sender_of(principal, command.operation)
        row = (await self._keeper.ownership(command.session)).row
        return claim_reply(row.claim, owns=row.owns)

    # After a restart, and from time to time

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

    async def give_up_old(self) -> None:
        """Throw away what nobody went on with."""
        for id_ in await asyncio.to_thread(self._staging.expired):
            for session_id, _ in self._ownerships:
                async with self._ownerships.turn(session_id):
                    known = self._ownerships.known(session_id)
                    if known is not None and known.row.prepared is not None and known.row.prepared.id == id_:
                        row = replace(known.row, prepared=None)
                        await self._ownerships.write(session_id, replace(known, row=row))
            await self._discard(id_)

    def _require_room(self, session_id: str, name: str, operation: str) -> None:
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
