from __future__ import annotations

import pytest

from teleclaude.errors import TooLargeError
from teleclaude.wire.arguments import MAX_STRING_BYTES
from teleclaude.wire.executions import StartExecution
from teleclaude.wire.sessions import CreateSession

LONGEST = "x" * (MAX_STRING_BYTES - 1)


@pytest.mark.parametrize(
    "fields",
    [
        {"command": ["echo", LONGEST + "x"]},
        {"command": LONGEST + "x"},
        {"agent": "claude", "prompt": "é" * (MAX_STRING_BYTES // 2)},
        {"env": {"A": LONGEST}},
    ],
)
def test_what_a_session_cannot_be_given_is_too_large(fields: dict[str, object]) -> None:
    with pytest.raises(TooLargeError) as caught:
        CreateSession.model_validate(fields)
    assert caught.value.operation == "session.create"


@pytest.mark.parametrize(
    "fields", [{"argv": ["echo", LONGEST + "x"]}, {"script": LONGEST + "x"}, {"argv": ["true"], "env": {"A": LONGEST}}]
)
def test_nor_a_command(fields: dict[str, object]) -> None:
    with pytest.raises(TooLargeError) as caught:
        StartExecution.model_validate(fields)
    assert caught.value.operation == "execution.start"


def test_the_longest_is_taken() -> None:
    assert CreateSession.model_validate({"command": ["echo", LONGEST]}).command == ["echo", LONGEST]
    assert StartExecution.model_validate({"argv": ["echo", LONGEST]}).argv == ["echo", LONGEST]
