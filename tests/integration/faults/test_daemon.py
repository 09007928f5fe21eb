"""The daemon among others of its kind, out of descriptors, told to stop twice, with clients that go away."""

from __future__ import annotations

import asyncio
import hashlib
import json
import resource
import signal
import socket
import struct
import time
from pathlib import Path

from tests.support.daemon import Client, DaemonProcess, daemon_process
from tests.support.faults import ECHO_OFF_CAT, answers
from tests.support.wait import eventually


async def test_x45_of_many_daemons_at_once_one_serves() -> None:
    async with daemon_process(start=False) as first:
        rivals = [DaemonProcess(first.home, {"TELECLAUDE_TMUX__SOCKET_NAME": first.tmux_socket}) for _ in range(4)]
        for number, rival in enumerate(rivals):
            rival.log_path = first.home / f"rival-{number}.log"
        try:
            for rival in rivals:
                rival.spawn()
            await eventually(lambda: sum("teleclaude ready" in rival.log for rival in rivals) == 1, timeout=20)
            [winner] = [rival for rival in rivals if "teleclaude ready" in rival.log]
            for rival in rivals:
                if rival is not winner:
                    assert await rival.wait() == 75
                    assert str(winner.pid) in rival.log
            async with Client(first.socket) as client:
                assert (await client.get("/health"))["status"] == "ok"
            # A killed holder's lock is free at once, even while its children live.
            async with Client(first.socket) as client:
                await client.new(["cat"], name="cat")
            await winner.kill()
            await first.start()
        finally:
            for rival in rivals:
                await rival.kill()


async def test_x44_a_second_sigterm_ends_it_now() -> None:
    async with daemon_process() as daemon:
        async with Client(daemon.socket) as client:
            await client.new(ECHO_OFF_CAT, name="cat")

            async def stop() -> float:
                await client.get("/health")
                daemon.signal(signal.SIGTERM)
                daemon.signal(signal.SIGTERM)
                began = time.monotonic()
                await daemon.wait()
                return time.monotonic() - began

            waiting = client.wait("cat", text="never", timeout_ms=30_000)
            took, _ = await asyncio.gather(stop(), waiting, return_exceptions=True)
            assert isinstance(took, float)
            assert took < 5
        assert "cat" in daemon.tmux("list-sessions", "-F", "#{session_name}").split()


async def test_x48_without_descriptors_it_goes_on_and_recovers() -> None:
    async with daemon_process() as daemon, Client(daemon.socket) as client:
        await client.new(ECHO_OFF_CAT, name="cat")
        await client.wait("cat", text="ready\n")
        before = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
        in_use = len(list(Path(f"/proc/{daemon.pid}/fd").iterdir()))
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (in_use + 3, before[1]))
        crowd = [await asyncio.open_unix_connection(str(daemon.socket)) for _ in range(20)]
        try:
            began = time.monotonic()
            assert (await client.get("/health"))["status"] == "ok"
            assert time.monotonic() - began < 1
            async with client.http.get(client.url("/sessions/cat/output")) as reply:
                assert reply.status in (200, 503), await reply.text()
        finally:
            for _, writer in crowd:
                writer.close()
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, before)
        await answers(client, "cat", "still-here")
        async with Client(daemon.socket) as later:
            assert (await later.get("/health"))["status"] == "ok"
            assert (await later.new(["cat"], name="more"))["state"] == "running"


async def test_x40_a_call_whose_client_went_away_happens_once() -> None:
    async with daemon_process() as daemon, Client(daemon.socket) as client:
        body = json.dumps({"command": ["cat"], "name": "once"}).encode()
        for _ in range(5):
            with socket.socket(socket.AF_UNIX) as raw:
                raw.connect(str(daemon.socket))
                raw.sendall(
                    b"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    b"Idempotency-Key: k\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
                )
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        made = await client.post("/sessions", json.loads(body), headers={"Idempotency-Key": "k"})
        listed = (await client.get("/sessions"))["sessions"]
        assert [session["id"] for session in listed] == [made["id"]]


async def test_x42_a_large_paste_arrives_byte_for_byte() -> None:
    lines = [f"line {n}: {'ä€😀x' * (n % 7)}" for n in range(10_000)]
    text = "\n".join(lines)
    async with daemon_process() as daemon, Client(daemon.socket) as client:
        target = daemon.home / "pasted"
        script = f"stty raw -echo; echo ready; head -c {len(text.encode()) + 1} > {target}; echo done; exec cat"
        await client.new(["bash", "-c", script], name="paste")
        await client.wait("paste", text="ready")
        await client.text("paste", text)
        assert (await client.wait("paste", text="done", timeout_ms=20_000))["outcome"] == "matched"
        arrived = target.read_bytes().replace(b"\r", b"\n")
        assert hashlib.sha256(arrived).digest() == hashlib.sha256(text.encode() + b"\n").digest()
