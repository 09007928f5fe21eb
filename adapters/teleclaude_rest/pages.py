"""The files of the browser page, read once. They are the same for everybody and hold no secret."""

from __future__ import annotations

import asyncio
from functools import partial
from importlib import resources

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

FILES = {
    "/page.css": ("page.css", STYLE),
    "/signin.js": ("signin.js", SCRIPT),
    "/xterm.js": ("xterm/xterm.js", SCRIPT),
    "/xterm.css": ("xterm/xterm.css", STYLE),
    "/addon-fit.js": ("xterm/addon-fit.js", SCRIPT),
    "/addon-search.js": ("xterm/addon-search.js", SCRIPT),
}

SIGN_IN = b"""<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">
<title>teleclaude</title><link rel=stylesheet href=/page.css><form id=signin><label>Token
<input id=token type=password autocomplete=off required autofocus></label><button>Show</button>
<output id=refusal></output></form><script src=/signin.js></script></html>
"""
"""In place of a page that wants a token, for somebody who opened it in a browser."""


async def _show(exchange: Exchange, *, file: str, media: str) -> web.Response:
    data = await asyncio.to_thread(resources.files(__package__).joinpath("web", file).read_bytes)
    return answer(exchange, data, media, Content_Security_Policy=POLICY, Referrer_Policy="no-referrer")


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
