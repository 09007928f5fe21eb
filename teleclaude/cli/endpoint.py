"""Where the daemon is: its unix socket, or a URL with a token from a file."""

from __future__ import annotations

import http.client
import os
import socket
import stat
import struct
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from teleclaude.cli.failure import BAD_CONFIG, REFUSED, CliError, UsageError
from teleclaude.paths import find_paths

MAX_TOKEN_BYTES = 4096
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Endpoint(ABC):
    """A place to connect to; ``is_local`` says that the daemon is this user's own on this computer."""

    is_local = False

    @abstractmethod
    def open(self, timeout: float) -> http.client.HTTPConnection:
        """A connection, not connected yet; ``timeout`` bounds every single wait on it, in seconds."""

    @property
    def path(self) -> str:
        """What stands before ``/v1`` in every path."""
        return ""

    @property
    def headers(self) -> dict[str, str]:
        return {}

    @property
    @abstractmethod
    def advice(self) -> str:
        """What to do when nobody answers there."""


class UnixEndpoint(Endpoint):
    is_local = True

    def __init__(self, socket_path: Path) -> None:
        self._socket_path = socket_path

    def __str__(self) -> str:
        return str(self._socket_path)

    def open(self, timeout: float) -> http.client.HTTPConnection:
        return _UnixConnection(self._socket_path, timeout)

    @property
    def advice(self) -> str:
        return "start it with: teleclaude serve"


class UrlEndpoint(Endpoint):
    """``http://`` is for this computer (or a tunnel's end on it) only, since the token would be readable on the way."""

    def __init__(self, url: str, token: str | None) -> None:
        self._token = token
        try:
            parts = urlsplit(url)
            self._host, self._port = parts.hostname or "", parts.port
        except ValueError as error:
            raise UsageError(f"--url {url!r}: {error}") from error
        if parts.scheme not in ("http", "https") or not self._host:
            raise UsageError(f"--url {url!r}: give http://HOST:PORT or https://HOST:PORT")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise UsageError("--url takes scheme, host, port and path only; the token belongs in --token-file")
        if parts.scheme == "http" and self._host not in _LOOPBACK:
            raise UsageError(f"--url: http to {self._host} would show the token on the way; use https, or tunnel it")
        self._secure = parts.scheme == "https"
        self._path = parts.path.rstrip("/").removesuffix("/v1")
        self._url = url

    def __str__(self) -> str:
        return self._url

    def open(self, timeout: float) -> http.client.HTTPConnection:
        connection = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        return connection(self._host, self._port, timeout=timeout)

    @property
    def path(self) -> str:
        return self._path

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    @property
    def advice(self) -> str:
        return "check the address, and that the daemon there has rest.listen set"


def find_endpoint(url: str | None, token_file: str | None, environ: Mapping[str, str]) -> Endpoint:
    """Where ``--url`` points, else this user's own daemon. Raises ``CliError`` for what cannot be one."""
    if url is not None:
        return UrlEndpoint(url, read_token(Path(token_file)) if token_file is not None else None)
    if token_file is not None:
        raise UsageError("--token-file goes with --url; the daemon of this user needs no token")
    return UnixEndpoint(_own_socket(environ))


def _own_socket(environ: Mapping[str, str]) -> Path:
    """A daemon of the system's service manager knows no ``$XDG_RUNTIME_DIR``: its socket is below the state."""
    usual = find_paths(environ).socket
    without = find_paths({name: value for name, value in environ.items() if name != "XDG_RUNTIME_DIR"}).socket
    return without if without.exists() and not usual.exists() else usual


def read_token(path: Path) -> str:
    """The token in ``path``. Raises ``CliError`` (78) when others may read the file or it holds no token."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            content = file.read(MAX_TOKEN_BYTES + 1) if stat.S_ISREG(status.st_mode) else b""
    except OSError as error:
        raise CliError(f"--token-file {path}: {error.strerror}", BAD_CONFIG) from error
    if status.st_mode & 0o077:
        raise CliError(f"--token-file {path}: others may read it; make it private: chmod 600 {path}", BAD_CONFIG)
    token = content.strip()
    if not token or len(content) > MAX_TOKEN_BYTES or not all(0x21 <= byte <= 0x7E for byte in token):
        raise CliError(f"--token-file {path}: it must hold one token and nothing else", BAD_CONFIG)
    return token.decode("ascii")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, socket_path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._socket_path = socket_path

    def connect(self) -> None:
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connected.settimeout(self.timeout)
            connected.connect(os.fspath(self._socket_path))
            _require_own(connected, self._socket_path)
        except BaseException:
            connected.close()
            raise
        self.sock = connected


def _require_own(connected: socket.socket, path: Path) -> None:
    """Input may hold secrets, and replies steer what we do: talk only to a daemon of the same user."""
    owner = _peer_uid(connected, path)
    if owner == os.geteuid():
        return
    raise CliError(f"the daemon at {path} belongs to user {owner}, not to you; run this as that user", REFUSED)


def _peer_uid(connected: socket.socket, path: Path) -> int:
    if hasattr(socket, "SO_PEERCRED"):
        credentials = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        uid: int = struct.unpack("3i", credentials)[1]
        return uid
    return path.stat().st_uid
