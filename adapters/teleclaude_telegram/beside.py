"""What takes long: done beside everything else, and taken up again after a restart."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from teleclaude.api import Tasks
from teleclaude.errors import StoppingError, TeleclaudeError
from teleclaude_telegram import intake
from teleclaude_telegram.ask import DEFECT, Ask
from teleclaude_telegram.commands import running, sessions
from teleclaude_telegram.journal import Journal
from teleclaude_telegram.plan import Rank

log = structlog.get_logger(__name__)

OWNER = "telegram-asks"

Work = Callable[[Ask, dict[str, Any]], Awaitable[None]]

WORKS: Mapping[str, Work] = {
    "run": running.follow_run,
    "cell": running.follow_cell,
    "voice": intake.listen,
    "handoff": sessions.hand_over,
}


class Beside:
    """``works`` are the kinds of work. What is begun stays in the journal until it was said how it ended."""

    def __init__(self, tasks: Tasks, journal: Journal, works: Mapping[str, Work]) -> None:
        self._tasks = tasks
        self._journal = journal
        self._works = works
        self._running: set[str] = set()

    async def begin(self, ask: Ask, kind: str, name: str, doc: dict[str, Any]) -> None:
        """Do ``kind``, unless the same is being done already; what goes wrong is said."""
        if name in self._running:
            return
        await self._journal.keep_beside(name, {"kind": kind, "doc": doc, "ask": ask.written()})
        self._spawn(ask, kind, name, doc)

    async def resume(self, again: Callable[[dict[str, Any]], Ask | None]) -> None:
        """Take up what a restart has interrupted. ``again`` answers None for who may ask no more."""
        for name, kept in await self._journal.beside():
            ask = again(kept["ask"])
            if ask is None or kept["kind"] not in self._works:
                await self._journal.drop_beside(name)
            elif name not in self._running:
                self._spawn(ask, kept["kind"], name, kept["doc"])

    def _spawn(self, ask: Ask, kind: str, name: str, doc: dict[str, Any]) -> None:
        async def guarded() -> None:
            try:
                await self._works[kind](ask, doc)
            except StoppingError:
                return
            except TeleclaudeError as error:
                await ask.reply(f"⚠️ {error.detail}", rank=Rank.URGENT, silent=False)
            except Exception:
                # It must not meet the same defect again after each restart.
                log.exception("telegram_beside_failed", name=name)
                await ask.reply(DEFECT, rank=Rank.URGENT, silent=False)
            finally:
                self._running.discard(name)
            await self._journal.drop_beside(name)

        self._running.add(name)
        self._tasks.spawn(guarded(), name=name, owner=OWNER)
