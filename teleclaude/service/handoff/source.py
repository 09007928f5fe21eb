"""The computer a session is handed from: send everything, let go of it, and wait for the other one's word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from teleclaude.api import Fabric
from teleclaude.clock import Clock
from teleclaude.errors import (
    BusyError,
    ConflictError,
    DeadlineError,
    ExitedError,
    IndeterminateError,
    InvalidError,
    TeleclaudeError,
    UnavailableError,
)
from teleclaude.model import Kind, Principal
from teleclaude.service.handoff import mapping
from teleclaude.service.handoff.git import Packed, Repository
from teleclaude.service.handoff.history import History, send_file
from teleclaude.service.handoff.keeper import Keeper, Outcome, require_running
from teleclaude.service.handoff.messages import HANDOFF
from teleclaude.service.handoff.staging import Staging
from teleclaude.service.ids import new_id
from teleclaude.service.lookup import Found, Lookup
from teleclaude.service.records import Records
from teleclaude.service.screens import Screens
from teleclaude.service.settings import Settings
from teleclaude.service.table import Live
from teleclaude.store import receipts
from teleclaude.wire.base import Command
from teleclaude.wire.handoff import (
    CancelHandoff,
    CarriedReceipt,
    HandoffReply,
    HandoffSession,
    PreparedReply,
    PrepareHandoff,
    SealHandoff,
)

log = structlog.get_logger(__name__)

QUEUE_SECONDS = 30.0
LEAST_ANSWER_SECONDS = 1.0
MAX_RECEIPTS = 1000


@dataclass(frozen=True, slots=True)
class Move:
    """One handoff under way, before its release."""

    id: str
    live: Live
    command: HandoffSession
    principal: Principal
    fabric: Fabric
    deadline: float

    async def ask(self, command: Command[Any]) -> Any:
        left = max(0.1, self.deadline - asyncio.get_running_loop().time())
        return await self.fabric.call(self.command.computer, self.principal, command, timeout=left)


class Source:
    def __init__(
        self,
        *,
        computer: str,
        keeper: Keeper,
        lookup: Lookup,
        records: Records,
        screens: Screens,
        staging: Staging,
        settings: Settings,
        fabric: Callable[[], Fabric | None],
        clock: Clock,
    ) -> None:
        self._computer = computer
        self._keeper = keeper
        self._lookup = lookup
        self._records = records
        self._screens = screens
        self._staging = staging
        self._settings = settings
        self._fabric = fabric
        self._clock = clock
        self._moving: set[str] = set()

    async def handoff(self, principal: Principal, command: HandoffSession) -> HandoffReply:
        if command.id.rpartition("/")[2].startswith("E"):
            raise InvalidError("an execution ends where it began; only a terminal session can be handed over")
        found = await self._lookup.find(principal, command.id, operation=command.operation)
        live = self._movable(found, command)
        fabric = self._fabric()
        if fabric is None:
            raise UnavailableError(
                f"computer {command.computer} cannot be reached: this daemon ({self._computer}) has no link to other "
                "computers; enable the redis section of the config on both"
            )
        if live.id in self._moving:
            raise BusyError(f"session {live.session.name} is being handed over already")
        move = Move(
            id=new_id("H", self._clock),
            live=live,
            command=command,
            principal=Principal(HANDOFF.name, principal.role),
            fabric=fabric,
            deadline=asyncio.get_running_loop().time() + command.timeout_ms / 1000,
        )
        self._moving.add(live.id)
        try:
            outcome = await self._release(move)
        finally:
            self._moving.discard(live.id)
            await asyncio.to_thread(self._staging.discard, move.id)
        return await self._answer(move, outcome)

    def _movable(self, found: Found, command: HandoffSession) -> Live:
        name = found.session.name
        if command.computer == self._computer:
            raise InvalidError(f"session {name} is on {self._computer} already; name another computer")
        if found.session.kind is not Kind.TERMINAL:
            raise InvalidError(
                f"session {name} is a Python session: what is in its memory cannot be handed over; only a terminal can"
            )
        if found.session.adopted:
            raise InvalidError(f"session {name} belongs to the user's own tmux and cannot be handed over")
        if found.live is None:
            raise ExitedError(f"session {name} has ended; restart it first")
        require_running(found.live)
        return found.live

    # Until it is released, whatever goes wrong leaves it here and running

    async def _release(self, move: Move) -> asyncio.Future[Outcome]:
        try:
            return await self._prepared_release(move)
        except TimeoutError:
            await self._cancel(move)
            raise DeadlineError(
                f"{move.command.computer} was not ready within {move.command.timeout_ms} ms; the session goes on here",
                operation=move.command.operation,
            ) from None
        except IndeterminateError as error:
            await self._cancel(move)
            raise DeadlineError(
                f"{move.command.computer} did not answer in time; the session goes on here ({error.detail})",
                operation=move.command.operation,
            ) from error
        except BaseException:
            await self._cancel(move)
            raise

    async def _prepared_release(self, move: Move) -> asyncio.Future[Outcome]:
        live = move.live
        async with asyncio.timeout_at(move.deadline):
            history = History(live.stream, move.id, move.ask)
            ready = await self._prepare(move, history.start)
            await history.catch_up()
        async with self._held(move) as end:
            async with asyncio.timeout_at(move.deadline):
                # With the input held, so that what is carried is what was there at the end.
                packed, size = await self._send_repository(move, ready)
                await history.send(end)
                await move.ask(await self._seal(move, history, end, packed, size))
            return await self._keeper.release(live, move.id, move.command.computer, end)

    async def _prepare(self, move: Move, start: int) -> PreparedReply:
        session = move.live.session
        ownership = await self._keeper.ownership(session.id)
        claim = ownership.row.claim
        assert claim is not None
        reply: PreparedReply = await move.ask(
            PrepareHandoff(
                handoff=move.id,
                source=self._computer,
                epoch=claim.epoch,
                session=mapping.carried(session, self._settings.current),
                start=start,
                git=move.command.git == "bundle",
            )
        )
        if reply.dropped:
            log.info("handoff_env_dropped", session_id=session.id, names=", ".join(reply.dropped))
        return reply

    @asynccontextmanager
    async def _held(self, move: Move) -> AsyncIterator[int]:
        """No input goes in, and the stream ends here, until it is released or the attempt has failed."""
        live = move.live
        try:
            async with asyncio.timeout(QUEUE_SECONDS):
                await live.input.acquire()
        except TimeoutError:
            raise BusyError("input sent earlier is still being typed; try again") from None
        try:
            require_running(live)
            end = live.stream.bounds().end
            live.stream.freeze(end)
            try:
                yield end
            finally:
                if not live.is_released and not live.ended.is_set():
                    live.stream.thaw()
        finally:
            live.input.release()

    async def _send_repository(self, move: Move, ready: PreparedReply) -> tuple[Packed | None, int]:
        if move.command.git != "bundle":
            return None, 0
        staged = self._staging.of(move.id)
        await asyncio.to_thread(staged.folder.mkdir, mode=0o700, parents=True, exist_ok=True)
        packed = await Repository(move.live.session.spec.cwd).pack(move.id, staged.bundle, ready.commits)
        return packed, await send_file(staged.bundle, move.id, move.ask)

    async def _seal(self, move: Move, history: History, end: int, packed: Packed | None, size: int) -> SealHandoff:
        live = move.live
        known = await self._records.read(lambda connection: receipts.newest(connection, live.id, MAX_RECEIPTS))
        return SealHandoff(
            handoff=move.id,
            end=end,
            gaps=history.gaps(),
            receipts=[CarriedReceipt(client_id=client, seq=seq, offset=offset) for client, seq, offset in known],
            screen=await self._screens.carried(live),
            input_offset=live.session.input_offset,
            bundle_bytes=size,
            branch=packed.branch if packed is not None else None,
            commit=packed.commit if packed is not None else None,
        )

    async def _cancel(self, move: Move) -> None:
        """Tell the target, where that is possible; it forgets by itself otherwise."""
        try:
            cancel = CancelHandoff(handoff=move.id, session=move.live.id)
            await move.fabric.call(move.command.computer, HANDOFF, cancel, timeout=2.0)
        except TeleclaudeError as error:
            log.info("handoff_not_cancelled", handoff=move.id, error=str(error))

    # From then on only the other computer's word counts

    async def _answer(self, move: Move, outcome: asyncio.Future[Outcome]) -> HandoffReply:
        live, target = move.live, move.command.computer
        left = max(move.deadline - asyncio.get_running_loop().time(), LEAST_ANSWER_SECONDS)
        try:
            async with asyncio.timeout(left):
                settled = await asyncio.shield(outcome)
        except TimeoutError:
            raise IndeterminateError(
                f"session {live.session.name} was let go of, and {target} has not answered yet; it is asked until it "
                "does. If it is dead for good, an owner takes the session back: "
                f"teleclaude handoff --force-take {live.session.name}"
            ) from None
        if not settled.accepted:
            raise ConflictError(
                f"{target} did not take session {live.session.name}, which goes on here: "
                f"{settled.reason or 'it gave no reason'}"
            )
        return HandoffReply.model_validate(
            {"session": live.id, "from": self._computer, "to": settled.computer, "epoch": settled.epoch}
        )
