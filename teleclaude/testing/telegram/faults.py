"""What goes wrong on demand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

from teleclaude.testing.telegram.refusal import ApiError

Kind = Literal["status", "delay", "cut_before", "cut_after", "misplace"]

MAX_FAULTS = 1000

_DESCRIPTIONS = {
    401: "Unauthorized",
    409: "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
    500: "Internal Server Error",
    502: "Bad Gateway",
    504: "Gateway Timeout",
}


@dataclass(slots=True)
class Fault:
    """What meets the next ``times`` calls (None: all until ``end``) of ``method`` in ``chat`` (None: any)."""

    kind: Kind
    method: str | None = None
    chat: int | None = None
    times: int | None = 1
    code: int = 502
    description: str = ""
    retry_after: int | None = None
    seconds: float = 0.0
    met: int = 0
    """How many calls it has met."""

    def end(self) -> None:
        self.times = 0

    @property
    def spent(self) -> bool:
        return self.times is not None and self.met >= self.times

    def refusal(self) -> ApiError:
        text = self.description or _DESCRIPTIONS.get(self.code, "Bad Request: fault on demand")
        if self.retry_after is None:
            return ApiError(self.code, text)
        return ApiError(429, f"Too Many Requests: retry after {self.retry_after}", retry_after=self.retry_after)

    def row(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "met"}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Raises ``TypeError`` for a field that is none."""
        known = {field.name for field in fields(cls)}
        unknown = set(row) - known
        if unknown:
            raise TypeError(f"a fault has no {', '.join(sorted(unknown))}")
        return cls(**row)


class Faults:
    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self.outage = False
        """While True every connection is reset before anything is done."""

    def add(self, fault: Fault) -> Fault:
        """Raises ``ValueError`` when too many wait."""
        self._faults = [waiting for waiting in self._faults if not waiting.spent]
        if len(self._faults) >= MAX_FAULTS:
            raise ValueError(f"{MAX_FAULTS} faults wait already")
        self._faults.append(fault)
        return fault

    def next(self, method: str, chat: int | None) -> Fault | None:
        """The fault that meets this call, counted as met."""
        for fault in self._faults:
            if not fault.spent and fault.method in (None, method) and fault.chat in (None, chat):
                fault.met += 1
                return fault
        return None
