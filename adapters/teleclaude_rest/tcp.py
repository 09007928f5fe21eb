"""The TCP socket: loopback only, and gone with its owner."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from teleclaude.errors import UnavailableError
from teleclaude_rest.unixsocket import OPERATION


@contextmanager
def loopback_socket(listen: str) -> Iterator[tuple[socket.socket, str, int]]:
    """A bound socket for ``address:port`` with the address as in a URL and the port it got.

    Raises ``UnavailableError`` when the system refuses.
    """
    host, _, port = listen.rpartition(":")
    bare = "127.0.0.1" if host == "localhost" else host.strip("[]")
    family = socket.AF_INET6 if ":" in bare else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM | getattr(socket, "SOCK_CLOEXEC", 0)) as sock:
        sock.setblocking(False)
        # So that a restart needs not wait for old connections to be forgotten.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((bare, int(port)))
        except OSError as error:
            raise UnavailableError(
                f"cannot listen at {listen} ({error.strerror}); free it or change rest.listen", operation=OPERATION
            ) from error
        yield sock, host, sock.getsockname()[1]
