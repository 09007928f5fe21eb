"""Whether a Redis server answers, without a client library: one PING on a connection of its own."""

from __future__ import annotations

import socket
import ssl
from contextlib import closing
from urllib.parse import SplitResult, urlsplit

from teleclaude.assist.findings import Finding, failure, ok, unknown

ANSWER_SECONDS = 3.0
ABOUT = "redis server"


def look_at_redis(url: str) -> Finding:
    """Says nothing of passwords: those are tried by the daemon."""
    parts = urlsplit(url)
    where = parts.path if parts.scheme == "unix" else f"{parts.hostname}:{parts.port or 6379}"
    try:
        with closing(_connect(parts)) as connection:
            connection.sendall(b"PING\r\n")
            answer = connection.recv(256)
    except OSError as error:
        return failure(ABOUT, f"{where} does not answer: {error}")
    if answer.startswith((b"+PONG", b"-NOAUTH")):
        return ok(ABOUT, f"{where} answers")
    return unknown(ABOUT, f"{where} answers, but not as Redis does")


def _connect(parts: SplitResult) -> socket.socket:
    if parts.scheme == "unix":
        local = socket.socket(socket.AF_UNIX)
        local.settimeout(ANSWER_SECONDS)
        try:
            local.connect(parts.path)
        except OSError:
            local.close()
            raise
        return local
    host = parts.hostname or "localhost"
    plain = socket.create_connection((host, parts.port or 6379), timeout=ANSWER_SECONDS)
    if parts.scheme != "rediss":
        return plain
    try:
        return ssl.create_default_context().wrap_socket(plain, server_hostname=host)
    except OSError:
        plain.close()
        raise
