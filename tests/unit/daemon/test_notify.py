from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

from teleclaude.daemon.notify import Notifier


def test_a_datagram_reaches_the_manager_and_no_child_sees_the_address() -> None:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        address = str(Path(folder, "notify"))
        manager.bind(address)
        manager.settimeout(5)
        environ = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid()), "A": "b"}
        notifier = Notifier(environ)
        assert environ == {"A": "b"}
        assert notifier.watchdog_interval == 1.0
        notifier.send("READY=1")
        assert manager.recv(100) == b"READY=1"


def test_an_abstract_address_works() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0tc-test-{os.getpid()}")
        manager.settimeout(5)
        Notifier({"NOTIFY_SOCKET": f"@tc-test-{os.getpid()}"}).send("STOPPING=1")
        assert manager.recv(100) == b"STOPPING=1"


def test_nobody_listening_harms_nothing() -> None:
    Notifier({}).send("READY=1")
    Notifier({"NOTIFY_SOCKET": "/no/such/socket"}).send("READY=1")
    assert Notifier({}).watchdog_interval is None
    assert Notifier({"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}).watchdog_interval is None
    assert Notifier({"WATCHDOG_USEC": "soon"}).watchdog_interval is None
