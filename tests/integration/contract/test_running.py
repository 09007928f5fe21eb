"""The daemon as a process: places, modes, settings, signals and ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.integration.contract.api import Api
from tests.support.daemon import DaemonProcess, daemon_process
from tests.support.outside import Outside
from tests.support.wait import eventually


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class TestPlaces:
    async def test_only_the_owner_reads(self, outside: Outside) -> None:
        daemon = outside.daemon
        assert mode(daemon.state) == 0o700
        assert mode(daemon.runtime) == 0o700
        assert mode(daemon.socket) == 0o600
        assert mode(daemon.state / "token") == 0o600
        assert (daemon.runtime / "daemon.lock").exists()
        for path in daemon.state.rglob("*"):
            if not path.is_symlink():
                assert mode(path) & 0o077 == 0, path

    async def test_the_token_is_the_owners(self, outside: Outside) -> None:
        status, who = await outside.ask("GET", "/v1/whoami")
        assert (status, who["role"]) == (200, "owner")

    async def test_one_ready_line(self, outside: Outside) -> None:
        lines = [line for line in outside.daemon.log.splitlines() if line.startswith("teleclaude ready")]
        assert len(lines) == 1

    async def test_a_second_one_names_the_first(self, outside: Outside) -> None:
        code, err = await serve(outside.daemon.environ)
        assert code == 75
        assert str(outside.daemon.pid) in err


async def serve(environ: Mapping[str, str], *argv: str) -> tuple[int, str]:
    """Exit code and stderr of a daemon that does not come up."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "teleclaude", "serve", *argv, env=dict(environ), stderr=asyncio.subprocess.PIPE
    )
    try:
        _, err = await asyncio.wait_for(process.communicate(), 15)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise AssertionError("it came up") from None
    assert process.returncode is not None
    return process.returncode, err.decode()


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return DaemonProcess(tmp_path).environ


HOSTILE = {
    "c1-a-tag": ("a: !!python/object/apply:os.system ['true']\n", ":1: "),
    "c2-a-key-twice": ("log:\n  level: info\nlog:\n  level: info\n", ":3: "),
    "c3-a-tab": ("sessions:\n\tmax: 1\n", ":2: a tab"),
    "c4-a-list": ("- sessions\n", ":1: "),
    "c5-aliases": ("a: &a [x]\nb: [*a, *a]\n", "anchors and aliases"),
    "c5-size": ("# " + "x" * 300_000, "256 KiB"),
    "c6-no": ("computer:\n  role: no\n", ":2: computer.role: "),
    "c6-octal": ("sessions:\n  max: 0755\n", ":2: sessions.max: "),
    "c6-sexagesimal": ("sessions:\n  max: 12:30:45\n", ":2: sessions.max: "),
    "c7-no-map-of-users": ("telegram:\n  users: [5]\n", ":2: telegram.users"),
    "c8-did-you-mean": ("telegram:\n  usres: {}\n", "users"),
    "c9-everybody": ('rest:\n  allowed_hosts: ["*"]\n', ":2: rest.allowed_hosts"),
    "c12-everywhere": ("rest:\n  listen: 0.0.0.0:7433\n", ":2: rest.listen"),
}
"""Files as they are refused at a start (exit code 78) and here, where it is cheaper, at a reload."""


