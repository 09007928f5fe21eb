"""What real tmux does with hostile input must not be done through us. Each test stands for rows of that list."""

from __future__ import annotations

import asyncio
import os
import pty
import shlex
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from teleclaude.errors import (
    ConflictError,
    ExitedError,
    InvalidError,
    NotFoundError,
    TeleclaudeError,
    TooLargeError,
)
from teleclaude.tmux import CreatePane, Panes, TmuxServer
from teleclaude.tmux.keys import VOCABULARY
from teleclaude.tmux.text import MAX_TEXT_BYTES
from tests.support.tmux import PrivateTmux, start, start_raw
from tests.support.wait import eventually


@contextmanager
def attached(private: PrivateTmux, session: str, cwd: Path) -> Iterator[Callable[[], bytes]]:
    """A person's own client on a terminal; answers what that terminal was sent so far."""
    master, slave = pty.openpty()
    shown = bytearray()

    def read() -> None:
        with suppress(OSError):
            while data := os.read(master, 65536):
                shown.extend(data)

    reader = threading.Thread(target=read, name="terminal")
    argv = ["tmux", "-u", "-L", private.socket_name, "attach-session", "-t", f"={session}"]
    environ = dict(os.environ) | {"TERM": "xterm-256color"}
    client = subprocess.Popen(
        argv, stdin=slave, stdout=slave, stderr=slave, cwd=cwd, env=environ, start_new_session=True
    )
    os.close(slave)
    reader.start()
    try:
        yield lambda: bytes(shown)
    finally:
        client.terminate()
        client.wait(10)
        reader.join(10)
        os.close(master)


pytestmark = pytest.mark.parametrize("transport", ["control", "subprocess"])


async def test_t1_a_directory_name_runs_no_command(panes: Panes, tmp_path: Path) -> None:
    canary = tmp_path / "P"
    folder = tmp_path / "a#(touch P)b#{session_name}%Y;"
    folder.mkdir()
    recorded = await start(panes, folder, "/bin/sh", "-c", "pwd; exec cat", name="dir")
    await recorded.shows(str(folder).encode())
    assert not canary.exists()
    assert not list(folder.glob("P"))


async def test_t2_a_recorder_path_is_taken_literally(panes: Panes, tmp_path: Path) -> None:
    folder = tmp_path / "r%Y#(touch P)'#S;"
    folder.mkdir()
    file = folder / "out"
    request = CreatePane(
        "id", "rec", ("/bin/sh", "-c", "echo hello; exec cat"), str(tmp_path), f"exec cat > {shlex.quote(str(file))}"
    )
    await panes.create(request)
    await eventually(lambda: file.exists() and file.read_bytes() == b"hello\r\n")
    assert [entry.name for entry in folder.iterdir()] == ["out"]


async def test_t3_arguments_and_environment_are_taken_literally(panes: Panes, tmp_path: Path) -> None:
    hostile = "#(touch P) $(touch P) `touch P` ~ {a} \"'\\; % #S"
    recorded = await start(
        panes,
        tmp_path,
        "/bin/sh",
        "-c",
        'printf "[%s][%s]" "$1" "$X"; exec cat',
        "sh",
        hostile,
        name="args",
        env={"X": hostile},
    )
    await recorded.shows(f"[{hostile}][{hostile}]".encode())
    assert not (tmp_path / "P").exists()


async def test_one_program_with_blanks_in_its_name_runs_without_a_shell(panes: Panes, tmp_path: Path) -> None:
    program = tmp_path / "my prog; touch P"
    program.write_text("#!/bin/sh\necho ran\nexec cat\n")
    program.chmod(0o755)
    recorded = await start(panes, tmp_path, str(program), name="prog")
    await recorded.shows(b"ran")
    assert not (tmp_path / "P").exists()


async def test_arguments_that_look_like_flags_or_separators(panes: Panes, tmp_path: Path) -> None:
    script = 'printf "<%s>" "$@"; exec cat'
    recorded = await start(panes, tmp_path, "/bin/sh", "-c", script, "-x", ";", "a;", "--", "\\;", name="flags")
    await recorded.shows(b"<;><a;><--><\\;>")


