from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from teleclaude.tmux.info import DeadStatus, parse, parse_all

LINE = "$1|%2|4242|0||||1|120|40|0|1|3|4|1|id-7|/dev/pts/3|vim|/home/u|work|a|title|with bars"


def test_a_live_pane() -> None:
    info = parse(LINE)
    assert info is not None
    assert (info.session_id, info.pane_id, info.pid, info.dead, info.piped) == ("$1", "%2", 4242, False, True)
    assert (info.cols, info.rows, info.cursor_x, info.cursor_y, info.alternate) == (120, 40, 3, 4, True)
    assert (info.marker, info.name, info.command, info.path) == ("id-7", "work", "vim", "/home/u")
    assert info.title == "a|title|with bars"
    assert not info.status.known


def test_a_pane_that_a_signal_ended() -> None:
    info = parse(LINE.replace("|0||||1|", "|1||9|1795232689|0|", 1))
    assert info is not None
    assert info.dead
    assert info.status == DeadStatus(None, "KILL", datetime.fromtimestamp(1795232689, UTC))


def test_a_pane_that_exited() -> None:
    info = parse(LINE.replace("|0||||1|", "|1|3||1795232689|0|", 1))
    assert info is not None
    assert (info.status.code, info.status.signal) == (3, None)


def test_t27_a_missing_target_gives_none() -> None:
    assert parse("|" * 20) is None


def test_t33_a_title_loses_what_cannot_be_printed() -> None:
    info = parse(LINE + "\u202e\x9b\ue000x")
    assert info is not None
    assert info.title == "a|title|with barsx"


@given(st.text(st.characters(exclude_characters="\n")))
def test_no_line_raises(line: str) -> None:
    parse(line)
    assert parse_all([line, LINE])[-1] == parse(LINE)
