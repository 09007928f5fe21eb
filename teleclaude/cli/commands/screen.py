"""``screen``: what a session's terminal shows now."""

from __future__ import annotations

import argparse
from pathlib import Path

from teleclaude.cli.command import Command, Context
from teleclaude.cli.escapes import ByteFilter
from teleclaude.cli.failure import OK, CliError, UsageError
from teleclaude.cli.values import session_path

FORMATS = ("text", "ansi", "json", "png")


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the session")
    parser.add_argument(
        "--format",
        choices=FORMATS,
        help="default: ansi (with colours) on a terminal, text elsewhere; png needs -o or a pipe",
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write it to this file")
    parser.add_argument("--raw", action="store_true", help="leave every escape sequence in")


def _screen(context: Context) -> int:
    args, out = context.args, context.out
    wanted = screen_format(args, is_tty=out.is_tty, colours="NO_COLOR" not in context.environ)
    path = session_path(args.name, "screen")
    if wanted == "json" and args.output is None:
        out.json(context.client.call("GET", path, query={"format": "json"}))
        return OK
    body, _ = context.client.fetch(path, query={"format": wanted})
    if wanted in ("text", "ansi") and not args.raw:
        body = _filtered(body, colours=wanted == "ansi")
    if args.output is None:
        out.data(body)
    else:
        _write(Path(args.output), body)
    return OK


def screen_format(args: argparse.Namespace, *, is_tty: bool, colours: bool) -> str:
    """The format to ask for. Raises ``UsageError`` when it does not go with the rest."""
    chosen: str | None = args.format
    if args.json and chosen not in (None, "json"):
        raise UsageError(f"--json and --format {chosen} exclude each other")
    if args.json:
        return "json"
    to_terminal = is_tty and args.output is None
    if chosen == "png" and to_terminal:
        raise UsageError("a png does not go to a terminal; give -o FILE")
    return chosen or ("ansi" if to_terminal and colours else "text")


def _filtered(body: bytes, *, colours: bool) -> bytes:
    escapes = ByteFilter(colours=colours)
    text = escapes.feed(body) + escapes.close()
    return (text if not text or text.endswith("\n") else text + "\n").encode()


def _write(path: Path, body: bytes) -> None:
    try:
        path.write_bytes(body)
    except OSError as error:
        raise CliError(f"cannot write {path}: {error.strerror}") from error


SCREEN = Command("screen", "output", "show a session's screen", _configure, _screen)
