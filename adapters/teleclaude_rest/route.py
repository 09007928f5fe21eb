"""One row of the route table, from which requests are matched and bound and the description is made."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from aiohttp import web
from pydantic import BaseModel

from teleclaude.model import Role
from teleclaude.wire.base import Command
from teleclaude_rest.binding import wire_names

if TYPE_CHECKING:
    from teleclaude_rest.exchange import Exchange

PREFIX = "/v1"
EVENT_STREAM = "text/event-stream"

Handler = Callable[["Exchange"], Awaitable[web.StreamResponse]]

_PARAMETER = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True)
class Media:
    """One kind of body a route answers with. ``model`` None: the bytes speak for themselves."""

    mime: str
    model: type[BaseModel] | None = None


@dataclass(frozen=True)
class Route:
    """``path`` is below ``prefix``; its ``{names}`` are fields of ``command``, as are the names in ``query``.

    A POST or PATCH takes the remaining fields from a JSON body. ``options`` holds query parameters that are no
    field of the command. ``bare`` serves the path without the prefix as well, for probes and scrapers. ``whole``
    shows the whole daemon, so not to a narrow token. ``open`` needs no token, ``websocket`` may be shown it after the
    upgrade. ``streamed``: body and reply are a file's bytes, whose name, the last part of the path, may hold any
    character. ``details`` tells what types cannot.
    """

    method: str
    path: str
    handle: Handler
    summary: str
    replies: tuple[Media, ...]
    command: type[Command[Any]] | None = None
    query: tuple[str, ...] = ()
    options: type[BaseModel] | None = None
    status: int = 200
    other_status: int | None = None
    """Another one that the same object may come with."""
    prefix: str = PREFIX
    bare: bool = False
    whole: bool = False
    open: bool = False
    websocket: bool = False
    streamed: bool = False
    details: str = ""
    headers: tuple[str, ...] = ()
    """Of the reply, besides the common ones."""
    resumes: bool = False
    """Whether ``Last-Event-ID`` says where to go on."""

    @property
    def role(self) -> Role | None:
        """The least role that may ask; None for everybody. The core decides by the command, this only says it."""
        if self.open:
            return None
        return self.command.role if self.command else Role.VIEWER

    @cached_property
    def operation(self) -> str:
        """What an error names: the command's operation, else the path."""
        return self.command.operation if self.command else self.path.strip("/").replace("/", ".")

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        return tuple(_PARAMETER.findall(self.path))

    @property
    def bodied(self) -> bool:
        """Whether a JSON object may come with it, which is the empty one where ``body`` is."""
        return self.command is not None and self.method in ("POST", "PATCH")

    @cached_property
    def body(self) -> tuple[str, ...]:
        """Wire names that come from the JSON body."""
        if self.command is None or not self.bodied:
            return ()
        elsewhere = {*self.parameters, *self.query}
        return tuple(name for name in wire_names(self.command) if name not in elsewhere)

    @cached_property
    def endless(self) -> bool:
        """Whether the reply goes on until somebody ends it."""
        return self.websocket or any(media.mime == EVENT_STREAM for media in self.replies)

    @cached_property
    def keyed(self) -> bool:
        """Whether an idempotency key means anything here."""
        return self.method == "POST" and self.command is not None and self.command.mutates
