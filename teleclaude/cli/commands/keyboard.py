"""``send``, ``keys`` and ``signal``: what a person would do at the keyboard."""

from __future__ import annotations

import argparse
import sys

from teleclaude.cli.command import Command, Context
from teleclaude.cli.commands.reply import show_session
from teleclaude.cli.failure import OK, UsageError
from teleclaude.cli.values import integer, session_path

MAX_STDIN_BYTES = 1 << 20


def _configure_send(parser: argparse.ArgumentParser) -> None:
    parser.description = "Type TEXT into the session and press Enter. Text that begins with - goes after --."
    parser.add_argument("name", metavar="NAME", help="the session")
    parser.add_argument("text", metavar="TEXT", help="the text; - reads it from stdin, without its last line end")
    parser.add_argument("--no-submit", action="store_true", help="do not press Enter")


def _send(context: Context) -> int:
    args = context.args
    path = session_path(args.name, "input")
    text = args.text if args.text != "-" else stdin_text(submit=not args.no_submit)
    reply = context.client.call("POST", path, body={"text": text, "submit": not args.no_submit})
    if args.json:
        context.out.json(reply)
    return OK


def stdin_text(*, submit: bool) -> str:
    """All of stdin. One line end at its end is the Enter that ``submit`` presses anyway. Raises ``UsageError``."""
    if sys.stdin is None:
        raise UsageError("TEXT - reads stdin, but stdin is closed")
    data = sys.stdin.buffer.read(MAX_STDIN_BYTES + 1)
    if len(data) > MAX_STDIN_BYTES:
        raise UsageError(f"stdin holds more than {MAX_STDIN_BYTES} bytes; send it in parts")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"stdin is not UTF-8 at byte {error.start}") from error
    return text.removesuffix("\n") if submit else text


def _configure_keys(parser: argparse.ArgumentParser) -> None:
    parser.description = "Press keys: one character each, or a name such as Enter, Up, F5, C-c, M-x."
    parser.add_argument("name", metavar="NAME", help="the session")
    parser.add_argument("keys", metavar="KEY", nargs="+", help="a key")
    parser.add_argument("--repeat", metavar="N", type=integer(1, 1000), help="press them all N times")


def _keys(context: Context) -> int:
    args = context.args
    body: dict[str, object] = {"keys": args.keys}
    if args.repeat is not None:
        body["repeat"] = args.repeat
    reply = context.client.call("POST", session_path(args.name, "keys"), body=body)
    if args.json:
        context.out.json(reply)
    return OK


def _configure_signal(parser: argparse.ArgumentParser) -> None:
    parser.description = "Send a signal to what runs in the session's foreground."
    parser.add_argument("name", metavar="NAME", help="the session")
    parser.add_argument("signal", metavar="SIGNAL", help="INT, TERM, KILL, STOP, CONT, …, with or without SIG")


def _signal(context: Context) -> int:
    path = session_path(context.args.name, "signal")
    return show_session(context, context.client.call("POST", path, body={"signal": context.args.signal}))


SEND = Command("send", "input", "type text into a session", _configure_send, _send)
KEYS = Command("keys", "input", "press keys in a session", _configure_keys, _keys)
SIGNAL = Command("signal", "input", "send a signal to a session's program", _configure_signal, _signal)
