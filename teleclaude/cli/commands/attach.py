"""``attach``: this terminal becomes the session's."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from typing import Any, NoReturn

from teleclaude.cli.command import Command, Context
from teleclaude.cli.failure import OK, CliError, UsageError
from teleclaude.cli.values import session_path


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Show the session in this terminal. Detach with tmux's own keys (Ctrl-b d), or with Ctrl-] if it is on another "
        "computer; the session goes on."
    )
    parser.add_argument("name", metavar="NAME", help="the session")


def _attach(context: Context) -> int:
    if not context.args.json and not (context.out.is_tty and sys.stdin is not None and sys.stdin.isatty()):
        raise UsageError("attach needs a terminal; to read without one use: teleclaude logs -f")
    if not context.client.is_local:
        # The words to run come from the daemon: only our own may name them.
        raise UsageError("attach works with the daemon of this computer only; run it there, over ssh for example")
    session = context.client.call("GET", session_path(context.args.name))
    if is_faraway(context.args.name, session):
        from teleclaude.cli.faraway import show_faraway  # noqa: PLC0415 - termios is not needed for anything else

        if context.args.json:
            raise UsageError("--json shows the command for a session of this computer; attach without it")
        return show_faraway(context.client, context.out, context.args.name)
    argv = attach_argv(session)
    if context.args.json:
        context.out.json({"argv": argv})
        return OK
    if not _has_others(context):
        _become(argv)
    return _follow(context, session, argv)


def _has_others(context: Context) -> bool:
    """Whether there are other computers, to which the session may be handed."""
    try:
        return len(context.client.call("GET", "/computers").get("computers") or ()) > 1
    except CliError:
        return False


def _follow(context: Context, session: dict[str, Any], argv: list[str]) -> int:
    """Show it here, and where it is handed to when it is."""
    from teleclaude.cli.beside import run_beside  # noqa: PLC0415 - each way to attach loads only what it needs
    from teleclaude.cli.faraway import show_faraway  # noqa: PLC0415

    code = run_beside(argv)
    moved = context.client.call("GET", session_path(session["id"])).get("handed_off")
    if not isinstance(moved, dict):
        return code
    context.out.note(f"handed off; following it on {moved['computer']}")
    return show_faraway(context.client, context.out, f"{moved['computer']}/{moved['session_id']}")


def is_faraway(reference: str, session: dict[str, Any]) -> bool:
    """Whether it is a live terminal that no program here can show."""
    is_live = session.get("state") in ("starting", "running", "handing_off")
    return "/" in reference and is_live and session.get("kind") == "terminal" and session.get("attach") is None


def attach_argv(session: dict[str, Any]) -> list[str]:
    """The command that shows the session. Raises ``CliError`` when there is nothing to attach to."""
    attach = session.get("attach")
    if attach is None:
        raise CliError(
            f"{session['name']} is {session['state']} on {session['computer']}: no terminal to attach to here"
        )
    argv = attach.get("argv") if isinstance(attach, dict) else None
    if not isinstance(argv, list) or not argv or not all(isinstance(word, str) and word for word in argv):
        raise CliError("the daemon did not say how to attach")
    return argv


def _become(argv: list[str]) -> NoReturn:
    # Python ignores these two, and an ignored signal stays ignored in the program that follows.
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored, signal.SIG_DFL)
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        raise CliError(f"cannot run {argv[0]}: {error.strerror}") from error


ATTACH = Command("attach", "sessions", "show a session in this terminal", _configure, _attach)
