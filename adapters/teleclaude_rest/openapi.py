"""The description of the HTTP surface, made from the route table and the models that validate it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import fields
from inspect import cleandoc
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from teleclaude import __version__
from teleclaude.errors import ERRORS_BY_CODE
from teleclaude.events import Fact
from teleclaude.wire import jsonio
from teleclaude.wire.base import Command
from teleclaude_rest.binding import wire_names
from teleclaude_rest.methods import is_method
from teleclaude_rest.route import PREFIX, Route

REFERENCE = "#/components/schemas/{model}"

PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "What went wrong. Branch on `code`; `detail` is for people and says what to do. The usual statuses: "
    + ", ".join(f"`{code}` {error.status}" for code, error in sorted(ERRORS_BY_CODE.items())),
    "required": ["type", "title", "status", "detail", "code", "operation"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "enum": sorted(ERRORS_BY_CODE)},
        "operation": {"type": "string"},
        "start": {"type": "integer", "description": "With `gap`: the oldest offset or number that is kept."},
        "retry_after_ms": {"type": "integer", "description": "With `limit`, as `Retry-After` in seconds."},
    },
}

RETRY_AFTER: dict[str, Any] = {"description": "Seconds to wait, where that is known.", "schema": {"type": "integer"}}

INTRODUCTION = """\
One set of objects on every surface: HTTP, server-sent events, WebSocket.

- By unix socket you are the owner. By TCP show a token: `Authorization: Bearer TOKEN`; a page's WebSocket shows it in \
its first message: `{"type": "auth", "token": TOKEN}`, within 5 s.
- `{id}` is an id or a name, on another computer `computer%2Fname`.
- Sizes are bytes, `_ms` are whole milliseconds, times are RFC 3339 in UTC.
- Errors are `application/problem+json`; branch on `code`. After `indeterminate` look before you try again.
- A POST repeated with the same `Idempotency-Key` within 24 h gets the first reply and does nothing again.
- Unknown fields, wrong types, duplicate keys and numbers out of range are refused, never ignored.
"""

FACTS = sorted(get_args(Fact), key=lambda fact: str(fact.type))

EVENT: dict[str, Any] = {
    "type": "object",
    "description": "The data of one server-sent event of /v1/events; its id is seq. `data` by `type`: "
    + ", ".join(f"`{fact.type} {{{', '.join(field.name for field in fields(fact))}}}`" for fact in FACTS),
    "required": ["seq", "at", "type", "session_id", "execution_id", "data"],
    "properties": {
        "seq": {"type": "integer"},
        "at": {"type": "string", "format": "date-time"},
        "type": {"type": "string", "enum": [fact.type for fact in FACTS]},
        "session_id": {"type": ["string", "null"]},
        "execution_id": {"type": ["string", "null"]},
        "data": {"type": "object"},
    },
}


class Description:
    """The document as JSON bytes, made once, in a thread: it takes tens of milliseconds."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = tuple(routes)
        self._document: bytes | None = None

    async def get(self) -> bytes:
        if self._document is None:
            self._document = await asyncio.to_thread(lambda: jsonio.dumps(describe(self._routes)))
        return self._document


