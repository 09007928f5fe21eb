from __future__ import annotations

import pytest

from teleclaude.errors import InvalidError, TooLargeError
from teleclaude.tmux.keys import MAX_REPEAT, VOCABULARY, check_keys, pressing


def words(*keys: str, repeat: int = 1) -> list[list[str]]:
    return [item.words() for item in pressing("%1", keys, repeat)]


def test_characters_go_as_bytes_and_names_as_names() -> None:
    assert words("a", "é", "Enter", "C-c", "$") == [
        ["send-keys", "-H", "-t", "%1", "--", "61", "c3", "a9"],
        ["send-keys", "-t", "%1", "--", "Enter", "C-c"],
        ["send-keys", "-H", "-t", "%1", "--", "24"],
    ]


def test_repeat_repeats_the_whole_list() -> None:
    assert words("a", "Up", repeat=2) == [
        ["send-keys", "-H", "-t", "%1", "--", "61"],
        ["send-keys", "-t", "%1", "--", "Up"],
        ["send-keys", "-H", "-t", "%1", "--", "61"],
        ["send-keys", "-t", "%1", "--", "Up"],
    ]


def test_many_presses_are_several_commands() -> None:
    commands = pressing("%1", ["Down"], MAX_REPEAT)
    assert len(commands) == 2
    assert sum(len(item.parts) - 1 for item in commands) == MAX_REPEAT


@pytest.mark.parametrize(
    "key",
    [
        "NoSuchKey",
        "F13",
        "Any",
        "C-M-S-x",
        "S-a",
        "C-Enter",
        "C-1",
        "",
        ";",
        "C-;",
        "ab",
        "a;",
        "-R",
        "--",
        "\n",
        "\x1b",
        "^C",
        "C--x",
        "M-",
        "C-",
        "enter",
        "F0",
        "👨‍👩‍👧",
        "M-\x01",
        "C-C-a",
    ],
)
def test_t14_unknown_keys_are_refused(key: str) -> None:
    with pytest.raises(InvalidError):
        check_keys(["a", key])


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("enter", "Enter"),
        ("Ctrl-c", "C-c"),
        ("PgDown", "PgDn"),
        ("Backspace", "BSpace"),
        ("F13", "F1"),
        ("Esc", "Escape"),
    ],
)
def test_the_error_names_the_nearest_keys(key: str, nearest: str) -> None:
    with pytest.raises(InvalidError) as caught:
        check_keys([key])
    assert nearest in caught.value.detail


def test_a_semicolon_is_explained() -> None:
    with pytest.raises(InvalidError, match="send it as text"):
        check_keys([";"])


def test_modifiers_may_come_in_any_order() -> None:
    assert words("M-C-a", "S-C-Up", "S-Tab") == [["send-keys", "-t", "%1", "--", "C-M-a", "C-S-Up", "BTab"]]


@pytest.mark.parametrize("repeat", [0, -1, 1001, 4294967295])
def test_t16_repeat_is_bounded(repeat: int) -> None:
    with pytest.raises(InvalidError):
        check_keys(["a"], repeat)


def test_presses_are_bounded() -> None:
    with pytest.raises(TooLargeError):
        check_keys(["a"] * 100, 1000)
    with pytest.raises(InvalidError):
        check_keys([])


def test_no_name_is_a_flag_or_a_separator() -> None:
    assert not [key for key in VOCABULARY.values() if key.startswith("-") or key == ";"]
