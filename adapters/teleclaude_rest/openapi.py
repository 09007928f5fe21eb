"""The description of the HTTP surface, made from the route table and the models that validate it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from teleclaude import __version__
from teleclaude.errors import ERRORS_BY_CODE
from teleclaude.wire import jsonio
from teleclaude_rest.binding import wire_names
from teleclaude_rest.route import PREFIX, Route

REFERENCE = "#/components/schemas/{model}"

PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "operation"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "enum": sorted(ERRORS_BY_CODE)},
        "operation": {"type": "string"},
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
        "info": {"title": "teleclaude", "version": __version__},
        "paths": paths,
        "components": {"schemas": {**used, "Problem": PROBLEM}},
    }


def _operation(route: Route, schemas: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any]:
    place = route.path.strip("/").replace("/", ".").translate({ord("{"): None, ord("}"): None})
    described: dict[str, Any] = {"summary": route.summary, "operationId": f"{route.method.lower()}.{place}"}
    if parameters := _parameters(route, components):
        described["parameters"] = parameters
    if route.body:
        described["requestBody"] = _body(route, components)
    content: dict[str, Any] = {
        media.mime: {"schema": {} if media.model is None else schemas[media.model, "serialization"]}
        for media in route.replies
    }
    problem = {"content": {"application/problem+json": {"schema": {"$ref": REFERENCE.format(model="Problem")}}}}
    described["responses"] = {
        str(route.status): {"description": route.summary, "content": content},
        "default": {"description": "What went wrong and what to do", **problem},
    }
    return described


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
