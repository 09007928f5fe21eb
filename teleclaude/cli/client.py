"""A blocking client of the daemon's HTTP interface; every wait has a deadline and every failure a ``CliError``."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlencode

from teleclaude.cli.endpoint import Endpoint
from teleclaude.cli.failure import ABSENT, BAD_CONFIG, TRY_AGAIN, CliError, ConnectionFailedError, refusal_of
from teleclaude.cli.sse import EventParser, ServerEvent
from teleclaude.cli.websocket import WebSocket, upgrade_headers

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 15.0
SILENCE_SECONDS = 45.0  # three of the comments that keep a quiet stream alive
PING_SECONDS = 150.0  # more than two of the pings that keep a quiet WebSocket alive
SWITCHING = 101
MAX_BODY_BYTES = 64 << 20
_PIECE_BYTES = 64 << 10

Query = Mapping[str, str | int | None]
Body = Mapping[str, object]


class Client:
    """One request, one connection: nothing is kept between calls, and nothing is sent twice."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    @property
    def is_local(self) -> bool:
        return self._endpoint.is_local

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Body | None = None,
        patience: float = 0.0,
        changes: bool = True,
    ) -> dict[str, Any]:
        """The JSON object answered. ``patience`` is how many seconds the daemon was asked to wait by the request;
        ``changes`` False says that a POST has no effect that a lost answer would leave in doubt.
        """
        try:
            with self._exchange(method, path, query=query, body=body, timeout=ANSWER_SECONDS + patience) as response:
                return self._object(self._read(response))
        except ConnectionFailedError as error:
            if method == "GET" or not changes or not error.was_sent:
                raise
            message = f"{error}; it may have been done or not: look before you try again"
            raise ConnectionFailedError(message, error.exit_code, was_sent=True) from error

    def fetch(self, path: str, *, query: Query | None = None) -> tuple[bytes, http.client.HTTPMessage]:
        """The body as it is, and its headers."""
        with self._exchange("GET", path, query=query, timeout=ANSWER_SECONDS) as response:
            return self._read(response), response.headers

    @contextmanager
    def events(self, path: str, *, query: Query, last_id: str) -> Iterator[Iterator[ServerEvent]]:
        """The events of a stream until the daemon closes it; silence raises ``ConnectionFailedError``."""
        headers = {"Accept": "text/event-stream"}
        if last_id:
            headers["Last-Event-ID"] = last_id
        with self._exchange("GET", path, query=query, headers=headers, timeout=SILENCE_SECONDS) as response:
            yield self._events(response)

    @contextmanager
    def websocket(self, path: str, *, query: Query) -> Iterator[WebSocket]:
        """A WebSocket; silence for longer than the daemon's pings are apart is its end."""
        connection = self._endpoint.open(CONNECT_SECONDS)
        try:
            self._connect(connection)
            connected = connection.sock
            assert connected is not None
            connected.settimeout(ANSWER_SECONDS)
            response = self._send(connection, "GET", self._target(path, query), None, upgrade_headers())
            if response.status != SWITCHING:
                raise self._refusal(response)
            connected.settimeout(PING_SECONDS)
            yield WebSocket(connected, response.fp)
        finally:
            connection.close()

    @contextmanager
    def _exchange(
        self,
        method: str,
        path: str,
        *,
        timeout: float,
        query: Query | None = None,
        body: Body | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        connection = self._endpoint.open(CONNECT_SECONDS)
        try:
            self._connect(connection)
            assert connection.sock is not None
            connection.sock.settimeout(timeout)
            response = self._send(connection, method, self._target(path, query), body, headers or {})
            try:
                if not 200 <= response.status < 300:
                    raise self._refusal(response)
                yield response
            finally:
                response.close()
        finally:
            connection.close()

    def _connect(self, connection: http.client.HTTPConnection) -> None:
        try:
            connection.connect()
        except (TimeoutError, BlockingIOError) as error:
            raise self._hung(was_sent=False) from error
        except PermissionError as error:
            raise CliError(f"{self._endpoint}: permission denied; run this as the user whose daemon it is") from error
        except OSError as error:
            if "too long" in str(error):
                message = f"{self._endpoint}: this path is too long for a socket; set TELECLAUDE_RUNTIME_DIR shorter"
                raise CliError(message, BAD_CONFIG) from error
            cause = error.strerror or str(error)
            message = f"no daemon answers at {self._endpoint} ({cause}); {self._endpoint.advice}"
            raise ConnectionFailedError(message, ABSENT, was_sent=False) from error

    def _target(self, path: str, query: Query | None) -> str:
        given = {key: value for key, value in (query or {}).items() if value is not None}
        return f"{self._endpoint.path}/v1{path}" + (f"?{urlencode(given)}" if given else "")

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        body: Body | None,
        headers: Mapping[str, str],
    ) -> http.client.HTTPResponse:
        headers = {"Connection": "close", **self._endpoint.headers, **headers}
        payload = None
        if body is not None:
            payload = json.dumps(body).encode("ascii")
            headers["Content-Type"] = "application/json"
        with self._failures():
            # A request that is refused early may be closed while it is still sent; its answer is there to read.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, target, payload, headers)
            return connection.getresponse()

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        with self._failures():
            body = response.read(MAX_BODY_BYTES + 1)
        if len(body) > MAX_BODY_BYTES:
            raise CliError(f"the answer is longer than {MAX_BODY_BYTES} bytes")
        return body

    def _events(self, response: http.client.HTTPResponse) -> Iterator[ServerEvent]:
        parser = EventParser()
        while True:
            with self._failures():
                piece = response.read1(_PIECE_BYTES)
            if not piece:
                return
            try:
                events = parser.feed(piece)
            except ValueError as error:
                raise CliError(str(error)) from error
            yield from events

    def _object(self, body: bytes) -> dict[str, Any]:
        try:
            value = json.loads(body)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise CliError(f"{self._endpoint} did not answer as a teleclaude daemon does")
        return value

    def _refusal(self, response: http.client.HTTPResponse) -> CliError:
        try:
            problem = self._object(self._read(response))
        except ConnectionFailedError as error:
            return error
        except CliError:
            problem = {}
        if "code" in problem and "detail" in problem:
            return refusal_of(problem)
        return CliError(f"{self._endpoint} answered {response.status} without saying why; is it a teleclaude daemon?")

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            raise self._hung(was_sent=True) from error
        except (OSError, http.client.RemoteDisconnected, http.client.IncompleteRead) as error:
            message = f"the daemon at {self._endpoint} closed the connection without an answer"
            raise ConnectionFailedError(message, TRY_AGAIN, was_sent=True) from error
        except http.client.HTTPException as error:
            raise CliError(f"{self._endpoint} did not answer as a teleclaude daemon does") from error

    def _hung(self, *, was_sent: bool) -> CliError:
        message = f"the daemon at {self._endpoint} is there but does not answer"
        return ConnectionFailedError(message, TRY_AGAIN, was_sent=was_sent)
