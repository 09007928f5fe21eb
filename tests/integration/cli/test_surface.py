"""The command line against the real HTTP surface: what one asks, the other understands."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.integration.cli.conftest import CommandLine
from tests.integration.rest.served import serve


async def test_a_session_from_beginning_to_end(cli: CommandLine, runtime: Path) -> None:
    async with serve(runtime):
        assert (await cli("ls")).code == 0
        created = await cli("new", "web", "--env", "A=1", "--tag", "t", "--cols", "80", "--", "sh", "-c", "true")
        assert (created.code, created.out, created.err) == (0, "web\n", "")
        assert "sh -c true" in (await cli("ls", "--state", "running", "--kind", "terminal")).out
        for argv in (["send", "web", "hello"], ["keys", "web", "C-c", "Up", "--repeat", "2"], ["signal", "web", "INT"]):
            ended = await cli(*argv)
            assert (ended.code, ended.err) == (0, "")
        for form in ("text", "ansi", "json", "png"):
            assert (await cli("screen", "web", "--format", form)).code == 0
        assert (await cli("wait", "web", "--idle", "1", "--from", "0", "--timeout", "0.2")).code in (0, 124)
        assert (await cli("restart", "web", "--resume")).code == 0
        assert (await cli("kill", "web", "--grace", "10", "--purge")).code == 0
        assert (await cli("version")).out.count("\n") == 2


async def test_a_refusal_names_its_code(cli: CommandLine, runtime: Path) -> None:
    async with serve(runtime):
        ended = await cli("kill", "nobody")
        assert ended.code == 1
        assert ended.err.endswith("(not_found)\n")
        ended = await cli("new", "Bad Name")
        assert ended.code == 1
        assert ended.err.endswith("(invalid)\n")


@pytest.mark.parametrize("start", [[], ["--from", "-4"]])
async def test_logs_and_follow(cli: CommandLine, runtime: Path, start: list[str]) -> None:
    async with serve(runtime) as served:
        session_id = await served.new("web")
        recorded = served.hub.streams[session_id]
        await recorded.append(b"one \x1b[31mtwo\x1b[0m\r\n" * 50_000 + b"end\n")
        expected = "end\n" if start else "one two\n" * 50_000 + "end\n"
        assert (await cli("logs", "web", *start)).out == expected
        pipe = asyncio.subprocess.PIPE
        async with cli.started("logs", "-f", "web", *start, stdout=pipe, stderr=pipe) as process:
            assert process.stdout is not None
            recent = await asyncio.wait_for(process.stdout.readexactly(len(expected)), 20)
            await recorded.append(b"more\n")
            await recorded.finish(code=0, signal=None, at=None, reason="exited")
            rest, err = await asyncio.wait_for(process.communicate(), 20)
        assert recent.decode() == expected
        assert (process.returncode, rest, err) == (0, b"more\n", b"")
