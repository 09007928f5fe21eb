"""One request while it is answered: what was asked, by whom, and how a reply to it is begun."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from aiohttp import web
from aiohttp.web_protocol import RequestPayloadError
from pydantic import BaseModel

from teleclaude.errors import DeadlineError, InvalidError, MalformedError, MediaTypeError, TooLargeError
from teleclaude.model import Principal
from teleclaude.wire import jsonio
from teleclaude.wire.base import Command
from teleclaude_rest import binding
from teleclaude_rest.connection import Connection
from teleclaude_rest.errors import COMMON_HEADERS
from teleclaude_rest.route import Route
from teleclaude_rest.router import Match
from teleclaude_rest.surface import Surface, until_ended

R = TypeVar("R")
C = TypeVar("C", bound=Command[Any])
M = TypeVar("M", bound=BaseModel)

_KEY = re.compile(r"[\x20-\x7e]{1,255}")


def read_query(match: Match) -> dict[str, str]:
    """The query parameters of a request; raises ``InvalidError`` for one that its route does not take."""
    route = match.route
    query = binding.parse_query(match.query, operation=route.operation)
    known = (*route.query, *(binding.wire_names(route.options) if route.options else ()))
    binding.refuse_unknown(query, known, what="query parameter", operation=route.operation)
    return query


@dataclass(frozen=True, slots=True)
class Exchange:
    """``id`` is the request's own name, in the log and in ``X-Request-Id``."""

    surface: Surface
    request: web.BaseRequest
    connection: Connection
    principal: Principal
    match: Match
    query: Mapping[str, str]
    id: str

    @property
    def route(self) -> Route:
        return self.match.route

    @property
    def operation(self) -> str:
        return self.match.route.operation

    async def command(self, kind: type[C]) -> C:
        """The request as a ``kind``, bound by the route's row. Raises the error that the client is to see."""
        fields: dict[str, Any] = dict(self.match.path)
        own = {name: value for name, value in self.query.items() if name in self.route.query}
        fields |= binding.from_query(kind, own, operation=self.operation)
        body = {} if self.route.streamed else await self._body()
        for name in body.keys() & fields.keys():
            raise InvalidError(f"{name} belongs into the path, not into the body", operation=self.operation)
        return binding.build(kind, fields | body, operation=self.operation)

    def options(self, kind: type[M]) -> M:
        """The query parameters that are no field of the command."""
        own = {name: value for name, value in self.query.items() if name in binding.wire_names(kind)}
        return binding.build(kind, binding.from_query(kind, own, operation=self.operation), operation=self.operation)

    async def call(self, command: Command[R]) -> R:
        """Ask the core. A command that only reads or waits is given up when the client goes or the adapter stops."""
        if command.mutates:
            with self.connection.work.current():
                return await self.surface.hub.call(self.principal, command, key=self._key())
        async with self.until_ended():
            return await self.surface.hub.call(self.principal, command)

    @asynccontextmanager
    async def until_ended(self) -> AsyncIterator[None]:
        async with until_ended(self.surface.stop, self.connection.client):
            yield

    def last_event_id(self) -> int | None:
        """``Last-Event-ID`` of a client that comes back."""
        given = self._header("Last-Event-ID")
        if given is None:
            return None
        number = binding.whole_number("Last-Event-ID", given, operation=self.operation)
        if number < 0:
            raise InvalidError("Last-Event-ID is negative; send the id of an event", operation=self.operation)
        return number

    def headers(self, **more: str) -> dict[str, str]:
        """What every reply carries, and ``more`` with underscores as hyphens."""
        named = {name.replace("_", "-"): value for name, value in more.items()}
        return {"X-Request-Id": self.id, **COMMON_HEADERS, **named}

    def _key(self) -> str | None:
        if not self.route.keyed:
            return None
        key = self._header("Idempotency-Key")
        if key is not None and _KEY.fullmatch(key) is None:
            raise InvalidError("Idempotency-Key is 1 to 255 printable ASCII characters", operation=self.operation)
        return key

    def _header(self, name: str) -> str | None:
        values = self.request.headers.getall(name, [])
        if len(values) > 1:
            raise InvalidError(f"{name} is given twice", operation=self.operation)
        return values[0] if values else None

    async def _body(self) -> dict[str, Any]:
        data = await self._read()
        if not data:
            return {}
        if not self.route.bodied:
            raise InvalidError("this request takes no body", operation=self.operation)
        if self.request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise MediaTypeError("send the body without Content-Encoding", operation=self.operation)
        charset = (self.request.charset or "utf-8").lower()
        if self.request.content_type != "application/json" or charset not in ("utf-8", "utf8"):
            raise MediaTypeError("send JSON with Content-Type: application/json", operation=self.operation)
        value = jsonio.loads(data, operation=self.operation)
        if not isinstance(value, dict):
            raise InvalidError("the body is not a JSON object", operation=self.operation)
        return value

    async def _read(self) -> bytes:
        """The whole body."""
        data = bytearray()
        try:
            async with asyncio.timeout(self.surface.timing.body):
                async for piece in self.pieces():
                    data += piece
        except TimeoutError:
            raise self._too_slow() from None
        return bytes(data)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes; what is too large is refused before it is read, or as soon as it shows."""
        if not self.request.body_exists:
            return
        limit = int(self.surface.context.settings.max_body_bytes)
        too_large = TooLargeError(f"the body exceeds {limit} bytes", operation=self.operation)
        if (self.request.content_length or 0) > limit:
            raise too_large
        await self._continue()
        taken = 0
        try:
            while piece := await self._piece():
                taken += len(piece)
                if taken > limit:
                    raise too_large
                yield piece
        except RequestPayloadError as error:
            raise MalformedError(f"the body broke off or is not valid: {error}", operation=self.operation) from None

    async def _piece(self) -> bytes:
        try:
            async with asyncio.timeout(self.surface.timing.body):
                return await self.request.content.readany()
        except TimeoutError:
            raise self._too_slow() from None

    def _too_slow(self) -> DeadlineError:
        return DeadlineError("the body did not arrive in time; nothing was done", operation=self.operation)

    async def _continue(self) -> None:
        """Tell a client that asked before sending its body to go ahead (RFC 9110, section 10.1.1)."""
        if self.request.headers.get("Expect", "").lower() == "100-continue":
            await self.request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            # It is no part of the reply: error handling asks whether the reply has begun.
            self.request.writer.output_size = 0
