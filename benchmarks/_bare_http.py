"""A bare aiohttp server that does the input and output of ours and nothing else: ``python -m benchmarks._bare_http``.

``GET /sessions`` reads the rows of a database, looks at two things of each and gives JSON; ``GET /stream`` gives a file
as server-sent events. No routing by models, no roles, no limits, no gaps.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sqlite3
import sys
from pathlib import Path

from aiohttp import web

PIECE_BYTES = 64 << 10


def application(folder: Path) -> web.Application:
    connection = sqlite3.connect(folder / "rows.db", check_same_thread=False)

    async def sessions(_request: web.Request) -> web.Response:
        rows = await asyncio.to_thread(_rows, connection)
        for row in rows:
            row["end"] = (folder / "data").stat().st_size
        return web.Response(body=json.dumps({"sessions": rows}).encode(), content_type="application/json")

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        offset, file = 0, os.open(folder / "data", os.O_RDONLY)
        try:
            while piece := os.pread(file, PIECE_BYTES, offset):
                start, offset = offset, offset + len(piece)
                data = json.dumps({"from": start, "to": offset, "b64": base64.b64encode(piece).decode()})
                await response.write(f"id: {offset}\nevent: output\ndata: {data}\n\n".encode())
        finally:
            os.close(file)
        return response

    app = web.Application()
    app.router.add_get("/sessions", sessions)
    app.router.add_get("/stream", stream)
    return app


def _rows(connection: sqlite3.Connection) -> list[dict[str, object]]:
    return [json.loads(row) for (row,) in connection.execute("SELECT body FROM sessions")]


if __name__ == "__main__":
    home = Path(sys.argv[1])
    web.run_app(application(home), path=str(home / "bare.sock"), print=None, access_log=None)
