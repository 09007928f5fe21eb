"""The command line against a real daemon: what it prints and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import pytest

from teleclaude.cli import client
from teleclaude.cli.main import main
from tests.integration.cli.conftest import CommandLine
from tests.integration.contract.api import Api
from tests.integration.contract.test_executions import check as check_execution
from tests.integration.contract.test_sessions import check as check_session
from tests.support.outside import Outside


@pytest.fixture
def tc(outside: Outside, api: Api) -> CommandLine:
    del api  # which drops what the command line made
    return CommandLine(outside.daemon.runtime)


COMMANDS = [
    "serve",
    "new",
    "adopt",
    "ls",
    "send",
    "keys",
    "screen",
    "logs",
    "attach",
    "wait",
    "signal",
    "restart",
    "kill",
    "run",
    "py",
    "token",
    "service",
    "version",
]


@pytest.mark.parametrize("command", COMMANDS)
async def test_every_command_has_help(tc: CommandLine, command: str) -> None:
    ended = await tc(command, "--help")
    assert ended.code == 0
    assert ended.out.startswith("usage: teleclaude")


class TestHostileWords:
    """Nothing happens in the daemon, and nothing that a program printed reaches a terminal but text and colours."""

    @pytest.mark.parametrize(
        "argv",
        [
            pytest.param(["new", "--nonsense", "l1"], id="l1-unknown"),
            pytest.param(["--token", "XYZ", "new", "l2"], id="l2-token"),
            pytest.param(["new", "-x"], id="l3-dash"),
            pytest.param(["new", b"\xff\xfe"], id="l5-no-utf8"),
        ],
    )
    async def test_they_are_refused(self, tc: CommandLine, api: Api, argv: list[str | bytes]) -> None:
        ended = await tc(*argv)
        assert (ended.code, ended.out) == (2, "")
        assert "Traceback" not in ended.err
        assert (await api.get("/sessions"))["sessions"] == []

    async def test_l3_behind_two_dashes_it_is_a_name(self, tc: CommandLine) -> None:
        ended = await tc("kill", "--", "-x")
        assert ended.code == 1
        assert "not_found" in ended.err

    @pytest.mark.parametrize("redirection", ["<&-", ">&-", "| head -c 1", "2>&-"])
    async def test_l4_closed_ends(self, tc: CommandLine, api: Api, redirection: str) -> None:
        await api.new("cat", "build")
        words = ["sh", "-c", f'"$@" {redirection}', "sh", *tc.command, "ls"]
        ended = await asyncio.to_thread(
            subprocess.run, words, env=tc.environ, capture_output=True, text=True, timeout=20, check=False
        )
        assert "Traceback" not in ended.stderr
        assert "Exception" not in ended.stderr

    async def test_l7_no_daemon(self, tmp_path: Path) -> None:
        begin = time.monotonic()
        ended = await CommandLine(tmp_path)("ls")
        assert (ended.code, ended.err.count("\n")) == (69, 1)
        assert time.monotonic() - begin < 2

    async def test_l7_a_daemon_that_hangs(
        self, outside: Outside, api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(client, "ANSWER_SECONDS", 0.5)
        monkeypatch.setenv("TELECLAUDE_RUNTIME_DIR", str(outside.daemon.runtime))
        os.kill(outside.daemon.pid, signal.SIGSTOP)
        try:
            assert await asyncio.to_thread(main, ["ls"], lambda _: 0) == 75
        finally:
            os.kill(outside.daemon.pid, signal.SIGCONT)
        assert "does not answer" in capsys.readouterr().err
        assert await asyncio.to_thread(main, ["ls"], lambda _: 0) == 0
        await api.get("/health")

    async def test_l8_what_a_program_printed_is_filtered(self, tc: CommandLine, api: Api) -> None:
        await api.new("printf '\\033]0;title\\007\\033[31mred\\033[0m\\033[2J'; exec cat", "build")
        await api.wait("build", text="red")
        shown = await asyncio.to_thread(_on_a_terminal, [*tc.command, "logs", "build"], tc.environ)
        assert b"\x1b[31mred" in shown
        assert b"\x1b]0" not in shown
        assert b"\x1b[2J" not in shown
        assert "\x1b]0;title" in (await tc("logs", "--raw", "build")).out


def _on_a_terminal(argv: list[str], environ: dict[str, str]) -> bytes:
    """What it writes to a terminal of its own."""
    main, side = pty.openpty()
    with subprocess.Popen(argv, env=environ, stdin=subprocess.DEVNULL, stdout=side, stderr=side) as process:
        os.close(side)
        shown = b""
        try:
            while piece := os.read(main, 4096):
                shown += piece
        except OSError:
            pass  # the other end is closed
        os.close(main)
        process.wait(20)
    return shown


class TestExitCodes:
    @pytest.mark.parametrize(
        "argv",
        [
            [],
            ["dance"],
            ["ls", "--bogus"],
            ["send"],
            ["wait", "a"],
            ["wait", "a", "--text", "x", "--exit"],
            ["--token", "x", "ls"],
            ["new", "--cols", "wide"],
            ["new", "--cols", "100000"],
            ["run"],
            ["--url", "ftp://x", "ls"],
        ],
        ids=str,
    )
    async def test_usage(self, tc: CommandLine, argv: list[str]) -> None:
        ended = await tc(*argv)
        assert ended.code == 2
        assert ended.out == ""
        assert ended.err

    @pytest.mark.parametrize(
        ("argv", "code"),
        [
            (["screen", "nobody"], "not_found"),
            (["send", "nobody", "x"], "not_found"),
            (["kill", "nobody"], "not_found"),
            (["restart", "nobody"], "not_found"),
            (["logs", "nobody"], "not_found"),
            (["new", "--cwd", "/no/such"], "invalid"),
            (["new", "UPPER"], "invalid"),
        ],
        ids=str,
    )
    async def test_refused(self, tc: CommandLine, argv: list[str], code: str) -> None:
        ended = await tc(*argv)
        assert (ended.code, ended.out) == (1, "")
        assert code in ended.err

    async def test_absent(self, tmp_path: Path) -> None:
        ended = await CommandLine(tmp_path)("ls")
        assert (ended.code, ended.out) == (69, "")
        assert "serve" in ended.err

    async def test_a_config_that_is_wrong(self, tc: CommandLine, tmp_path: Path) -> None:
        (tmp_path / "config.yml").write_text("sessions:\n  max: many\n")
        tc.environ["TELECLAUDE_STATE_DIR"] = str(tmp_path)
        ended = await tc("serve", "--config", str(tmp_path / "config.yml"))
        assert ended.code == 78
        assert f"{tmp_path}/config.yml:2: sessions.max: " in ended.err

    async def test_a_token_file_that_others_read(self, tc: CommandLine, outside: Outside, tmp_path: Path) -> None:
        token = tmp_path / "token"
        token.write_text(outside.token)
        token.chmod(0o644)
        assert (await tc("--url", outside.base, "--token-file", str(token), "ls")).code == 78
        token.chmod(0o600)
        assert (await tc("--url", outside.base, "--token-file", str(token), "ls")).code == 0


class TestSessions:
    async def test_a_life(self, tc: CommandLine) -> None:
        made = await tc("new", "build", "--cols", "90", "--rows", "20", "--tag", "x", "--", "cat")
        assert (made.code, made.out) == (0, "build\n")
        (listed,) = (await tc("ls", "--json")).json["sessions"]
        check_session(listed)
        assert (listed["name"], listed["command"], listed["cols"], listed["tags"]) == ("build", ["cat"], 90, ["x"])
        assert "build" in (await tc("ls")).out
        assert (await tc("ls", "--state", "exited", "--json")).json["sessions"] == []
        assert (await tc("send", "build", "hello")).code == 0
        assert (await tc("wait", "build", "--regex", "hello\nhello\n", "--timeout", "10")).code == 0
        assert (await tc("screen", "build")).out.startswith("hello\nhello\n")
        assert (await tc("screen", "build", "--json")).json["lines"][0] == "hello"
        assert (await tc("logs", "build", "--raw")).data == b"hello\r\nhello\r\n"
        assert (await tc("keys", "build", "C-c")).code == 0
        assert (await tc("wait", "build", "--exit", "--timeout", "10")).code == 1
        assert (await tc("restart", "build")).code == 0
        assert (await tc("kill", "build", "--grace", "0")).code == 0
        assert (await tc("kill", "build", "--purge")).code == 0
        assert (await tc("screen", "build")).code == 1

    async def test_wait(self, tc: CommandLine, api: Api) -> None:
        await api.new("echo said; exec cat", "build")
        assert (await tc("wait", "build", "--text", "said", "--timeout", "10")).code == 0
        assert (await tc("wait", "build", "--idle", "50", "--timeout", "10")).code == 0
        assert (await tc("wait", "build", "--text", "never", "--timeout", "0.1")).code == 124
        ended = await tc("wait", "build", "--text", "never", "--timeout", "0", "--json")
        assert (ended.code, ended.json["outcome"]) == (124, "timeout")
        await api.delete("/sessions/build?grace_ms=0")
        assert (await tc("wait", "build", "--text", "never", "--timeout", "10")).code == 1

    async def test_signal(self, tc: CommandLine, api: Api) -> None:
        await api.new("trap 'exit 9' USR1; echo set; while :; do sleep 0.02; done", "build")
        await api.wait("build", text="set")
        assert (await tc("signal", "build", "USR1")).code == 0
        await api.wait("build", exit=True)
        assert (await api.get("/sessions/build"))["exit"]["code"] == 9

    async def test_logs_follow_to_the_end(self, tc: CommandLine, api: Api) -> None:
        await api.new("cat; echo bye", "build")
        pipe = asyncio.subprocess.PIPE
        async with tc.started("logs", "-f", "build", stdout=pipe) as process:
            await api.text("build", "news")
            assert process.stdout is not None
            assert b"news" in await asyncio.wait_for(process.stdout.readline(), 10)
            await api.post("/sessions/build/keys", {"keys": ["C-d"]})
            rest = await asyncio.wait_for(process.stdout.read(), 10)
            assert b"bye" in rest
            assert await asyncio.wait_for(process.wait(), 10) == 0

    async def test_png_to_a_file(self, tc: CommandLine, api: Api, tmp_path: Path) -> None:
        await api.new("cat", "build")
        assert (await tc("screen", "build", "--format", "png", "-o", str(tmp_path / "a.png"))).code == 0
        assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


class TestRun:
    @pytest.mark.parametrize("code", [0, 1, 7, 255])
    async def test_its_code(self, tc: CommandLine, code: int) -> None:
        assert (await tc("run", "--", "sh", "-c", f"exit {code}")).code == code

    async def test_both_streams(self, tc: CommandLine) -> None:
        ended = await tc("run", "--shell", "echo o; echo e >&2")
        assert (ended.code, ended.out, ended.err) == (0, "o\n", "e\n")

    async def test_a_signal(self, tc: CommandLine) -> None:
        assert (await tc("run", "--", "sh", "-c", "kill -TERM $$")).code == 128 + signal.SIGTERM

    async def test_its_time(self, tc: CommandLine) -> None:
        assert (await tc("run", "--timeout", "0.1", "--", "sleep", "300")).code == 124

    async def test_standard_input(self, tc: CommandLine) -> None:
        assert (await tc("run", "-i", "--", "cat", stdin=b"given")).out == "given"

    async def test_cwd_and_env(self, tc: CommandLine) -> None:
        assert (await tc("run", "--cwd", "/usr", "--env", "A=b c", "--shell", "echo $PWD $A")).out == "/usr b c\n"

    async def test_json(self, tc: CommandLine) -> None:
        ended = await tc("run", "--json", "--", "sh", "-c", "exit 3")
        assert ended.code == 3
        check_execution(json.loads(ended.out.splitlines()[-1]) if ended.out.count("\n") == 1 else ended.json)

    async def test_an_interrupt_reaches_it(self, tc: CommandLine, api: Api) -> None:
        pipe = asyncio.subprocess.PIPE
        script = "trap 'echo caught; exit 5' INT; echo on; while :; do sleep 0.02; done"
        async with tc.started("run", "--", "bash", "-c", script, stdout=pipe) as process:
            assert process.stdout is not None
            assert await asyncio.wait_for(process.stdout.readline(), 10) == b"on\n"
            process.send_signal(signal.SIGINT)
            assert await asyncio.wait_for(process.stdout.read(), 10) == b"caught\n"
            assert await asyncio.wait_for(process.wait(), 10) == 5

    async def test_a_program_that_is_not_there(self, tc: CommandLine) -> None:
        ended = await tc("run", "--", "no-such-program")
        assert ended.code in (1, 126)
        assert ended.err


class TestPy:
    async def test_code(self, tc: CommandLine) -> None:
        assert (await tc("py", "-c", "print(6 * 7)")).out == "42\n"

    async def test_an_exception(self, tc: CommandLine) -> None:
        ended = await tc("py", "-c", "1 / 0")
        assert ended.code == 1
        assert "ZeroDivisionError" in ended.err

    async def test_variables_stay(self, tc: CommandLine) -> None:
        await tc("py", "calc", "-c", "x = 5")
        assert (await tc("py", "calc", "-c", "print(x)")).out == "5\n"


class TestToken:
    async def test_made_used_and_revoked(self, tc: CommandLine, outside: Outside, tmp_path: Path) -> None:
        shown = await tc("token", "create", "visitor", "--role", "viewer", "--json")
        assert shown.code == 0, shown
        token = tmp_path / "token"
        token.touch(mode=0o600)
        token.write_text(shown.json["token"])
        far = ("--url", outside.base, "--token-file", str(token))
        assert (await tc(*far, "ls")).code == 0
        refused = await tc(*far, "new")
        assert refused.code == 1
        assert "forbidden" in refused.err
        assert "visitor" in (await tc("token", "list")).out
        assert (await tc("token", "list", "--json")).json["tokens"][0]["name"] == "visitor"
        assert (await tc("token", "revoke", "visitor")).code == 0
        refused = await tc(*far, "ls")
        assert refused.code == 1
        assert "unauthenticated" in refused.err


async def test_version(tc: CommandLine) -> None:
    assert (await tc("version")).out.startswith("teleclaude ")
    assert (await tc("version", "--json")).json.keys() >= {"version"}


async def test_nothing_heavy_is_imported(tc: CommandLine) -> None:
    tc.command = (tc.command[0], "-X", "importtime", *tc.command[1:])  # type: ignore[assignment]
    err = (await tc("ls")).err
    loaded = {line.rpartition("|")[2].strip().split(".")[0] for line in err.splitlines() if line.startswith("import")}
    assert "teleclaude" in loaded
    assert not loaded & {"aiohttp", "pydantic", "asyncio", "structlog", "orjson", "yaml", "libtmux"}


async def test_attach_wants_a_terminal(tc: CommandLine, api: Api) -> None:
    await api.new("cat", "build")
    assert (await tc("attach", "build")).code in (1, 2)


async def test_a_computer_that_is_not_there(tc: CommandLine) -> None:
    ended = await tc("new", "elsewhere/build")
    assert ended.code in (1, 75)
    assert "elsewhere" in ended.err