def describe(routes: Iterable[Route]) -> dict[str, Any]:
    """An OpenAPI 3.1 document."""
    routes = tuple(routes)
    schemas, components = _schemas(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(PREFIX + route.path, {})[route.method.lower()] = _operation(route, schemas, components)
    used = {name: schema for name, schema in components.items() if name not in _request_names(routes)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "teleclaude", "version": __version__, "description": INTRODUCTION},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": {**used, "Problem": PROBLEM, "Event": EVENT},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, schemas: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any]:
    place = route.path.strip("/").replace("/", ".").translate({ord("{"): None, ord("}"): None})
    described: dict[str, Any] = {
        "summary": route.summary,
        "operationId": f"{route.method.lower()}.{place}",
        "tags": [place.partition(".")[0]],
        "x-role": route.role.label if route.role else "anybody",
    }
    if text := _details(route):
        described["description"] = text
    if route.command is not None and is_method(route):
        described["x-rpc-method"] = route.command.operation
    if route.open:
        described["security"] = []
    if parameters := _parameters(route, components):
        described["parameters"] = parameters
    if route.bodied:
        described["requestBody"] = _body(route, components)
    elif route.streamed and route.method == "PUT":
        described["requestBody"] = {"required": True, "content": {"application/octet-stream": {"schema": {}}}}
    described["responses"] = _responses(route, schemas)
    return described


def _responses(route: Route, schemas: dict[Any, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {
        media.mime: {"schema": {} if media.model is None else schemas[media.model, "serialization"]}
        for media in route.replies
    }
    good: dict[str, Any] = {"description": route.summary, "content": content}
    if route.headers:
        good["headers"] = {name: {"schema": {"type": "string"}} for name in route.headers}
    problem = {"application/problem+json": {"schema": {"$ref": REFERENCE.format(model="Problem")}}}
    responses = {str(route.status): good}
    if route.other_status is not None:
        responses[str(route.other_status)] = {**good, "content": {**content, **problem}}
    responses["default"] = {
        "description": "What went wrong and what to do",
        "headers": {"Retry-After": RETRY_AFTER},
        "content": problem,
    }
    return responses


def _details(route: Route) -> str:
    """What the command says of itself, and what the row adds."""
    own = route.command.__doc__ if route.command is not None and route.command.__doc__ else ""
    if route.command is not None and own == Command.__doc__:
        own = ""
    return "\n\n".join(text for text in (cleandoc(own).replace("``", "`"), route.details) if text)


def _parameters(route: Route, components: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    if route.command is not None:
        schema = components[route.command.__name__]
        found += [_parameter(name, "path", schema) for name in route.parameters]
        found += [_parameter(name, "query", schema) for name in route.query]
    if route.options is not None:
        schema = components[route.options.__name__]
        found += [_parameter(name, "query", schema) for name in wire_names(route.options)]
    if route.keyed:
        key = {"type": "string", "minLength": 1, "maxLength": 255}
        found.append({"name": "Idempotency-Key", "in": "header", "required": False, "schema": key})
    if route.resumes:
        number = {"type": "string", "pattern": "^[0-9]{1,19}$"}
        found.append({"name": "Last-Event-ID", "in": "header", "required": False, "schema": number})
    return found


def _parameter(name: str, where: str, schema: dict[str, Any]) -> dict[str, Any]:
    required = where == "path" or name in schema.get("required", ())
    return {"name": name, "in": where, "required": required, "schema": schema["properties"][name]}


def _body(route: Route, components: dict[str, Any]) -> dict[str, Any]:
    assert route.command is not None
    schema = dict(components[route.command.__name__])
    schema["properties"] = {name: schema["properties"][name] for name in route.body}
    required = [name for name in schema.get("required", ()) if name in route.body]
    schema.pop("required", None)
    if required:
        schema["required"] = required
    return {"required": bool(required), "content": {"application/json": {"schema": schema}}}


def _schemas(routes: tuple[Route, ...]) -> tuple[dict[Any, Any], dict[str, Any]]:
    models: dict[tuple[type[BaseModel], Any], None] = {}
    for route in routes:
        for request in (route.command, route.options):
            if request is not None:
                models[request, "validation"] = None
        for media in route.replies:
            if media.model is not None:
                models[media.model, "serialization"] = None
    schemas, document = models_json_schema(list(models), ref_template=REFERENCE)
    return dict(schemas), dict(document.get("$defs", {}))


def _request_names(routes: tuple[Route, ...]) -> set[str]:
    """Requests are spread over parameters and bodies, so they are no components of their own."""
    models = [model for route in routes for model in (route.command, route.options) if model is not None]
    return {model.__name__ for model in models}
