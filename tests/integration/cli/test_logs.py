"""``logs``: paging, following, and going on where it was after a lost connection."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest

from teleclaude.cli import follow
from teleclaude.cli.main import main
from tests.integration.cli.conftest import CommandLine, ScriptedDaemon, constant, piece, refusal, serving, stream
from tests.support.wait import eventually

OUTPUT = "/sessions/web/output"
STREAM = "/sessions/web/stream"


def frame(name: str, data: dict[str, Any], offset: int | None = None) -> str:
    head = "" if offset is None else f"id: {offset}\n"
    return f"{head}event: {name}\ndata: {json.dumps(data)}\n\n"


def output(start: int, data: bytes) -> str:
    end = start + len(data)
    return frame("output", {"from": start, "to": end, "b64": base64.b64encode(data).decode()}, end)


EXIT = frame("exit", {"code": 0, "signal": None, "reason": "exited"})


@pytest.fixture
def followed(daemon: ScriptedDaemon, session: dict[str, Any]) -> ScriptedDaemon:
    daemon.on("GET", "/sessions/web", constant(session))
    return daemon


async def test_everything_is_read_in_pages(daemon: ScriptedDaemon, cli: CommandLine) -> None:
    daemon.on("GET", OUTPUT, piece(3, b"one \x1b[3", 13), piece(10, b"1mtwo", 99))
    ended = await cli("logs", "web")
    assert (ended.code, ended.out, ended.err) == (0, "one two", "")
    assert [seen.query.get("from") for seen in daemon.seen] == [None, "10"]


async def test_reading_stops_where_the_stream_ended_at_first(daemon: ScriptedDaemon, cli: CommandLine) -> None:
    daemon.on("GET", OUTPUT, piece(0, b"a", 1), piece(1, b"b", 2))
    assert (await cli("logs", "web")).out == "a"


async def test_the_last_bytes(daemon: ScriptedDaemon, cli: CommandLine) -> None:
    daemon.on("GET", OUTPUT, piece(95, b"12345", 100))
    assert (await cli("logs", "web", "--from", "-5")).out == "12345"
    assert daemon.seen[0].query["from"] == "-5"


async def test_an_empty_stream(daemon: ScriptedDaemon, cli: CommandLine) -> None:
    daemon.on("GET", OUTPUT, piece(0, b"", 0))
    ended = await cli("logs", "web")
    assert (ended.code, ended.out) == (0, "")


async def test_raw_and_json(daemon: ScriptedDaemon, cli: CommandLine) -> None:
    daemon.on("GET", OUTPUT, piece(0, b"\x1b[1m\xff", 5))
    assert (await cli("logs", "web", "--raw")).data == b"\x1b[1m\xff"
    assert (await cli("logs", "web", "--json")).json == {"event": "output", "from": 0, "to": 5, "text": "\ufffd"}


async def test_what_is_no_longer_kept_is_named(daemon: ScriptedDaemon, cli: CommandLine) -> None:
    daemon.on("GET", OUTPUT, refusal("gap", 410, start=100), piece(100, b"rest", 104))
    ended = await cli("logs", "web", "--from", "10")
    assert (ended.code, ended.out) == (0, "rest")
    assert ended.err == "teleclaude: gap: 90 bytes are missing at offset 10 (retention)\n"


async def test_an_answer_without_offsets(daemon: ScriptedDaemon, cli: CommandLine) -> None:
    daemon.answer("GET", OUTPUT, {})
    ended = await cli("logs", "web")
    assert ended.code == 1
    assert "lacks Teleclaude-From" in ended.err


async def test_following_ends_with_the_session(followed: ScriptedDaemon, cli: CommandLine) -> None:
    gap = frame("gap", {"from": 3, "to": 3, "bytes": None, "reason": "recorder_died"}, 3)
    state = frame("state", {"state": "running"})
    followed.on("GET", STREAM, stream(output(0, b"one"), gap, state, output(3, b"two\r\n"), EXIT))
    ended = await cli("logs", "-f", "web")
    assert (ended.code, ended.out) == (0, "onetwo\n")
    assert "recorder_died" in ended.err
    assert followed.seen[1].query == {"from": "0", "format": "raw", "mode": "lossless"}


async def test_following_in_json(followed: ScriptedDaemon, cli: CommandLine) -> None:
    followed.on("GET", STREAM, stream(output(0, b"one"), frame("state", {"state": "running"}), EXIT))
    lines = [json.loads(line) for line in (await cli("logs", "-f", "web", "--json")).out.splitlines()]
    assert [line["event"] for line in lines] == ["output", "state", "exit"]


async def test_following_goes_on_after_a_lost_connection(followed: ScriptedDaemon, cli: CommandLine) -> None:
    followed.on(
        "GET",
        STREAM,
        stream(output(0, b"one ")),
        refusal("unavailable", 503),
        stream(output(4, b"two "), frame("error", {"detail": "stopping", "code": "unavailable"})),
        stream(output(8, b"three"), EXIT),
    )
    ended = await cli("logs", "-f", "web")
    assert (ended.code, ended.out) == (0, "one two three")
    assert "waiting for it to come back" in ended.err
    resumed = [(seen.query["from"], seen.headers.get("Last-Event-ID")) for seen in followed.seen[1:]]
    assert resumed == [("0", None), ("4", "4"), ("4", "4"), ("8", "8")]


async def test_following_goes_on_after_the_daemon_was_away(
    followed: ScriptedDaemon, cli: CommandLine, session: dict[str, Any]
) -> None:
    again = ScriptedDaemon(followed.runtime / "again")
    again.runtime.mkdir()
    again.on("GET", STREAM, stream(output(3, b"two"), EXIT))
    followed.on("GET", STREAM, stream(output(0, b"one")), refusal("unavailable", 503))
    pipe = asyncio.subprocess.PIPE
    async with cli.started("logs", "-f", "web", stdout=pipe, stderr=pipe) as process:
        await eventually(lambda: len(followed.seen) > 2, timeout=20)
        followed.socket.unlink()
        async with serving(again):
            again.socket.rename(followed.socket)
            out, _ = await asyncio.wait_for(process.communicate(), 20)
            followed.socket.rename(again.socket)
    assert (process.returncode, out) == (0, b"onetwo")
    followed.socket.touch()


async def test_a_follower_that_fell_below_retention(followed: ScriptedDaemon, cli: CommandLine) -> None:
    followed.on("GET", STREAM, refusal("gap", 410, start=50), stream(output(50, b"rest"), EXIT))
    ended = await cli("logs", "-f", "web")
    assert (ended.code, ended.out) == (0, "rest")
    assert "gap: 50 bytes are missing at offset 0 (retention)" in ended.err


async def test_a_session_that_moves_away_is_followed(followed: ScriptedDaemon, cli: CommandLine) -> None:
    moved = frame("handed_off", {"computer": "barn", "session_id": "01S", "epoch": 2})
    followed.on("GET", STREAM, stream(output(0, b"one"), moved))
    followed.on("GET", "/sessions/barn%2F01S/stream", stream(output(3, b"two"), EXIT))
    ended = await cli("logs", "-f", "web", "--from", "0")
    assert (ended.code, ended.out) == (0, "onetwo")
    assert "following it on barn" in ended.err
    assert followed.seen[-1].query["from"] == "3"


@pytest.mark.parametrize("data", ["nonsense", "[]", '{"from": 0, "to": 1, "b64": "*"}', '{"to": 1}'])
async def test_events_that_cannot_be_read(followed: ScriptedDaemon, cli: CommandLine, data: str) -> None:
    followed.on("GET", STREAM, stream(f"event: output\ndata: {data}\n\n"))
    ended = await cli("logs", "-f", "web")
    assert ended.code == 1
    assert "cannot be read" in ended.err
    assert "Traceback" not in ended.err


async def test_a_session_that_is_not_there(daemon: ScriptedDaemon, cli: CommandLine) -> None:
    ended = await cli("logs", "-f", "web")
    assert (ended.code, ended.err) == (1, "teleclaude: no, not_found (not_found)\n")


async def test_a_daemon_that_stays_away_ends_it(
    followed: ScriptedDaemon, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(follow, "GIVE_UP_SECONDS", 0.2)
    monkeypatch.setenv("TELECLAUDE_RUNTIME_DIR", str(followed.runtime))
    followed.on("GET", STREAM, stream(output(0, b"one")), refusal("unavailable", 503))
    code = await asyncio.to_thread(main, ["logs", "-f", "web"], lambda _: 0)
    printed = capsys.readouterr()
    assert (code, printed.out) == (75, "one")
    assert "no, unavailable (unavailable)" in printed.err
