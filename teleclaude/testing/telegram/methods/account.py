"""The bot itself: who it is, its commands, its webhook."""

from __future__ import annotations

import json
import re
from typing import Any

from teleclaude.testing.telegram.limits import COMMAND_DESCRIPTION, COMMANDS
from teleclaude.testing.telegram.methods.request import Request
from teleclaude.testing.telegram.refusal import bad_request

_COMMAND = re.compile(r"[a-z0-9_]{1,32}")
_SCOPES = frozenset(
    {
        "default", "all_private_chats", "all_group_chats", "all_chat_administrators", "chat", "chat_administrators",
        "chat_member",
    }
)  # fmt: skip
MAX_SCOPES = 1000


def get_me(request: Request) -> Any:
    return request.bot.view()


def set_my_commands(request: Request) -> Any:
    commands = request.params.value("commands", "commands")
    if not isinstance(commands, list):
        raise bad_request("can't parse commands JSON object")
    if len(commands) > COMMANDS:
        raise bad_request("BOT_COMMANDS_TOO_MUCH")
    for command in commands:
        if not _COMMAND.fullmatch(str(command.get("command", "")).removeprefix("/")):
            raise bad_request("BOT_COMMAND_INVALID")
        if not 1 <= len(str(command.get("description", ""))) <= COMMAND_DESCRIPTION:
            raise bad_request("BOT_COMMAND_DESCRIPTION_INVALID")
    key = _scope(request)
    if len(request.bot.commands) >= MAX_SCOPES and key not in request.bot.commands:
        raise bad_request("too many scopes")
    request.bot.commands[key] = commands
    return True


def get_my_commands(request: Request) -> Any:
    return request.bot.commands.get(_scope(request), [])


def delete_my_commands(request: Request) -> Any:
    request.bot.commands.pop(_scope(request), None)
    return True


def _scope(request: Request) -> str:
    scope = request.params.value("scope", "bot command scope") or {"type": "default"}
    if not isinstance(scope, dict) or scope.get("type") not in _SCOPES:
        raise bad_request("can't parse BotCommandScope: Unsupported type specified")
    if "chat_id" in scope:
        request.world.chat(request.bot, int(scope["chat_id"]))
    return json.dumps([scope, request.params.text("language_code") or ""], sort_keys=True)


def set_webhook(request: Request) -> Any:
    url = request.params.text("url") or ""
    if url and not url.startswith("https://"):
        raise bad_request("bad webhook: An HTTPS URL must be provided for webhook")
    request.bot.webhook = url
    return True


def delete_webhook(request: Request) -> Any:
    request.bot.webhook = ""
    if request.params.flag("drop_pending_updates"):
        request.bot.updates.clear()
    return True


def get_webhook_info(request: Request) -> Any:
    pending = len(request.bot.updates.waiting)
    return {"url": request.bot.webhook, "has_custom_certificate": False, "pending_update_count": pending}


def log_out(request: Request) -> Any:
    del request
    return True
