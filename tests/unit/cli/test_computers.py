"""The codes by which two computers are given one key, and the table of computers."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.cli.commands.computers import code_of, computer_table, key_of
from teleclaude.cli.failure import CliError


@given(st.binary(min_size=32, max_size=32))
def test_a_code_is_its_key(data: bytes) -> None:
    key = base64.b64encode(data)
    code = code_of(key)
    assert key_of(code) == key
    assert key_of(f" {code.upper().replace('-', ' ')}\n") == key
    assert set(code) <= set("abcdefghijklmnopqrstuvwxyz234567-")


@given(st.binary(min_size=32, max_size=32), st.data())
def test_a_mistake_in_it_is_noticed(data: bytes, draw: st.DataObject) -> None:
    code = code_of(base64.b64encode(data))
    place = draw.draw(st.sampled_from([at for at, letter in enumerate(code) if letter != "-"]))
    other = draw.draw(st.sampled_from([letter for letter in "abcdefgh234567" if letter != code[place]]))
    with pytest.raises(CliError, match="mistake"):
        key_of(code[:place] + other + code[place + 1 :])


@pytest.mark.parametrize("code", ["", "x", "a" * 56, "ä" * 56, "1" * 56])
def test_what_is_no_code(code: str) -> None:
    with pytest.raises(CliError, match="mistake"):
        key_of(code)


def test_the_table_says_what_is_in_the_way() -> None:
    computer = {
        "name": "south",
        "state": "stale",
        "role": "",
        "version": "0.9",
        "sessions": 3,
        "last_seen": "2026-01-01T00:00:00.000Z",
        "problem": "runs version\x1b[2J 0.9",
    }
    table = computer_table([computer], now=datetime(2026, 1, 1, 0, 5, tzinfo=UTC), width=None)
    assert table.splitlines()[1].split() == ["south", "stale", "-", "0.9", "3", "5m", "runs", "version", "0.9"]