async def test_t4_what_a_program_calls_itself_runs_nothing_for_a_person_who_attaches(
    panes: Panes, private_tmux: PrivateTmux, tmp_path: Path
) -> None:
    """Not even where the person has turned the status line on, in which tmux shows names and titles."""
    script = r"printf '\033]2;#(touch P)\007\033k#(touch P)\033\\R'; exec cat"
    recorded = await start(panes, tmp_path, "/bin/sh", "-c", script, name="titled")
    await recorded.shows(b"R")
    private_tmux.tmux("set-option", "-g", "status", "on")
    private_tmux.tmux("set-option", "-g", "status-interval", "1")
    with attached(private_tmux, "titled", tmp_path) as shown:
        await eventually(lambda: b"titled" in shown())
        private_tmux.tmux("refresh-client", "-S")
        assert (await panes.pane(recorded.id)).title == "#(touch P)"
        assert private_tmux.tmux("list-clients", "-t", "titled", "-F", "#{client_tty}") != ""
        with pytest.raises(InvalidError):
            await panes.rename(recorded.identity.session_id, "#(touch P)")
        await panes.rename(recorded.identity.session_id, "renamed")
        await eventually(lambda: b"renamed" in shown())
    assert not (tmp_path / "P").exists()


async def test_t5_to_t8_names_are_checked_before_tmux(panes: Panes, tmp_path: Path) -> None:
    recorded = await start(panes, tmp_path, "cat")
    assert [info.name for info in await panes.list_panes()] == ["work"]
    for name in ("z#(touch P)", "a:b", "", "-x", "a\nb", "x" * 64):
        with pytest.raises(InvalidError):
            await start(panes, tmp_path, "cat", name=name)
        with pytest.raises(InvalidError):
            await panes.rename(recorded.identity.session_id, name)
        assert [info.name for info in await panes.list_panes()] == ["work"], name


async def test_t9_what_is_too_long_for_a_tmux_command_is_refused_and_nothing_starts(
    panes: Panes, tmp_path: Path
) -> None:
    with pytest.raises(TooLargeError):
        await start(panes, tmp_path, "/bin/echo", "x" * 20_000, name="long")
    with pytest.raises(InvalidError):
        await start(panes, tmp_path, "cat", name="x" * 20_000)
    assert await panes.list_panes() == []


LITERAL = [
    *("hi;", ";", "a;;", "\\;", "-R", "-N 5", "--", "C-c", "Enter", "$HOME", "~root", "~", "#(touch P)", "#S", "%1"),
    *("'", '"', "\\", "{", "}", "a  b ", "é😀👨‍👩‍👧", "\t", "\x03", "\x1b[A", "\x7f", "\u202e", "0", "%begin 1 1 1"),
]


async def test_t10_to_t18_every_text_is_typed_literally(panes: Panes, tmp_path: Path) -> None:
    recorded = await start_raw(panes, tmp_path)
    for text in LITERAL:
        await panes.send_text(recorded.id, text, submit=True)
    expected = b"READY" + b"".join(text.encode() + b"\r" for text in LITERAL)
    await recorded.shows(expected)
    assert recorded.output == expected
    assert not (tmp_path / "P").exists()


async def test_t11_t12_a_list_of_keys_is_no_list_of_commands(
    panes: Panes, tmux_server: TmuxServer, tmp_path: Path
) -> None:
    recorded = await start_raw(panes, tmp_path)
    for keys in (["a", ";", "kill-server"], ["a;", "run-shell", "touch P"], ["kill-server"], [""]):
        with pytest.raises(InvalidError):
            await panes.send_keys(recorded.id, keys)
    await panes.send_keys(recorded.id, ["b"])
    await recorded.shows(b"READYb")
    assert tmux_server.available


