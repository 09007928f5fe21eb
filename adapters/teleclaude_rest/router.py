"""From a request target to a route. Pure; path segments are decoded exactly once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from teleclaude.errors import MalformedError, MethodError, NotFoundError
from teleclaude_rest.route import Route

OPERATION = "http.request"

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Match:
    route: Route
    path: dict[str, str]
    query: str


@dataclass(frozen=True, slots=True)
class _Row:
    segments: tuple[str, ...]
    route: Route

    def match(self, given: tuple[str, ...]) -> dict[str, str] | None:
        if len(given) != len(self.segments):
            return None
        found: dict[str, str] = {}
        for template, segment in zip(self.segments, given, strict=True):
            if template.startswith("{"):
                if not segment:
                    return None
                found[template[1:-1]] = segment
            elif template != segment:
                return None
        return found


class Router:
    """Matches method and target against a table of routes; a literal segment wins over a parameter."""

    def __init__(self, routes: Iterable[Route]) -> None:
        rows = [_Row(_split(route.prefix + route.path), route) for route in routes]
        rows += [_Row(_split(row.route.path), row.route) for row in rows if row.route.bare]
        self._rows = sorted(rows, key=lambda row: len(row.route.parameters))

    def find(self, method: str, target: str) -> Match:
        """Raises ``MalformedError`` for a target that is no path, ``NotFoundError``, and ``MethodError`` with the
        methods that would do (``allow``).
        """
        path, _, query = target.partition("?")
        segments = tuple(_decoded(segment) for segment in _split(path))
        allowed: list[str] = []
        for row in self._rows:
            found = row.match(segments)
            if found is None:
                continue
            if not row.route.streamed:
                _refuse_controls(segments)
            methods = _methods(row.route)
            if method in methods:
                return Match(row.route, found, query)
            allowed += methods
        if allowed:
            allow = sorted(set(allowed))
            raise MethodError(f"this path takes {', '.join(allow)} only", operation=OPERATION, allow=allow)
        _refuse_controls(segments)
        raise NotFoundError("nothing is served under this path; see /v1/openapi.json", operation=OPERATION)


def _methods(route: Route) -> tuple[str, ...]:
    """What the row answers. HEAD is for replies with an end: of one that goes on, the head alone would say nothing."""
    return ("GET", "HEAD") if route.method == "GET" and not route.endless else (route.method,)


def _split(path: str) -> tuple[str, ...]:
    if not path.startswith("/"):
        raise MalformedError("the request target is not a path", operation=OPERATION)
    return tuple(path[1:].split("/"))


def _decoded(segment: str) -> str:
    if _BAD_ESCAPE.search(segment):
        raise MalformedError("a % in the path is not followed by two hexadecimal digits", operation=OPERATION)
    try:
        text = unquote_to_bytes(segment.encode("utf-8", "surrogateescape")).decode()
    except UnicodeDecodeError:
        raise MalformedError("the path is not UTF-8", operation=OPERATION) from None
    return text


def _refuse_controls(segments: tuple[str, ...]) -> None:
    if any(_CONTROL.search(segment) for segment in segments):
        raise MalformedError("the path holds a control character", operation=OPERATION)
