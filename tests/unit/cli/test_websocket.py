"""Frames of the command line's own WebSocket, against bytes laid down by hand."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.cli.failure import CliError, ConnectionFailedError
from teleclaude.cli.websocket import BINARY, CLOSE, TEXT, Message, WebSocket, masked


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def hearing(sock: socket.socket, data: bytes) -> WebSocket:
    return WebSocket(sock, io.BytesIO(data))


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
def test_masking_twice_is_nothing(data: bytes, mask: bytes) -> None:
    assert masked(masked(data, mask), mask) == data
    assert masked(data, bytes(4)) == data


def test_whole_and_split_messages(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    split = b"\x01\x03abc" + b"\x89\x02hi" + b"\x80\x03def"
    link = hearing(ours, b"\x82\x02\x00\xff" + split + b"\x88\x02\x03\xe8")
    assert link.receive() == Message(BINARY, b"\x00\xff")
    assert link.receive() == Message(TEXT, b"abcdef")
    assert link.receive() == Message(CLOSE, b"\x03\xe8")
    pong = theirs.recv(100)
    assert pong[:2] == b"\x8a\x82"
    assert masked(pong[6:], pong[2:6]) == b"hi"


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_every_length_is_sent_as_the_protocol_has_it(size: int) -> None:
    sent = bytearray()

    class Sink:
        def sendall(self, data: bytes) -> None:
            sent.extend(data)

    WebSocket(Sink(), io.BytesIO()).send(BINARY, b"x" * size)  # type: ignore[arg-type]
    head = 2 if size < 126 else 4 if size < 65_536 else 10
    assert sent[0] == 0x82
    assert sent[1] & 0x80
    assert masked(bytes(sent[head + 4 :]), bytes(sent[head : head + 4])) == b"x" * size


def test_a_long_frame_is_read(pair: tuple[socket.socket, socket.socket]) -> None:
    data = b"y" * 70_000
    assert hearing(pair[0], b"\x82\x7f" + len(data).to_bytes(8, "big") + data).receive().data == data
    assert hearing(pair[0], b"\x82\x7e\x00\x80" + data[:128]).receive().data == data[:128]


def test_what_is_too_long_or_cut_short(pair: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(CliError, match="too long"):
        hearing(pair[0], b"\x82\x7f" + (1 << 40).to_bytes(8, "big")).receive()
    for data in (b"", b"\x82", b"\x82\x05abc"):
        with pytest.raises(ConnectionFailedError, match="lost"):
            hearing(pair[0], data).receive()