async def test_t14_every_key_of_the_vocabulary_sends_something_of_its_own(panes: Panes, tmp_path: Path) -> None:
    recorded = await start_raw(panes, tmp_path)
    keys = sorted(VOCABULARY)
    # All in one call: a tmux of its own for each of them would take ten seconds.
    await panes.send_keys(recorded.id, [press for key in keys for press in (key, "C-@", "C-a", "C-@")])
    await panes.send_bytes(recorded.id, b"END")
    output = await recorded.shows(b"END", timeout=20)
    sent = output.removeprefix(b"READY").removesuffix(b"END").split(b"\0\x01\0")[:-1]
    assert len(sent) == len(keys)
    typed_as_text = [key for key, data in zip(keys, sent, strict=True) if not data or data == key.encode()]
    assert typed_as_text == []


async def test_t16_a_thousand_presses_do_not_stop_tmux(panes: Panes, tmp_path: Path) -> None:
    recorded = await start_raw(panes, tmp_path)
    await panes.send_keys(recorded.id, ["Right"], repeat=1000)
    await panes.send_keys(recorded.id, ["z"])
    assert (await recorded.shows(b"z")).count(b"\x1b[C") == 1000
    with pytest.raises(InvalidError):
        await panes.send_keys(recorded.id, ["a"], repeat=4294967295)


async def test_t18_every_byte_arrives(panes: Panes, tmp_path: Path) -> None:
    recorded = await start_raw(panes, tmp_path)
    data = bytes(range(256)) * 20
    await panes.send_bytes(recorded.id, data)
    await panes.send_bytes(recorded.id, b"END")
    assert await recorded.shows(b"END") == b"READY" + data + b"END"


async def test_t19_line_ends_in_values_start_no_command(
    panes: Panes, private_tmux: PrivateTmux, tmp_path: Path
) -> None:
    script = "echo one\nset-buffer -b INJ x\necho two # '\"\nprintf '[%s]' \"$V\"\nexec cat\n"
    request = CreatePane(
        session_id="id\nset-buffer -b INJ y",
        name="lines",
        command=script,
        cwd=str(tmp_path),
        env={"V": "a\r\nset-buffer -b INJ z"},
        recorder_command=f"cat > {tmp_path}/out\nset-buffer -b INJ w",
        shell="/bin/sh",
    )
    await panes.create(request)
    file = tmp_path / "out"
    await eventually(lambda: file.exists() and b"[a\r" in file.read_bytes())
    assert b"two" in file.read_bytes()
    assert private_tmux.tmux("list-buffers") == ""


async def test_t19_several_lines_of_text_start_no_command(
    panes: Panes, private_tmux: PrivateTmux, tmp_path: Path
) -> None:
    recorded = await start_raw(panes, tmp_path)
    await panes.send_text(recorded.id, "x\nset-buffer -b INJ y\n", submit=False)
    await recorded.shows(b"READYx\rset-buffer -b INJ y\r")
    assert private_tmux.tmux("list-buffers") == ""


async def test_empty_text(panes: Panes, tmp_path: Path) -> None:
    recorded = await start_raw(panes, tmp_path)
    await panes.send_text(recorded.id, "", submit=False)
    await panes.send_text(recorded.id, "", submit=True)
    await panes.send_text(recorded.id, "", submit=True, submit_delay_ms=5)
    await recorded.shows(b"READY\r\r")


async def test_t21_a_paste_cannot_leave_its_brackets(panes: Panes, tmp_path: Path) -> None:
    recorded = await start(panes, tmp_path, "/bin/bash", "--norc", "--noprofile", "-i", env={"PS1": "PROMPT>"})
    await recorded.shows(b"PROMPT>")
    await panes.send_text(recorded.id, "echo x\x1b[201~\ntouch P\n", submit=False)
    output = await recorded.shows(b"touch P")
    await panes.kill(recorded.identity.session_id)
    assert output.count(b"PROMPT>") == 1
    assert not (tmp_path / "P").exists()


