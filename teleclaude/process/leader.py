"""The program an execution was started with: whether it has ended, how, and when its number is given back."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from teleclaude.model import ProcessIdentity
from teleclaude.process.outcome import LeaderExit
from teleclaude.process.spawn import Spawned
from teleclaude.tasks import ProcessWatch

log = structlog.get_logger(__name__)


class Leader:
    """Its end is looked for when asked for, so that nobody acts on news that is on its way. Owns ``watch``."""

    def __init__(self, execution_id: str, spawned: Spawned, watch: ProcessWatch) -> None:
        self._execution_id = execution_id
        self._spawned = spawned
        self._watch = watch
        self._closed = False
        self.exit: LeaderExit | None = None
        """How it ended; None while it lives, and when somebody else has reaped it."""

    @property
    def identity(self) -> ProcessIdentity:
        return self._spawned.identity

    def on_end(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` on the loop, once, when it has ended."""
        self._watch.on_exit(callback)

    def has_ended(self) -> bool:
        """Also True once it is closed: then there is nobody to speak of."""
        if self.exit is None and not self._closed:
            try:
                self.exit = self._spawned.peek()
            except ChildProcessError:
                log.exception("execution_reaped_by_others", execution_id=self._execution_id, pid=self.identity.pid)
                self.close()
        return self.exit is not None or self._closed

    def close(self) -> None:
        """Watch it no longer. Does nothing the second time."""
        self._closed = True
        self._watch.close()

    def reap(self) -> None:
        """Give its number back to the system, once nothing will be sent to it any more."""
        self.close()
        if not self._spawned.reap():
            log.error("execution_not_reaped", execution_id=self._execution_id, pid=self.identity.pid)
