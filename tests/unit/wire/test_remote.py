"""Commands and replies on their way to another computer: what goes in comes out, and nothing else is let in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.errors import (
    ConflictError,
    GapError,
    InvalidError,
    LimitError,
    MalformedError,
    TeleclaudeError,
    UnavailableError,
)
from teleclaude.model import Chunk, Cursor, Screen
from teleclaude.wire import jsonio, remote
from teleclaude.wire.base import Command
from teleclaude.wire.executions import StartExecution
from teleclaude.wire.output import ReadOutput
from teleclaude.wire.screens import ReadScreen, RenderScreen
from teleclaude.wire.sessions import MAX_TEXT_BYTES, CreateSession, InputReply, SendBytes, SendInput
from teleclaude.wire.tokens import CreateToken
from teleclaude.wire.waits import Until, WaitSession

COMMANDS: list[Command[Any]] = [
    CreateSession(name="x", command=["a", "b"], env={"K": "v"}, tags=["t"]),
    SendInput(id="work", text="ü\n\0 \u202e 🚀", client_id="c", seq=3),
    SendBytes(id="work", data=bytes(range(256))),
    ReadOutput.model_validate({"id": "work", "from": -5, "limit": 3}),
    WaitSession(id="work", until=Until(regex="^x$")),
    StartExecution(argv=["true"], stdin=True, wait_ms=5),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.operation)
def test_a_command_arrives_as_it_was_sent(command: Command[Any]) -> None:
    assert remote.decode_command(remote.encode_command(command)) == command


@given(st.text())
def test_any_text_arrives(text: str) -> None:
    sent = SendInput(id="work", text=text) if text.isprintable() or "\ud800" not in text else None
    assert sent is None or remote.decode_command(remote.encode_command(sent)) == sent


@given(st.binary(max_size=300))
def test_anything_else_is_no_command_and_nothing_worse(message: bytes) -> None:
    with pytest.raises((MalformedError, InvalidError)):
        remote.decode_command(message)


def document(text: str) -> bytes:
    return remote.join(text.encode())


@pytest.mark.parametrize(
    "message",
    [
        document('{"operation":"session.get","fields":{"id":"x"},"blobs":{"id":1}}'),
        document('{"operation":"session.get","fields":{"id":"x"},"blobs":{"id":-1}}'),
        document('{"operation":"session.get","fields":{"id":"x","more":1},"blobs":{}}'),
        document('{"operation":"session.get","fields":{"id":1},"blobs":{}}'),
        document('{"operation":"session.get","fields":{"id":"x"},"blobs":{},"extra":1}'),
        document('{"operation":["session.get"],"fields":{},"blobs":{}}'),
        remote.join(b'{"operation":"session.get","fields":{"id":"x"},"blobs":{}}', b"left over"),
    ],
)
def test_damaged_commands(message: bytes) -> None:
    with pytest.raises((MalformedError, InvalidError)):
        remote.decode_command(message)


@pytest.mark.parametrize(
    ("command", "name", "size"),
    [(SendInput(id="work", text=""), "text", 3), (SendBytes(id="work", data=b""), "data", MAX_TEXT_BYTES + 1)],
    ids=["no field of bytes", "too long"],
)
def test_raw_bytes_stand_only_where_they_may(command: Command[Any], name: str, size: int) -> None:
    fields = command.model_dump(mode="json", exclude_unset=True, exclude={name})
    whole = {"operation": command.operation, "fields": fields, "blobs": {name: size}}
    with pytest.raises(InvalidError):
        remote.decode_command(remote.join(jsonio.dumps(whole), bytes(size)))


def test_what_is_for_owners_at_home_cannot_be_asked() -> None:
    with pytest.raises(InvalidError, match="not offered to other computers"):
        remote.decode_command(remote.encode_command(CreateToken(name="x")))


SCREEN = Screen(2, 1, Cursor(0, 0, visible=True), False, "t", ("ü",), ("\x1b[31mü",), 5, True)


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        (SendInput(id="x", text=""), InputReply(offset=9)),
        (ReadOutput(id="x"), Chunk(1, 4, 9, b"\0\xff\n")),
        (ReadScreen(id="x"), SCREEN),
        (RenderScreen(id="x"), b"\x89PNG\r\n\x1a\n"),
    ],
    ids=["view", "chunk", "screen", "bytes"],
)
def test_a_reply_comes_back_as_it_was(command: Command[Any], reply: object) -> None:
    assert remote.decode_reply(command, remote.encode_reply(reply)) == reply


@pytest.mark.parametrize(
    "error",
    [
        GapError("gone", start=7, operation="output.read"),
        LimitError("slow down", retry_after_ms=30),
        ConflictError("no", operation="x", epoch=4),
    ],
    ids=lambda error: error.code,
)
def test_errors_come_back_with_all_they_say(error: TeleclaudeError) -> None:
    with pytest.raises(type(error)) as raised:
        remote.decode_reply(COMMANDS[1], remote.encode_error(error))
    assert (raised.value.detail, raised.value.operation) == (error.detail, error.operation)
    assert raised.value.fields == error.fields


@pytest.mark.parametrize(
    "message", [b"", document("[]"), document('{"reply":{"offset":"x"},"blobs":{}}'), document("{}")]
)
def test_an_answer_of_another_version_is_said_to_be_that(message: bytes) -> None:
    with pytest.raises(UnavailableError, match="same version"):
        remote.decode_reply(COMMANDS[1], message)


def test_answers_to_what_is_no_command() -> None:
    assert remote.decode_plain(remote.encode_plain({"end": 3})) == {"end": 3}
    with pytest.raises(ConflictError):
        remote.decode_plain(remote.encode_error(ConflictError("no")))
    with pytest.raises(MalformedError):
        remote.decode_plain(document('{"reply":1,"blobs":{}}'))
