"""Files of a session, in and out as they are."""

from __future__ import annotations

from urllib.parse import quote

from aiohttp import web

from teleclaude.wire.files import GetFile, PutFile
from teleclaude_rest.exchange import Exchange
from teleclaude_rest.handlers import BYTES, view


async def put(exchange: Exchange) -> web.Response:
    command = await exchange.command(PutFile)
    async with exchange.until_ended():
        reply = await exchange.surface.hub.put_file(exchange.principal, command, exchange.pieces())
    return view(exchange, reply, status=exchange.route.status)


async def get(exchange: Exchange) -> web.StreamResponse:
    command = await exchange.command(GetFile)
    async with exchange.until_ended(), exchange.surface.hub.open_file(exchange.principal, command) as content:
        headers = exchange.headers(
            Content_Type=BYTES, Content_Disposition=f"attachment; filename*=UTF-8''{quote(command.name, safe='')}"
        )
        response = web.StreamResponse(headers=headers)
        response.content_length = content.size
        await response.prepare(exchange.request)
        if exchange.request.method == "HEAD":
            return response
        left = content.size
        while data := await content.read():
            await response.write(data)
            left -= len(data)
        if left:
            raise ConnectionResetError("the file became shorter while it was read")
        await response.write_eof()
        return response
