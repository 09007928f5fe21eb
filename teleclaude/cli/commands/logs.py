"""``logs``: a session's recorded output, with ``-f`` what follows, with ``--search`` only where a text stands."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from teleclaude.cli.command import Command, Context
from teleclaude.cli.failure import OK, CliError, RefusedError, UsageError
from teleclaude.cli.follow import Follower
from teleclaude.cli.record import Record, gap_below
from teleclaude.cli.values import offset, session_path

if TYPE_CHECKING:
    from http.client import HTTPMessage

_READ_BYTES = 1 << 20
_SEARCH_LINES = 1000


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.description = "Print what a session has put out. Holes in it are named on stderr."
    parser.add_argument("name", metavar="NAME", help="the session")
    parser.add_argument("-f", "--follow", action="store_true", help="go on as more comes, until the session ends")
    parser.add_argument(
        "--from",
        dest="start",
        metavar="N",
        type=offset,
        help="begin at this offset, or with the last -N bytes (default: all)",
    )
    parser.add_argument("--search", metavar="TEXT", help="print only the lines that hold TEXT, with their offsets")
    parser.add_argument("--regex", action="store_true", help="TEXT is a regular expression (RE2)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--text", action="store_true", help="plain text, without colours on a terminal too")
    how.add_argument("--raw", action="store_true", help="the bytes as they are, escape sequences and all")


def _logs(context: Context) -> int:
    args, out = context.args, context.out
    if args.search is not None:
        return _search(context)
    if args.regex:
        raise UsageError("--regex goes with --search TEXT")
    colours = out.is_tty and not args.text and not args.json and "NO_COLOR" not in context.environ
    with Record(out, raw=args.raw, as_json=args.json, colours=colours) as record:
        if args.follow:
            Follower(context.client, out, record, session_path(args.name)).run(args.start)
        else:
            _read_all(context, record)
    return OK


def _search(context: Context) -> int:
    args, out = context.args, context.out
    if args.follow or args.raw:
        raise UsageError("--search looks through what is there; leave -f and --raw out")
    kind = "regex" if args.regex else "text"
    position: int | None = args.start
    while True:
        query = {kind: args.search, "from": position, "limit": _SEARCH_LINES}
        reply = context.client.call("GET", session_path(args.name, "search"), query=query)
        for line in reply["matches"]:
            if args.json:
                out.json(line, compact=True)
            else:
                out.line(f"{line['from']}: {line['text']}")
        position = reply["next"]
        if position is None:
            return OK


def _read_all(context: Context, record: Record) -> None:
    """Everything up to where the stream ended at the first look: a busy session would never be done otherwise."""
    path = session_path(context.args.name, "output")
    position: int | None = context.args.start
    end: int | None = None
    while end is None or (position is not None and position < end):
        try:
            body, headers = context.client.fetch(path, query={"from": position, "limit": _READ_BYTES, "format": "raw"})
        except RefusedError as refusal:
            gap = gap_below(refusal, position)
            record.gap(gap)
            position = gap["to"]
            continue
        start, stop, stream_end = (_header(headers, f"Teleclaude-{name}") for name in ("From", "To", "End"))
        record.output(start, stop, body)
        end = stream_end if end is None else end
        if stop <= start:
            return
        position = stop


def _header(headers: HTTPMessage, name: str) -> int:
    value = headers.get(name, "")
    if not value.isdecimal():
        raise CliError(f"the daemon's answer lacks {name}; is it a teleclaude daemon?")
    return int(value)


LOGS = Command("logs", "output", "print a session's output (-f: follow it)", _configure, _logs)
