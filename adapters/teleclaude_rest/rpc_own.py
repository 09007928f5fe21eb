"""The methods of a connection that are about the connection itself: its events, and the one command it executes."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from teleclaude.errors import BusyError, LimitError, NotFoundError, TeleclaudeError
from teleclaude.model import Lifetime, is_name
from teleclaude.wire.base import Command, Reference
from teleclaude.wire.events import event_object
from teleclaude.wire.executions import (
    CancelExecution,
    ExecutionView,
    GetExecution,
    PauseExecution,
    ResumeExecution,
    Script,
    StartExecution,
)
from teleclaude.wire.sessions import GetSession
from teleclaude_rest.exchange import Exchange
from teleclaude_rest.methods import result_object
from teleclaude_rest.rpc_messages import failure, notification
from teleclaude_rest.websocket import CLOSE_SECONDS

MAX_SESSIONS = 1000
"""Sessions that one subscription may name."""

_ENDED = ("completed", "failed", "cancelled", "timed_out", "lost")
_CONTROLS = {"PAUSE": PauseExecution, "RESUME": ResumeExecution, "CANCEL": CancelExecution}


class Subscribe(BaseModel):
    """Events above ``after``, else from now on; of these sessions, else of all. A second one takes its place."""

    model_config = Command.model_config

    after: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    sessions: list[Reference] | None = None


class Unsubscribe(BaseModel):
    model_config = Command.model_config


class Execute(BaseModel):
    """``command`` by the shell, for as long as the connection lives; ``timeout`` in seconds."""

    model_config = Command.model_config

    command: Script
    timeout: Annotated[float, Field(gt=0, le=7 * 24 * 3600, allow_inf_nan=False)] | None = None


class Control(BaseModel):
    """Acts on what ``execute`` started."""

    model_config = Command.model_config

    type: Literal["PAUSE", "RESUME", "CANCEL"]


OWN: dict[str, type[BaseModel]] = {
    "events.subscribe": Subscribe,
    "events.unsubscribe": Unsubscribe,
    "execute": Execute,
    "control": Control,
}
"""Methods that are about the connection itself."""

READ_ONLY = ("events.subscribe", "events.unsubscribe")


class OwnMethods:
    """``call`` passes a command on; ``tell`` sends a message to the client, which may take as long as it likes."""

    def __init__(
        self,
        exchange: Exchange,
        call: Callable[[Command[Any]], Awaitable[Any]],
        tell: Callable[[object], Awaitable[None]],
    ) -> None:
        self._exchange = exchange
        self._call = call
        self._tell = tell
        self._tasks = exchange.surface.context.tasks
        self._owner = f"rest.rpc.{exchange.id}.events"
        self._subscribed: Subscribe | None = None
        self._execution: str | None = None
        self._executing = asyncio.Lock()
        self._subscribing = asyncio.Lock()

    async def aclose(self) -> None:
        """No event is told after this."""
        await self._tasks.cancel_owner(self._owner, CLOSE_SECONDS)

    async def carry_out(self, options: BaseModel) -> object:
        """Answers what the client is told. Raises ``TeleclaudeError``."""
        match options:
            case Subscribe():
                async with self._subscribing:
                    return await self._subscribe(options)
            case Execute():
                async with self._executing:
                    return result_object(await self._execute(options))
            case Control():
                return result_object(await self._control(options))
            case _:
                async with self._subscribing:
                    await self.aclose()
                self._subscribed = None
                return {"subscribed": False}

    async def _subscribe(self, options: Subscribe) -> object:
        if options.sessions is not None and len(options.sessions) > MAX_SESSIONS:
            raise LimitError(f"name at most {MAX_SESSIONS} sessions, or none for all", operation="events.subscribe")
        if options != self._subscribed:
            sessions = None
            if options.sessions is not None:
                sessions = frozenset([await self._session_id(name) for name in dict.fromkeys(options.sessions)])
            await self.aclose()
            begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._tasks.spawn(self._relay(options.after, sessions, begun), name="events", owner=self._owner)
            await begun
            self._subscribed = options
        return {"subscribed": True}

    async def _session_id(self, reference: str) -> str:
        if not is_name(reference):
            return reference
        return str((await self._call(GetSession(id=reference))).id)

    async def _relay(self, after: int | None, sessions: frozenset[str] | None, begun: asyncio.Future[None]) -> None:
        hub = self._exchange.surface.hub
        try:
            async with hub.follow_events(self._exchange.principal, after, sessions) as events:
                begun.set_result(None)
                async for event in events:
                    await self._tell(notification("event", event_object(event)))
        except TeleclaudeError as error:
            if begun.done():
                await self._tell(failure(None, error))
            else:
                begun.set_exception(error)
        finally:
            self._subscribed = None
            if not begun.done():
                begun.cancel()

    async def _execute(self, options: Execute) -> ExecutionView:
        if self._execution is not None and await self._is_live(self._execution):
            raise BusyError("the command before still runs; wait for its end or cancel it", operation="execute")
        timeout_ms = None if options.timeout is None else max(1, math.ceil(options.timeout * 1000))
        started: ExecutionView = await self._call(
            StartExecution(script=options.command, timeout_ms=timeout_ms, lifetime=Lifetime.CONNECTION)
        )
        self._execution = started.id
        return started

    async def _is_live(self, execution_id: str) -> bool:
        try:
            found: ExecutionView = await self._call(GetExecution(id=execution_id))
        except NotFoundError:  # it has been dropped, and only what has ended can be
            return False
        return found.status not in _ENDED

    async def _control(self, options: Control) -> ExecutionView:
        if self._execution is None:
            raise NotFoundError("nothing was started by execute on this connection", operation="control")
        found: ExecutionView = await self._call(_CONTROLS[options.type](id=self._execution))
        return found