async def test_t22_pastes_into_a_dying_pane_do_not_end_tmux(
    panes: Panes, tmux_server: TmuxServer, tmp_path: Path
) -> None:
    identity = tmux_server.identity
    for attempt in range(8):
        recorded = await start(panes, tmp_path, "/bin/sh", "-c", "read x", name=f"dying{attempt}")
        for _ in range(6):
            with suppress(ExitedError):
                await panes.send_text(recorded.id, "a\nb\n", submit=True)
        assert await panes.status_of_dead(recorded.id) is not None
        with pytest.raises(ExitedError):
            await panes.send_text(recorded.id, "a\nb", submit=True)
        with pytest.raises(ExitedError):
            await panes.send_text(recorded.id, "a", submit=True)
        with pytest.raises(ExitedError):
            await panes.send_keys(recorded.id, ["Enter"])
        with pytest.raises(ExitedError):
            await panes.send_bytes(recorded.id, b"x")
    await panes.list_panes()
    assert tmux_server.identity == identity


async def test_t24_t25_only_the_named_session_is_killed(panes: Panes, tmp_path: Path) -> None:
    dev = await start(panes, tmp_path, "cat", name="dev")
    await start(panes, tmp_path, "cat", name="devel")
    for target in ("", ":", "dev", "*", "%1", "$"):
        with pytest.raises(InvalidError):
            await panes.kill(target)
    await panes.kill("$999")
    assert {info.name for info in await panes.list_panes()} == {"dev", "devel"}
    await panes.kill(dev.identity.session_id)
    await panes.kill(dev.identity.session_id)
    assert [info.name for info in await panes.list_panes()] == ["devel"]


async def test_t26_to_t28_a_missing_pane_is_an_error_and_nobody_elses_input(panes: Panes, tmp_path: Path) -> None:
    recorded = await start_raw(panes, tmp_path)
    with pytest.raises(NotFoundError):
        await panes.send_text("%999", "x", submit=True)
    with pytest.raises(NotFoundError):
        await panes.send_text("%999", "x\ny", submit=True)
    with pytest.raises(NotFoundError):
        await panes.send_keys("%999", ["x"])
    with pytest.raises(NotFoundError):
        await panes.capture("%999")
    with pytest.raises(NotFoundError):
        await panes.pane("%999")
    with pytest.raises(NotFoundError):
        await panes.resize("%999", 10, 10)
    with pytest.raises(NotFoundError):
        await panes.rename("$999", "x")
    with pytest.raises(NotFoundError):
        await panes.start_recorder("%999", "cat")
    assert await panes.status_of_dead("%999") is None
    await panes.send_keys(recorded.id, ["z"])
    assert await recorded.shows(b"z") == b"READYz"


async def test_t29_ids_of_a_new_server_mean_nobody_of_the_old_one(
    panes: Panes, tmux_server: TmuxServer, private_tmux: PrivateTmux, tmp_path: Path
) -> None:
    old = await start_raw(panes, tmp_path, name="old")
    os.kill(old.identity.server_pid, signal.SIGKILL)
    await eventually(lambda: tmux_server.identity not in (None, (old.identity.server_pid, old.identity.server_start)))
    new = await start_raw(panes, tmp_path, name="new")
    (info,) = await panes.list_panes()
    assert panes.identity(info) == new.identity
    assert panes.identity(info) != old.identity


async def test_t30_options_and_buffers_with_line_ends_do_not_break_what_is_read(
    panes: Panes, private_tmux: PrivateTmux, tmp_path: Path
) -> None:
    recorded = await start_raw(panes, tmp_path)
    forged = "a\n%end 1 1 1\n%exit\t|x"
    private_tmux.tmux("set-option", "-p", "-t", recorded.id, "@user", forged)
    private_tmux.tmux("set-option", "-g", "@user", forged)
    private_tmux.tmux("set-buffer", "-b", forged, forged)
    assert [info.pane_id for info in await panes.list_panes()] == [recorded.id]
    await panes.send_text(recorded.id, "x\ny", submit=False)
    await recorded.shows(b"READYx\ry")


