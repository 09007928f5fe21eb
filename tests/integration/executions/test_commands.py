"""What a command's outcome and output are, over HTTP, against a real daemon and real processes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import tarfile
import time
from pathlib import Path

import psutil
import pytest

from teleclaude.streams.layout import segment_name
from tests.support.daemon import Client, DaemonProcess, daemon_process
from tests.support.executions import (
    all_events,
    control,
    end,
    events_of,
    marked,
    output,
    printed,
    run,
    shell,
    start,
)
from tests.support.wait import eventually


async def test_c01_over_the_cap_is_always_a_failure(client: Client) -> None:
    """The benchmark does it a thousand times."""
    for _ in range(5):
        many = [
            shell(client, "head -c 2000 /dev/zero; exit 0", max_output_bytes=1000, overflow="fail") for _ in range(8)
        ]
        for ended in await asyncio.gather(*many):
            assert (ended["status"], ended["reason"]) == ("failed", "output_limit")


@pytest.mark.parametrize("redirection", ["", ">&2"])
async def test_c02_one_stream_over_the_cap_is_enough(client: Client, redirection: str) -> None:
    script = f"echo small; echo small >&2; head -c 5000 /dev/zero {redirection}"
    ended = await shell(client, script, max_output_bytes=1000, overflow="fail")
    assert (ended["status"], ended["reason"]) == ("failed", "output_limit")


async def test_c03_a_stream_that_cannot_be_written_fails_the_execution(client: Client, daemon: DaemonProcess) -> None:
    execution = await client.post("/executions", {"script": "echo first; read -r line; yes", "stdin": True})
    await printed(client, execution, b"first")
    directory = daemon.state / "streams" / execution["id"] / "stdout"
    # What is open can still be written; the next segment cannot be made.
    [record] = directory.glob("*.json")
    (directory / segment_name(int(record.stem), 1)).symlink_to("nowhere")
    await control(client, execution, "input", {"text": "go\n"})
    ended = await end(client, execution)
    assert (ended["status"], ended["reason"]) == ("failed", "stream_error")
    assert (await output(client, ended)).startswith(b"first\ny\n")
    assert marked(ended) == []


async def test_c04_truncating_keeps_the_first_bytes_and_the_real_exit_code(client: Client) -> None:
    ended = await shell(client, "seq 100000; exit 7", max_output_bytes=50_000)
    totals = ended["streams"]["stdout"]
    whole = "".join(f"{number}\n" for number in range(1, 100_001)).encode()
    assert ended["exit_code"] == 7
    assert totals == {"start": 0, "end": 50_000, "total": len(whole), "truncated": True}
    assert await output(client, ended) == whole[:50_000]


async def test_c05_the_group_is_dead_soon_after_crossing_the_cap(client: Client) -> None:
    began = time.monotonic()
    ended = await shell(client, "sleep 600 & yes", max_output_bytes=100_000, overflow="fail")
    assert time.monotonic() - began < 1
    assert (ended["status"], ended["reason"]) == ("failed", "output_limit")
    assert marked(ended) == []


async def test_c06_a_spool_holds_every_byte_and_nobody_else_reads_it(client: Client, daemon: DaemonProcess) -> None:
    size = 40 << 20
    ended = await shell(
        client,
        f"head -c {size} /dev/urandom | tee /dev/stderr | sha256sum >digest",
        overflow="spool",
        max_output_bytes=1000,
        cwd=str(daemon.home),
        wait_ms=30_000,
    )
    assert ended["status"] == "completed"
    totals = ended["streams"]["stderr"]
    assert totals == {"start": 0, "end": size, "total": size, "truncated": False}
    got = hashlib.sha256(await output(client, ended, "stderr")).hexdigest()
    assert got == (daemon.home / "digest").read_text().split()[0]
    files = [path for path in (daemon.state / "streams" / ended["id"]).rglob("*") if path.is_file()]
    assert files
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    params = {"stream": "stderr", "from": "-10"}
    async with client.http.get(client.url(f"/executions/{ended['id']}/output"), params=params) as tail:
        assert len(await tail.read()) == 10


async def test_c09_each_line_is_there_at_once(client: Client) -> None:
    script = "for i in 1 2 3; do date +%s%N; sleep 0.4; done"
    execution = await client.post("/executions", {"script": script})
    seen = b""
    late: list[float] = []
    while len(late) < 3:
        params = {"from": str(len(seen)), "wait_ms": "5000"}
        async with client.http.get(client.url(f"/executions/{execution['id']}/output"), params=params) as response:
            piece = await response.read()
        late.append(time.time() - int(piece) / 1e9)
        seen += piece
    assert max(late) < 0.2


@pytest.mark.parametrize(
    ("script", "fields", "status"),
    [
        ("printf last", {}, "completed"),
        ("printf last; exit 3", {}, "failed"),
        ("printf last; kill -SEGV $$", {}, "failed"),
        ("printf last; sleep 600", {"timeout_ms": 300}, "timed_out"),
        ("printf last; head -c 5000 /dev/zero", {"max_output_bytes": 1000, "overflow": "fail"}, "failed"),
    ],
)
async def test_c10_output_comes_first_and_the_end_last(
    client: Client, script: str, fields: dict[str, object], status: str
) -> None:
    execution = await client.post("/executions", {"script": script, **fields})
    url = client.url(f"/executions/{execution['id']}/stream")
    async with client.http.get(url, params={"from": "0"}) as response:
        text = (await response.content.read()).decode()
    kinds = [line.removeprefix("event: ") for line in text.splitlines() if line.startswith("event: ")]
    assert kinds[-1] == "exit"
    assert kinds.count("exit") == 1
    assert "output" in kinds
    ended = await end(client, execution)
    assert ended["status"] == status
    assert (await output(client, ended)).startswith(b"last")
    assert (await events_of(client, ended))[-1]["type"] == "execution.exit"


async def test_c13_each_time_is_taken_once(client: Client, daemon: DaemonProcess) -> None:
    ended = await run(client, "sleep", "0.2")
    event = (await events_of(client, ended))[-1]["data"]
    again = await client.get(f"/executions/{ended['id']}")
    lines = [json.loads(line) for line in daemon.log.splitlines() if line.startswith("{")]
    [line] = [line for line in lines if line["event"] == "execution_finished" and line["execution_id"] == ended["id"]]
    for name in ("started_at", "completed_at", "duration_ms"):
        assert ended[name] == event[name] == again[name] == line[name]
    assert 200 <= ended["duration_ms"] < 1000


async def test_c14_what_pollers_see_only_grows(client: Client) -> None:
    execution = await client.post("/executions", {"script": "for i in $(seq 20); do seq 2000; sleep 0.02; done"})

    async def poll() -> list[int]:
        seen = []
        while True:
            found = await client.get(f"/executions/{execution['id']}")
            seen.append(found["streams"]["stdout"]["end"])
            if found["completed_at"] is not None:
                return seen

    for seen in await asyncio.gather(*(poll() for _ in range(50))):
        assert seen == sorted(seen)


async def test_c16_codes_and_signals_are_real(client: Client) -> None:
    three = await shell(client, "exit 3")
    assert (three["status"], three["reason"], three["exit_code"], three["signal"]) == (
        "failed",
        "nonzero_exit",
        3,
        None,
    )
    crashed = await shell(client, "kill -SEGV $$")
    assert (crashed["status"], crashed["reason"], crashed["exit_code"], crashed["signal"]) == (
        "failed",
        "signal",
        None,
        "SEGV",
    )


async def test_c17_time_ends_it_and_what_it_said_is_kept(client: Client) -> None:
    began = time.monotonic()
    ended = await shell(client, "setsid sleep 600 & echo here; while :; do echo more; sleep 0.05; done", timeout_ms=300)
    assert time.monotonic() - began < 0.3 + 2.5
    assert ended["status"] == "timed_out"
    assert (await output(client, ended)).startswith(b"here\n")
    assert marked(ended) == []


async def test_c18_a_limit_beyond_the_maximum_is_refused(client: Client) -> None:
    body = {"argv": ["true"], "timeout_ms": 25 * 3_600_000}
    assert (await client.post("/executions", body, expect=422))["code"] == "invalid"


async def test_c19_a_cancelled_one_keeps_its_output(client: Client) -> None:
    execution = await client.post("/executions", {"script": "echo said; sleep 600 & sleep 600"})
    await printed(client, execution, b"said")
    await control(client, execution, "cancel")
    ended = await end(client, execution)
    assert (ended["status"], ended["signal"]) == ("cancelled", "TERM")
    assert await output(client, ended) == b"said\n"
    assert marked(ended) == []


async def test_c20_input_is_nothing_unless_asked_for(client: Client) -> None:
    began = time.monotonic()
    assert await output(client, await shell(client, "wc -c")) == b"0\n"
    assert time.monotonic() - began < 2
    given = await shell(client, "cat", stdin="all of it\n")
    assert await output(client, given) == b"all of it\n"
    execution = await start(client, "cat", stdin=True)
    await control(client, execution, "input", {"text": "one\n"})
    await printed(client, execution, b"one\n")
    await control(client, execution, "input", {"text": "two\n"})
    await control(client, execution, "close-stdin")
    ended = await end(client, execution)
    assert ended["status"] == "completed"
    assert await output(client, ended) == b"one\ntwo\n"
    without = await start(client, "sleep", "600")
    assert (await control(client, without, "input", {"text": "x"}, expect=409))["code"] == "conflict"


async def test_c21_a_child_in_the_background_does_not_delay_the_end(client: Client) -> None:
    began = time.monotonic()
    ended = await shell(client, "sleep 30 & echo hi")
    assert time.monotonic() - began < 1.5
    assert (ended["status"], ended["exit_code"]) == ("completed", 0)
    assert await output(client, ended) == b"hi\n"
    assert marked(ended) == []


async def test_c22_bytes_are_not_touched(client: Client, daemon: DaemonProcess) -> None:
    source = daemon.home / "bytes"
    await shell(client, f"head -c 1000000 /dev/urandom >{source}")
    with source.open("ab") as file:
        file.write(b"\r\n\xe2\x82\r\n\xf0\x9f no newline at the end")
    ended = await run(client, "cat", str(source))
    assert await output(client, ended) == source.read_bytes()


@pytest.mark.timeout(120)
async def test_c23_a_gigabyte_without_a_newline_costs_no_memory(client: Client, daemon: DaemonProcess) -> None:
    before = psutil.Process(daemon.pid).memory_info().rss
    execution = await client.post("/executions", {"script": "head -c 1000000000 /dev/zero"})
    peak = before
    while (found := await client.get(f"/executions/{execution['id']}"))["completed_at"] is None:
        peak = max(peak, psutil.Process(daemon.pid).memory_info().rss)
        await asyncio.sleep(0.05)
    assert found["streams"]["stdout"]["total"] == 1_000_000_000
    assert peak < 100 << 20
    assert peak - before < 30 << 20


@pytest.mark.parametrize(
    "body",
    [
        {"argv": []},
        {"argv": [""]},
        {"script": ""},
        {"script": "  "},
        {"argv": ["no-such-program"]},
        {"argv": ["/no/such/program"]},
        {"argv": ["/etc/passwd"]},
        {"argv": ["true"], "cwd": "/no/such/place"},
        {"argv": ["true"], "cwd": "/etc/passwd"},
        {"argv": ["true"], "cwd": "relative"},
        {"argv": ["true"], "script": "true"},
        {},
        {"argv": ["true"], "shell": "/bin/sh"},
        {"script": "true", "shell": "/no/such/shell"},
        {"argv": ["true"], "timeout_ms": 0},
        {"argv": ["true"], "timeout_ms": True},
        {"argv": ["true"], "overflow": "explode"},
        {"argv": ["true"], "unknown": 1},
        {"argv": ["a\0b"]},
    ],
)
async def test_c24_what_cannot_run_is_refused_before_it_is_recorded(client: Client, body: dict[str, object]) -> None:
    before = len((await client.get("/executions", params={"limit": "1000"}))["executions"])
    refused = await client.post("/executions", body, expect=422)
    assert refused["code"] == "invalid"
    assert len((await client.get("/executions", params={"limit": "1000"}))["executions"]) == before


async def test_c24_a_file_that_is_no_program_is_a_spawn_error(client: Client, daemon: DaemonProcess) -> None:
    script = daemon.home / "no-shebang-binary"
    script.write_bytes(b"\x7fELFnot really")
    script.chmod(0o755)
    ended = await run(client, str(script))
    assert (ended["status"], ended["reason"], ended["exit_code"]) == ("failed", "spawn_error", None)
    assert ended["started_at"] is None
    assert ended["error"]["message"]


async def test_c26_without_a_place_for_output_the_command_runs_all_the_same() -> None:
    async with daemon_process() as daemon, Client(daemon.socket) as client:
        streams = daemon.state / "streams"
        hidden = daemon.state / "hidden"
        streams.rename(hidden)
        streams.write_text("a file is in the way")
        ended = await shell(client, f"echo lost; echo done >{daemon.home}/proof")
        streams.unlink()
        hidden.rename(streams)
        assert (ended["status"], ended["exit_code"]) == ("completed", 0)
        assert (daemon.home / "proof").read_text() == "done\n"
        assert ended["streams"]["stdout"] == {"start": 0, "end": 0, "total": 5, "truncated": True}
        events = await events_of(client, ended)
        assert [event["data"]["reason"] for event in events if event["type"] == "output.gap"] == ["not_kept"]
        assert events[-1]["type"] == "execution.exit"
        good = await shell(client, "echo kept")
        assert await output(client, good) == b"kept\n"


async def test_c27_one_order_over_both_streams(client: Client, tmp_path: Path) -> None:
    ended = await shell(client, "echo asking; sleep 0.1; echo oops >&2; sleep 0.1; echo going on")
    lines = [json.loads(line) for line in (await output(client, ended, "order")).splitlines()]
    assert lines == [
        {"seq": 1, "stream": "stdout", "from": 0, "to": 7},
        {"seq": 2, "stream": "stderr", "from": 0, "to": 5},
        {"seq": 3, "stream": "stdout", "from": 7, "to": 16},
    ]
    async with client.http.get(client.url(f"/executions/{ended['id']}/record")) as response:
        (tmp_path / "record.tar").write_bytes(await response.read())
    contents = await asyncio.to_thread(_unpacked, tmp_path / "record.tar")
    assert [json.loads(line) for line in contents["order"].splitlines()] == lines
    plain = await shell(client, "echo one stream")
    assert await output(client, plain, "order") == b""


async def test_an_argument_that_is_too_large_has_one_code(client: Client) -> None:
    argv = ["echo", "x" * 140_000]
    for path, body in (("/executions", {"argv": argv}), ("/sessions", {"command": argv})):
        assert (await client.post(path, body, expect=413))["code"] == "too_large"


async def test_c29_start_end_and_overflow_are_logged_with_the_id(client: Client, daemon: DaemonProcess) -> None:
    ended = await shell(client, "seq 10000", max_output_bytes=100)
    lines = [json.loads(line) for line in daemon.log.splitlines() if line.startswith("{")]
    levels = {line["event"]: line["level"] for line in lines if line.get("execution_id") == ended["id"]}
    assert levels["execution_started"] == "info"
    assert levels["execution_finished"] == "info"
    assert levels["output_limit_reached"] == "warning"


async def test_the_whole_record_is_a_file(client: Client, tmp_path: Path) -> None:
    ended = await shell(client, "seq 100000; echo oops >&2; exit 4", env={"A": "1"}, tags=["nightly"])
    url = client.url(f"/executions/{ended['id']}/record")
    async with client.http.get(url) as response:
        assert response.headers["Content-Disposition"] == f'attachment; filename="{ended["id"]}.tar"'
        (tmp_path / "record.tar").write_bytes(await response.read())
    contents = await asyncio.to_thread(_unpacked, tmp_path / "record.tar")
    assert contents["stdout"] == await output(client, ended)
    assert contents["stderr"] == b"oops\n"
    record = json.loads(contents["record.json"])
    assert record["execution"] == ended
    assert record["request"]["env"] == {"A": "1"}
    assert record["request"]["script"].startswith("seq")
    assert record == await client.get(f"/executions/{ended['id']}/record", params={"format": "json"})
    live = await start(client, "sleep", "600")
    await client.get(f"/executions/{live['id']}/record", expect=409)


def _unpacked(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as opened:
        files = {Path(member.name).name: opened.extractfile(member) for member in opened}
        return {name: file.read() for name, file in files.items() if file is not None}


async def test_an_ended_one_is_deleted_with_its_files(client: Client, daemon: DaemonProcess) -> None:
    live = await start(client, "sleep", "600")
    assert (await client.delete(f"/executions/{live['id']}", expect=409))["code"] == "conflict"
    ended = await run(client, "echo", "gone soon")
    directory = daemon.state / "streams" / ended["id"]
    assert directory.is_dir()
    assert (await client.delete(f"/executions/{ended['id']}"))["id"] == ended["id"]
    assert not directory.exists()
    for path in ("", "/output", "/stream", "/record"):
        assert (await client.get(f"/executions/{ended['id']}{path}", expect=404))["code"] == "not_found"
    assert [e["type"] for e in await all_events(client) if e["execution_id"] == ended["id"]][-1] == "execution.deleted"


async def test_lists_are_filtered(client: Client) -> None:
    first = await run(client, "true", tags=["a", "list-test"])
    second = await run(client, "false", tags=["b", "list-test"])

    async def ids(**query: str) -> list[str]:
        found = await client.get("/executions", params={"tag": "list-test", **query})
        return [execution["id"] for execution in found["executions"]]

    assert await ids() == [second["id"], first["id"]]
    assert await ids(status="failed") == [second["id"]]
    assert await ids(limit="1") == [second["id"]]
    assert await ids(tag="a") == [first["id"]]


async def test_a_repeat_with_the_same_key_runs_nothing_twice(client: Client, daemon: DaemonProcess) -> None:
    proof = daemon.home / "runs"
    body = {"script": f"echo x >>{proof}", "wait_ms": 5000}
    headers = {"Idempotency-Key": "only-once"}
    replies = await asyncio.gather(*(client.post("/executions", body, headers=headers) for _ in range(5)))
    assert len({reply["id"] for reply in replies}) == 1
    assert proof.read_text() == "x\n"


async def test_signals_reach_it(client: Client) -> None:
    execution = await client.post(
        "/executions", {"script": "trap 'echo got; exit 6' USR1; echo ready; while :; do sleep 0.05; done"}
    )
    await printed(client, execution, b"ready")
    await control(client, execution, "signal", {"signal": "SIGUSR1"})
    ended = await end(client, execution)
    assert ended["exit_code"] == 6
    interrupted = await start(client, "sleep", "600")
    await control(client, interrupted, "interrupt")
    assert (await end(client, interrupted))["signal"] == signal.Signals.SIGINT.name.removeprefix("SIG")


async def test_a_stream_is_followed_by_name_and_resumed_by_offset(client: Client) -> None:
    ended = await shell(client, "echo 1234; echo err >&2")
    url = client.url(f"/executions/{ended['id']}/stream")
    async with client.http.get(url, params={"stream": "stderr", "from": "0", "format": "text"}) as response:
        assert '"text":"err\\n"' in (await response.read()).decode()
    async with client.http.get(url, headers={"Last-Event-ID": "2"}) as response:
        text = (await response.read()).decode()
    assert '"from":2,"to":5' in text
    missing = {"stream": "pty"}
    await client.get(f"/executions/{ended['id']}/output", params=missing, expect=422)


async def test_waiting_for_the_end_is_bounded(client: Client) -> None:
    execution = await start(client, "sleep", "600")
    began = time.monotonic()
    found = await client.get(f"/executions/{execution['id']}", params={"wait_ms": "300"})
    assert found["status"] == "running"
    assert 0.25 < time.monotonic() - began < 1.5
    await eventually(lambda: bool(marked(execution)))
