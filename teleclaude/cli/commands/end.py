"""``restart`` and ``kill``."""

from __future__ import annotations

import argparse

from teleclaude.cli.command import Command, Context
from teleclaude.cli.commands.reply import show_session
from teleclaude.cli.values import integer, session_path

_DEFAULT_GRACE_MS = 2_000


def _configure_restart(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the session")
    parser.add_argument("--resume", action="store_true", help="an agent takes up its conversation again")


def _restart(context: Context) -> int:
    body = {"resume": True} if context.args.resume else {}
    path = session_path(context.args.name, "restart")
    return show_session(context, context.client.call("POST", path, body=body, patience=_DEFAULT_GRACE_MS / 1000))


def _configure_kill(parser: argparse.ArgumentParser) -> None:
    parser.description = "End a session. Its record and output stay readable, unless --purge."
    parser.add_argument("name", metavar="NAME", help="the session")
    parser.add_argument(
        "--grace", metavar="MS", type=integer(0, 60_000), help="how long it may take to end before it is killed"
    )
    parser.add_argument("--purge", action="store_true", help="drop its record and output too")


def _kill(context: Context) -> int:
    grace_ms: int | None = context.args.grace
    query = {"grace_ms": grace_ms, "purge": "true" if context.args.purge else None}
    patience = (_DEFAULT_GRACE_MS if grace_ms is None else grace_ms) / 1000
    path = session_path(context.args.name)
    return show_session(context, context.client.call("DELETE", path, query=query, patience=patience))


RESTART = Command("restart", "sessions", "start a session's command again", _configure_restart, _restart)
KILL = Command("kill", "sessions", "end a session", _configure_kill, _kill)
