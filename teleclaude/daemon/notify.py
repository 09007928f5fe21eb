"""Tell the service manager how we are (sd_notify(3)): one datagram, and nothing where nobody listens."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

import structlog

log = structlog.get_logger(__name__)


class Notifier:
    """Takes the socket's address out of the environment, so that no child ever speaks for the daemon."""

    def __init__(self, environ: os._Environ[str] | dict[str, str]) -> None:
        self._address = environ.pop("NOTIFY_SOCKET", "")
        self._watchdog_s = _watchdog_seconds(environ)
        environ.pop("WATCHDOG_USEC", None)
        environ.pop("WATCHDOG_PID", None)

    @property
    def watchdog_interval(self) -> float | None:
        """Seconds between two beats: a third of what the manager allows; None when it does not watch."""
        return self._watchdog_s / 3 if self._watchdog_s else None

    def send(self, state: str) -> None:
        """``READY=1``, ``STOPPING=1``, ``WATCHDOG=1`` …; a manager that is gone is logged and harms nothing."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as link:
                link.sendto(state.encode(), address)
        except OSError as error:
            log.warning("notify_failed", error=str(error))


def _watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    pid = environ.get("WATCHDOG_PID", "")
    text = environ.get("WATCHDOG_USEC", "")
    if not text.isdecimal() or (pid and pid != str(os.getpid())):
        return None
    return int(text) / 1e6
