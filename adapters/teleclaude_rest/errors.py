"""Errors as HTTP replies: one shape for everything that goes wrong, wherever it goes wrong."""

from __future__ import annotations

import json
from typing import ClassVar

from aiohttp import web

from teleclaude.errors import LimitError, TeleclaudeError, TooLargeError, UnavailableError
from teleclaude.wire.problems import problem

PROBLEM_TYPE = "application/problem+json"

COMMON_HEADERS = {"Server": "teleclaude", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
"""On every reply."""


class HeadTooLargeError(TooLargeError):
    """Request line or headers beyond the limit."""

    status: ClassVar[int] = 431


class TooManyConnectionsError(LimitError):
    """``rest.max_connections`` is reached."""

    status: ClassVar[int] = 503


class StoppingError(UnavailableError):
    """The server is going down while a reply was still waiting for something."""


def problem_response(error: TeleclaudeError) -> web.Response:
    """``application/problem+json`` with the error's status; ``Retry-After`` in whole seconds where a delay is known."""
    # ASCII only: a detail that quotes hostile text must not fail while being told.
    response = web.Response(
        body=json.dumps(problem(error), default=str).encode(), status=error.status, headers=COMMON_HEADERS
    )
    response.content_type = PROBLEM_TYPE
    delay = error.fields.get("retry_after_ms")
    if isinstance(delay, int):
        response.headers["Retry-After"] = str(max(1, -(-delay // 1000)))
    if error.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    allow = error.fields.get("allow")
    if isinstance(allow, list):
        response.headers["Allow"] = ", ".join(allow)
    return response
