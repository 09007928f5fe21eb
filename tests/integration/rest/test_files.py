"""The file drop of a session: no name leads out of it, and a file is there whole or not at all."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.integration.rest.served import wire
from tests.support.daemon import Client, daemon_process
from tests.support.faults import small_disk
from tests.support.outside import Outside, outside_daemon, shared_outside_daemon
from tests.support.wait import eventually

OCTETS = {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    with shared_outside_daemon({"TELECLAUDE_REST__MAX_BODY_BYTES": "1000000"}) as running:
        yield running


class Drop:
    """The drop of one session, over HTTP and as the folder it is."""

    def __init__(self, outside: Outside, session: str) -> None:
        self.outside = outside
        self.folder = outside.daemon.state / "files" / session
        self.files = self.folder / "files"
        self.path = f"/v1/sessions/{session}/files"

    async def put(self, name: str, data: bytes = b"data", query: str = "") -> tuple[int, Any]:
        return await self.outside.ask("PUT", f"{self.path}/{quote(name, safe='')}{query}", data=data, headers=OCTETS)

    async def get(self, name: str) -> tuple[int, Any]:
        return await self.outside.ask("GET", f"{self.path}/{quote(name, safe='')}")

    async def names(self) -> list[str]:
        return [entry["name"] for entry in (await self.outside.ask("GET", self.path))[1]["files"]]

    def incoming(self) -> list[str]:
        return [path.name for path in (self.folder / "incoming").iterdir()]


@pytest.fixture
async def drop(outside: Outside) -> Any:
    async with Client(outside.daemon.socket) as client:
        made = await client.new("cat", name="holder")
        yield Drop(outside, made["id"])
        await client.delete("/sessions/holder?purge=true")
        assert not (outside.daemon.state / "files" / made["id"]).exists()


async def test_a_file_goes_in_and_comes_out(drop: Drop) -> None:
    data = os.urandom(900_000)
    status, put = await drop.put("picture.bin", data)
    assert (status, put["name"], put["bytes"]) == (201, "picture.bin", len(data))
    assert Path(put["path"]).read_bytes() == data
    assert await drop.get("picture.bin") == (200, data)
    assert (await drop.put("empty", b""))[0] == 201
    assert await drop.names() == ["empty", "picture.bin"]
    assert drop.incoming() == []


@pytest.mark.parametrize(
    "name", ["../../x", "/etc/passwd", "..\\x", "..", ".", "../", ".ssh/authorized_keys", "x" * 256]
)
async def test_f1_f7_names_that_lead_elsewhere(drop: Drop, name: str) -> None:
    assert (await drop.put(name))[0] == 422
    assert (await drop.get(name))[0] == 422
    assert await drop.names() == []


@pytest.mark.parametrize("name", ["../../token", "../../teleclaude.db", "../../../.bashrc", "~/.ssh/authorized_keys"])
async def test_f7_our_own_files_and_the_users(drop: Drop, name: str) -> None:
    token = await drop.outside.new_token("hand")
    before = (drop.outside.daemon.state / "token").read_bytes()
    path = f"{drop.path}/{quote(name, safe='')}?overwrite=true"
    assert (await drop.outside.ask("PUT", path, token=token, data=b"x", headers=OCTETS))[0] == 422
    assert (drop.outside.daemon.state / "token").read_bytes() == before
    assert not (drop.outside.daemon.home / ".bashrc").exists()
    await drop.outside.revoke("hand")


async def test_f1_dots_in_the_path(drop: Drop) -> None:
    for tail in ("/../../x", "/%2e%2e/x", "/%2e%2e/", "/a/b"):
        assert (await drop.outside.ask("PUT", drop.path + tail, data=b"x"))[0] == 404, tail


async def test_f2_a_link_is_not_followed(drop: Drop, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("keep out")
    assert (await drop.put("first"))[0] == 201
    (drop.files / "link").symlink_to(secret)
    assert (await drop.get("link"))[0] == 403
    assert (await drop.put("link", b"gone"))[0] == 409
    assert (await drop.put("link", b"new", "?overwrite=true"))[0] == 201
    assert secret.read_text() == "keep out"
    assert await drop.get("link") == (200, b"new")


async def test_f3_a_folder_swapped_for_a_link(drop: Drop, tmp_path: Path) -> None:
    assert (await drop.put("first"))[0] == 201
    drop.files.rename(drop.folder / "aside")
    drop.files.symlink_to(tmp_path)
    (tmp_path / "secret").write_text("keep out")
    assert (await drop.get("secret"))[0] == 403
    assert (await drop.put("new"))[0] == 403
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


async def test_f4_what_is_no_plain_file(drop: Drop) -> None:
    assert (await drop.put("first"))[0] == 201
    os.mkfifo(drop.files / "fifo")
    (drop.files / "folder").mkdir()
    folder = os.open(drop.files, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            # By the descriptor: the path itself is too long for a socket's name.
            listener.bind(f"/proc/self/fd/{folder}/sock")
    finally:
        os.close(folder)
    for name in ("fifo", "folder", "sock"):
        async with asyncio.timeout(5):
            assert (await drop.get(name))[0] == 403, name
    assert await drop.names() == ["first"]


async def test_f5_an_existing_file_is_kept_unless_told(drop: Drop) -> None:
    assert (await drop.put("a", b"first"))[0] == 201
    status, refused = await drop.put("a", b"second")
    assert (status, refused["code"]) == (409, "conflict")
    assert await drop.get("a") == (200, b"first")
    assert (await drop.put("a", b"second", "?overwrite=true"))[0] == 201
    assert await drop.get("a") == (200, b"second")
    assert drop.incoming() == []


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31m", "\u202egpj.exe", "-rf", ".bashrc", "a b", "#(id)", "%41"])
async def test_f6_strange_names_are_stored_as_they_are(drop: Drop, name: str) -> None:
    assert (await drop.put(name, b"x"))[0] == 201
    assert await drop.names() == [name]
    assert await drop.get(name) == (200, b"x")


async def test_f8_a_body_that_breaks_off_leaves_nothing(drop: Drop) -> None:
    head = f"PUT {drop.path}/short HTTP/1.1\r\nHost: localhost:{drop.outside.port}\r\nContent-Length: 100\r\n"
    async with wire(drop.outside.port) as raw:
        await raw.send(f"{head}Authorization: Bearer {drop.outside.token}\r\n\r\nonly this".encode())
        await eventually(lambda: drop.folder.exists() and len(drop.incoming()) == 1)
    await eventually(lambda: drop.incoming() == [])
    assert await drop.names() == []


async def test_f9_a_file_too_large_leaves_nothing(drop: Drop) -> None:
    status, refused = await drop.put("large", bytes(1_000_001))
    assert (status, refused["code"]) == (413, "too_large")

    async def endless() -> Any:
        for _ in range(20):
            yield bytes(100_000)

    status, _ = await drop.outside.ask("PUT", f"{drop.path}/chunked", data=endless(), headers=OCTETS)
    assert status == 413
    assert await drop.names() == []
    assert not drop.folder.exists() or drop.incoming() == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a small disk")
async def test_f9_a_full_disk_leaves_nothing() -> None:
    async with daemon_process() as daemon, Client(daemon.socket) as client:
        made = await client.new("cat", name="holder")
        with small_disk(daemon.state / "files", "256k"):
            url = client.url("/sessions/holder/files/large")
            async with client.http.put(url, data=bytes(1_000_000)) as response:
                assert (response.status, (await response.json())["code"]) == (507, "no_space")
            assert (await client.get("/sessions/holder/files"))["files"] == []
            assert list((daemon.state / "files" / made["id"] / "incoming").iterdir()) == []
            async with client.http.put(client.url("/sessions/holder/files/small"), data=b"fits") as response:
                assert response.status == 201


async def test_f10_a_growing_file_is_read_as_it_was(drop: Drop) -> None:
    assert (await drop.put("log", b"x" * 500_000))[0] == 201
    async with wire(drop.outside.port) as raw:
        head = f"GET {drop.path}/log HTTP/1.1\r\nHost: localhost:{drop.outside.port}\r\nConnection: close\r\n"
        await raw.send(f"{head}Authorization: Bearer {drop.outside.token}\r\n\r\n".encode())
        _, headers = await raw.head()
        with (drop.files / "log").open("ab") as file:
            file.write(b"y" * 10_000)
        assert await raw.rest() == b"x" * int(headers["content-length"])


async def test_f11_an_archive_stays_one_file(drop: Drop) -> None:
    assert (await drop.put("a.zip", b"PK\x03\x04"))[0] == 201
    assert await drop.names() == ["a.zip"]


async def test_f12_nul_in_a_name(drop: Drop) -> None:
    assert (await drop.put("a\0b"))[0] == 422


async def test_f13_twins_are_kept_apart(drop: Drop) -> None:
    twins = ["A", "a", "\u00e9", "e\u0301"]
    for name in twins:
        assert (await drop.put(name, name.encode()))[0] == 201
    assert sorted(await drop.names()) == sorted(twins)
    for name in twins:
        assert await drop.get(name) == (200, name.encode())


async def test_f14_nobody_else_may_read_or_run_it(drop: Drop) -> None:
    _, put = await drop.put("tool")
    assert Path(put["path"]).stat().st_mode & 0o7777 == 0o600
    assert drop.folder.stat().st_mode & 0o7777 == 0o700


async def test_roles_and_scopes_hold_for_files() -> None:
    async with outside_daemon() as outside, Client(outside.daemon.socket) as client:
        one = await client.new("cat", name="one")
        await client.new("cat", name="two")
        viewer = await outside.new_token("eye", role="viewer")
        scoped = await outside.new_token("hand", sessions=["one"])
        path = f"/v1/sessions/{one['id']}/files/a"
        assert (await outside.ask("PUT", path, token=viewer, data=b"x"))[0] == 403
        assert (await outside.ask("PUT", path, token=scoped, data=b"x"))[0] == 201
        assert (await outside.ask("GET", path, token=viewer)) == (200, b"x")
        assert (await outside.ask("PUT", "/v1/sessions/two/files/a", token=scoped, data=b"x"))[0] == 404
        found = [(entry["operation"], entry["result"]) for entry in (await client.get("/audit"))["entries"]]
        assert ("session.files.put", "forbidden") in found
        assert ("session.files.put", "ok") in found
        for name in ("one", "two"):
            await client.delete(f"/sessions/{name}?purge=true")
