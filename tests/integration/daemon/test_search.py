"""Finding a text in recorded output, by HTTP and by the command line."""

from __future__ import annotations

import asyncio
import json
import sys

from tests.support.daemon import Client, DaemonProcess


async def test_lines_are_found_with_their_offsets(client: Client) -> None:
    await client.new(["bash", "-c", r"seq 1 30000; printf '\e[1mne\e[0medle\n'; exec cat"], name="log")
    await client.wait("log", text="needle")
    reply = await client.get("/sessions/log/search", params={"text": "needle"})
    assert reply["next"] is None
    [line] = reply["matches"]
    assert line["text"] == "needle"
    _, data = await client.output("log", line["from"], line["to"] - line["from"])
    assert data.endswith(b"edle\r\n")
    page = await client.get("/sessions/log/search", params={"regex": r"^\d*77\d*$", "limit": "3"})
    assert [found["text"] for found in page["matches"]] == ["77", "177", "277"]
    rest = await client.get("/sessions/log/search", params={"regex": r"^\d*77\d*$", "from": str(page["next"])})
    assert rest["matches"][0]["text"] == "377"
    assert (await client.get("/sessions/log/search", params={"text": "needle", "from": "-3"}))["matches"] == []


async def test_what_cannot_be_searched_is_said(client: Client) -> None:
    await client.new(["cat"], name="log")
    for params in ({}, {"text": "a", "regex": "b"}, {"regex": "("}, {"text": "a", "limit": "0"}, {"text": ""}):
        await client.get("/sessions/log/search", params=params, expect=422)
    await client.get("/sessions/nobody/search", params={"text": "a"}, expect=404)


async def test_the_command_line_prints_offsets(client: Client, daemon: DaemonProcess) -> None:
    await client.new(["bash", "-c", "seq 1 3000; exec cat"], name="log")
    await client.wait("log", text="3000\n")
    plain = await logs(daemon, "--search", "2999")
    [found] = [
        json.loads(line) for line in (await logs(daemon, "--json", "--search", "^2999$", "--regex")).splitlines()
    ]
    assert plain == f"{found['from']}: 2999\n"
    assert (await client.output("log", found["from"], 6))[1] == b"2999\r\n"
    assert len((await logs(daemon, "--search", "1")).splitlines()) == sum("1" in str(n) for n in range(1, 3001))


async def logs(daemon: DaemonProcess, *words: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "teleclaude", "logs", "log", *words, env=daemon.environ, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()
