"""Who may come in: by the unix socket its owner, by TCP whoever names this host and shows a token."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from typing import Protocol

import structlog
from aiohttp import web

from teleclaude.api import Grant
from teleclaude.errors import ForbiddenError, MalformedError, MisdirectedError, UnauthenticatedError
from teleclaude.model import Principal, Role
from teleclaude_rest.router import OPERATION
from teleclaude_rest.unixsocket import peer_uid

log = structlog.get_logger(__name__)

LOCAL = Principal("local", Role.OWNER)
"""Whoever may open the unix socket."""

NOBODY = Principal("nobody", Role.VIEWER, frozenset(), frozenset())
"""Not known yet; may do nothing."""

SCHEME = "Bearer "


class Gate(Protocol):
    """Asked once for a connection and then for each of its requests, in this order."""

    def admit(self, transport: asyncio.Transport) -> None:
        """Raises what every request of this connection is to be answered with."""
        ...

    def check(self, request: web.BaseRequest) -> None:
        """Raises unless the request means us and comes from no strange page."""
        ...

    def identify(self, request: web.BaseRequest) -> Grant | None:
        """Who asks; None when the request shows nothing. Raises ``UnauthenticatedError`` for what is shown wrongly."""
        ...


class LocalGrant:
    """Implements ``teleclaude.api.Grant``: the unix socket's, which never ends."""

    principal = LOCAL

    def on_end(self, _callback: Callable[[], None]) -> Callable[[], None]:
        return lambda: None


class UnixGate:
    """The owner, if the process at the other end runs as our own user."""

    def admit(self, transport: asyncio.Transport) -> None:
        uid = peer_uid(transport.get_extra_info("socket"))
        if uid != os.getuid():
            log.warning("peer_refused", uid=uid)
            raise ForbiddenError("this socket serves the daemon's own user only", operation=OPERATION)

    def check(self, request: web.BaseRequest) -> None:
        pass

    def identify(self, request: web.BaseRequest) -> Grant | None:
        return LocalGrant()


class TcpGate:
    """Exact lists of hosts and origins, then a token. ``authenticate`` raises ``UnauthenticatedError``."""

    def __init__(self, hosts: Iterable[str], origins: Iterable[str], authenticate: Callable[[str], Grant]) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)
        self._origins = frozenset(origin.lower() for origin in origins)
        self._authenticate = authenticate

    def admit(self, transport: asyncio.Transport) -> None:
        pass

    def check(self, request: web.BaseRequest) -> None:
        if not request.raw_path.startswith("/"):
            raise MalformedError("the request target is not a path", operation=OPERATION)
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1:
            raise MalformedError("send exactly one Host header", operation=OPERATION)
        if hosts[0].lower() not in self._hosts:
            raise MisdirectedError(
                "this is not the host you named; an owner can add its name to rest.allowed_hosts", operation=OPERATION
            )
        origins = request.headers.getall("Origin", [])
        if origins and (len(origins) > 1 or origins[0].lower() not in self._origins):
            raise ForbiddenError(
                "pages of this origin are not served; an owner can add it to rest.allowed_origins", operation=OPERATION
            )

    def identify(self, request: web.BaseRequest) -> Grant | None:
        shown = request.headers.getall("Authorization", [])
        if not shown:
            return None
        if len(shown) > 1 or shown[0][: len(SCHEME)].lower() != SCHEME.lower():
            raise UnauthenticatedError("send one header: Authorization: Bearer TOKEN", operation=OPERATION)
        return self._authenticate(shown[0][len(SCHEME) :].strip(" "))


def own_names(address: str, port: int) -> tuple[str, ...]:
    """The ``Host`` values that mean a loopback listener at ``address``, which is bracketed for IPv6."""
    names = dict.fromkeys((f"{address}:{port}", f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}", "localhost"))
    return tuple(names)


def own_origins(names: Iterable[str]) -> tuple[str, ...]:
    """The origins of pages that were served under these names."""
    return tuple(f"http://{name}" for name in names if ":" in name)
