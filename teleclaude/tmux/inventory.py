"""What runs on a tmux server that is not ours, through libtmux.

libtmux waits for tmux without a deadline, so each look has a thread of its own that can be left behind.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from teleclaude.errors import BusyError, DeadlineError, UnavailableError

log = structlog.get_logger(__name__)

MAX_LEFT_BEHIND = 4


@dataclass(frozen=True, slots=True)
class ForeignPane:
    """One pane of somebody's server. ``active`` is true for the one that an attached person would type into."""

    session_id: str
    session_name: str
    pane_id: str
    active: bool


class Inventory:
    """Looks at the server on ``socket`` with the tmux program ``binary``."""

    def __init__(self, socket: Path, binary: str) -> None:
        self._socket = socket
        self._binary = binary
        self._running = 0

    async def panes(self, timeout: float) -> list[ForeignPane]:
        """Every pane. Raises ``UnavailableError``, ``DeadlineError``, and ``BusyError`` while earlier looks hang."""
        if self._running >= MAX_LEFT_BEHIND:
            raise BusyError("earlier looks at that tmux server have not ended; try again", operation="tmux.inventory")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[ForeignPane]] = loop.create_future()

        def settle(result: list[ForeignPane] | None, error: Exception | None) -> None:
            self._running -= 1
            if answer.done():
                return
            if result is not None:
                answer.set_result(result)
            else:
                answer.set_exception(
                    UnavailableError(f"tmux on {self._socket} cannot be asked: {error}", operation="tmux.inventory")
                )

        self._running += 1
        threading.Thread(target=_in_thread, args=(loop, self._look, settle), name="tmux-inventory", daemon=True).start()
        try:
            async with asyncio.timeout(timeout):
                return await answer
        except TimeoutError:
            raise DeadlineError(
                f"tmux on {self._socket} did not answer within {timeout:g} s; try again", operation="tmux.inventory"
            ) from None

    def _look(self) -> list[ForeignPane]:
        import libtmux  # noqa: PLC0415 - only who adopts pays for it

        server = libtmux.Server(socket_path=self._socket, tmux_bin=self._binary)
        return [
            ForeignPane(
                session_id=_word(pane.session_id),
                session_name=_word(pane.session_name),
                pane_id=_word(pane.pane_id),
                active=_word(pane.pane_active) == "1" and _word(pane.window_active) == "1",
            )
            for pane in server.panes
        ]


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _in_thread(
    loop: asyncio.AbstractEventLoop,
    look: Callable[[], list[ForeignPane]],
    settle: Callable[[list[ForeignPane] | None, Exception | None], None],
) -> None:
    result: list[ForeignPane] | None = None
    failure: Exception | None = None
    try:
        result = look()
    except Exception as error:
        # Whatever libtmux raises, the caller's deadline must not be what ends the wait.
        log.exception("tmux_inventory_failed")
        failure = error
    try:
        loop.call_soon_threadsafe(settle, result, failure)
    except RuntimeError:
        log.debug("tmux_inventory_too_late")
