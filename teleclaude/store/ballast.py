"""Space put by for the day the disk is full: without it not even a delete can be written."""

from __future__ import annotations

import os
from pathlib import Path

import structlog

from teleclaude.clock import Clock

log = structlog.get_logger(__name__)

BALLAST_BYTES = 256 * 1024
RETRY_SECONDS = 10.0


class Ballast:
    """A file of ``BALLAST_BYTES`` beside the database. Used by one thread; blocks on small file operations."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._next_try = clock.monotonic()

    def keep(self) -> None:
        """Make the file again if it is gone and there is room, trying once in ``RETRY_SECONDS``."""
        now = self._clock.monotonic()
        if now < self._next_try:
            return
        self._next_try = now + RETRY_SECONDS
        try:
            if self._path.exists() and self._path.stat().st_size >= BALLAST_BYTES:
                return
            disk = os.statvfs(self._path.parent)
            if disk.f_bavail * disk.f_frsize < 2 * BALLAST_BYTES:
                return
            self._fill()
        except OSError as error:
            log.warning("ballast_not_kept", error=str(error))

    def release(self) -> bool:
        """Give the space back; whether there was any."""
        try:
            self._path.unlink()
        except OSError:
            return False
        self._next_try = self._clock.monotonic() + RETRY_SECONDS
        log.warning("ballast_released", bytes=BALLAST_BYTES)
        return True

    def _fill(self) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            # Real bytes: a sparse file would put nothing by.
            os.write(descriptor, bytes(BALLAST_BYTES))
        except OSError:
            self._path.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
