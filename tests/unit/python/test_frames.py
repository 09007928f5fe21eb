from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.python.worker.frames import (
    MAX_FRAME_BYTES,
    FrameDecoder,
    FrameError,
    FrameTooLargeError,
    Message,
    encode,
)

messages = st.lists(st.dictionaries(st.text(max_size=5), st.text() | st.integers() | st.none(), max_size=3), max_size=5)


@given(messages, st.data())
def test_d22_frames_however_they_are_cut(sent: list[Message], data: st.DataObject) -> None:
    stream = b"".join(map(encode, sent))
    decoder = FrameDecoder()
    received = []
    while stream:
        size = data.draw(st.integers(0, len(stream)))
        received += decoder.feed(stream[:size])
        stream = stream[size:]
        if size == 0:
            received += decoder.feed(stream)
            break
    assert received == sent
    decoder.finish()


def test_d22_byte_by_byte_and_all_at_once() -> None:
    stream = b"".join(encode({"n": number}) for number in range(10))
    wanted = [{"n": number} for number in range(10)]
    decoder = FrameDecoder()
    assert [message for byte in stream for message in decoder.feed(bytes((byte,)))] == wanted
    assert FrameDecoder().feed(stream) == wanted


def test_d22_an_end_inside_a_frame_is_an_error() -> None:
    decoder = FrameDecoder()
    assert decoder.feed(encode({"a": 1})[:-1]) == []
    with pytest.raises(FrameError, match="inside a frame"):
        decoder.finish()


@pytest.mark.parametrize("body", [b"", b"[]", b"1", b"{", b"\xff", b'{"a":\x00}', b"[" * 100_000])
def test_d22_what_is_no_object_is_an_error(body: bytes) -> None:
    with pytest.raises(FrameError):
        FrameDecoder().feed(len(body).to_bytes(4, "big") + body)


def test_d22_a_frame_over_the_limit_is_refused_before_it_comes() -> None:
    with pytest.raises(FrameTooLargeError):
        FrameDecoder().feed((MAX_FRAME_BYTES + 1).to_bytes(4, "big"))
    with pytest.raises(FrameTooLargeError):
        encode({"text": "x" * MAX_FRAME_BYTES})
    assert FrameDecoder().feed(encode({"text": "x" * (MAX_FRAME_BYTES - len(json.dumps({"text": ""})))})) != []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}])
def test_what_json_cannot_say_is_not_sent(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        encode({"value": value})
