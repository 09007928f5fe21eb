"""``teleclaude init telegram``: from a token to a config, step by step, each one checked before the next."""

from __future__ import annotations

import getpass
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from teleclaude.assist.bot_check import judge_chat, plausible, read_token
from teleclaude.assist.botapi import BotApi, BotApiError
from teleclaude.assist.config_edit import with_section
from teleclaude.assist.findings import Level, line
from teleclaude.cli.failure import BAD_CONFIG, OK, TIMED_OUT, CliError, UsageError
from teleclaude.cli.output import Output
from teleclaude.config import ConfigError, TelegramConfig, load_config
from teleclaude.paths import find_config

PATIENCE_SECONDS = 600.0
POLL_SECONDS = 10
RIGHTS_SECONDS = 2.0
ROLES = ("owner", "operator", "viewer")


@dataclass(frozen=True, slots=True)
class Setup:
    """What was given on the command line; the rest is asked for."""

    config: Path | None = None
    token_file: Path | None = None
    base_url: str | None = None
    role: str = "owner"


@dataclass(frozen=True, slots=True)
class _Found:
    """Who wrote the word, and where."""

    chat_id: int
    user_id: int
    name: str


def init_telegram(out: Output, environ: Mapping[str, str], setup: Setup) -> int:
    """Answers the exit code. Raises ``CliError`` with what to do when a step cannot be taken."""
    if setup.role not in ROLES:
        raise UsageError(f"--role is one of {', '.join(ROLES)}")
    path = setup.config or find_config(environ)
    base_url = setup.base_url or TelegramConfig().base_url
    out.line("1. The bot. Talk to @BotFather, send /newbot (or /token for a bot you have), and paste its token here.")
    token = _token(setup.token_file)
    api = BotApi(token, base_url)
    me = _ask(api, "getMe")
    out.line(f"   It is @{me['username']}.")
    _no_webhook(api)
    found = _find(out, api, me)
    out.line(f"   That was {found.name} (user {found.user_id}) in chat {found.chat_id}.")
    _rights(out, api, me, found.chat_id)
    token_file = setup.token_file or path.parent / "telegram-token"
    if setup.token_file is None:
        write_private(token_file, f"{token}\n")
    section = _section(setup, token_file, found, base_url)
    _write_config(path, section)
    out.line(f"4. Written: {path}, section telegram, and the token in {token_file} (mode 0600).")
    out.line("   Now restart the daemon, and see that all is well: teleclaude doctor --echo")
    return OK


def _token(file: Path | None) -> str:
    if file is not None:
        try:
            return read_token(file)
        except (OSError, ValueError) as error:
            raise CliError(f"{file}: {error}") from error
    given = getpass.getpass("   Token (it is not shown): ") if sys.stdin.isatty() else sys.stdin.readline()
    if not plausible(given.strip()):
        raise UsageError("this is no bot token; it looks like 123456789:AAF… , with nothing before or behind it")
    return given.strip()


def _ask(api: BotApi, method: str, *, patience: float = 0.0, **params: Any) -> Any:
    try:
        return api.call(method, patience=patience, **params)
    except BotApiError as error:
        if error.code in (401, 404):
            raise CliError("Telegram does not know this token; ask @BotFather for the one in force") from error
        if error.code == 409:
            message = "another program fetches this bot's messages; end it (a running daemon, too) and try again"
            raise CliError(message) from error
        raise CliError(f"Telegram refused {method}: {error.description}") from error


def _no_webhook(api: BotApi) -> None:
    if _ask(api, "getWebhookInfo").get("url"):
        raise CliError("this bot has a webhook, so its messages go elsewhere; remove it (deleteWebhook) and try again")


