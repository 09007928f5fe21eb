"""Replies that are one piece: JSON objects, output bytes, screens, and what the daemon says of itself."""

from __future__ import annotations

from typing import Literal, assert_never, cast

from aiohttp import web
from pydantic import BaseModel

from teleclaude import __version__
from teleclaude.model import Screen
from teleclaude.wire.base import Command, View
from teleclaude.wire.output import ReadOutput
from teleclaude.wire.screens import ReadScreen, RenderScreen, ScreenView
from teleclaude.wire.sessions import SessionView
from teleclaude_rest.exchange import Exchange
from teleclaude_rest.route import PREFIX

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"
PNG = "image/png"
OFFSETS = ("Teleclaude-From", "Teleclaude-To", "Teleclaude-End")
"""Headers of a reply that is a piece of a stream."""

METRICS = "text/plain; version=0.0.4; charset=utf-8"


class ScreenOptions(BaseModel):
    model_config = Command.model_config

    format: Literal["json", "text", "ansi", "png"] = "json"


class HealthView(View):
    status: Literal["ok"] = "ok"
    version: str
    computer: str
    uptime_ms: int


class CheckView(View):
    ok: bool
    detail: str


class ReadyView(View):
    status: Literal["ok", "unavailable"]
    checks: dict[str, CheckView]


class PrincipalView(View):
    """``sessions`` (ids) and ``verbs`` null: all of them."""

    name: str
    role: str
    sessions: list[str] | None
    verbs: list[str] | None


def answer(exchange: Exchange, body: bytes, media: str, *, status: int = 200, **headers: str) -> web.Response:
    """A whole reply; header names are given with underscores for hyphens."""
    return web.Response(body=body, status=status, headers=exchange.headers(Content_Type=media, **headers))


def view(exchange: Exchange, reply: BaseModel, *, status: int = 200, **headers: str) -> web.Response:
    return answer(exchange, reply.model_dump_json(by_alias=True).encode(), JSON, status=status, **headers)


async def call(exchange: Exchange) -> web.Response:
    """The route's command, answered with its view."""
    kind = exchange.route.command
    assert kind is not None
    reply = await exchange.call(await exchange.command(kind))
    return view(exchange, reply, status=exchange.route.status)


async def create(exchange: Exchange) -> web.Response:
    """As ``call``, for a new session."""
    kind = exchange.route.command
    assert kind is not None
    reply = cast(SessionView, await exchange.call(await exchange.command(kind)))
    here = exchange.surface.context.computer
    reference = reply.id if reply.computer == here else f"{reply.computer}%2F{reply.id}"
    return view(exchange, reply, status=exchange.route.status, Location=f"{PREFIX}/sessions/{reference}")


async def output(exchange: Exchange) -> web.Response:
    command = await exchange.command(ReadOutput)
    chunk = await exchange.call(command)
    return answer(
        exchange,
        chunk.data,
        TEXT if command.format == "text" else BYTES,
        Teleclaude_From=str(chunk.start),
        Teleclaude_To=str(chunk.end),
        Teleclaude_End=str(chunk.stream_end),
    )


async def screen(exchange: Exchange) -> web.Response:
    form = exchange.options(ScreenOptions).format
    command = await exchange.command(ReadScreen)
    if form == "png":
        picture = RenderScreen(id=command.id)
        return answer(exchange, await exchange.call(picture), PNG)
    found = await exchange.call(command)
    match form:
        case "json":
            return view(exchange, ScreenView.of(found))
        case "text":
            return _lines(exchange, found, found.lines)
        case "ansi":
            return _lines(exchange, found, found.ansi_lines)
        case _ as never:
            assert_never(never)


def _lines(exchange: Exchange, found: Screen, lines: tuple[str, ...]) -> web.Response:
    body = "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")
    return answer(exchange, body, TEXT, Teleclaude_Offset=str(found.offset))


async def health(exchange: Exchange) -> web.Response:
    hub, computer = exchange.surface.hub, exchange.surface.context.computer
    return view(exchange, HealthView(version=__version__, computer=computer, uptime_ms=hub.uptime_ms()))


async def whoami(exchange: Exchange) -> web.Response:
    who = exchange.principal
    reply = PrincipalView(
        name=who.name,
        role=who.role.label,
        sessions=sorted(who.sessions) if who.sessions is not None else None,
        verbs=sorted(who.verbs) if who.verbs is not None else None,
    )
    return view(exchange, reply)


async def ready(exchange: Exchange) -> web.Response:
    found = await exchange.surface.hub.readiness()
    checks = {name: CheckView(ok=check.ok, detail=check.detail) for name, check in found.checks.items()}
    reply = ReadyView(status="ok" if found.ok else "unavailable", checks=checks)
    return view(exchange, reply, status=200 if found.ok else 503)


async def metrics(exchange: Exchange) -> web.Response:
    return answer(exchange, exchange.surface.hub.metrics(), METRICS)


async def description(exchange: Exchange) -> web.Response:
    return answer(exchange, await exchange.surface.description.get(), JSON)
