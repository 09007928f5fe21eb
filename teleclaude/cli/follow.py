"""Following a stream over lost connections and restarts of the daemon: the offset says where to go on."""

from __future__ import annotations

import base64
import binascii
import json
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from teleclaude.cli.failure import TRY_AGAIN, CliError, ConnectionFailedError, RefusedError, refusal_of
from teleclaude.cli.output import Output
from teleclaude.cli.record import Record, gap_below
from teleclaude.cli.sse import ServerEvent
from teleclaude.cli.values import session_path

if TYPE_CHECKING:
    from teleclaude.cli.client import Client, Query

FIRST_DELAY_SECONDS = 0.1
LAST_DELAY_SECONDS = 5.0
STEADY_SECONDS = 5.0
GIVE_UP_SECONDS = 300.0


class Follower:
    """The live output of a session, or of what else lies at ``path``, narrowed down by ``query``. A daemon that cannot
    be reached at the first try is an error at once; one that goes away later is waited for.
    """

    def __init__(
        self,
        client: Client,
        out: Output,
        record: Record,
        path: str,
        *,
        query: Query | None = None,
        farewell: bool = True,
    ) -> None:
        self._client = client
        self._out = out
        self._record = record
        self._path = path
        self._query = query or {}
        self._farewell = farewell
        self._position = 0
        self._last_id = ""
        self._was_connected = False
        self._is_steady = False
        self._has_moved = False

    def run(self, start: int | None) -> None:
        """Until the session ends. ``start`` None is the oldest kept byte, ``-N`` the last N."""
        self._position = self._oldest() if start is None else start
        retry = _Retry()
        while True:
            self._is_steady = self._has_moved = False
            try:
                if self._follow():
                    return
                if self._has_moved:
                    continue
                failure = ConnectionFailedError("the daemon closed the stream", TRY_AGAIN, was_sent=True)
            except ConnectionFailedError as error:
                failure = error
            except RefusedError as refusal:
                if refusal.code != "unavailable":
                    self._skip(refusal)
                    continue
                failure = ConnectionFailedError(str(refusal), TRY_AGAIN, was_sent=True)
            if not self._was_connected:
                raise failure
            if self._is_steady:
                retry = _Retry()
            if retry.is_first:
                self._out.note(f"{failure}; waiting for it to come back")
            retry.wait(failure)

    def _oldest(self) -> int:
        session = self._client.call("GET", self._path)
        output = session.get("output")
        oldest = output.get("start") if isinstance(output, dict) else None
        if not isinstance(oldest, int):
            raise CliError("the daemon did not say where the output begins")
        return oldest

    def _skip(self, refusal: RefusedError) -> None:
        gap = gap_below(refusal, self._position)
        self._record.gap(gap)
        self._position, self._last_id = gap["to"], ""

    def _follow(self) -> bool:
        """Whether the session ended while the stream lasted."""
        query: Query = {"from": self._position, "format": "raw", "mode": "lossless", **self._query}
        with self._client.events(f"{self._path}/stream", query=query, last_id=self._last_id) as events:
            self._was_connected = True
            opened = time.monotonic()
            try:
                return self._print(events)
            finally:
                self._is_steady = self._is_steady or time.monotonic() - opened > STEADY_SECONDS

    def _print(self, events: Iterator[ServerEvent]) -> bool:
        for event in events:
            self._is_steady = True
            data = _data(event)
            if event.name == "error":
                raise refusal_of(data)
            if event.name == "output":
                self._output(data)
            elif event.name == "gap":
                self._record.gap(data)
            else:
                self._record.event(event.name, data)
            if event.id.isdecimal():
                self._position, self._last_id = int(event.id), event.id
            if event.name == "handed_off":
                self._move(data)
                return False
            if event.name == "exit":
                self._say_farewell(data)
                return True
        return False

    def _move(self, data: dict[str, Any]) -> None:
        """Offsets go on where the session does, and our daemon passes on what comes from there."""
        there = f"{data.get('computer')}/{data.get('session_id')}"
        self._out.note(f"handed off; following it on {data.get('computer')}")
        self._path, self._last_id, self._has_moved = session_path(there), "", True

    def _output(self, data: dict[str, Any]) -> None:
        try:
            start, end = int(data["from"]), int(data["to"])
            content = base64.b64decode(data["b64"], validate=True)
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise CliError("the daemon sent output that cannot be read") from error
        self._record.output(start, end, content)

    def _say_farewell(self, data: dict[str, Any]) -> None:
        if self._farewell and self._out.is_tty:
            how = data.get("signal") if data.get("signal") is not None else data.get("code")
            self._out.note("the session ended" if how is None else f"the session ended: {how}")


class _Retry:
    """The pauses between tries of one outage; raises its cause when it has lasted too long."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._delay = FIRST_DELAY_SECONDS
        self.is_first = True

    def wait(self, failure: ConnectionFailedError) -> None:
        if time.monotonic() - self._began > GIVE_UP_SECONDS:
            raise failure
        self.is_first = False
        threading.Event().wait(self._delay)
        self._delay = min(2 * self._delay, LAST_DELAY_SECONDS)


def _data(event: ServerEvent) -> dict[str, Any]:
    try:
        value = json.loads(event.data)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise CliError(f"the daemon sent an event that cannot be read: {event.name}")
    return value
