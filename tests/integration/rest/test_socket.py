from __future__ import annotations

import asyncio
import os
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from teleclaude.errors import ConflictError, InvalidError, UnavailableError
from teleclaude_rest.unixsocket import peer_uid, private_socket
from tests.integration.rest.served import serve, wire
from tests.support.wait import eventually

NAME = "teleclaude.sock"


async def test_it_is_private_and_gone_afterwards(runtime: Path) -> None:
    async with serve(runtime) as served:
        mode = served.adapter.path.lstat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600
        assert (await served.adapter.check()).ok
    assert not (runtime / NAME).exists()


async def test_it_is_private_from_its_first_moment(runtime: Path) -> None:
    umask = os.umask(0)
    try:
        async with private_socket(runtime / NAME) as bound:
            assert stat.S_IMODE((runtime / NAME).lstat().st_mode) == 0o600
            assert bound.getsockname() == str(runtime / NAME)
            assert os.umask(0) == 0
    finally:
        os.umask(umask)


async def test_what_a_dead_process_left_is_replaced(runtime: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(runtime / NAME))
    async with serve(runtime) as served:
        assert (await served.json("GET", "/health"))[0] == 200


async def test_a_living_process_is_not_pushed_aside(runtime: Path) -> None:
    async with serve(runtime) as first:
        with pytest.raises(ConflictError, match="answers"):
            async with serve(runtime):
                pass
        assert (await first.json("GET", "/health"))[0] == 200


async def test_a_process_too_busy_to_answer_is_not_pushed_aside(runtime: Path) -> None:
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(str(runtime / NAME))
        busy.listen(0)
        clients = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for client in clients:
            client.setblocking(False)
            client.connect_ex(str(runtime / NAME))
        with pytest.raises(ConflictError, match="answers"):
            async with private_socket(runtime / NAME):
                pass
        for client in clients:
            client.close()
    (runtime / NAME).unlink()


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
async def test_what_is_no_socket_stays(runtime: Path, kind: str) -> None:
    path = runtime / NAME
    if kind == "file":
        path.write_text("mine")
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to(runtime / "elsewhere")
    with pytest.raises(ConflictError, match="not a socket"):
        async with private_socket(path):
            pass
    assert path.lstat()


async def test_c13_a_path_too_long_is_said_clearly(runtime: Path) -> None:
    with pytest.raises(InvalidError, match="107 bytes"):
        async with private_socket(runtime / ("x" * 200) / NAME):
            pass


async def test_a_directory_that_does_not_exist_is_said_clearly(runtime: Path) -> None:
    with pytest.raises(UnavailableError, match="cannot listen"):
        async with private_socket(runtime / "missing" / NAME):
            pass


async def test_somebody_elses_new_socket_is_left_alone(runtime: Path) -> None:
    path = runtime / NAME
    async with private_socket(path):
        path.unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
    assert path.is_socket()


async def test_a_socket_that_was_removed_shows_in_the_check(runtime: Path) -> None:
    async with serve(runtime) as served:
        served.adapter.path.unlink()
        check = await served.adapter.check()
        assert not check.ok
        assert "restart" in check.detail
    assert not (await served.adapter.check()).ok


async def test_the_peers_user_is_known(runtime: Path) -> None:
    async with private_socket(runtime / NAME) as bound:
        bound.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, str(runtime / NAME))
            accepted, _ = await asyncio.get_running_loop().sock_accept(bound)
            with accepted:
                assert peer_uid(accepted) == os.getuid()


ASK_AS_NOBODY = """
import os, socket, sys
os.setuid(65534)
with socket.socket(socket.AF_UNIX) as client:
    client.connect(sys.argv[1])
    client.sendall(b"GET /v1/health HTTP/1.1\\r\\nHost: d\\r\\n\\r\\n")
    sys.stdout.write(client.recv(4096).decode())
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
async def test_another_user_is_refused_even_where_the_file_lets_him_in() -> None:
    with tempfile.TemporaryDirectory(prefix="tc-", dir="/tmp") as open_to_all:
        Path(open_to_all).chmod(0o755)
        async with serve(Path(open_to_all)) as served:
            argv = [sys.executable, "-c", ASK_AS_NOBODY, str(served.adapter.path)]
            assert "Permission denied" in (await _run(argv)).stderr
            served.adapter.path.chmod(0o666)
            reply = (await _run(argv)).stdout
            assert reply.startswith("HTTP/1.1 403 ")
            assert '"forbidden"' in reply


async def _run(argv: list[str]) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True, timeout=20, check=False)


async def test_a_stop_is_bounded_whatever_clients_do(runtime: Path) -> None:
    loop = asyncio.get_running_loop()
    async with serve(runtime) as served:
        await served.new()
        async with (
            wire(served.adapter.path) as idle,
            wire(served.adapter.path) as slow,
            wire(served.adapter.path) as fed,
        ):
            await idle.send(b"GET /v1/health HTTP/1.1\r\nHost: d\r\n\r\n")
            assert (await idle.reply())[0] == 200
            await slow.send(b"GET /v1/hea")
            await fed.send(b"GET /v1/sessions/build/stream?from=0 HTTP/1.1\r\nHost: d\r\n\r\n")
            await eventually(lambda: served.hub.followers == 1)
            await served.hub.streams["S1"].append(b"x" * (4 << 20))
            began = loop.time()
            await served.adapter.__aexit__(None, None, None)
            assert loop.time() - began < 8
            await served.adapter.__aexit__(None, None, None)
            assert await idle.rest() == b""
            assert await slow.rest() == b""
