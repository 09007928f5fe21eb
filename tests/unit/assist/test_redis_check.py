"""Whether a Redis server answers."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from teleclaude.assist.findings import Level
from teleclaude.assist.redis_check import look_at_redis


@pytest.mark.parametrize(
    ("answer", "level"), [(b"+PONG\r\n", Level.OK), (b"-NOAUTH no\r\n", Level.OK), (b"HTTP/1.1 400\r\n", Level.UNKNOWN)]
)
def test_what_answers(answer: bytes, level: Level) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                assert connection.recv(16) == b"PING\r\n"
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        port = server.getsockname()[1]
        assert look_at_redis(f"redis://user:secret@127.0.0.1:{port}/0").level is level
        thread.join()


def test_nobody_there(tmp_path: Path) -> None:
    finding = look_at_redis(f"unix://{tmp_path}/none.sock")
    assert finding.level is Level.FAILURE
    assert "does not answer" in finding.detail
