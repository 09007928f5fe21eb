"""The rendered terminal now, and the last one of a session that has ended."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import structlog

from teleclaude.errors import NotFoundError, TeleclaudeError
from teleclaude.model import Cursor, Kind, Screen, Session
from teleclaude.screen.prompts import find_prompt
from teleclaude.screen.sgr import plain_rows
from teleclaude.service.recorders import Recorders
from teleclaude.service.table import Live
from teleclaude.streams import StreamStore
from teleclaude.tmux import CapturedScreen, Panes

log = structlog.get_logger(__name__)

LAST_SCREEN = "screen.json"
MAX_CARRIED = 512 << 10


class Screens:
    def __init__(self, panes: Panes, streams: StreamStore, recorders: Recorders) -> None:
        self._panes = panes
        self._streams = streams
        self._recorders = recorders

    async def now(self, live: Live, pane_id: str) -> Screen:
        """Capture; the offset is the stream's end from before it, ``exact`` when nothing was written meanwhile."""
        before = live.stream.bounds().end
        captured = await live.panes(self._panes).capture(pane_id)
        after = live.stream.bounds().end
        screen = _screen(captured, before, exact=before == after and self._recorders.alive(live))
        live.looked_at, live.prompted = (before if before == after else None), screen.prompt is not None
        return screen

    async def look(self, live: Live) -> None:
        """See whether it asks something, unless that is known; a screen that cannot be had leaves it unknown."""
        pane = live.session.pane
        if pane is None or live.session.kind is not Kind.TERMINAL or live.seen:
            return
        try:
            await self.now(live, pane.pane_id)
        except TeleclaudeError as error:
            log.info("screen_not_looked_at", session_id=live.id, error=str(error))

    async def keep_last(self, live: Live) -> None:
        """Store the screen of a pane whose process has just ended; without one the session ends all the same."""
        pane = live.session.pane
        if pane is None:
            return
        try:
            screen = replace(await self.now(live, pane.pane_id), prompt=None)
            await asyncio.to_thread(_write, self._path(live.id), screen)
        except (TeleclaudeError, OSError) as error:
            log.warning("last_screen_not_kept", session_id=live.id, error=str(error))

    async def last(self, session: Session) -> Screen:
        """Raises ``NotFoundError`` when the session ended without one."""
        screen = await asyncio.to_thread(_read, self._path(session.id))
        if screen is None:
            raise NotFoundError(
                f"session {session.name} has ended and its last screen was not kept; read its output instead",
                operation="session.screen",
            )
        return screen

    async def carried(self, live: Live) -> str | None:
        """The screen of now as it is stored; None where there is none or it is too large to carry."""
        await self.keep_last(live)
        try:
            text = await asyncio.to_thread(self._path(live.id).read_text, encoding="ascii")
        except OSError:
            return None
        return text if len(text) <= MAX_CARRIED else None

    def _path(self, session_id: str) -> Path:
        return self._streams.directory(session_id) / LAST_SCREEN


def _screen(captured: CapturedScreen, offset: int, *, exact: bool) -> Screen:
    lines = plain_rows(captured.ansi_lines)
    return Screen(
        cols=captured.cols,
        rows=captured.rows,
        cursor=captured.cursor,
        alternate=captured.alternate,
        title=captured.title,
        lines=lines,
        ansi_lines=captured.ansi_lines,
        offset=offset,
        exact=exact,
        prompt=find_prompt(lines, captured.cursor),
    )


def _write(path: Path, screen: Screen) -> None:
    text = json.dumps(asdict(screen), ensure_ascii=True)
    temporary = path.with_suffix(".tmp")
    with open(temporary, "w", encoding="ascii", opener=_private) as file:
        file.write(text)
    temporary.replace(path)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _read(path: Path) -> Screen | None:
    try:
        data = json.loads(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        return None
    return Screen(
        **{
            **data,
            "cursor": Cursor(**data["cursor"]),
            "lines": tuple(data["lines"]),
            "ansi_lines": tuple(data["ansi_lines"]),
        }
    )
