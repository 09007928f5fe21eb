"""Servers that stop, die or lose their socket, and clients that are taken away."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import pytest

from teleclaude.errors import (
    DeadlineError,
    IndeterminateError,
    InvalidError,
    SubprocessTimeoutError,
    TeleclaudeError,
    UnavailableError,
)
from teleclaude.tasks import process_start_time
from teleclaude.tmux import CreatePane, Panes, ServerIdentity, TmuxServer
from tests.support.tmux import PrivateTmux, start, start_raw
from tests.support.wait import eventually

BOTH = pytest.mark.parametrize("transport", ["control", "subprocess"])


@contextmanager
def stopped(server: TmuxServer) -> Iterator[None]:
    """The tmux server does not run inside."""
    identity = server.identity
    assert identity is not None
    os.kill(identity.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(identity.pid, signal.SIGCONT)


@asynccontextmanager
async def impatient(private: PrivateTmux) -> AsyncIterator[TmuxServer]:
    async with private.open(command_timeout=0.4) as server:
        yield server


def _has_ended(pid: int) -> bool:
    return process_start_time(pid) is None


async def back(panes: Panes) -> None:
    async def answers() -> bool:
        try:
            await panes.list_panes()
        except TeleclaudeError as error:
            raise AssertionError from error
        return True

    await eventually(answers, timeout=10)


@BOTH
async def test_x10_a_stopped_server_gets_one_command_and_the_rest_fail_at_once(
    private_tmux: PrivateTmux, tmp_path: Path
) -> None:
    async with impatient(private_tmux) as server:
        panes = Panes(server)
        recorded = await start_raw(panes, tmp_path)
        loop = asyncio.get_running_loop()
        with stopped(server):
            with pytest.raises(IndeterminateError):
                await panes.send_text(recorded.id, "a", submit=False)
            assert not server.available
            began = loop.time()
            for _ in range(10):
                with pytest.raises(UnavailableError):
                    await panes.send_text(recorded.id, "b", submit=False)
            assert loop.time() - began < 0.2
        await back(panes)
        await panes.send_text(recorded.id, "z", submit=False)
        output = await recorded.shows(b"z")
        assert output in (b"READYz", b"READYaz")


@BOTH
async def test_x10_all_that_wait_for_a_stopped_server_learn_of_it(private_tmux: PrivateTmux, tmp_path: Path) -> None:
    async with impatient(private_tmux) as server:
        panes = Panes(server)
        recorded = await start_raw(panes, tmp_path)
        with stopped(server):
            sends = (panes.send_keys(recorded.id, [key]) for key in "abcdef")
            results = await asyncio.gather(*sends, panes.list_panes(), return_exceptions=True)
            assert all(isinstance(result, IndeterminateError | UnavailableError) for result in results[:-1])
            assert isinstance(results[-1], IndeterminateError | UnavailableError | DeadlineError)
        await back(panes)
        await panes.send_keys(recorded.id, ["z"])
        typed = (await recorded.shows(b"z")).removeprefix(b"READY").decode()
        assert len(typed) == len(set(typed))
        assert set(typed) <= set("abcdefz")


@BOTH
async def test_x10_a_question_that_was_not_answered_is_a_deadline(private_tmux: PrivateTmux) -> None:
    async with impatient(private_tmux) as server:
        with stopped(server), pytest.raises(DeadlineError):
            await Panes(server).list_panes()


@BOTH
async def test_x11_a_create_without_an_answer_is_found_by_its_marker(private_tmux: PrivateTmux, tmp_path: Path) -> None:
    async with impatient(private_tmux) as server:
        panes = Panes(server)
        request = CreatePane("id-1", "late", ("cat",), str(tmp_path), "cat > /dev/null")
        with stopped(server), pytest.raises(IndeterminateError):
            await panes.create(request)
        await back(panes)
        infos = [info for info in await panes.list_panes() if info.marker == "id-1" or info.name == "late"]
        assert len(infos) <= 1
        if infos:
            assert infos[0].marker == "id-1"
            assert infos[0].piped


@BOTH
async def test_x12_the_end_of_the_server_is_told_before_a_new_one_is_used(
    private_tmux: PrivateTmux, tmp_path: Path
) -> None:
    async with private_tmux.open() as server:
        panes = Panes(server)
        await start(panes, tmp_path, "cat")
        old = server.identity
        assert old is not None
        told: list[tuple[str, ServerIdentity]] = []

        async def gone(identity: ServerIdentity) -> None:
            told.append(("gone", identity))
            assert server.identity is None
            with pytest.raises(UnavailableError):
                await panes.list_panes()

        async def up(identity: ServerIdentity) -> None:
            told.append(("up", identity))

        server.on_gone(gone)
        server.on_up(up)
        os.kill(old.pid, signal.SIGKILL)
        await eventually(lambda: len(told) == 2, timeout=2)
        assert told[0] == ("gone", old)
        assert told[1] == ("up", server.identity)
        assert server.identity != old
        assert await panes.list_panes() == []
        await start(panes, tmp_path, "cat", name="after")


async def test_x13_a_deleted_socket_comes_back_and_no_second_server_starts(
    private_tmux: PrivateTmux, tmp_path: Path
) -> None:
    async with private_tmux.open() as server:
        recorded = await start(Panes(server), tmp_path, "cat")
        first = server.identity
        private_tmux.socket.unlink()
        assert await server.restore_socket()
        assert private_tmux.socket.exists()
        assert not await server.restore_socket()
        private_tmux.socket.unlink()
    async with private_tmux.open() as server:
        assert server.identity == first
        (info,) = await Panes(server).list_panes()
        assert Panes(server).identity(info) == recorded.identity


async def test_x13_a_stale_socket_is_no_server(private_tmux: PrivateTmux, tmp_path: Path) -> None:
    async with private_tmux.open() as server:
        first = server.identity
        assert first is not None
    os.kill(first.pid, signal.SIGKILL)
    assert private_tmux.socket.exists()
    async with private_tmux.open() as server:
        await eventually(lambda: server.available and server.identity != first)


@BOTH
async def test_x2_a_new_daemon_finds_what_the_old_one_left(private_tmux: PrivateTmux, tmp_path: Path) -> None:
    async with private_tmux.open() as server:
        recorded = await start_raw(Panes(server), tmp_path)
    async with private_tmux.open() as server:
        panes = Panes(server)
        (info,) = await panes.list_panes()
        assert panes.identity(info) == recorded.identity
        await panes.send_text(recorded.id, "again", submit=False)
        await recorded.shows(b"READYagain")


async def test_a_server_that_is_stopped_at_start_is_used_once_it_runs(
    private_tmux: PrivateTmux, tmp_path: Path
) -> None:
    async with private_tmux.open() as server:
        await start(Panes(server), tmp_path, "cat")
        first = server.identity
        with stopped(server):
            async with impatient(private_tmux) as second:
                assert not second.available
                with pytest.raises(UnavailableError):
                    await Panes(second).list_panes()
                os.kill(first.pid if first else 0, signal.SIGCONT)
                await eventually(lambda: second.available, timeout=10)
                assert second.identity == first


async def test_a_control_client_that_is_killed_is_replaced(private_tmux: PrivateTmux, tmp_path: Path) -> None:
    async with private_tmux.open() as server:
        panes = Panes(server)
        recorded = await start_raw(panes, tmp_path)
        for key in "abc":
            client = int(private_tmux.tmux("list-clients", "-F", "#{client_pid}"))
            os.kill(client, signal.SIGKILL)
            await eventually(partial(_has_ended, client))
            await back(panes)
            await panes.send_keys(recorded.id, [key])
        await recorded.shows(b"READYabc")


async def test_a_detached_control_client_and_a_killed_anchor_are_replaced(
    private_tmux: PrivateTmux, tmp_path: Path
) -> None:
    async with private_tmux.open() as server:
        panes = Panes(server)
        recorded = await start_raw(panes, tmp_path)
        private_tmux.tmux("detach-client", "-a")
        private_tmux.tmux("detach-client", "-s", "_teleclaude")
        await back(panes)
        private_tmux.tmux("kill-session", "-t", "=_teleclaude")
        await back(panes)
        await panes.send_keys(recorded.id, ["z"])
        await recorded.shows(b"READYz")


async def test_changes_by_hand_are_hinted_at(private_tmux: PrivateTmux, tmp_path: Path) -> None:
    async with private_tmux.open() as server:
        recorded = await start(Panes(server), tmp_path, "cat")
        hints: list[None] = []
        server.on_change(lambda: hints.append(None))
        private_tmux.tmux("rename-session", "-t", recorded.identity.session_id, "byhand")
        await eventually(lambda: hints)
        hints.clear()
        private_tmux.tmux("kill-session", "-t", recorded.identity.session_id)
        await eventually(lambda: hints)


async def test_x8_a_flood_on_a_screen_does_not_reach_the_control_client(
    private_tmux: PrivateTmux, tmp_path: Path
) -> None:
    async with private_tmux.open() as server:
        panes = Panes(server)
        recorded = await start(panes, tmp_path, "yes")
        await recorded.shows(b"y\r\ny\r\n")
        for _ in range(20):
            await panes.list_panes()
        await panes.kill(recorded.identity.session_id)


async def test_a_user_configuration_is_not_read(private_tmux: PrivateTmux, tmp_path: Path) -> None:
    (tmp_path / ".tmux.conf").write_text("set -g remain-on-exit off\nset -g base-index 7\nset -g status on\n")
    environ = dict(os.environ) | {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    async with private_tmux.open(environ=environ) as server:
        await start(Panes(server), tmp_path, "cat")
        assert private_tmux.tmux("show-options", "-gv", "base-index").strip() == "0"
        assert private_tmux.tmux("show-options", "-gwv", "remain-on-exit").strip() == "on"
        assert private_tmux.tmux("show-options", "-gv", "status").strip() == "off"


async def test_every_setting_is_known_to_tmux(private_tmux: PrivateTmux) -> None:
    async with private_tmux.open(history_limit=1234):
        loud = private_tmux.directory / "loud.conf"
        settings = (private_tmux.directory / f"tmux-{private_tmux.socket_name}.conf").read_text()
        loud.write_text(settings.replace("set -sq", "set -s").replace("set -gq", "set -g"))
        errors = [
            line for line in private_tmux.tmux("source-file", str(loud)).splitlines() if "exit-unattached" not in line
        ]
        assert [line for line in errors if "unknown" not in line and "invalid" not in line] == errors
        assert private_tmux.tmux("show-options", "-gv", "history-limit").strip() == "1234"


async def test_settings_apply_to_a_server_that_somebody_else_started(private_tmux: PrivateTmux, tmp_path: Path) -> None:
    private_tmux.tmux("-f", "/dev/null", "new-session", "-d", "-s", "mine", "cat")
    async with private_tmux.open() as server:
        panes = Panes(server)
        assert [info.name for info in await panes.list_panes()] == ["mine"]
        assert private_tmux.tmux("show-options", "-gwv", "remain-on-exit").strip() == "on"
        assert private_tmux.tmux("show-options", "-sv", "exit-empty").strip() == "off"


async def test_a_missing_tmux_is_explained(private_tmux: PrivateTmux) -> None:
    with pytest.raises(UnavailableError, match="apt install tmux"):
        async with private_tmux.open(binary="no-such-tmux"):
            pass


@pytest.mark.parametrize(("words", "accepted"), [("tmux 3.1c", False), ("tmux next-3.9", True), ("tmux 4.0", True)])
async def test_an_old_tmux_is_refused(private_tmux: PrivateTmux, tmp_path: Path, words: str, accepted: bool) -> None:
    program = tmp_path / "tmux"
    program.write_text(f'#!/bin/sh\n[ "$1" = -V ] && {{ echo "{words}"; exit; }}\nexec tmux "$@"\n')
    program.chmod(0o755)
    if accepted:
        async with private_tmux.open(binary=str(program)) as server:
            assert server.available
    else:
        with pytest.raises(UnavailableError, match=r"3\.2 or newer"):
            async with private_tmux.open(binary=str(program)):
                pass


async def test_without_control_mode_processes_serve(private_tmux: PrivateTmux, tmp_path: Path) -> None:
    program = tmp_path / "tmux"
    program.write_text('#!/bin/sh\nfor word; do [ "$word" = -C ] && exit 1; done\nexec tmux "$@"\n')
    program.chmod(0o755)
    async with private_tmux.open(binary=str(program)) as server:
        recorded = await start_raw(Panes(server), tmp_path)
        await Panes(server).send_text(recorded.id, "x", submit=False)
        await recorded.shows(b"READYx")


async def test_a_tmux_that_hangs_at_its_version_is_explained(private_tmux: PrivateTmux, tmp_path: Path) -> None:
    program = tmp_path / "tmux"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    with pytest.raises(UnavailableError, match="does not answer") as caught:
        async with private_tmux.open(binary=str(program), command_timeout=0.3):
            pass
    assert isinstance(caught.value.__cause__, SubprocessTimeoutError)


async def test_a_socket_path_that_is_too_long_is_refused(private_tmux: PrivateTmux) -> None:
    with pytest.raises(InvalidError, match="107"):
        async with private_tmux.open(environ=dict(os.environ) | {"TMUX_TMPDIR": "/tmp/" + "x" * 100}):
            pass


async def test_leaving_keeps_the_server_and_killing_ends_it(private_tmux: PrivateTmux, tmp_path: Path) -> None:
    async with private_tmux.open() as server:
        await start(Panes(server), tmp_path, "cat")
        identity = server.identity
        await server.aclose()
        await server.aclose()
    async with private_tmux.open() as server:
        assert server.identity == identity
        await server.kill()
        await server.kill()
    assert private_tmux.tmux("list-sessions") == ""