def _find(out: Output, api: BotApi, me: dict[str, Any]) -> _Found:
    """Wait for somebody to write a word that only who reads this can know."""
    word = secrets.token_hex(3)
    out.line("2. The chat. Either make a group, turn on Topics in its settings, and add the bot as administrator with")
    out.line("   the right to manage topics; or open a private chat with the bot. Then write there:")
    out.line("")
    out.line(f"   /start {word}")
    out.line("")
    out.line(f"   (a link to add it to a group: https://t.me/{me['username']}?startgroup={word}&admin=manage_topics)")
    until = time.monotonic() + PATIENCE_SECONDS
    offset = 0
    while time.monotonic() < until:
        updates = _ask(
            api, "getUpdates", patience=POLL_SECONDS, offset=offset, timeout=POLL_SECONDS, allowed_updates=["message"]
        )
        for update in updates:
            offset = update["update_id"] + 1
            found = _written(out, update.get("message") or {}, word)
            if found is not None:
                _ask(api, "getUpdates", offset=offset, timeout=0)
                return found
    raise CliError(f"nobody wrote /start {word} within {PATIENCE_SECONDS / 60:g} minutes", TIMED_OUT)


def _written(out: Output, message: dict[str, Any], word: str) -> _Found | None:
    if word not in str(message.get("text", "")).split():
        return None
    sender = message.get("from") or {}
    if sender.get("is_bot") or "sender_chat" in message:
        out.line(
            "   You write as the group, so I cannot see who you are: turn off “remain anonymous”, and write again."
        )
        return None
    return _Found(message["chat"]["id"], sender["id"], str(sender.get("first_name", "")))


def _rights(out: Output, api: BotApi, me: dict[str, Any], chat_id: int) -> None:
    """Wait until the bot may do what it has to."""
    out.line("3. Rights.")
    until = time.monotonic() + PATIENCE_SECONDS
    said = ""
    while True:
        chat = _ask(api, "getChat", chat_id=chat_id)
        member = _ask(api, "getChatMember", chat_id=chat_id, user_id=me["id"])
        finding = judge_chat(me, chat, member)
        if finding.detail != said:
            said = finding.detail
            out.line(f"   {line(finding)}")
        if finding.level is not Level.FAILURE:
            return
        if time.monotonic() > until:
            raise CliError("the bot still may not; give it the right and try again", TIMED_OUT)
        _pause(RIGHTS_SECONDS)


def _pause(seconds: float) -> None:
    """The program is alone with its person here, so blocking hurts nobody."""
    time.sleep(seconds)  # noqa: TID251


def _section(setup: Setup, token_file: Path, found: _Found, base_url: str) -> dict[str, Any]:
    section: dict[str, Any] = {
        "enabled": True,
        "token_file": str(token_file.absolute()),
        "chat_id": found.chat_id,
        "users": {found.user_id: setup.role},
    }
    if setup.base_url is not None:
        section |= {"base_url": base_url, "base_file_url": f"{base_url.removesuffix('/bot')}/file/bot"}
    return section


def _write_config(path: Path, section: dict[str, Any]) -> None:
    """Replace the file once the daemon could read what it will hold; keep its mode where there is one."""
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    if path.exists():
        section = _kept(path, section) | section
    text = with_section(before, "telegram", section)
    write_private(path, text, mode=path.stat().st_mode & 0o777 if path.exists() else 0o600, check=True)


def _kept(path: Path, section: dict[str, Any]) -> dict[str, Any]:
    """People who are allowed already stay so, when it is the same chat."""
    try:
        old = load_config(path, {}).telegram
    except ConfigError as error:
        raise CliError(f"the config must be right before it is changed:\n{error.detail}", BAD_CONFIG) from error
    if old.chat_id == section["chat_id"]:
        section["users"] = {user: role.name.lower() for user, role in old.users.items()} | section["users"]
    return {"publish_commands": old.publish_commands}


def write_private(path: Path, text: str, *, mode: int = 0o600, check: bool = False) -> None:
    """Write ``path`` in one step; ``check`` refuses what is no valid config. Raises ``CliError``."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise CliError(f"cannot write {path}: {error.strerror}") from error
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        if check:
            load_config(temporary, {})
        temporary.replace(path)
    except ConfigError as error:
        raise CliError(
            f"the new config would not be valid, so nothing is changed: {error.detail}", BAD_CONFIG
        ) from error
    except OSError as error:
        raise CliError(f"cannot write {path}: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)
