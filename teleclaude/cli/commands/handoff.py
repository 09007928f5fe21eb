"""``handoff``: a session moves to another computer, or is taken over from a dead one."""

from __future__ import annotations

import argparse

from teleclaude.cli.command import Command, Context
from teleclaude.cli.failure import OK, UsageError
from teleclaude.cli.values import seconds, session_path

_DEFAULT_TIMEOUT = 60.0
_TAKE_PATIENCE = 20.0

_HELP = """
Hand a terminal session to another computer. Its command starts anew there, an agent with its conversation, in
the same trusted directory or path; its output so far comes along, and offsets go on. Here its program ends once
the other computer has taken it. With --force-take, on the computer that is to have it: take it from one that is
dead for good; refused while that one answers.
"""


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.description = _HELP
    parser.add_argument("name", metavar="NAME", help="the session")
    parser.add_argument("computer", metavar="COMPUTER", nargs="?", help="where it is to go")
    parser.add_argument(
        "--git",
        choices=("none", "bundle"),
        default="none",
        help="bundle: branch, index and files of its repository come along, untracked ones too",
    )
    parser.add_argument(
        "--timeout",
        metavar="S",
        type=seconds,
        default=_DEFAULT_TIMEOUT,
        help="give up after so many seconds (default: 60)",
    )
    parser.add_argument("--force-take", action="store_true", help="take it from a computer that is dead (owners only)")


def _handoff(context: Context) -> int:
    args = context.args
    if args.force_take:
        if args.computer is not None:
            raise UsageError("--force-take takes it to this computer; leave COMPUTER out")
        reply = context.client.call("POST", session_path(args.name, "take"), patience=_TAKE_PATIENCE)
    else:
        if args.computer is None:
            raise UsageError("name the COMPUTER that the session is to go to")
        body = {"computer": args.computer, "git": args.git, "timeout_ms": max(1, round(args.timeout * 1000))}
        reply = context.client.call("POST", session_path(args.name, "handoff"), body=body, patience=args.timeout)
    if args.json:
        context.out.json(reply)
    else:
        context.out.line(f"{args.name.rpartition('/')[2]} is on {reply['to']} now (epoch {reply['epoch']})")
    return OK


HANDOFF = Command("handoff", "sessions", "hand a session to another computer", _configure, _handoff)
