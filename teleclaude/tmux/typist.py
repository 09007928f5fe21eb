"""Types into a pane, so that it reaches a living program or nobody."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from teleclaude.errors import ExitedError, UnavailableError
from teleclaude.tmux.line import Flag, Option, TmuxCommand, command, constant, nested, pack, pane, path, text
from teleclaude.tmux.text import Pasted, plan, typing
from teleclaude.tmux.transport import Server


async def send_text(server: Server, pane_id: str, value: str, *, submit: bool, submit_delay_ms: int = 0) -> None:
    """See ``Panes.send_text``."""
    how = plan(value)
    together = submit and submit_delay_ms == 0
    if isinstance(how, Pasted):
        await _paste(server, pane_id, how.data, submit=together)
    else:
        await send(server, pane_id, typing(pane_id, how.data) + ([_enter(pane_id)] if together else []))
    if submit and not together:
        await server.clock.sleep(submit_delay_ms / 1000)
        await send(server, pane_id, [_enter(pane_id)])


async def send(server: Server, pane_id: str, commands: Sequence[TmuxCommand]) -> None:
    """Run ``commands`` after leaving copy mode, in which keys would be commands of tmux."""
    replies = await server.submit(pack([*_ready(pane_id), *commands]))
    _refuse_dead(replies[0][0].text)


async def _paste(server: Server, pane_id: str, data: bytes, *, submit: bool) -> None:
    buffer = f"teleclaude-{pane_id[1:]}"
    file = server.directory / f"paste-{secrets.token_hex(8)}"
    try:
        await asyncio.to_thread(_write_private, file, data)
        commands = [
            *_ready(pane_id),
            command("load-buffer", Option("b", text(buffer)), path(str(file))),
            _guarded_paste(pane_id, buffer),
            *([_enter(pane_id)] if submit else []),
        ]
        replies = await server.submit(pack(commands))
    except OSError as error:
        raise UnavailableError(f"the text cannot be handed to tmux: {error}", operation="input") from error
    finally:
        await asyncio.to_thread(file.unlink, missing_ok=True)
    _refuse_dead(replies[0][0].text)


@lru_cache(maxsize=1024)
def _ready(pane_id: str) -> tuple[TmuxCommand, ...]:
    """What goes before all that is typed: made once for a pane, since it stands between a key and its echo."""
    target = Option("t", pane(pane_id))
    return (
        command("display-message", Flag("p"), target, constant("#{pane_dead}")),
        command("copy-mode", Flag("q"), target),
    )


def _refuse_dead(dead: str) -> None:
    if dead == "1":
        raise ExitedError("the pane's process has ended, nothing was typed; restart the session", operation="input")


def _enter(pane_id: str) -> TmuxCommand:
    return command("send-keys", Option("t", pane(pane_id)), text("Enter"))


def _guarded_paste(pane_id: str, buffer: str) -> TmuxCommand:
    """A paste into a dead pane ends tmux 3.3a with every session; nothing runs between the question and the paste."""
    target = Option("t", pane(pane_id))
    paste = command("paste-buffer", Flag("d"), Flag("p"), Option("b", text(buffer)), target)
    drop = command("delete-buffer", Option("b", text(buffer)))
    return command("if-shell", Flag("F"), target, constant("#{pane_dead}"), nested(drop), nested(paste))


def _write_private(file: Path, data: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
