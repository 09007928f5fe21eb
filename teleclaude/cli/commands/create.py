"""``new`` and ``adopt``: how sessions come to be."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from teleclaude.cli.command import Command, Context
from teleclaude.cli.failure import OK, UsageError
from teleclaude.cli.values import integer, variable

_NEW_HELP = """
Words after -- are the command and its arguments, passed as they are; --shell takes a line for the shell instead.
Without either the session runs your shell. The session's name is printed.
"""


def _configure_new(parser: argparse.ArgumentParser) -> None:
    parser.description = _NEW_HELP
    parser.add_argument("name", metavar="NAME", nargs="?", help="its name, or COMPUTER/NAME (default: made up)")
    parser.add_argument("--shell", metavar="LINE", help="a command line for the shell, instead of words after --")
    parser.add_argument("--cwd", metavar="DIR", help="where it starts (default: the current directory)")
    parser.add_argument(
        "--env", metavar="K=V", action="append", default=[], type=variable, help="an environment variable (repeatable)"
    )
    parser.add_argument("--agent", metavar="A", help="start this agent of the config")
    parser.add_argument("--prompt", metavar="TEXT", help="what to tell the agent first")
    parser.add_argument("--kind", choices=("terminal", "python"), help="what to start (default: terminal)")
    parser.add_argument("--cols", metavar="N", type=integer(2, 1000), help="columns of its terminal")
    parser.add_argument("--rows", metavar="N", type=integer(1, 1000), help="rows of its terminal")
    parser.add_argument("--tag", metavar="T", action="append", default=[], help="a tag (repeatable)")


def _new(context: Context) -> int:
    session = context.client.call("POST", "/sessions", body=new_body(context.args, is_local=context.client.is_local))
    return _created(context, session)


def new_body(args: argparse.Namespace, *, is_local: bool) -> dict[str, object]:
    """The request of ``new``. The current directory means something to a daemon on this computer only."""
    computer, _, name = (args.name or "").rpartition("/")
    given = {
        "name": name,
        "computer": computer,
        "command": _command(args),
        "cwd": _directory(args.cwd, is_here=is_local and not computer),
        "env": dict(args.env),
        "agent": args.agent,
        "prompt": args.prompt,
        "kind": args.kind,
        "cols": args.cols,
        "rows": args.rows,
        "tags": args.tag,
    }
    return {key: value for key, value in given.items() if value not in (None, "", {}, [])}


def _command(args: argparse.Namespace) -> str | list[str] | None:
    words: list[str] | None = args.words
    if words is None:
        shell: str | None = args.shell
        return shell
    if args.shell is not None:
        raise UsageError("give words after -- or --shell, not both")
    if not words:
        raise UsageError("a command is missing after --")
    return words


def _directory(cwd: str | None, *, is_here: bool) -> str | None:
    if not is_here:
        return cwd
    try:
        # Not resolved: a person in a symbolic link's directory wants to start in that one.
        directory = str(Path(cwd).absolute()) if cwd else str(Path.cwd())
        directory.encode()
    except FileNotFoundError as error:
        raise UsageError("the current directory does not exist any more; give --cwd") from error
    except UnicodeEncodeError as error:
        raise UsageError("the name of the current directory is not UTF-8; give --cwd") from error
    return directory


def _configure_adopt(parser: argparse.ArgumentParser) -> None:
    parser.description = "Take a session of your own tmux under teleclaude's care; it goes on as it is."
    parser.add_argument("target", metavar="TARGET", help="the tmux session, as for tmux -t")
    parser.add_argument("--socket", metavar="S", help="the tmux server's socket (default: tmux's own)")
    parser.add_argument("--name", metavar="NAME", help="the name it gets here")


def _adopt(context: Context) -> int:
    args = context.args
    body = {"target": args.target, "socket": args.socket, "name": args.name}
    given = {key: value for key, value in body.items() if value is not None}
    return _created(context, context.client.call("POST", "/sessions/adopt", body=given))


def _created(context: Context, session: dict[str, Any]) -> int:
    if context.args.json:
        context.out.json(session)
        return OK
    name = str(session.get("name"))
    context.out.line(name)
    if context.out.is_tty and session.get("attach"):
        context.out.note(f"see it with: teleclaude attach {name}")
    return OK


NEW = Command("new", "sessions", "start a session", _configure_new, _new, takes_words=True)
ADOPT = Command("adopt", "sessions", "take over a session of your own tmux", _configure_adopt, _adopt)
