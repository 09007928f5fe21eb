from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.errors import InvalidError, MalformedError
from teleclaude.wire import jsonio
from teleclaude.wire import sessions as wire
from teleclaude.wire.base import Command
from teleclaude.wire.output import ReadOutput
from teleclaude_rest import binding
from teleclaude_rest.routes import ROUTES

COMMANDS = sorted({route.command for route in ROUTES if route.command}, key=lambda command: command.__name__)

SURROGATES = st.sampled_from("\ud800\udbff\udc00\udfff")
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.text(SURROGATES, max_size=3)
NAMES = st.sampled_from(sorted({name for command in COMMANDS for name in binding.wire_names(command)})) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)


@given(st.sampled_from(COMMANDS), st.dictionaries(NAMES, VALUES, max_size=6))
def test_any_json_becomes_a_command_or_a_refusal(command: type[Command[Any]], fields: dict[str, Any]) -> None:
    try:
        given_ = jsonio.loads(json.dumps(fields).encode(), operation="test")
        made = binding.build(command, given_, operation="test")
    except (InvalidError, MalformedError):
        return
    # What was accepted stands there as it was given: nothing was coerced, nothing left out, nothing invented.
    kept = json.loads(made.model_dump_json(by_alias=True, exclude_unset=True))
    assert kept == given_
    assert repr(kept) == repr({name: given_[name] for name in kept})


@given(st.binary(max_size=200))
def test_any_bytes_are_json_or_a_refusal(data: bytes) -> None:
    with suppress(MalformedError):
        jsonio.loads(data, operation="test")


@given(st.text(max_size=60))
def test_any_query_is_pairs_or_a_refusal(text: str) -> None:
    try:
        found = binding.parse_query(text, operation="test")
    except InvalidError:
        return
    assert all(isinstance(value, str) for value in found.values())


@given(st.text(max_size=25))
def test_a_number_is_plain_decimal_or_refused(text: str) -> None:
    try:
        number = binding.whole_number("from", text, operation="test")
    except InvalidError:
        return
    assert text.isascii()
    assert text.lstrip("-").isdigit()
    assert int(text) == number


@pytest.mark.parametrize(
    "text", ["", "-", "+1", " 1", "1 ", "1_0", "0x1", "1e3", "1.0", "١٢", "-0", "-00", "--1", "9" * 20]
)
def test_what_is_not_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(InvalidError):
        binding.whole_number("from", text, operation="test")


def test_query_values_take_the_types_of_their_fields() -> None:
    assert binding.from_query(wire.CloseSession, {"grace_ms": "10", "purge": "false"}, operation="t") == {
        "grace_ms": 10,
        "purge": False,
    }
    assert binding.from_query(ReadOutput, {"from": "-5", "format": "1"}, operation="t") == {
        "from": -5,
        "format": "1",
    }


def test_a_query_is_decoded_once() -> None:
    assert binding.parse_query("tag=a%2525%26b+c", operation="t") == {"tag": "a%25&b c"}


def test_a_repeated_parameter_is_refused_however_it_is_written() -> None:
    with pytest.raises(InvalidError, match="twice"):
        binding.parse_query("tag=a&%74ag=b", operation="t")


def test_unknown_names_are_refused_with_what_would_do() -> None:
    with pytest.raises(InvalidError, match=r"'rol' is not known; this request takes id, grace_ms, purge"):
        binding.build(wire.CloseSession, {"id": "a", "rol": "owner"}, operation="t")


def test_what_is_refused_is_not_shown_at_length() -> None:
    with pytest.raises(InvalidError) as refused:
        binding.build(wire.CloseSession, {"x" * 5000: 1}, operation="t")
    assert len(refused.value.detail) < 200


def test_an_enum_and_a_union_are_taken_from_json() -> None:
    made = binding.build(wire.CreateSession, {"kind": "python", "command": ["a", "b"]}, operation="t")
    assert (made.kind.value, made.command) == ("python", ["a", "b"])
