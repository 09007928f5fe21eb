"""Answers to pressed buttons."""

from __future__ import annotations

from typing import Any

from teleclaude.testing.telegram.limits import CALLBACK_ANSWER_UNITS, CALLBACK_SECONDS
from teleclaude.testing.telegram.methods.request import Request
from teleclaude.testing.telegram.refusal import bad_request
from teleclaude.testing.telegram.text import units


def answer_callback_query(request: Request) -> Any:
    tap = request.bot.taps.get(request.params.text("callback_query_id") or "")
    text = request.params.text("text") or ""
    if tap is None or tap.answer is not None or request.world.monotonic() - tap.at > CALLBACK_SECONDS:
        raise bad_request("query is too old and response timeout expired or query ID is invalid")
    if units(text) > CALLBACK_ANSWER_UNITS:
        raise bad_request("MESSAGE_TOO_LONG")
    tap.answer = {"text": text, "show_alert": request.params.flag("show_alert")}
    return True
