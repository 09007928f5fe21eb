"""Lets the protocol's steps happen to real sessions: durable first, then processes, followers and messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from teleclaude.api import Fabric, TaskPolicy, Tasks
from teleclaude.clock import Clock
from teleclaude.errors import BusyError, ConflictError, ExitedError, TeleclaudeError
from teleclaude.events import SessionHandedOff, SessionKept, SessionStateChanged
from teleclaude.model import HandedOff, HandingOff, Running, Session, Starting, handoff
from teleclaude.model.handoff import Claim, Effect, Message, Sent, Step
from teleclaude.service.handoff import messages
from teleclaude.service.handoff.ownership import Ownerships
from teleclaude.service.records import Records
from teleclaude.service.table import Live, SessionTable
from teleclaude.service.terminals import Terminals
from teleclaude.store.handoffs import Ownership
from teleclaude.streams import StreamStore

log = structlog.get_logger(__name__)

OWNER = "handoff"
OPERATION = "session.handoff"
FIRST_DELAY_SECONDS = 0.1
LAST_DELAY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a handoff that was released here. ``reason`` is the other computer's word for declining it."""

    accepted: bool
    epoch: int
    computer: str
    reason: str = ""


class Keeper:
    def __init__(
        self,
        *,
        ownerships: Ownerships,
        table: SessionTable,
        records: Records,
        streams: StreamStore,
        terminals: Terminals,
        fabric: Callable[[], Fabric | None],
        tasks: Tasks,
        clock: Clock,
    ) -> None:
        self.ownerships = ownerships
        self._table = table
        self._records = records
        self._streams = streams
        self._terminals = terminals
        self._fabric = fabric
        self._tasks = tasks
        self._clock = clock
        self._driven: set[str] = set()
        self._waiting: dict[str, asyncio.Future[Outcome]] = {}
        self._reasons: dict[str, str] = {}

    async def session(self, session_id: str) -> Session | None:
        live = self._table.find(session_id)
        return live.session if live is not None else await self._records.get(session_id)

    async def ownership(self, session_id: str) -> Ownership:
        return self.ownerships.of(session_id, await self.session(session_id))

    # Letting go

    async def release(self, live: Live, id_: str, target: str, end: int) -> asyncio.Future[Outcome]:
        """From here on only the target's answer, or a person, decides. Answers what that will be.

        Raises ``ExitedError`` when the process ended meanwhile, ``ConflictError`` when it is not owned here any more.
        """
        async with self.ownerships.turn(live.id), live.lifecycle:
            require_running(live)
            before = self.ownerships.of(live.id, live.session)
            try:
                step = handoff.release(before.row, id_, target)
            except handoff.NotPossibleError as error:
                raise ConflictError(f"the session cannot be handed over: {error}", operation=OPERATION) from error
            assert step.row.released is not None
            epoch = step.row.released.epoch
            session = live.session.moved_to(HandingOff(target, epoch, live.session.pane))
            await self.ownerships.write(
                live.id, replace(before, row=step.row, end=end), SessionStateChanged("handing_off"), session=session
            )
            live.session = replace(live.session, state=session.state)
        live.tell()
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting[live.id] = outcome
        self.drive(live.id)
        return outcome

    def drive(self, session_id: str) -> None:
        """Send what is due for this session until it is answered."""
        if session_id not in self._driven:
            self._driven.add(session_id)
            self._tasks.spawn(
                lambda: self._drive(session_id), name=f"handoff {session_id}", owner=OWNER, policy=TaskPolicy.RESTART
            )

    async def _drive(self, session_id: str) -> None:
        delay = FIRST_DELAY_SECONDS
        while True:
            known = self.ownerships.known(session_id)
            due = handoff.due(known.row) if known is not None else ()
            if not due:
                self._driven.discard(session_id)
                return
            for sent in due:
                if self._is_due(session_id, sent):
                    await self._try(session_id, sent)
            known = self.ownerships.known(session_id)
            if known is not None and handoff.due(known.row):
                await self._clock.sleep(delay)
                delay = min(2 * delay, LAST_DELAY_SECONDS)

    def _is_due(self, session_id: str, sent: Sent) -> bool:
        """Whether it is still; the one before may have changed everything."""
        known = self.ownerships.known(session_id)
        return known is not None and sent in handoff.due(known.row)

    async def _try(self, session_id: str, sent: Sent) -> None:
        if self._is_offline(sent.to):
            return
        try:
            message, reason = await messages.ask(self._fabric(), session_id, sent)
            if reason and session_id in self._waiting:
                self._reasons[session_id] = reason
            if message is not None:
                await self.receive(session_id, sent.to, message)
        except TeleclaudeError as error:
            log.info("handoff_waits", session_id=session_id, computer=sent.to, error=str(error))

    def _is_offline(self, computer: str) -> bool:
        """Whether it is known to be away; nothing is sent then, and nothing logged again and again."""
        fabric = self._fabric()
        peers = fabric.peers() if fabric is not None else ()
        return any(peer.name == computer and not peer.is_online for peer in peers)

    # What came in

    async def receive(self, session_id: str, sender: str, message: Message) -> Step:
        """Any message but an offer, which may need a session to be made."""
        async with self.ownerships.turn(session_id):
            session = await self.session(session_id)
            before = self.ownerships.of(session_id, session)
            step = handoff.receive(before.row, sender, message)
            await self.enact(session_id, before, step)
        return step

    async def enact(self, session_id: str, before: Ownership, step: Step) -> None:
        """Everything but a start here, with the session's turn held."""
        if Effect.CLOSE in step.effects:
            await self._close(session_id, before, step)
        elif Effect.RESUME in step.effects:
            await self._resume(session_id, before, step)
        elif step.row != before.row:
            await self._follow(session_id, before, step)
        if handoff.due(step.row):
            self.drive(session_id)

    async def _follow(self, session_id: str, before: Ownership, step: Step) -> None:
        """Only knowledge changes; where the session is elsewhere, its record says where."""
        session, claim = await self.session(session_id), step.row.claim
        if session is not None and claim is not None and isinstance(session.state, HandedOff):
            session = replace(session, state=HandedOff(claim.computer, session_id, claim.epoch), epoch=claim.epoch)
            await self.ownerships.write(session_id, replace(before, row=step.row), session=session)
        else:
            await self.ownerships.write(session_id, replace(before, row=step.row))

    async def _close(self, session_id: str, before: Ownership, step: Step) -> None:
        """It is another computer's: on record, told, and then its process is ended."""
        claim = step.row.claim
        assert claim is not None
        live = self._table.find(session_id)
        if live is None:
            await self._close_ended(session_id, before, step, claim)
            return
        async with live.lifecycle:
            pane = live.session.pane
            end = before.end if live.is_released and before.end is not None else live.stream.bounds().end
            live.stream.freeze(end)
            state = HandedOff(claim.computer, session_id, claim.epoch)
            session = replace(live.session.moved_to(state), epoch=claim.epoch, ending=None)
            after = replace(before, row=step.row, end=end, pending=Effect.CLOSE)
            await self.ownerships.write(
                session_id,
                after,
                SessionStateChanged(state.name),
                SessionHandedOff(computer=claim.computer, session_id=session_id, epoch=claim.epoch),
                session=session,
            )
            live.session = session
            self._settle(session_id, Outcome(True, claim.epoch, claim.computer))
            log.info("session_handed_off", session_id=session_id, computer=claim.computer, epoch=claim.epoch)
            await self._terminals.leave(live, pane)
        await self.ownerships.write(session_id, replace(after, pending=None))

    async def _close_ended(self, session_id: str, before: Ownership, step: Step, claim: Claim) -> None:
        session = await self.session(session_id)
        after = replace(before, row=step.row)
        if session is None or isinstance(session.state, HandedOff):
            await self._follow(session_id, before, step)
            return
        state = HandedOff(claim.computer, session_id, claim.epoch)
        fact = SessionHandedOff(computer=claim.computer, session_id=session_id, epoch=claim.epoch)
        session = replace(session.moved_to(state), epoch=claim.epoch, ending=None)
        await self.ownerships.write(session_id, after, SessionStateChanged(state.name), fact, session=session)

    async def _resume(self, session_id: str, before: Ownership, step: Step) -> None:
        """It stays here, or is here again: input is taken, and what was recorded meanwhile counts."""
        live, claim, released = self._table.find(session_id), step.row.claim, before.row.released
        assert claim is not None
        other = released.target if released is not None else ""
        if live is None or not live.is_released:
            await self.ownerships.write(session_id, replace(before, row=step.row))
            return
        async with live.lifecycle:
            pane = live.session.pane
            state = Running(pane) if pane is not None else live.session.state
            session = replace(live.session, state=state, epoch=claim.epoch)
            facts = (SessionKept(computer=other, epoch=claim.epoch),)
            told = (SessionStateChanged(state.name),) if pane is not None else ()
            await self.ownerships.write(
                session_id, replace(before, row=step.row, end=None), *told, *facts, session=session
            )
            live.session = session
            live.stream.thaw()
            if pane is None:
                await self._terminals.endings.finish_kept(live)
            live.tell()
        log.info("session_kept", session_id=session_id, computer=other, epoch=claim.epoch)
        self._settle(session_id, Outcome(False, claim.epoch, other, self._reasons.get(session_id, "")))

    def _settle(self, session_id: str, outcome: Outcome) -> None:
        waiting = self._waiting.pop(session_id, None)
        self._reasons.pop(session_id, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(outcome)

    # After a restart

    def believe(self) -> None:
        """Before anything reads a stream: those of sessions that were let go of end where they ended then."""
        for session_id, ownership in self.ownerships:
            if ownership.end is not None and (ownership.row.released is not None or ownership.pending is Effect.CLOSE):
                self._streams.get(session_id).freeze(ownership.end)

    async def resume(self) -> None:
        """Go on with what the last daemon had begun."""
        for session_id, ownership in self.ownerships:
            if ownership.pending is Effect.CLOSE:
                self._tasks.spawn(
                    lambda session_id=session_id: self._clear_up(session_id),  # type: ignore[misc]
                    name=f"clear up {session_id}",
                    owner=OWNER,
                    policy=TaskPolicy.RESTART,
                )
            if handoff.due(ownership.row):
                self.drive(session_id)
            live = self._table.find(session_id)
            if live is not None and live.is_released and ownership.row.released is None:
                async with live.lifecycle:
                    await self._terminals.endings.finish_kept(live)

    async def _clear_up(self, session_id: str) -> None:
        while True:
            try:
                async with self.ownerships.turn(session_id):
                    known = self.ownerships.known(session_id)
                    if known is None or known.pending is not Effect.CLOSE:
                        return
                    await self._terminals.clear_up(session_id)
                    await self.ownerships.write(session_id, replace(known, pending=None))
                    return
            except TeleclaudeError as error:
                log.info("clearing_up_waits", session_id=session_id, error=str(error))
                await self._clock.sleep(1.0)


def require_running(live: Live) -> None:
    """Raises ``ExitedError`` or ``BusyError`` for a session that cannot be handed over right now."""
    name, state = live.session.name, live.session.state
    if isinstance(state, HandingOff):
        raise BusyError(f"session {name} is being handed to {state.computer} already", operation=OPERATION)
    if isinstance(state, Starting) or not live.watched:
        raise BusyError(f"session {name} is still starting; try again", operation=OPERATION)
    if live.closing or live.process_ended or live.ended.is_set() or not isinstance(state, Running):
        raise ExitedError(f"session {name} has ended; restart it first", operation=OPERATION)