async def test_t31_a_directory_that_is_none_is_refused(panes: Panes, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (str(tmp_path / "no"), str(tmp_path / "file"), "relative", "~", ""):
        with pytest.raises(InvalidError):
            await panes.create(CreatePane("id", "here", ("cat",), place, "cat"))
        assert await panes.list_panes() == [], place


async def test_t32_names_of_variables_are_checked(panes: Panes, tmp_path: Path) -> None:
    for name in ("A B", "=x", "", "1a", "a=b", "é", "a\nb"):
        with pytest.raises(InvalidError):
            await start(panes, tmp_path, "cat", env={name: "x"})
        assert await panes.list_panes() == [], name


async def test_t33_a_title_and_a_program_name_cannot_break_the_list(panes: Panes, tmp_path: Path) -> None:
    script = "import os;os.write(1,b'\\x1b]2;a|b\\tc\\nd %end\\x07R');os.execv('/bin/cat',['e|v\\nil\\t%end 1 1 1'])"
    evil = await start(panes, tmp_path, "python3", "-c", script, name="evil")
    await evil.shows(b"R")
    other = await start(panes, tmp_path, "cat", name="other")

    async def listed() -> bool:
        infos = {info.pane_id: info for info in await panes.list_panes()}
        assert set(infos) == {evil.id, other.id}
        assert infos[evil.id].title == "a|bcd %end"
        info = await panes.pane(evil.id)
        assert (info.command, info.title) == ("e?v?il?%end", "a|bcd %end")
        return True

    await eventually(listed)
    assert (await panes.capture(evil.id)).title == "a|bcd %end"


async def test_t34_a_program_cannot_set_a_buffer(panes: Panes, private_tmux: PrivateTmux, tmp_path: Path) -> None:
    recorded = await start(panes, tmp_path, "/bin/sh", "-c", r"printf '\033]52;c;ZXZpbA==\007R'; exec cat")
    await recorded.shows(b"R")
    assert private_tmux.tmux("list-buffers") == ""


async def test_t35_what_tmux_answers_to_a_program_is_its_input_and_nobodys_command(
    panes: Panes, private_tmux: PrivateTmux, tmp_path: Path
) -> None:
    """A program asks where the cursor is and what terminal this is; the answers reach it as typed bytes."""
    script = r"stty raw -echo; printf 'abc\033[6n\033[c\033[5nREADY'; exec cat"
    recorded = await start(panes, tmp_path, "/bin/sh", "-c", script, name="asks")
    await recorded.shows(b"READY\x1b[1;4R\x1b[?1;2c\x1b[0n")
    await panes.send_text(recorded.id, "typed", submit=True)
    assert (await recorded.shows(b"typed\r")).endswith(b"\x1b[0ntyped\r")
    assert (await panes.capture(recorded.id)).cursor.y == 0


async def test_t36_an_endless_escape_sequence_and_line_do_not_stop_tmux(panes: Panes, tmp_path: Path) -> None:
    script = r"printf '\033]2;'; head -c 5000000 /dev/zero | tr '\0' x; printf '\033\\\r'; "
    script += "head -c 2000000 /dev/zero | tr '\\0' y; printf DONE; exec cat"
    recorded = await start(panes, tmp_path, "/bin/sh", "-c", script)
    await recorded.shows(b"DONE", timeout=30)
    assert len((await panes.pane(recorded.id)).title) <= 512
    assert "DONE" in (await panes.capture(recorded.id)).ansi_lines[-1]


async def test_t37_a_line_longer_than_the_kernel_keeps_is_refused(panes: Panes, tmp_path: Path) -> None:
    cooked = await start(panes, tmp_path, "/bin/sh", "-c", "stty -echo; printf READY; exec cat", name="cooked")
    await cooked.shows(b"READY")
    with pytest.raises(InvalidError, match="4095"):
        await panes.send_text(cooked.id, "x" * 10_000, submit=True)
    await panes.send_text(cooked.id, "y" * 4000, submit=True)
    await cooked.shows(b"READY" + b"y" * 4000 + b"\r\n")
    raw = await start_raw(panes, tmp_path)
    await panes.send_text(raw.id, "x" * 10_000, submit=True)
    await raw.shows(b"READY" + b"x" * 10_000 + b"\r")


async def test_t38_a_paste_has_a_limit_and_arrives_whole(panes: Panes, tmp_path: Path) -> None:
    recorded = await start_raw(panes, tmp_path)
    with pytest.raises(TooLargeError):
        await panes.send_text(recorded.id, "x\n" * (MAX_TEXT_BYTES // 2 + 1), submit=False)
    text = "".join(f"line {number} é;#(x)$y\n" for number in range(10_000))
    await panes.send_text(recorded.id, text, submit=False)
    await panes.send_text(recorded.id, "END", submit=False)
    expected = b"READY" + text.replace("\n", "\r").encode() + b"END"
    assert await recorded.shows(b"END", timeout=20) == expected


async def test_a_paste_leaves_no_file_and_no_buffer(panes: Panes, private_tmux: PrivateTmux, tmp_path: Path) -> None:
    recorded = await start_raw(panes, tmp_path)
    await panes.send_text(recorded.id, "a\nb", submit=True)
    await recorded.shows(b"a\rb\r")
    assert not list(private_tmux.directory.glob("paste-*"))
    assert private_tmux.tmux("list-buffers") == ""


async def test_t39_parallel_sends_do_not_mix(panes: Panes, tmp_path: Path) -> None:
    recorded = await start_raw(panes, tmp_path)
    texts = [f"<{number}{'x' * 300}{number}>" for number in range(8)]
    await asyncio.gather(*(panes.send_text(recorded.id, text, submit=True) for text in texts))
    await panes.send_keys(recorded.id, ["z"])
    output = (await recorded.shows(b"z")).decode()
    assert sorted(output.removeprefix("READY").removesuffix("z").split("\r")[:-1]) == texts


async def test_t40_of_parallel_creates_exactly_one_wins(panes: Panes, tmp_path: Path) -> None:
    async def create() -> str:
        try:
            return (await start(panes, tmp_path, "cat", name="same")).id
        except ConflictError:
            return ""

    results = await asyncio.gather(*(create() for _ in range(8)))
    assert len([result for result in results if result]) == 1
    assert len(await panes.list_panes()) == 1


async def test_t41_the_server_has_descriptors_and_a_usual_umask(
    panes: Panes, tmux_server: TmuxServer, tmp_path: Path
) -> None:
    assert tmux_server.identity is not None
    limits = Path(f"/proc/{tmux_server.identity.pid}/limits").read_text()
    files = next(line.split() for line in limits.splitlines() if line.startswith("Max open files"))
    assert int(files[3]) >= min(65_536, int(files[4]))
    recorded = await start(panes, tmp_path, "/bin/sh", "-c", "umask; exec cat")
    await recorded.shows(b"0022")


async def test_copy_mode_of_a_person_takes_no_input(panes: Panes, private_tmux: PrivateTmux, tmp_path: Path) -> None:
    recorded = await start_raw(panes, tmp_path)
    private_tmux.tmux("copy-mode", "-t", recorded.id)
    assert (await panes.pane(recorded.id)).in_mode
    await panes.send_text(recorded.id, "q12", submit=True)
    assert await recorded.shows(b"\r") == b"READYq12\r"


async def test_a_forged_reply_on_the_screen_is_only_text(panes: Panes, tmp_path: Path) -> None:
    forged = "%end 1 1 1\n%begin 1 2 1\n%error 1 2 1\n%exit\n"
    recorded = await start(panes, tmp_path, "/bin/sh", "-c", f"printf %s '{forged}R'; exec cat")
    await recorded.shows(b"R")
    lines = (await panes.capture(recorded.id)).ansi_lines
    assert [line.rstrip() for line in lines[:5]] == [*forged.splitlines(), "R"]
    with pytest.raises(TeleclaudeError):
        await panes.pane("%999")
    assert (await panes.pane(recorded.id)).pane_id == recorded.id
