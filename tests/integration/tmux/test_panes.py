"""Panes of a real tmux: start, look, type, end."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from teleclaude.errors import ConflictError, ExitedError, InvalidError
from teleclaude.model import PaneIdentity
from teleclaude.tasks import process_start_time
from teleclaude.tmux import CreatePane, Panes, TmuxServer
from tests.support.tmux import PrivateTmux, start, start_raw
from tests.support.wait import eventually

BOTH = pytest.mark.parametrize("transport", ["control", "subprocess"])


@BOTH
async def test_a_created_pane_is_listed_with_all_that_was_asked_for(
    panes: Panes, tmux_server: TmuxServer, tmp_path: Path
) -> None:
    recorded = await start(panes, tmp_path, "cat", cols=77, rows=13)
    (info,) = await panes.list_panes()
    identity = recorded.identity
    assert (identity.server_pid, identity.server_start) == tmux_server.identity
    assert identity.pid_start == process_start_time(identity.pid)
    assert panes.identity(info) == identity
    assert (info.marker, info.name, info.cols, info.rows, info.piped) == ("id-work", "work", 77, 13, True)
    assert not info.dead
    assert await panes.find_by_marker("another") is None
    assert Path(info.tty).is_char_device()

    async def program_is_known() -> bool:
        info = await panes.pane(recorded.id)
        assert (info.path, info.command) == (str(tmp_path), "cat")
        return replace(info, command="", path="") == await panes.find_by_marker("id-work")

    await eventually(program_is_known)


@BOTH
async def test_x4_the_first_bytes_are_recorded(panes: Panes, tmp_path: Path) -> None:
    for attempt in range(10):
        script = f"echo first {attempt}; exec cat"
        recorded = await start(panes, tmp_path, "/bin/sh", "-c", script, name=f"first{attempt}")
        assert await recorded.shows(b"\n") == f"first {attempt}\r\n".encode()


async def test_x5_the_last_bytes_are_recorded(panes: Panes, tmp_path: Path) -> None:
    # tmux lets go of the terminal at once: what the kernel still carries when the process ends may be lost.
    script = "head -c 1500000 /dev/zero | tr '\\0' x; echo END; sleep 0.1"
    recorded = await start(panes, tmp_path, "/bin/sh", "-c", script)
    output = await recorded.shows(b"END", timeout=20)
    assert len(output) == 1_500_000 + len("END\r\n")


@BOTH
@pytest.mark.parametrize(
    ("script", "code", "ended_by"), [("exit 0", 0, None), ("exit 3", 3, None), ("kill -9 $$", None, "KILL")]
)
async def test_x14_how_a_process_ended_is_known(
    panes: Panes, tmp_path: Path, script: str, code: int | None, ended_by: str | None
) -> None:
    recorded = await start(panes, tmp_path, "/bin/sh", "-c", script)
    status = await panes.status_of_dead(recorded.id)
    assert status is not None
    assert (status.code, status.signal) == (code, ended_by)
    assert status.at is not None
    assert abs((status.at - datetime.now(UTC)).total_seconds()) < 60


async def test_no_death_is_missed(panes: Panes, tmp_path: Path) -> None:
    for attempt in range(60):
        recorded = await start(panes, tmp_path, "cat", name=f"dying{attempt}")
        os.kill(recorded.identity.pid, signal.SIGKILL)
        status = await panes.status_of_dead(recorded.id)
        assert status is not None
        assert status.signal == "KILL"
        await panes.kill(recorded.identity.session_id)


@BOTH
async def test_a_dead_pane_keeps_its_screen_until_it_is_killed(panes: Panes, tmp_path: Path) -> None:
    recorded = await start(panes, tmp_path, "/bin/sh", "-c", "echo farewell; sleep 0.1")
    await panes.status_of_dead(recorded.id)

    async def dead() -> bool:
        return (await panes.pane(recorded.id)).dead

    await eventually(dead)
    lines = (await panes.capture(recorded.id)).ansi_lines
    assert [line.rstrip() for line in lines if line.strip()] == ["farewell"]
    await panes.kill(recorded.identity.session_id)
    assert await panes.status_of_dead(recorded.id) is None


@BOTH
async def test_the_default_command_is_a_login_shell(panes: Panes, tmp_path: Path) -> None:
    recorded = await start(panes, tmp_path, shell="/bin/bash", env={"PS1": "$ "})
    await panes.send_text(recorded.id, "shopt -q login_shell && echo lo''gin", submit=True)
    await recorded.shows(b"login\r")


@BOTH
async def test_a_string_is_run_by_the_shell(panes: Panes, tmp_path: Path) -> None:
    request = CreatePane(
        "id", "line", "echo $((6*7)) | cat; sleep 0.1", str(tmp_path), f"cat > {tmp_path}/out", shell="/bin/sh"
    )
    await panes.create(request)
    await eventually(lambda: (tmp_path / "out").exists() and (tmp_path / "out").read_bytes() == b"42\r\n")


async def test_an_empty_command_is_refused(panes: Panes, tmp_path: Path) -> None:
    with pytest.raises(InvalidError):
        await panes.create(CreatePane("id", "none", (), str(tmp_path), "cat"))


@BOTH
async def test_nothing_of_the_daemon_is_in_a_panes_environment(private_tmux: PrivateTmux, tmp_path: Path) -> None:
    environ = dict(os.environ) | {
        "TELECLAUDE_TOKEN": "secret",
        "NOTIFY_SOCKET": "/x",
        "INVOCATION_ID": "y",
        "TMUX": "z",
        "KEPT": "kept",
    }
    async with private_tmux.open(environ=environ) as server:
        panes = Panes(server)
        recorded = await start(panes, tmp_path, "/bin/sh", "-c", "env; echo END; exec cat", env={"OWN": "x;y #(z)"})
        output = (await recorded.shows(b"END")).decode()
        variables = dict(line.split("=", 1) for line in output.splitlines() if "=" in line)
        assert variables["KEPT"] == "kept"
        assert variables["OWN"] == "x;y #(z)"
        assert private_tmux.socket_name in variables["TMUX"]
        assert not {"TELECLAUDE_TOKEN", "NOTIFY_SOCKET", "INVOCATION_ID"} & set(variables)
        server_environ = Path(f"/proc/{recorded.identity.server_pid}/environ").read_bytes()
        assert b"secret" not in server_environ


async def test_a_pane_inherits_no_descriptor_of_the_daemon(tmp_path: Path, private_tmux: PrivateTmux) -> None:
    leak = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(leak, True)
    try:
        async with private_tmux.open() as server:
            recorded = await start(Panes(server), tmp_path, "/bin/sh", "-c", "ls -l /proc/self/fd; echo END; exec cat")
            output = await recorded.shows(b"END")
            assert f"-> {tmp_path}".encode() not in output
            assert b"pipe:" not in output
            assert b"socket:" not in output
    finally:
        os.close(leak)


@BOTH
async def test_the_screen_comes_with_colours_cursor_and_drawing(panes: Panes, tmp_path: Path) -> None:
    script = r"printf '\033[44mhi\n\n\033[0mx\033(0lqk\033(B\033[1;31mred\033[0m é漢\033[3;5H\033[?25l'; exec cat"
    recorded = await start(panes, tmp_path, "/bin/sh", "-c", f"stty -echo; {script}", cols=20, rows=5)
    await recorded.shows(b"?25l")
    screen = await panes.capture(recorded.id)
    assert (screen.cols, screen.rows, screen.alternate) == (20, 5, False)
    assert (screen.cursor.x, screen.cursor.y, screen.cursor.visible) == (4, 2, False)
    assert screen.ansi_lines[0] == "\x1b[44mhi\x1b[0m"
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in screen.ansi_lines]
    assert plain == ["hi", "", "x┌─┐red é漢", "", ""]
    assert "\x1b[1m" in screen.ansi_lines[2] or "\x1b[1;31m" in screen.ansi_lines[2]


@BOTH
async def test_the_alternate_screen_and_the_title_are_told(panes: Panes, tmp_path: Path) -> None:
    script = r"printf 'below\033[?1049h\033]2;a title é\007\033[Habove'; exec cat"
    recorded = await start(panes, tmp_path, "/bin/sh", "-c", script)
    await recorded.shows(b"above")
    screen = await panes.capture(recorded.id)
    assert screen.alternate
    assert screen.title == "a title é"
    assert screen.ansi_lines[0].rstrip() == "above"
    assert len(screen.ansi_lines) == screen.rows


async def test_history_reaches_above_the_screen(panes: Panes, tmp_path: Path) -> None:
    recorded = await start(panes, tmp_path, "/bin/sh", "-c", "seq 100; exec cat", rows=10)
    await recorded.shows(b"100\r")
    assert (await panes.history(recorded.id, 1000))[0] == "1"
    assert (await panes.history(recorded.id, 5))[0] == "87"


@BOTH
async def test_a_screen_never_mixes_two_sizes(panes: Panes, tmp_path: Path) -> None:
    recorded = await start_raw(panes, tmp_path)
    sizes = [(30, 6), (90, 25)]

    async def resize() -> None:
        for turn in range(10):
            await panes.resize(recorded.id, *sizes[turn % 2])

    resizing = asyncio.gather(resize())
    while not resizing.done():
        screen = await panes.capture(recorded.id)
        assert (screen.cols, screen.rows) in [*sizes, (120, 40)]
        assert len(screen.ansi_lines) == screen.rows
    await resizing


@BOTH
async def test_a_resize_reaches_the_program(panes: Panes, tmp_path: Path) -> None:
    script = "trap 'stty size' WINCH; echo READY; while :; do sleep 0.02; done"
    recorded = await start(panes, tmp_path, "/bin/sh", "-c", script)
    await recorded.shows(b"READY")
    await panes.resize(recorded.id, 61, 17)
    await recorded.shows(b"17 61")
    info = await panes.pane(recorded.id)
    assert (info.cols, info.rows) == (61, 17)
    for cols, rows in ((0, 10), (10, 0), (10_001, 10)):
        with pytest.raises(InvalidError):
            await panes.resize(recorded.id, cols, rows)


async def test_rename_and_a_name_in_use(panes: Panes, tmp_path: Path) -> None:
    first = await start(panes, tmp_path, "cat", name="first")
    await start(panes, tmp_path, "cat", name="second")
    await panes.rename(first.identity.session_id, "other")
    assert {info.name for info in await panes.list_panes()} == {"other", "second"}
    with pytest.raises(ConflictError):
        await panes.rename(first.identity.session_id, "second")


@BOTH
async def test_enter_comes_apart_from_the_text_after_a_delay(panes: Panes, tmp_path: Path) -> None:
    recorded = await start_raw(panes, tmp_path)
    sending = asyncio.gather(panes.send_text(recorded.id, "hello", submit=True, submit_delay_ms=300))
    await recorded.shows(b"READYhello")
    assert recorded.output == b"READYhello"
    await sending
    await recorded.shows(b"READYhello\r")


@BOTH
async def test_a_recorder_can_be_replaced(panes: Panes, tmp_path: Path) -> None:
    recorded = await start_raw(panes, tmp_path)
    second = tmp_path / "second"
    await panes.start_recorder(recorded.id, f"exec cat > {second}")
    await panes.send_text(recorded.id, "more", submit=False)
    await eventually(lambda: second.exists() and second.read_bytes() == b"more")
    assert recorded.output == b"READY"
    assert (await panes.pane(recorded.id)).piped


async def test_x6_a_killed_recorder_shows_with_the_next_output(panes: Panes, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    request = CreatePane("id", "rec", ("cat",), str(tmp_path), f"echo $$ > {pid_file}; exec cat > /dev/null")
    pane = await panes.create(request)
    await eventually(lambda: pid_file.exists() and pid_file.read_text().strip())
    os.kill(int(pid_file.read_text()), signal.SIGKILL)

    async def unpiped() -> bool:
        await panes.send_keys(pane.pane_id, ["x"])
        return not (await panes.pane(pane.pane_id)).piped

    await eventually(unpiped)


async def test_a_signal_goes_to_the_foreground_group(panes: Panes, tmp_path: Path) -> None:
    recorded = await start(panes, tmp_path, "/bin/bash", "--norc", "-i", env={"PS1": "PROMPT>"})
    await recorded.shows(b"PROMPT>")
    await panes.send_text(
        recorded.id, "sh -c 'trap \"echo G''OT; exit\" TERM; echo O''N; while :; do sleep 0.02; done'", submit=True
    )
    await recorded.shows(b"ON\r")
    await panes.signal_foreground(recorded.identity, signal.SIGTERM)
    await recorded.shows(b"GOT\r")
    assert not (await panes.pane(recorded.id)).dead


async def test_x17_a_signal_never_goes_to_a_stranger(panes: Panes, tmp_path: Path) -> None:
    recorded = await start(panes, tmp_path, "cat")
    stranger = PaneIdentity(1, 1, "$1", "%1", recorded.identity.pid, recorded.identity.pid_start - 1)
    with pytest.raises(ExitedError):
        await panes.signal_foreground(stranger, signal.SIGKILL)
    os.kill(recorded.identity.pid, signal.SIGKILL)
    await panes.status_of_dead(recorded.id)
    with pytest.raises(ExitedError):
        await panes.signal_foreground(recorded.identity, signal.SIGKILL)


@contextmanager
def person(private: PrivateTmux, target: str, cols: int, rows: int) -> Iterator[int]:
    """Somebody who attaches in a terminal of their own; gives its master end."""
    pid, master = pty.fork()
    if pid == 0:
        argv = ["tmux", "-u", "-L", private.socket_name, "attach-session", "-t", target]
        # Set the size before tmux asks for it.
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
        os.execvpe(argv[0], argv, {**os.environ, "TERM": "xterm"})
        sys.exit(1)
    try:
        yield master
    finally:
        os.close(master)
        os.kill(pid, signal.SIGHUP)
        os.waitpid(pid, 0)


async def test_a_person_gets_a_window_of_their_size_and_a_later_resize_wins(
    panes: Panes, private_tmux: PrivateTmux, tmp_path: Path
) -> None:
    recorded = await start(panes, tmp_path, "cat", cols=100, rows=30)

    async def has_size(cols: int, rows: int) -> bool:
        info = await panes.pane(recorded.id)
        assert (info.cols, info.rows) == (cols, rows)
        return True

    with person(private_tmux, recorded.identity.session_id, 77, 24):
        await eventually(lambda: has_size(77, 24))
        await panes.resize(recorded.id, 90, 20)
        await has_size(90, 20)
    await has_size(90, 20)
    with person(private_tmux, recorded.identity.session_id, 66, 22):
        await eventually(lambda: has_size(66, 22))
    await panes.resize(recorded.id, 80, 25)
    await has_size(80, 25)
