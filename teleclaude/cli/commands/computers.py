"""``computers``: which there are, and the key by which they trust each other."""

from __future__ import annotations

import argparse
import base64
import binascii
import getpass
import hashlib
import os
import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from teleclaude.cli.command import Command, Context
from teleclaude.cli.common import add_common_again
from teleclaude.cli.escapes import plain
from teleclaude.cli.failure import OK, CliError, UsageError
from teleclaude.cli.table import age_text, align

KEY_BYTES = 32
CHECK_BYTES = 3
GROUP = 4

_PAIR_HELP = """
Give two computers one key, by which they know each other's messages. Run it with --create on the first and with --join
on the second; the code that --create shows is the key itself, so let nobody else see it, and type it only there. It is
kept in a file that only you may read, and sent nowhere: neither Redis nor the network ever has it. With --with NAME the
key is for that one computer only, and each of the two names the other.
"""


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.description = "Without an action: the computers that can be named, this one first."
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    pair = actions.add_parser(
        "pair", help="give two computers a common key", description=_PAIR_HELP, allow_abbrev=False
    )
    add_common_again(pair)
    which = pair.add_mutually_exclusive_group(required=True)
    which.add_argument("--create", action="store_true", help="make a key, or show the code of the one that is there")
    which.add_argument("--join", action="store_true", help="ask for the code of the first computer and keep the key")
    pair.add_argument("--with", dest="peer", metavar="NAME", help="a key for this computer only")
    pair.add_argument("--file", metavar="FILE", help="where the key is kept (default: beside the config)")


def _computers(context: Context) -> int:
    if context.args.action == "pair":
        return _pair(context)
    reply = context.client.call("GET", "/computers")
    if context.args.json:
        context.out.json(reply)
    else:
        context.out.line(computer_table(reply["computers"], now=datetime.now(UTC), width=context.out.width()))
    return OK


def computer_table(computers: list[dict[str, Any]], *, now: datetime, width: int | None) -> str:
    """One line per computer, with what is in the way of asking it at the end."""
    rows = [
        [
            plain(str(computer["name"])),
            plain(str(computer["state"])),
            plain(str(computer["role"])) or "-",
            plain(str(computer["version"])) or "-",
            plain(str(computer["sessions"])),
            age_text(str(computer["last_seen"]), now),
            plain(str(computer.get("problem") or "")),
        ]
        for computer in computers
    ]
    return align([["NAME", "STATE", "ROLE", "VERSION", "SESSIONS", "SEEN", ""], *rows], width=width)


def _pair(context: Context) -> int:
    args, out = context.args, context.out
    path = _key_path(args.file, args.peer, context)
    if args.create:
        key = _read(path) if path.exists() else None
        if key is None:
            key = base64.b64encode(secrets.token_bytes(KEY_BYTES))
            _write(path, key)
        out.note("this code is the key: show it to nobody else, and type it on the other computer only")
        out.line(code_of(key))
    else:
        key = key_of(_ask_code())
        if path.exists() and _read(path) != key:
            raise CliError(f"{path} holds another key; move it away first, and mind who still uses it")
        if not path.exists():
            _write(path, key)
    out.note(f"the key is in {path}; the config needs:")
    out.note(_config_lines(path, args.peer))
    return OK


def _config_lines(path: Path, peer: str | None) -> str:
    if peer is None:
        return f"redis: {{enabled: true, url: 'redis://HOST:6379', key_file: {path}}}"
    return f"redis: {{…, peers: {{{peer}: {{key_file: {path}}}}}}}"


def _key_path(given: str | None, peer: str | None, context: Context) -> Path:
    if peer is not None and (not peer or not peer.replace("-", "").replace("_", "").isalnum()):
        raise UsageError(f"{peer!r} is not the name of a computer")
    if given is not None:
        return Path(given).absolute()
    named = context.environ.get("XDG_CONFIG_HOME")
    config = Path(named) if named else Path(context.environ.get("HOME", "~")).expanduser() / ".config"
    return config.absolute() / "teleclaude" / ("fleet.key" if peer is None else f"{peer}.key")


def code_of(key: bytes) -> str:
    """The key in letters and digits that are hard to mistake, with a check at the end, in groups."""
    check = hashlib.sha256(key).digest()[:CHECK_BYTES]
    text = base64.b32encode(base64.b64decode(key) + check).decode().rstrip("=").lower()
    return "-".join(text[start : start + GROUP] for start in range(0, len(text), GROUP))


def key_of(code: str) -> bytes:
    """The key that ``code_of`` made the code of. Raises ``CliError`` for a code with a mistake."""
    text = "".join(code.split()).replace("-", "").upper()
    try:
        data = base64.b32decode(text + "=" * (-len(text) % 8))
    except (binascii.Error, ValueError):
        data = b""
    key = base64.b64encode(data[:-CHECK_BYTES])
    if len(data) != KEY_BYTES + CHECK_BYTES or hashlib.sha256(key).digest()[:CHECK_BYTES] != data[-CHECK_BYTES:]:
        raise CliError("this code has a mistake in it; type it again, as the other computer shows it")
    return key


def _ask_code() -> str:
    if sys.stdin is not None and sys.stdin.isatty():
        return getpass.getpass("Code: ")
    line = sys.stdin.readline() if sys.stdin is not None else ""
    if not line.strip():
        raise UsageError("give the code on standard input")
    return line


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_mode & 0o077:
            raise CliError(f"{path}: others may read it; make it private: chmod 600 {path}")
        key = path.read_bytes().strip()
        if len(base64.b64decode(key, validate=True)) == KEY_BYTES:
            return key
    except OSError as error:
        raise CliError(f"{path}: {error.strerror}") from error
    except ValueError:
        pass
    raise CliError(f"{path} was not made by this command, so there is no code for it; copy the file instead")


def _write(path: Path, key: bytes) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            file.write(key + b"\n")
    except OSError as error:
        raise CliError(f"{path}: {error.strerror}") from error


COMPUTERS = Command("computers", "daemon", "the other computers, and pairing with them", _configure, _computers)
