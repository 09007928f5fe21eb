"""The numbers of the Bot API, and the counters behind 429. Pure: times come in as monotonic seconds."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

TEXT_UNITS = 4096
CAPTION_UNITS = 1024
ENTITIES = 100
CALLBACK_DATA_BYTES = 64
CALLBACK_ANSWER_UNITS = 200
CALLBACK_SECONDS = 600
"""After this long a tap can no longer be answered. Telegram publishes no figure; minutes are what bots see."""
BUTTONS = 100
BUTTONS_PER_ROW = 8
COPY_TEXT_UNITS = 256
TOPIC_NAME_UNITS = 128
COMMANDS = 100
COMMAND_DESCRIPTION = 256
DOWNLOAD_BYTES = 20 << 20
UPLOAD_BYTES = 50 << 20
PHOTO_BYTES = 10 << 20
PHOTO_SIDES = 10_000
PHOTO_RATIO = 20
ALBUM = (2, 10)
DELETE_SECONDS = 48 * 3600
UPDATE_SECONDS = 24 * 3600
POLL_SECONDS = 50
"""The longest long poll the server grants."""
DRAFT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Window:
    """At most ``count`` in any ``seconds``."""

    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Budgets:
    """What a bot may say. ``chat`` is for each chat, ``group`` besides it for each group, ``bot`` for all together.

    One message a second is published as "about", so the window is a little shorter than the second that a careful
    sender keeps.
    """

    chat: Window = Window(1, 0.95)
    group: Window = Window(20, 60.0)
    bot: Window = Window(30, 1.0)


class Meter:
    """Counts what one sender did; a refused attempt counts like one that passed."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._times = deque[float](maxlen=window.count)

    def wait(self, now: float, more: int = 1) -> float:
        """Seconds until so many ``more`` fit; 0 when they fit now."""
        over = len(self._times) + min(more, self._window.count) - self._window.count
        return max(self._times[over - 1] + self._window.seconds - now, 0.0) if over > 0 else 0.0

    def count(self, now: float, more: int = 1) -> None:
        self._times.extend([now] * more)

    def used(self, now: float) -> int:
        """How many count at ``now``."""
        return sum(now - at < self._window.seconds for at in self._times)


MAX_METERS = 10_000


class Ledger:
    """The counters of one bot. Raises nothing: ``charge`` answers the seconds to wait, 0 when the call may pass."""

    def __init__(self, budgets: Budgets | None) -> None:
        self._budgets = budgets
        self._chats: dict[int, list[Meter]] = {}
        self._all = Meter((budgets or Budgets()).bot)
        self._banned: dict[int, float] = {}

    def ban(self, chat_id: int, seconds: float, now: float) -> None:
        """Refuse everything counted in this chat for so long, as after a flood."""
        self._banned[chat_id] = now + seconds

    def banned(self, chat_id: int, now: float) -> bool:
        return self._banned.get(chat_id, 0.0) > now

    def charge(self, chat_id: int, *, group: bool, now: float, messages: int = 1) -> int:
        """Count one send or edit. Answers ``retry_after`` in whole seconds; 0 means that it passes.

        An album comes at once, so it counts once a second, and otherwise as many ``messages`` as it has.
        """
        if self._budgets is None:
            return self._left_of_ban(chat_id, now)
        at_once, *others = self._meters(chat_id, group)
        meters = [(at_once, 1), *((meter, messages) for meter in (*others, self._all))]
        wait = max(meter.wait(now, more) for meter, more in meters)
        for meter, more in meters:
            meter.count(now, more)
        if wait <= 0:
            return self._left_of_ban(chat_id, now)
        seconds = max(math.ceil(wait), 1, self._left_of_ban(chat_id, now))
        self._banned[chat_id] = now + seconds
        return seconds

    def used(self, chat_id: int, now: float) -> int:
        """Sends and edits that count against the chat's longest window now."""
        meters = self._chats.get(chat_id)
        return max((meter.used(now) for meter in meters), default=0) if meters else 0

    def _left_of_ban(self, chat_id: int, now: float) -> int:
        return max(math.ceil(self._banned.get(chat_id, now) - now), 0)

    def _meters(self, chat_id: int, group: bool) -> list[Meter]:
        if chat_id not in self._chats:
            if len(self._chats) >= MAX_METERS:
                del self._chats[next(iter(self._chats))]
            assert self._budgets is not None
            windows = [self._budgets.chat, *([self._budgets.group] if group else [])]
            self._chats[chat_id] = [Meter(window) for window in windows]
        return self._chats[chat_id]
