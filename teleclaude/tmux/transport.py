"""What both ways to tmux have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import structlog

from teleclaude.clock import Clock
from teleclaude.tmux.line import Line, TmuxCommand
from teleclaude.tmux.protocol import Reply

log = structlog.get_logger(__name__)

FIRST_BACKOFF_SECONDS = 0.05
MAX_BACKOFF_SECONDS = 2.0


class ServerIdentity(NamedTuple):
    """One life of a tmux server. Ids of sessions and panes mean nothing without it: a new server counts from 0 again.

    ``start`` is in clock ticks since boot.
    """

    pid: int
    start: int


Gone = Callable[[ServerIdentity], Awaitable[None]]


class Server(Protocol):
    """A tmux server in use, our own or somebody's: what ``Panes`` needs of it."""

    @property
    def identity(self) -> ServerIdentity | None:
        """None while there is no server."""
        ...

    @property
    def clock(self) -> Clock: ...

    @property
    def directory(self) -> Path:
        """A private folder for texts on their way to tmux."""
        ...

    async def run(self, *commands: TmuxCommand, timeout: float | None = None) -> list[Reply]:
        """One line of commands, one reply per command. Raises as ``Transport.submit``."""
        ...

    async def submit(self, lines: Sequence[Line], timeout: float | None = None) -> list[list[Reply]]:
        """See ``Transport.submit``."""
        ...

    def recall_dead_children(self) -> None:
        """Make tmux look for ended processes: now and then it misses the signal and leaves a zombie for ever."""
        ...


class Transport(Protocol):
    """Carries lines to tmux, each exactly once, none ever again."""

    async def submit(self, lines: Sequence[Line], timeout: float | None = None) -> list[list[Reply]]:
        """Run ``lines`` in order with nothing of other callers between them; one list of replies per line.

        ``timeout`` in seconds holds for all of them; None is the transport's own. Every line gets its chance: an error
        in one does not keep the next from running, and the first error is raised at the end.

        Raises ``NotFoundError``, ``ConflictError`` or ``TmuxError`` for what tmux refuses; ``UnavailableError`` when
        nothing was sent; ``IndeterminateError`` when the deadline passed (``DeadlineError`` where no line can have an
        effect).
        """
        ...

    @property
    def available(self) -> bool:
        """Whether tmux answered last time; False makes every call fail at once until a probe succeeds."""
        ...

    async def aclose(self) -> None: ...


async def tell(callbacks: Sequence[Gone], identity: ServerIdentity) -> None:
    """Await each callback; what one raises is logged."""
    for callback in callbacks:
        try:
            await callback(identity)
        except Exception:
            # One listener's failure must not keep the server from being used.
            log.exception("tmux_listener_failed", listener=repr(callback))
