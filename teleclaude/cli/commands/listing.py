"""``ls``: which sessions there are."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from teleclaude.cli.command import Command, Context
from teleclaude.cli.failure import OK
from teleclaude.cli.table import session_table

_STATES = ("starting", "running", "exited", "lost", "handing_off", "handed_off")
_FILTERS = ("computer", "state", "kind", "tag")


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--computer", metavar="NAME", help="only those on this computer")
    parser.add_argument("--state", choices=_STATES, help="only those in this state")
    parser.add_argument("--kind", choices=("terminal", "python"), help="only those of this kind")
    parser.add_argument("--tag", metavar="T", help="only those with this tag")


def _ls(context: Context) -> int:
    query = {key: getattr(context.args, key) for key in _FILTERS}
    reply = context.client.call("GET", "/sessions", query=query)
    if context.args.json:
        context.out.json(reply)
    elif reply["sessions"]:
        table = session_table(reply["sessions"], now=datetime.now(UTC), width=context.out.width())
        context.out.line(table)
    elif context.out.is_tty:
        context.out.note("no sessions; start one with: teleclaude new")
    return OK


LS = Command("ls", "sessions", "list the sessions", _configure, _ls)
