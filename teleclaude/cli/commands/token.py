"""``token``: who may come in from outside."""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import quote

from teleclaude.cli.command import Command, Context
from teleclaude.cli.common import add_common_again
from teleclaude.cli.escapes import plain
from teleclaude.cli.failure import OK
from teleclaude.cli.table import align

_UNITS_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def _configure(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = _action(actions, "create", "make a token; it is shown this once")
    create.add_argument("name", metavar="NAME")
    create.add_argument("--role", choices=("viewer", "operator", "owner"), default="operator", help="default: operator")
    create.add_argument("--expires", metavar="TIME", type=_duration, help="how long it holds, such as 12h or 30d")
    create.add_argument("--session", metavar="S", action="append", dest="sessions", help="for this session only")
    create.add_argument("--verb", metavar="V", action="append", dest="verbs", help="for this operation only")
    _action(actions, "list", "all tokens")
    revoke = _action(actions, "revoke", "end a token and every connection by it")
    revoke.add_argument("name", metavar="NAME", help="its name or id")


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, summary: str
) -> argparse.ArgumentParser:
    action = actions.add_parser(name, help=summary, description=f"{summary.capitalize()}.", allow_abbrev=False)
    add_common_again(action)
    return action


def _duration(text: str) -> int:
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdecimal()) or unit not in _UNITS_MS or len(number) > 9 or int(number) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write a number and s, m, h or d, such as 30d")
    return int(number) * _UNITS_MS[unit]


def _token(context: Context) -> int:
    actions = {"create": _create, "list": _list, "revoke": _revoke}
    return actions[context.args.action](context)


def _create(context: Context) -> int:
    args = context.args
    wanted = {
        "name": args.name,
        "role": args.role,
        "expires_in_ms": args.expires,
        "sessions": args.sessions,
        "verbs": args.verbs,
    }
    body = {key: value for key, value in wanted.items() if value is not None}
    reply = context.client.call("POST", "/tokens", body=body)
    if args.json:
        context.out.json(reply)
        return OK
    context.out.line(plain(str(reply["token"])))
    context.out.note("this is the only time it is shown; keep it in a private file for --token-file")
    return OK


def _list(context: Context) -> int:
    reply = context.client.call("GET", "/tokens")
    if context.args.json:
        context.out.json(reply)
    elif reply["tokens"]:
        header = ["NAME", "ROLE", "EXPIRES", "SESSIONS", "VERBS"]
        rows = [_row(token) for token in reply["tokens"]]
        context.out.line(align([header, *rows], width=context.out.width()))
    elif context.out.is_tty:
        context.out.note("no tokens; make one with: teleclaude token create NAME")
    return OK


def _row(token: dict[str, Any]) -> list[str]:
    scopes = (" ".join(token[key]) if token[key] is not None else "all" for key in ("sessions", "verbs"))
    return [plain(str(cell)) for cell in (token["name"], token["role"], token["expires_at"] or "never", *scopes)]


def _revoke(context: Context) -> int:
    reply = context.client.call("DELETE", f"/tokens/{quote(context.args.name, safe='')}")
    if context.args.json:
        context.out.json(reply)
    return OK


TOKEN = Command("token", "daemon", "make, list and revoke tokens for others", _configure, _token)
