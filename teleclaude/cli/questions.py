"""Questions of a Python session's cells, answered from standard input while their output is shown."""

from __future__ import annotations

import json
import queue
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from teleclaude.cli.escapes import plain
from teleclaude.cli.failure import CliError, RefusedError
from teleclaude.cli.output import Output
from teleclaude.cli.values import beside, execution_path

if TYPE_CHECKING:
    from teleclaude.cli.client import Client

_CONNECT_SECONDS = 5.0


class Questions:
    """A context manager: inside, nothing that the session asks is missed. A thread listens; it ends with the program.

    A lost connection is made again, and tells what was asked meanwhile: events have numbers.
    """

    def __init__(self, client: Client, out: Output, reference: str) -> None:
        """``reference`` is the session's id, behind its computer's name where that is another one."""
        self._client = client
        self._out = out
        self._reference = reference
        self._computer, _, self._session_id = reference.rpartition("/")
        self._last = ""
        self._asked: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._listening = threading.Event()
        self._over = False

    def __enter__(self) -> Questions:
        threading.Thread(target=self._listen, name="questions", daemon=True).start()
        self._listening.wait(_CONNECT_SECONDS)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._over = True

    def answer(self) -> None:
        """Put what was asked to the person, one after the other; the end of input is one answer, too."""
        while not self._asked.empty():
            event = self._asked.get()
            self._out.text(plain(str(event["data"]["prompt"])))
            line = sys.stdin.readline() if sys.stdin is not None else ""
            path = execution_path(beside(self._reference, str(event["execution_id"])))
            # It may have ended meanwhile, or was interrupted in its question.
            with suppress(RefusedError):
                if line:
                    self._client.call("POST", f"{path}/input", body={"text": line})
                else:
                    self._client.call("POST", f"{path}/close-stdin")

    def _listen(self) -> None:
        while not self._over:
            with (
                suppress(CliError),
                self._client.events(
                    "/events", query={"computer": self._computer or None}, last_id=self._last
                ) as events,
            ):
                self._listening.set()
                for event in events:
                    self._last = event.id
                    self._hear(json.loads(event.data))
                    if self._over:
                        return

    def _hear(self, event: dict[str, Any]) -> None:
        if event.get("type") == "execution.input" and event.get("session_id") == self._session_id:
            self._asked.put(event)
