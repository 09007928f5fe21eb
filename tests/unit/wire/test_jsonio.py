"""Strict JSON: each thing that the standard parser lets through."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.errors import MalformedError
from teleclaude.wire.jsonio import MAX_DEPTH, dumps, loads

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,',
        b"",
        b'{"name":"a","name":"b"}',
        b'{"a":{"b":1,"b":1}}',
        b'{"timeout":NaN}',
        b'{"timeout":Infinity}',
        b'{"timeout":1e999}',
        b"[" * 100_000,
        b"[" * (MAX_DEPTH + 2) + b"]" * (MAX_DEPTH + 2),
        b"1" * 5000,
        b'{"a":"\xff"}',
        b"\xef\xbb\xbf{}",
        b"{}{}",
        b"'a'",
    ],
)
def test_what_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedError) as refused:
        loads(body, operation="test")
    assert refused.value.operation == "test"
    assert len(refused.value.detail) < 300


@given(JSON)
def test_everything_else_is_read_as_the_standard_parser_reads_it(value: object) -> None:
    text = json.dumps(value).encode()
    assert loads(text, operation="test") == json.loads(text)


@given(st.binary(max_size=200))
def test_random_bytes_never_raise_anything_else(data: bytes) -> None:
    with contextlib.suppress(MalformedError):
        loads(data, operation="test")


def test_dumps_is_compact_and_keeps_characters() -> None:
    assert dumps({"a": ["ü", 1]}) == '{"a":["ü",1]}'.encode()
