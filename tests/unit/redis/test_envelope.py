"""What is signed, and what is taken for genuine."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.testing import ManualClock
from teleclaude_redis.envelope import Envelope, RefusedError, claimed_sender, decode, is_genuine, mac, read_header
from teleclaude_redis.nonces import Nonces

KEY = b"k" * 32


def envelope(**changes: object) -> Envelope:
    fields: dict[str, object] = {"kind": "call", "sender": "north", "to": "south", "id": "1", "ts": 5, "body": b"x"}
    return Envelope(**{**fields, **changes})  # type: ignore[arg-type]


@given(st.binary(max_size=200), st.dictionaries(st.text(max_size=8), st.integers(0, 9) | st.text(max_size=8)))
def test_what_was_signed_is_read_back(body: bytes, about: dict[str, object]) -> None:
    written = envelope(body=body, about=about, nonce="n")
    assert decode(written.encode()) == written


@given(st.binary(max_size=300))
def test_anything_else_is_refused_and_nothing_worse(data: bytes) -> None:
    with pytest.raises(RefusedError):
        decode(data)
    with pytest.raises(RefusedError):
        claimed_sender(read_header(data))


@given(st.data())
def test_no_changed_byte_is_genuine(data: st.DataObject) -> None:
    encoded = envelope(nonce="n").encode()
    place = data.draw(st.integers(0, len(encoded) - 1))
    other = data.draw(st.integers(1, 255))
    changed = encoded[:place] + bytes([encoded[place] ^ other]) + encoded[place + 1 :]
    assert is_genuine(KEY, encoded, mac(KEY, encoded))
    assert not is_genuine(KEY, changed, mac(KEY, encoded))
    assert not is_genuine(b"o" * 32, encoded, mac(KEY, encoded))


def test_every_envelope_has_a_nonce_of_its_own() -> None:
    assert decode(envelope().encode()).nonce != decode(envelope().encode()).nonce


def test_another_version_with_other_fields_is_said_to_be_that() -> None:
    header = {"v": 2, "from": "north", "to": "south", "new": 1}
    with pytest.raises(RefusedError) as refused:
        decode(json.dumps(header).encode() + b"\n")
    assert (refused.value.reason, refused.value.sender) == ("version", "north")


def test_a_body_may_hold_line_ends_and_a_header_may_not_be_long() -> None:
    assert decode(envelope(body=b"\n\n").encode()).body == b"\n\n"
    with pytest.raises(RefusedError, match="malformed"):
        decode(envelope(about={"x": "y" * 5000}).encode())


def accept(nonces: Nonces, ts: float, nonce: str = "n") -> None:
    nonces.accept(envelope(ts=round(ts * 1000), nonce=nonce))


async def test_a_nonce_is_taken_once_for_as_long_as_its_time_is_accepted() -> None:
    clock = ManualClock()
    nonces = Nonces(clock)
    now = clock.now().timestamp()
    accept(nonces, now + 59)
    with pytest.raises(RefusedError, match="duplicate"):
        accept(nonces, now + 59)
    await clock.advance(118)
    with pytest.raises(RefusedError, match="duplicate"):
        accept(nonces, now + 59)
    await clock.advance(4)
    with pytest.raises(RefusedError, match="clock"):
        accept(nonces, now + 59)


@pytest.mark.parametrize("seconds", [-61, 61, -86_400, 86_400])
def test_x43_another_time_is_refused(seconds: int) -> None:
    clock = ManualClock()
    with pytest.raises(RefusedError, match="clock"):
        accept(Nonces(clock), clock.now().timestamp() + seconds)


def test_what_must_come_again_may() -> None:
    clock = ManualClock()
    nonces = Nonces(clock)
    first = envelope(ts=round(clock.now().timestamp() * 1000), nonce="n")
    assert nonces.accept(first)
    nonces.let_go(first)
    assert not nonces.accept(first)
    with pytest.raises(RefusedError, match="duplicate"):
        nonces.accept(first)


async def test_the_store_is_bounded_and_refuses_rather_than_forgets() -> None:
    clock = ManualClock()
    nonces = Nonces(clock, limit=2)
    now = clock.now().timestamp()
    accept(nonces, now, "a")
    accept(nonces, now, "b")
    with pytest.raises(RefusedError, match="overload"):
        accept(nonces, now, "c")
    await clock.advance(122)
    accept(nonces, clock.now().timestamp(), "c")
