from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.errors import InvalidError, TooLargeError
from teleclaude.tmux.line import (
    ANCHOR_NAME,
    MAX_LINE_BYTES,
    PACKED_BYTES,
    Flag,
    Option,
    TmuxCommand,
    command,
    constant,
    control_argv,
    control_line,
    hex_bytes,
    named,
    nested,
    new_name,
    number,
    pack,
    pane,
    path,
    session,
    shell_command,
    text,
)

SEND = command("send-keys", Option("t", pane("%7")), text("Enter"))


def test_a_line_is_words_with_options_and_two_dashes_before_values() -> None:
    assert control_line((SEND,)) == b"send-keys -t '%7' -- Enter\n"
    assert control_argv((SEND,)) == [b"send-keys", b"-t", b"%7", b"--", b"Enter"]


def test_commands_of_a_line_are_separated() -> None:
    assert control_line((SEND, SEND)).count(b" ; ") == 1
    assert control_argv((SEND, SEND)).count(b";") == 1


@pytest.mark.parametrize("word", ["hi;", ";", "a\\;", "x;;"])
def test_t10_no_argument_ends_in_a_bare_semicolon(word: str) -> None:
    *_, last = control_argv((command("set-option", text("@x"), text(word)),))
    assert last == word[:-1].encode() + b"\\;"


def test_t11_a_semicolon_of_ours_stands_alone_and_one_of_theirs_never_does() -> None:
    argv = control_argv((command("send-keys", Option("t", pane("%1")), text("a"), text(";"), text("kill-server")),))
    assert b";" not in argv


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=200))
def test_t19_any_text_stays_on_one_line(value: str) -> None:
    line = control_line((command("set-option", text("@x"), text(value)),))
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert b"\r" not in line


def test_t19_line_ends_are_escaped_outside_the_single_quotes() -> None:
    assert control_line(
        (
            command(
                "set-option",
                text("a\nb'c\r"),
            ),
        )
    ) == (b"set-option -- 'a'\"\\n\"'b'\"'\"'c'\"\\r\"''\n")


def test_t20_an_empty_line_is_a_defect() -> None:
    with pytest.raises(ValueError, match="empty line"):
        control_line(())
    with pytest.raises(ValueError, match="empty line"):
        control_argv(())


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("new-session", Flag("x")),
        ("resize-window", Flag("x")),
        ("kill-session", Flag("t")),
        ("send-keys", Option("H", text("a"))),
    ],
)
def test_t23_a_flag_that_needs_a_value_cannot_be_written_without(name: str, part: Flag | Option) -> None:
    with pytest.raises(ValueError, match="takes no"):
        TmuxCommand(name, (part,))


def test_only_known_commands_exist() -> None:
    with pytest.raises(ValueError, match="run-shell"):
        TmuxCommand("run-shell", (text("id"),))


def test_flags_come_before_values() -> None:
    with pytest.raises(ValueError, match="takes no"):
        TmuxCommand("send-keys", (text("a"), Flag("H")))


@pytest.mark.parametrize(
    "value", ["", ":", "*", "0", "+", "-", "work", "=work", "%", "$1", "%1x", "%1\n", "{start}", "@1", "%١"]
)
def test_t24_t26_targets_are_ids_only(value: str) -> None:
    with pytest.raises(InvalidError):
        pane(value)
    if value != "$1":
        with pytest.raises(InvalidError):
            session(value)


@pytest.mark.parametrize(
    "name",
    [
        "z#(touch P)",
        "a:b",
        "a.b",
        "../x",
        "a\nb",
        "a\n",
        "a\x1b",
        "",
        "#S",
        "x" * 300,
        "=x",
        "$0",
        "@1",
        "%1",
        "~",
        "!",
        "*",
        "{start}",
        "-x",
        "a\u202e",
        "A",
    ],
)
def test_t1_to_t8_only_plain_names_reach_tmux(name: str) -> None:
    with pytest.raises(InvalidError):
        new_name(name)
    with pytest.raises(InvalidError):
        named(name)


def test_the_anchor_has_a_name_that_no_session_can_have() -> None:
    assert new_name(ANCHOR_NAME).text == ANCHOR_NAME
    assert named("work").text == "=work:"


def test_t1_paths_double_what_tmux_would_expand() -> None:
    assert path("/a#(touch P)/100%").text == "/a##(touch P)/100%"


def test_a_recorder_command_doubles_what_strftime_would_expand() -> None:
    assert shell_command("cat > '/a%Y#S'").text == "cat > '/a%%Y##S'"


def test_t9_a_long_line_is_refused_before_tmux_sees_it() -> None:
    long = command("set-option", text("@x"), text("a" * MAX_LINE_BYTES))
    with pytest.raises(TooLargeError):
        control_line((long,))
    with pytest.raises(TooLargeError):
        control_argv((long,))


@pytest.mark.parametrize("build", [text, path, shell_command])
def test_nul_is_refused(build: object) -> None:
    assert callable(build)
    with pytest.raises(InvalidError):
        build("a\0b")


def test_half_a_surrogate_pair_is_refused_and_a_foreign_file_name_is_not() -> None:
    with pytest.raises(InvalidError):
        control_line((command("set-option", text("\ud800")),))
    assert control_argv((command("set-option", path("/\udcff")),))[-1] == b"/\xff"


@pytest.mark.parametrize("value", [0, 1001, -1, True])
def test_numbers_have_bounds(value: int) -> None:
    with pytest.raises(InvalidError):
        number(value, 2 if value is True else 1, 1000)


def test_t17_hex_is_made_here() -> None:
    assert [value.text for value in hex_bytes(b"\x00;\xff")] == ["00", "3b", "ff"]


def test_if_shell_stands_alone_and_answers_twice() -> None:
    guarded = command("if-shell", Flag("F"), constant("#{pane_dead}"), nested(SEND), nested(SEND))
    assert guarded.replies == 2
    with pytest.raises(ValueError, match="alone"):
        control_line((SEND, guarded))
    assert pack([SEND, SEND, guarded, SEND]) == [(SEND, SEND), (guarded,), (SEND,)]


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=20))
def test_packing_keeps_order_and_size(sizes: list[int]) -> None:
    commands = [command("set-option", text("@x"), text("a" * size)) for size in sizes]
    lines = pack(commands)
    assert [item for line in lines for item in line] == commands
    assert all(len(control_line(line)) <= PACKED_BYTES + 3 for line in lines)


def test_what_only_asks_changes_nothing() -> None:
    assert SEND.changes
    assert not command("list-panes", Flag("a")).changes
