"""Everything that happened, bounded, with its time: what bots called, what people did, what went wrong on demand."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

MAX_ENTRIES = 20_000


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a bot. ``status`` is 0 where the connection was cut; ``early`` marks one sent while the bot had been
    told to wait.
    """

    at_ms: int
    bot: int
    method: str
    params: dict[str, Any]
    status: int
    answer: dict[str, Any]
    early: bool = False

    @property
    def chat(self) -> int | None:
        return chat_of(self.params)

    @property
    def ok(self) -> bool:
        return self.status == 200

    @property
    def result(self) -> Any:
        return self.answer.get("result")

    def row(self) -> dict[str, Any]:
        return {"kind": "call", **asdict(self)}


@dataclass(frozen=True, slots=True)
class Deed:
    """What a test did: ``actor`` a user's id, or None for the world's keeper. ``args`` are the method's, as JSON."""

    at_ms: int
    kind: str
    """``user``, ``world``, ``fault`` or ``update``."""
    action: str
    actor: dict[str, Any] | None = None
    args: dict[str, Any] = field(default_factory=dict)
    message: dict[str, Any] | None = None
    """The message that came of it, as the API shows it."""

    def row(self) -> dict[str, Any]:
        return asdict(self)


Entry = Call | Deed


def chat_of(params: dict[str, Any]) -> int | None:
    try:
        return int(params["chat_id"])
    except (KeyError, TypeError, ValueError):
        return None


class Recorder:
    """``on_entry`` hears of each new entry."""

    def __init__(self, limit: int = MAX_ENTRIES) -> None:
        self._entries = deque[Entry](maxlen=limit)
        self.empty_polls = 0
        """Long polls that ended without an update; they are counted, not kept."""
        self.on_entry: Callable[[Entry], None] = lambda _entry: None

    def add(self, entry: Entry) -> None:
        self._entries.append(entry)
        self.on_entry(entry)

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def calls(self, method: str | None = None, *, chat: int | None = None, ok: bool | None = None) -> list[Call]:
        """The calls in their order; ``None`` means any."""
        return [
            entry
            for entry in self._entries
            if isinstance(entry, Call)
            and method in (None, entry.method)
            and chat in (None, entry.chat)
            and ok in (None, entry.ok)
        ]

    @property
    def early(self) -> list[Call]:
        """Calls that came although their chat had been told to wait."""
        return [call for call in self.calls() if call.early]

    def lines(self) -> Iterator[str]:
        """One JSON object a line, the form of an incident file."""
        for entry in self:
            yield json.dumps(entry.row(), ensure_ascii=False)

    def save(self, path: Path) -> None:
        """Raises ``OSError``."""
        path.write_text("".join(f"{line}\n" for line in self.lines()), encoding="utf-8")


def busiest(times_ms: Iterable[int], seconds: float) -> int:
    """The most of ``times_ms`` that lie in any window of ``seconds``: what a budget looks at."""
    window = deque[int]()
    most = 0
    for at in sorted(times_ms):
        window.append(at)
        while at - window[0] >= seconds * 1000:
            window.popleft()
        most = max(most, len(window))
    return most
