"""Input to a terminal: one ordered queue per session, harmless when repeated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from teleclaude.clock import Clock
from teleclaude.errors import BusyError, ExitedError, IndeterminateError, TeleclaudeError, UnavailableError
from teleclaude.model import Agent, HandingOff, PaneIdentity
from teleclaude.service.records import Records
from teleclaude.service.settings import Settings
from teleclaude.service.table import Live
from teleclaude.store import Database, receipts
from teleclaude.tmux import Panes
from teleclaude.wire.sessions import InputReply, OffsetReply, SendBytes, SendInput, SendKeys

QUEUE_SECONDS = 30.0
ECHO_SECONDS = 1.0
ECHO_LOOK_SECONDS = 0.01


class Inputs:
    """Types into panes. A reply's offset is the stream's end from just before: the answer lies at or after it."""

    def __init__(self, *, panes: Panes, records: Records, database: Database, settings: Settings, clock: Clock) -> None:
        self._panes = panes
        self._records = records
        self._database = database
        self._settings = settings
        self._clock = clock

    async def text(self, live: Live, command: SendInput) -> InputReply:
        async with _turn(live, command.operation):
            if command.client_id is not None and command.seq is not None:
                return await self._numbered(live, command, command.client_id, command.seq)
            return InputReply(offset=await self._type_text(live, command))

    async def keys(self, live: Live, command: SendKeys) -> OffsetReply:
        async def send(pane: PaneIdentity) -> None:
            await live.panes(self._panes).send_keys(pane.pane_id, command.keys, command.repeat)

        async with _turn(live, command.operation):
            return OffsetReply(offset=await self._type(live, command.operation, send))

    async def typed(self, live: Live, command: SendBytes) -> OffsetReply:
        async def send(pane: PaneIdentity) -> None:
            await live.panes(self._panes).send_bytes(pane.pane_id, command.data)

        async with _turn(live, command.operation):
            return OffsetReply(offset=await self._type(live, command.operation, send))

    async def _type_text(self, live: Live, command: SendInput) -> int:
        delay_ms = self._submit_delay_ms(live.session.spec.agent)

        async def send(pane: PaneIdentity) -> None:
            panes = live.panes(self._panes)
            if not (delay_ms and command.submit and command.text):
                await panes.send_text(pane.pane_id, command.text, submit=command.submit)
                return
            before = live.stream.bounds().end
            await panes.send_text(pane.pane_id, command.text, submit=False)
            await self._echoed(live, before)
            await self._clock.sleep(delay_ms / 1000)
            await panes.send_text(pane.pane_id, "", submit=True)

        return await self._type(live, command.operation, send)

    async def _echoed(self, live: Live, before: int) -> None:
        """Wait until the program showed something, so that a busy one does not read text and Enter together."""
        deadline = self._clock.monotonic() + ECHO_SECONDS
        while live.stream.bounds().end == before and self._clock.monotonic() < deadline:
            await self._clock.sleep(ECHO_LOOK_SECONDS)

    async def _numbered(self, live: Live, command: SendInput, client_id: str, seq: int) -> InputReply:
        """Type once per ``client_id`` and ``seq``: the row is durable before the first key goes out.

        Within the session's turn, so that a repeat waits for the first, and whoever has the turn, to hand the session
        over, finds no row of what was not typed.
        """
        receipt = await self._database.write(
            lambda connection: receipts.accept(connection, live.id, client_id, seq, now=self._clock.now().timestamp())
        )
        if receipt is not None:
            if receipt.offset is None:
                raise IndeterminateError(
                    f"input {seq} of {client_id} was begun and its outcome is not known; look at the screen",
                    operation=command.operation,
                )
            return InputReply(offset=receipt.offset)
        try:
            offset = await self._type_text(live, command)
        except IndeterminateError:
            raise
        except TeleclaudeError:
            await self._database.write(lambda connection: receipts.refuse(connection, live.id, client_id, seq))
            raise
        await self._database.write(lambda connection: receipts.deliver(connection, live.id, client_id, seq, offset))
        return InputReply(offset=offset)

    async def _type(self, live: Live, operation: str, send: Callable[[PaneIdentity], Awaitable[None]]) -> int:
        """Within the session's turn."""
        pane = typing_pane(live, operation)
        offset = live.stream.bounds().end
        await send(pane)
        live.session = replace(live.session, input_offset=offset)
        live.since = self._clock.now()
        self._records.save_soon(live.session)
        return offset

    def _submit_delay_ms(self, agent: Agent | None) -> int:
        if agent is None:
            return 0
        profile = self._settings.current.agents.get(agent.name.partition(":")[0])
        return profile.submit_delay_ms if profile is not None else 0


def typing_pane(live: Live, operation: str) -> PaneIdentity:
    """The pane that takes input now; raises ``ExitedError`` when its process has ended."""
    state, pane = live.session.state, live.session.pane
    if isinstance(state, HandingOff):
        raise BusyError(f"the session is being handed to {state.computer}", operation=operation)
    if pane is None:
        raise BusyError("the session is still starting; try again", operation=operation)
    if not live.watched:
        raise UnavailableError("tmux has not answered yet; nothing was typed, try again later", operation=operation)
    if live.closing or live.process_ended:
        raise ExitedError("the session has ended; restart it to type again", operation=operation)
    return pane


@asynccontextmanager
async def _turn(live: Live, operation: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(QUEUE_SECONDS):
            await live.input.acquire()
    except TimeoutError:
        raise BusyError("input sent earlier is still being typed; try again", operation=operation) from None
    try:
        yield
    finally:
        live.input.release()
