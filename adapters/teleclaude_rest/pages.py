"""The files of the browser page. They are the same for everybody and hold no secret, so they need no token."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from dataclasses import dataclass
from functools import cache, partial
from importlib import resources
from typing import Any

from aiohttp import web

from teleclaude_rest.exchange import Exchange
from teleclaude_rest.handlers import answer
from teleclaude_rest.route import Media, Route

HTML = "text/html; charset=utf-8"
SCRIPT = "text/javascript; charset=utf-8"
STYLE = "text/css; charset=utf-8"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing from outside, no script but our files. xterm.js sizes its cells by styles it writes itself."""

PAGE_POLICY = f"{POLICY}; require-trusted-types-for 'script'; trusted-types 'none'"
"""Beyond that, text can never become markup on the page."""

SCRIPTS = (
    *("api", "app", "backoff", "box", "colours", "create", "dialogs", "dom", "keys", "list", "notices", "screen"),
    *("search", "sessions", "signin", "silence", "sse", "stage", "terminal", "token", "tty"),
)

FILES = {
    "/": ("index.html", HTML),
    "/page.css": ("page.css", STYLE),
    **{f"/{name}.js": (f"{name}.js", SCRIPT) for name in SCRIPTS},
    "/xterm.js": ("xterm/xterm.js", SCRIPT),
    "/xterm.css": ("xterm/xterm.css", STYLE),
    "/addon-fit.js": ("xterm/addon-fit.js", SCRIPT),
}

SIGN_IN = b"""<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">
<title>teleclaude</title><link rel=stylesheet href=/page.css><main class=signin><form id=signin>
<h1>teleclaude</h1><label for=token>Token</label><input id=token type=password autocomplete=off required autofocus>
<button class=primary>Show</button><output id=refusal class=reason></output></form></main>
<script src=/signin.js></script></html>
"""
"""In place of a page that wants a token, for somebody who opened it in a browser."""


@dataclass(frozen=True, slots=True)
class File:
    data: bytes
    packed: bytes
    tag: str


@cache
def load(name: str) -> File:
    """Read once; a new version comes with a restart."""
    data = resources.files(__package__).joinpath("web", name).read_bytes()
    return File(data, gzip.compress(data, mtime=0), hashlib.sha256(data).hexdigest()[:32])


async def _show(exchange: Exchange, *, file: str, media: str) -> web.Response:
    found = await asyncio.to_thread(load, file)
    asked = exchange.request.headers
    packed = "gzip" in asked.get("Accept-Encoding", "")
    tag = f'"{found.tag}{"-gzip" if packed else ""}"'
    policy = PAGE_POLICY if file == "index.html" else POLICY
    headers: dict[str, Any] = {"Content_Security_Policy": policy, "Referrer_Policy": "no-referrer", "ETag": tag}
    headers |= {"Cache_Control": "no-cache", "Vary": "Accept-Encoding"}
    if tag in (part.strip().removeprefix("W/") for part in asked.get("If-None-Match", "").split(",")):
        return answer(exchange, b"", media, status=304, **headers)
    if packed:
        return answer(exchange, found.packed, media, Content_Encoding="gzip", **headers)
    return answer(exchange, found.data, media, **headers)


PAGES: tuple[Route, ...] = tuple(
    Route(
        "GET",
        path,
        partial(_show, file=file, media=media),
        "The browser page",
        (Media(media),),
        prefix="",
        open=True,
    )
    for path, (file, media) in FILES.items()
)
"""Beside the API, at the root."""
