"""Keyboards under messages: what Telegram takes, and what it refuses."""

from __future__ import annotations

from typing import Any

from teleclaude.testing.telegram.limits import BUTTONS, BUTTONS_PER_ROW, CALLBACK_DATA_BYTES, COPY_TEXT_UNITS
from teleclaude.testing.telegram.refusal import bad_request
from teleclaude.testing.telegram.text import check_url, units

Keyboard = list[list[dict[str, Any]]]

_ACTIONS = (
    "callback_data", "url", "web_app", "copy_text", "switch_inline_query", "switch_inline_query_current_chat",
    "switch_inline_query_chosen_chat", "login_url", "pay", "callback_game",
)  # fmt: skip
_OTHER = ("keyboard", "remove_keyboard", "force_reply")


def check_markup(markup: object, *, private: bool) -> Keyboard | None:
    """The inline keyboard of a ``reply_markup``, None when it is of another kind or empty. Raises ``ApiError``."""
    if not isinstance(markup, dict):
        raise bad_request("can't parse reply keyboard markup JSON object")
    if "inline_keyboard" not in markup:
        if markup and not any(name in markup for name in _OTHER):
            raise bad_request("can't parse reply keyboard markup: unsupported type")
        return None
    rows = markup["inline_keyboard"]
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise bad_request('field "inline_keyboard" must be of type Array')
    keyboard: Keyboard = [row for row in rows if row]
    if sum(map(len, keyboard)) > BUTTONS or any(len(row) > BUTTONS_PER_ROW for row in keyboard):
        raise bad_request("REPLY_MARKUP_TOO_LONG")
    for row in keyboard:
        for button in row:
            _check_button(button, private)
    return keyboard or None


def _check_button(button: object, private: bool) -> None:
    if not isinstance(button, dict) or not isinstance(button.get("text"), str) or not button["text"].strip():
        raise bad_request('can\'t parse inline keyboard button: Field "text" must be of type String')
    actions = [name for name in _ACTIONS if name in button]
    if not actions:
        raise bad_request("can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard")
    if len(actions) > 1:
        raise bad_request("BUTTON_TYPE_INVALID")
    value = button[actions[0]]
    match actions[0]:
        case "callback_data" if not 1 <= len(str(value).encode()) <= CALLBACK_DATA_BYTES:
            raise bad_request("BUTTON_DATA_INVALID")
        case "web_app" if not private:
            raise bad_request("BUTTON_TYPE_INVALID")
        case "url":
            check_url(str(value), "inline keyboard button URL")
        case "copy_text" if not 1 <= units(str(value.get("text", ""))) <= COPY_TEXT_UNITS:
            raise bad_request("BUTTON_COPY_TEXT_INVALID")
