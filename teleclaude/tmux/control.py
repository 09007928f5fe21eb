"""Commands through one control-mode client that is replaced whenever it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import structlog

from teleclaude.api import Tasks
from teleclaude.clock import Clock
from teleclaude.errors import TeleclaudeError, UnavailableError
from teleclaude.tmux.client import ControlClient
from teleclaude.tmux.failures import unsent
from teleclaude.tmux.line import Flag, Line, command, constant
from teleclaude.tmux.protocol import Notification, Reply
from teleclaude.tmux.transport import FIRST_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS

log = structlog.get_logger(__name__)

OWNER = "tmux-control"
_HANDSHAKE_SECONDS = 2.0
_RECONNECT_WAIT_SECONDS = 1.0
_PROBE: Line = (command("display-message", Flag("p"), constant("#{pid}")),)


class ControlTransport:
    """See ``Transport``. ``argv`` starts the client; ``accept(pid)`` says whether that is the server we mean.

    After a deadline has passed nothing is sent, and nothing waits, until a new client has answered. After any other end
    of the client (somebody detached it) calls wait a moment for the new one.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        timeout: float,
        accept: Callable[[int], bool],
        on_notification: Callable[[Notification], None],
        tasks: Tasks,
        clock: Clock,
    ) -> None:
        self._argv = tuple(argv)
        self._env = dict(env)
        self._timeout = timeout
        self._accept = accept
        self._on_notification = on_notification
        self._tasks = tasks
        self._clock = clock
        self._client: ControlClient | None = None
        self._retired: ControlClient | None = None
        self._lost = asyncio.Event()
        self._settled = asyncio.Event()
        self._closed = False

    async def start(self) -> None:
        """Connect; from then on a lost client is replaced. Raises ``UnavailableError``; then nothing was started."""
        await self._connect()
        self._settled.set()
        self._tasks.spawn(self._keep_connected(), name="reconnect", owner=OWNER)

    @property
    def available(self) -> bool:
        return self._client is not None and self._client.alive

    async def submit(self, lines: Sequence[Line], timeout: float | None = None) -> list[list[Reply]]:
        client = await self._ready(lines[0])
        seconds = self._timeout if timeout is None else timeout
        if len(lines) == 1:
            return [await client.send(lines, seconds)[0]]
        answers = await asyncio.gather(*client.send(lines, seconds), return_exceptions=True)
        replies: list[list[Reply]] = []
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
            replies.append(answer)
        return replies

    async def aclose(self) -> None:
        """Idempotent."""
        self._closed = True
        await self._tasks.cancel_owner(OWNER, timeout=2.0)
        for client in (self._client, self._retired):
            if client is not None:
                await client.aclose()
        self._client = self._retired = None

    async def _ready(self, line: Line) -> ControlClient:
        if not self.available and not self._settled.is_set() and not self._closed:
            try:
                async with asyncio.timeout(_RECONNECT_WAIT_SECONDS):
                    await self._settled.wait()
            except TimeoutError:
                pass
        client = self._client
        if client is None or not client.alive:
            raise unsent(line, "tmux does not answer")
        return client

    async def _keep_connected(self) -> None:
        while True:
            await self._lost.wait()
            self._lost.clear()
            if self._retired is not None:
                await self._retired.aclose()
                self._retired = None
            backoff = FIRST_BACKOFF_SECONDS
            while not self.available:
                try:
                    await self._connect()
                except TeleclaudeError as error:
                    log.debug("control_client_refused", error=str(error), retry_s=backoff)
                    self._settled.set()
                    await self._clock.sleep(backoff)
                    backoff = min(backoff * 2, MAX_BACKOFF_SECONDS)
                else:
                    log.info("control_client_replaced")
            self._settled.set()

    async def _connect(self) -> None:
        client = await ControlClient.spawn(self._argv, self._env, self._on_notification, self._on_lost)
        try:
            pid = await self._handshake(client)
            if not self._accept(pid):
                raise UnavailableError(f"tmux server {pid} is not the one in use", operation="tmux.connect")
            if not client.alive:
                raise UnavailableError("the control client ended at once", operation="tmux.connect")
        except BaseException:
            await client.aclose()
            raise
        self._client = client

    async def _handshake(self, client: ControlClient) -> int:
        timeout = min(self._timeout, _HANDSHAKE_SECONDS)
        await client.wait_started(timeout)
        try:
            (replies,) = await asyncio.gather(*client.send([_PROBE], timeout))
        except TeleclaudeError as error:
            raise UnavailableError(f"no control client: {error.detail}", operation="tmux.connect") from error
        return int(replies[0].text)

    def _on_lost(self, why: str, timed_out: bool) -> None:
        if self._client is None or self._client.alive:
            return  # it never was in use: whoever started it learns of it
        self._retired, self._client = self._client, None
        if self._closed:
            return
        log.warning("control_client_lost", reason=why)
        if not timed_out:
            self._settled.clear()
        self._lost.set()
