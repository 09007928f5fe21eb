"""The private socket: a thread that reads it, a lock for those who write, and the end of everything when it ends."""

from __future__ import annotations

import array
import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from teleclaude.python.worker.frames import FrameDecoder, Message, encode
from teleclaude.python.worker.interrupts import Interrupts

_READ_BYTES = 64 << 10
_MAX_DESCRIPTORS = 8
_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class Link:
    """The worker's end. A forked child that did not exec another program is cut off from it."""

    def __init__(self, descriptor: int, interrupts: Interrupts) -> None:
        os.set_inheritable(descriptor, False)
        self._socket: socket.socket | None = socket.socket(fileno=descriptor)
        self._interrupts = interrupts
        self._lock = threading.Lock()
        self._descriptors: list[int] = []
        os.register_at_fork(after_in_child=self._cut)

    @property
    def is_cut(self) -> bool:
        """Whether this is a forked child."""
        return self._socket is None

    def send(self, message: Message) -> None:
        """One whole frame, whatever interrupts us. Raises ``FrameTooLargeError``; nothing was sent then.

        When the other side is gone, this process and all it started end: our own end alone would cut the reading
        thread short while it sees to that.
        """
        data = encode(message)
        with self._interrupts.shielded(), self._lock:
            if self._socket is not None:
                try:
                    self._socket.sendall(data)
                except OSError:
                    end_everything()

    def take_descriptors(self, count: int) -> list[int]:
        """The oldest ``count`` descriptors that came and nobody has taken."""
        taken, self._descriptors = self._descriptors[:count], self._descriptors[count:]
        return taken

    def read(self, handle: Callable[[Message], None]) -> None:
        """Read until the other side is gone; then this process and all it started end."""
        try:
            self._read(handle)
        finally:
            end_everything()

    def _read(self, handle: Callable[[Message], None]) -> None:
        decoder = FrameDecoder()
        room = socket.CMSG_SPACE(_MAX_DESCRIPTORS * array.array("i").itemsize)
        while self._socket is not None:
            data, ancillary, _, _ = self._socket.recvmsg(_READ_BYTES, room, _CLOSE_ON_EXEC)
            for level, kind, content in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    self._receive(content)
            if not data:
                return
            for message in decoder.feed(data):
                handle(message)

    def _receive(self, content: bytes) -> None:
        numbers = array.array("i")
        numbers.frombytes(content[: len(content) - len(content) % numbers.itemsize])
        for number in numbers:
            os.set_inheritable(number, False)
            self._descriptors.append(number)

    def _cut(self) -> None:
        self._lock = threading.Lock()
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def end_everything() -> None:
    """Kill every descendant, then our own group, ourselves included. Does not return."""
    for pid in _descendants(os.getpid()):
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            continue
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)


def _descendants(root: int) -> list[int]:
    """By /proc, so that those are found that left the group; nobody where there is none."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    found: list[int] = []
    waiting = [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found