class TestSettings:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("sessions:\n  max: many\n", ":2: sessions.max: "),
            ("log:\n  level: info\nsessions:\n  bogus: 1\n", ":4: sessions.bogus: "),
            ("bogus: 1\n", ":1: bogus: "),
            ("sessions:\n  max: true\n", ":2: sessions.max: "),
            ("sessions:\n  max: 0\n", ":2: sessions.max: "),
            ("sessions:\n  max: 1\n  max: 2\n", ":3: "),
            ("tmux:\n  transport: pigeon\n", ":2: tmux.transport: "),
            ("executions:\n  overflow: explode\n", ":2: executions.overflow: "),
            ("sessions: [\n", ":"),
        ],
    )
    async def test_an_invalid_file(self, environ: dict[str, str], tmp_path: Path, text: str, said: str) -> None:
        path = tmp_path / "my.yml"
        path.write_text(text)
        path.chmod(0o600)
        code, err = await serve(environ, "--config", str(path))
        assert code == 78
        assert f"{path}{said}" in err

    async def test_c1_to_c12_a_hostile_file_is_refused_and_the_old_settings_stay(self) -> None:
        async with running({}, "sessions:\n  cols: 70\n") as (daemon, api):
            config = daemon.home / "config/teleclaude/config.yml"
            for row, (text, said) in HOSTILE.items():
                config.write_text(text)
                before = len(daemon.log)
                daemon.signal(signal.SIGHUP)
                await eventually(lambda: said in daemon.log[before:], timeout=10)  # noqa: B023
                assert str(config) in daemon.log[before:], row
                assert "Traceback" not in daemon.log[before:], row
            assert (await api.new("cat"))["cols"] == 70
            checks = (await api.get("/ready"))["checks"]
            assert "reload refused" in checks["config"]["detail"]
            await api.clean()

    async def test_c10_a_file_that_others_can_write(self, environ: dict[str, str], tmp_path: Path) -> None:
        path = tmp_path / "my.yml"
        path.write_text("log:\n  level: info\n")
        path.chmod(0o664)
        assert (await serve(environ, "--config", str(path)))[0] == 78

    @pytest.mark.skipif(os.getuid() != 0, reason="only root can give a link away")
    async def test_c11_a_link_of_somebody_else(self, environ: dict[str, str], tmp_path: Path) -> None:
        (tmp_path / "real.yml").write_text("log:\n  level: info\n")
        (tmp_path / "my.yml").symlink_to(tmp_path / "real.yml")
        os.lchown(tmp_path / "my.yml", 65534, 65534)
        assert (await serve(environ, "--config", str(tmp_path / "my.yml")))[0] == 78

    async def test_c14_a_path_for_a_socket_name(self, environ: dict[str, str]) -> None:
        code, err = await serve({**environ, "TELECLAUDE_TMUX__SOCKET_NAME": "../../x"})
        assert code == 78
        assert "tmux.socket_name" in err

    async def test_c13_a_socket_with_too_long_a_name(self, environ: dict[str, str], tmp_path: Path) -> None:
        code, err = await serve({**environ, "TELECLAUDE_RUNTIME_DIR": str(tmp_path / ("x" * 120))})
        assert code != 0
        assert "at most 107" in err
        assert "Traceback" not in err

    async def test_c4_an_empty_file_means_the_defaults(self) -> None:
        async with running({}, "# nothing\n") as (_, api):
            assert (await api.new("cat"))["cols"] == 120
            await api.clean()

    async def test_the_place_in_the_environment(self, environ: dict[str, str], tmp_path: Path) -> None:
        path = tmp_path / "my.yml"
        path.write_text("sessions:\n  max: many\n")
        code, err = await serve({**environ, "TELECLAUDE_CONFIG": str(path)})
        assert code == 78
        assert f"{path}:2: sessions.max: " in err

    async def test_the_place_in_the_users_folder(self, environ: dict[str, str], tmp_path: Path) -> None:
        path = Path(environ["XDG_CONFIG_HOME"]) / "teleclaude/config.yml"
        path.parent.mkdir(parents=True)
        path.write_text("sessions:\n  max: many\n")
        assert (await serve(environ))[0] == 78

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("SESSIONS__MAX", "many"),
            ("SESSIONS__BOGUS", "1"),
            ("BOGUS__KEY", "1"),
            ("SESSIONS__MAX", "-1"),
            ("REST__ALLOWED_HOSTS", "{"),
        ],
    )
    async def test_an_invalid_variable(self, environ: dict[str, str], name: str, value: str) -> None:
        code, err = await serve({**environ, f"TELECLAUDE_{name}": value})
        assert code == 78
        assert f"TELECLAUDE_{name}" in err or name.lower().replace("__", ".") in err

    async def test_a_file_that_is_not_there(self, environ: dict[str, str], tmp_path: Path) -> None:
        code, err = await serve(environ, "--config", str(tmp_path / "none.yml"))
        assert code == 78
        assert "none.yml" in err

    async def test_variables_win_and_files_reload(self) -> None:
        async with running({"TELECLAUDE_SESSIONS__COLS": "99"}, "sessions:\n  cols: 70\n  rows: 33\n") as (daemon, api):
            made = await api.new("cat")
            assert (made["cols"], made["rows"]) == (99, 33)
            config = daemon.home / "config/teleclaude/config.yml"

            config.write_text("sessions:\n  rows: 22\n")
            daemon.signal(signal.SIGHUP)
            await eventually(lambda: _rows(api, 22), timeout=10)

            config.write_text("sessions:\n  rows: tall\n")
            before = len(daemon.log)
            daemon.signal(signal.SIGHUP)
            await eventually(lambda: "sessions.rows" in daemon.log[before:], timeout=10)
            assert await _rows(api, 22)
            await api.clean()

    async def test_limits_are_kept(self) -> None:
        environ = {
            "TELECLAUDE_SESSIONS__MAX": "1",
            "TELECLAUDE_EXECUTIONS__MAX_CONCURRENT": "1",
            "TELECLAUDE_EXECUTIONS__MAX_TIMEOUT_MS": "5000",
            "TELECLAUDE_EXECUTIONS__ALLOWED": '["sleep", "true"]',
            "TELECLAUDE_COMPUTER__NAME": "mill",
            "TELECLAUDE_COMPUTER__TRUSTED_DIRS": '[{"path": "/usr", "name": "usr", "description": "the system"}]',
            "TELECLAUDE_PYTHON__MAX": "1",
        }
        async with running(environ) as (_, api):
            assert (await api.get("/health"))["computer"] == "mill"
            (place,) = (await api.get("/directories"))["directories"]
            assert (place["path"], place["name"], place["description"]) == ("/usr", "usr", "the system")

            await api.new("cat")
            reply = await api.ask("POST", "/sessions", {})
            assert (reply.status, reply.code) == (429, "limit")
            assert int(reply.headers["Retry-After"]) >= 0

            assert await api.refused("POST", "/executions", {"argv": ["ls"]}) == (403, "forbidden")
            assert await api.refused("POST", "/executions", {"script": "true"}) == (403, "forbidden")
            long = {"argv": ["true"], "timeout_ms": 5001}
            assert await api.refused("POST", "/executions", long) == (422, "invalid")

            first = await api.run("sleep", "300", wait_ms=0)
            second = await api.run("true", wait_ms=0)
            assert second["status"] == "queued"
            status, code = await api.refused("POST", "/executions", {"argv": ["true"], "queue": False})
            assert (status, code) in {(429, "limit"), (409, "busy")}
            await api.post(f"/executions/{first['id']}/cancel")
            assert (await api.ended(second["id"]))["status"] == "completed"
            await api.clean()


