"""``wait``: until a session says something, falls silent or ends."""

from __future__ import annotations

import argparse
from typing import Any

from teleclaude.cli.command import Command, Context
from teleclaude.cli.escapes import plain
from teleclaude.cli.failure import OK, REFUSED, TIMED_OUT, CliError
from teleclaude.cli.values import integer, offset, seconds, session_path

_EXIT_CODES = {"matched": OK, "exited": REFUSED, "timeout": TIMED_OUT}
_DEFAULT_TIMEOUT = 30.0
_ACTIVITIES = ("working", "idle", "needs_input", "unknown")

_HELP = """
Wait until the session does what one of the conditions says. Ends with 0 when it did, 1 when the session
ended (for --exit too), 124 when the time was up. Text is looked for since the last input, or from --from.
"""


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.description = _HELP
    parser.add_argument("name", metavar="NAME", help="the session")
    until = parser.add_mutually_exclusive_group(required=True)
    until.add_argument("--text", metavar="T", help="its output contains this text")
    until.add_argument("--regex", metavar="R", help="its output matches this expression (RE2)")
    until.add_argument(
        "--idle", metavar="MS", type=integer(1, 86_400_000), help="it was silent for so many milliseconds"
    )
    until.add_argument("--activity", choices=_ACTIVITIES, help="it is in this activity")
    until.add_argument("--exit", action="store_true", help="it ended")
    parser.add_argument("--from", dest="start", metavar="N", type=offset, help="look from this offset on")
    parser.add_argument(
        "--timeout",
        metavar="S",
        type=seconds,
        default=_DEFAULT_TIMEOUT,
        help="give up after so many seconds (default: 30)",
    )


def _wait(context: Context) -> int:
    args = context.args
    reply = context.client.call(
        "POST", session_path(args.name, "wait"), body=wait_body(args), patience=args.timeout, changes=False
    )
    exit_code = _EXIT_CODES.get(str(reply.get("outcome")))
    if exit_code is None:
        raise CliError(f"the daemon answered an unknown outcome: {reply.get('outcome')}")
    if args.json:
        context.out.json(reply)
    else:
        context.out.line(outcome_text(reply))
    return exit_code


def wait_body(args: argparse.Namespace) -> dict[str, object]:
    """The request of ``wait``."""
    conditions = {"text": args.text, "regex": args.regex, "idle_ms": args.idle, "activity": args.activity}
    until = {key: value for key, value in conditions.items() if value is not None}
    body: dict[str, object] = {"until": until or {"exit": True}, "timeout_ms": round(args.timeout * 1000)}
    if args.start is not None:
        body["from"] = args.start
    return body


def outcome_text(reply: dict[str, Any]) -> str:
    """``matched at 120: ready``, ``exited``, ``timeout``."""
    match = reply.get("match")
    found = f": {plain(str(match.get('text')))}" if isinstance(match, dict) else ""
    where = f" at {reply.get('offset')}" if reply["outcome"] == "matched" else ""
    return f"{reply['outcome']}{where}{found}"


WAIT = Command("wait", "output", "wait until a session says something, is idle or ends", _configure, _wait)
