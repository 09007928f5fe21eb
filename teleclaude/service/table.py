"""The live sessions in memory: one object each, found by id or name without a search."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import inf

from teleclaude.errors import ConflictError, LimitError, UnavailableError
from teleclaude.model import HandingOff, Session
from teleclaude.streams import Stream
from teleclaude.tasks import ProcessWatch
from teleclaude.tmux import Panes


@dataclass(slots=True, eq=False)
class Live:
    """A session that has not ended. ``input`` is its ordered input queue and the pane's lock; ``lifecycle`` lets
    close, restart and the observed end happen one after the other. ``since`` is when it was started, taken over or last
    typed into, ``replaced_at`` when its recorder was last replaced, in the loop's time. ``foreign`` are the panes of
    the user's own tmux server for an adopted session; None for one of ours, and until that server was reached.
    ``looked_at`` is where the stream ended at the last look at the screen, ``prompted`` whether it asked something.
    """

    session: Session
    stream: Stream
    input: asyncio.Lock = field(default_factory=asyncio.Lock)
    lifecycle: asyncio.Lock = field(default_factory=asyncio.Lock)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    closing: str | None = None
    since: datetime | None = None
    foreign: Panes | None = None
    process: ProcessWatch | None = None
    recorder: ProcessWatch | None = None
    rearming: bool = False
    replaced_at: float = -inf
    looked_at: int | None = None
    prompted: bool = False
    listeners: set[Callable[[], None]] = field(default_factory=set)

    @property
    def id(self) -> str:
        return self.session.id

    def panes(self, ours: Panes) -> Panes:
        """Where its pane is. Raises ``UnavailableError`` while the user's tmux server cannot be reached."""
        if not self.session.adopted:
            return ours
        if self.foreign is None:
            raise UnavailableError(
                f"the tmux server on {self.session.tmux_socket} does not answer; try again", operation="tmux.adopted"
            )
        return self.foreign

    @property
    def process_ended(self) -> bool:
        """Whether the pane's process is known to have ended, even if tmux was not asked yet."""
        return self.process is not None and self.process.ended

    @property
    def is_released(self) -> bool:
        """Whether it was let go of for another computer, which has not answered yet."""
        return isinstance(self.session.state, HandingOff)

    @property
    def watched(self) -> bool:
        """Whether its pane was found and is followed; False from the daemon's start until tmux has answered."""
        return self.process is not None

    @property
    def seen(self) -> bool:
        """Whether somebody has looked at the screen since the session last wrote."""
        return self.looked_at == self.stream.bounds().end

    @property
    def asks(self) -> bool:
        """Whether it is known to ask something now."""
        return self.prompted and self.seen

    def unwatch(self) -> None:
        self.unwatch_recorder()
        if self.process is not None:
            self.process.close()

    def unwatch_recorder(self) -> None:
        if self.recorder is not None:
            self.recorder.close()
            self.recorder = None

    def tell(self) -> None:
        """Let every follower look at the session again."""
        for listener in tuple(self.listeners):
            listener()


class SessionTable:
    """All live sessions of this computer. ``reserve`` is synchronous: limit, name and slot are taken in one step."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._by_id: dict[str, Live] = {}
        self._by_name: dict[str, Live] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Live]:
        return iter(list(self._by_id.values()))

    def find(self, reference: str) -> Live | None:
        return self._by_id.get(reference) or self._by_name.get(reference)

    def reserve(self, live: Live, *, operation: str, most: int | None = None) -> None:
        """Raises ``LimitError`` when the table is full or the session's owner has ``most`` alive already, and
        ``ConflictError`` when the name is taken.
        """
        owner = live.session.owner
        if most is not None and sum(other.session.owner == owner for other in self._by_id.values()) >= most:
            raise LimitError(f"{owner} has {most} sessions alive, and may have no more; close one", operation=operation)
        if len(self._by_id) >= self.limit:
            raise LimitError(
                f"{self.limit} sessions are alive, which is sessions.max; close one first", operation=operation
            )
        self.insert(live, operation=operation)

    def insert(self, live: Live, *, operation: str) -> None:
        """As ``reserve`` but past the limit: for sessions that are alive already."""
        name = live.session.name
        if name in self._by_name:
            raise ConflictError(f"a live session is named {name}; choose another name", operation=operation)
        self._by_id[live.id] = live
        self._by_name[name] = live

    def remove(self, live: Live) -> None:
        self._by_id.pop(live.id, None)
        if self._by_name.get(live.session.name) is live:
            del self._by_name[live.session.name]

    def rename(self, live: Live, name: str, *, operation: str) -> None:
        """Take ``name`` for ``live``; raises ``ConflictError`` when another live session has it."""
        holder = self._by_name.get(name)
        if holder is not None and holder is not live:
            raise ConflictError(f"a live session is named {name}; choose another name", operation=operation)
        with suppress(KeyError):
            del self._by_name[live.session.name]
        self._by_name[name] = live
        live.session = replace(live.session, name=name)

    def free_name(self, base: str) -> str:
        """``base``, or ``base-2``, ``base-3`` … whichever no live session has."""
        if base not in self._by_name:
            return base
        stem = base[:56]
        return next(name for n in range(2, len(self._by_name) + 3) if (name := f"{stem}-{n}") not in self._by_name)
