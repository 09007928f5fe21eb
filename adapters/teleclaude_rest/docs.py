"""The description as a page to read: one piece of HTML, no script, nothing fetched from anywhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from aiohttp import web

from teleclaude_rest.exchange import Exchange
from teleclaude_rest.handlers import answer
from teleclaude_rest.pages import HTML, POLICY

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code, pre, .path { font-family: ui-monospace, monospace; font-size: 13px; }
pre { background: #8881; padding: .6rem; overflow-x: auto; border-radius: 4px; }
details { border: 1px solid #8884; border-radius: 4px; margin: .4rem 0; padding: .3rem .7rem; }
summary { cursor: pointer; } .method { display: inline-block; width: 4.2rem; font-weight: 600; }
.role { float: right; opacity: .65; } table { border-collapse: collapse; } td { padding: .1rem .8rem .1rem 0; }
td, th { vertical-align: top; text-align: left; } .text { white-space: pre-line; }
:root { color-scheme: light dark; }
"""


async def show(exchange: Exchange) -> web.Response:
    document = json.loads(await exchange.surface.description.get())
    page = await asyncio.to_thread(render, document)
    return answer(exchange, page.encode(), HTML, Content_Security_Policy=POLICY)


def render(document: Mapping[str, Any]) -> str:
    """An OpenAPI document as HTML. Pure."""
    info = document["info"]
    return "".join(
        (
            "<!doctype html><html lang=en><meta charset=utf-8>",
            "<meta name=viewport content='width=device-width'>",
            f"<title>{escape(info['title'])}</title><style>{STYLE}</style>",
            f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>",
            f"<p class=text>{escape(info['description'])}</p>",
            *_operations(document),
            "<h2>Objects</h2>",
            *(
                f"<details id='{escape(name)}'><summary><code>{escape(name)}</code></summary>{_json(schema)}</details>"
                for name, schema in sorted(document["components"]["schemas"].items())
            ),
            "</html>",
        )
    )


def _operations(document: Mapping[str, Any]) -> Iterator[str]:
    seen = None
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            tag = operation["tags"][0]
            if tag != seen:
                seen = tag
                yield f"<h2>{escape(tag)}</h2>"
            yield _operation(path, method, operation)


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> str:
    parts = [
        f"<details><summary><span class=method>{escape(method.upper())}</span> <span class=path>{escape(path)}</span> ",
        f"{escape(operation['summary'])} <span class=role>{escape(operation['x-role'])}</span></summary>",
    ]
    if "description" in operation:
        parts.append(f"<p class=text>{escape(operation['description'])}</p>")
    if parameters := operation.get("parameters"):
        rows = (
            f"<tr><td><code>{escape(item['name'])}</code><td>{escape(item['in'])}"
            f"<td>{'required' if item['required'] else ''}<td><code>{escape(json.dumps(item['schema']))}</code>"
            for item in parameters
        )
        parts.append(f"<table><tr><th>parameter<th>in<th><th>type{''.join(rows)}</table>")
    if "requestBody" in operation:
        for media, body in operation["requestBody"]["content"].items():
            parts.append(f"<p>Body, <code>{escape(media)}</code>:</p>{_json(body['schema'])}")
    parts += (_reply(status, reply) for status, reply in operation["responses"].items())
    return "".join((*parts, "</details>"))


def _reply(status: str, reply: Mapping[str, Any]) -> str:
    kinds = []
    for media, content in reply.get("content", {}).items():
        name = str(content["schema"].get("$ref", "")).rpartition("/")[2]
        link = f" <a href='#{escape(name)}'>{escape(name)}</a>" if name else ""
        kinds.append(f"<code>{escape(media)}</code>{link}")
    headers = f"; headers {', '.join(reply['headers'])}" if "headers" in reply else ""
    return f"<p>Reply {escape(status)}: {', '.join(kinds) or 'no body'}{escape(headers)}</p>"


def _json(value: object) -> str:
    return f"<pre>{escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"
