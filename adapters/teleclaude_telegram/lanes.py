"""Updates in lanes: one after another in each topic, and no topic waits for another."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable

import structlog

from teleclaude.api import Tasks
from teleclaude.errors import StoppingError
from teleclaude_telegram.updates import Incoming

log = structlog.get_logger(__name__)

OWNER = "telegram-lanes"

Lane = int | None
"""The topic; None is the general one."""


class Lanes:
    """``work`` works one update off, the record of it included; what it raises ends the lane, not the others.

    ``drained`` is called when a lane has come to its end.
    """

    def __init__(self, tasks: Tasks, work: Callable[[Incoming], Awaitable[None]], drained: Callable[[], None]) -> None:
        self._tasks = tasks
        self._work = work
        self._drained = drained
        self._waiting: dict[Lane, deque[Incoming]] = {}
        self._taken: set[int] = set()
        self._done: set[int] = set()

    async def fresh(self, look: Callable[[], Awaitable[Iterable[Incoming]]]) -> list[Incoming]:
        """What ``look`` finds and is in no lane yet. What was done while it looked it may have seen, too."""
        done, self._done = self._done, set()
        found = [one for one in await look() if one.update_id not in self._taken]
        self._taken -= done
        return found

    def put(self, lane: Lane, incoming: Incoming) -> None:
        self._taken.add(incoming.update_id)
        waiting = self._waiting.get(lane)
        if waiting is None:
            self._waiting[lane] = waiting = deque()
            self._tasks.spawn(self._run(lane, waiting), name=f"lane {lane}", owner=OWNER)
        waiting.append(incoming)

    async def _run(self, lane: Lane, waiting: deque[Incoming]) -> None:
        try:
            while waiting:
                await self._work(waiting[0])
                self._done.add(waiting.popleft().update_id)
        except StoppingError:
            # What is left stays in the journal, for the next start.
            log.info("telegram_lane_left", waiting=len(waiting))
        except BaseException:
            # Still in the journal, what is left is found there again, though not at once: a full disk stays full.
            self._done.update(one.update_id for one in waiting)
            raise
        else:
            self._drained()
        finally:
            del self._waiting[lane]
