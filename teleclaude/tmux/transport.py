"""What both ways to tmux have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from teleclaude.tmux.line import Line
from teleclaude.tmux.protocol import Reply

FIRST_BACKOFF_SECONDS = 0.05
MAX_BACKOFF_SECONDS = 2.0


class ServerIdentity(NamedTuple):
    """One life of a tmux server. Ids of sessions and panes mean nothing without it: a new server counts from 0 again.

    ``start`` is in clock ticks since boot.
    """

    pid: int
    start: int


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