async def _rows(api: Api, rows: int) -> bool:
    made = await api.new("cat")
    await api.delete(f"/sessions/{made['id']}?purge=true&grace_ms=0")
    return bool(made["rows"] == rows)


@asynccontextmanager
async def running(environ: Mapping[str, str], config: str = "") -> AsyncIterator[tuple[DaemonProcess, Api]]:
    async with daemon_process(environ, start=False) as daemon:
        if config:
            path = daemon.home / "config/teleclaude/config.yml"
            path.parent.mkdir(parents=True)
            path.write_text(config)
        await daemon.start()
        async with Api(daemon.socket) as api:
            yield daemon, api


class TestEnds:
    async def test_sigterm_stops_in_order_and_sessions_stay(self) -> None:
        async with running({}) as (daemon, api):
            made = await api.new("echo before; exec cat", "build")
            await api.wait("build", text="before")
            loop = asyncio.get_running_loop()
            begin = loop.time()
            assert await daemon.terminate() == 0
            assert loop.time() - begin < 10
            assert not daemon.socket.exists() or _nobody_answers(daemon.socket)
            token = (daemon.state / "token").read_text()
            await daemon.start()
            async with Api(daemon.socket) as after:
                found = await after.get("/sessions/build")
                assert (found["id"], found["state"]) == (made["id"], "running")
                await after.text("build", "again")
                assert (await after.wait("build", text="again"))["outcome"] == "matched"
                await after.clean()
            assert (daemon.state / "token").read_text() == token

    async def test_without_a_runtime_folder_it_is_below_the_state(self, tmp_path: Path) -> None:
        async with daemon_process(start=False) as daemon:
            for name in ("TELECLAUDE_RUNTIME_DIR", "XDG_RUNTIME_DIR"):
                daemon.environ.pop(name, None)
            await daemon.start()
            assert stat.S_ISSOCK((daemon.state / "run/teleclaude.sock").stat().st_mode)
            assert mode(daemon.state / "run") == 0o700

    async def test_the_service_manager_is_told(self, tmp_path: Path) -> None:
        path = tmp_path / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as manager:
            manager.bind(os.fspath(path))
            async with running({"NOTIFY_SOCKET": str(path)}):
                told = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(manager, 4096), 10)
                assert b"READY=1" in told

    async def test_rest_can_be_off(self) -> None:
        async with daemon_process({"TELECLAUDE_REST__ENABLED": "false"}) as daemon:
            assert not daemon.socket.exists()
            assert await daemon.terminate() == 0


def _nobody_answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(os.fspath(path)) != 0
