from __future__ import annotations

from typing import Any

import pytest

from teleclaude.python.errors import ProtocolError
from teleclaude.python.messages import Beat, Result, parse

RESULT: dict[str, Any] = {
    "op": "result",
    "id": "cell",
    "status": "ok",
    "count": 1,
    "repr": "42",
    "value": 42,
    "display": {},
    "truncated": False,
    "notes": [],
    "error": None,
    "execution_time_ms": 0.5,
}
BEAT: dict[str, Any] = {"op": "beat", "seq": 1, "state": "idle", "running": None, "uptime_ms": 5}


def test_d20_whole_messages_are_taken() -> None:
    assert isinstance(parse(RESULT), Result)
    assert isinstance(parse(BEAT), Beat)


@pytest.mark.parametrize("message", [RESULT, BEAT], ids=["result", "beat"])
def test_d20_a_message_without_any_of_its_fields_is_refused(message: dict[str, Any]) -> None:
    for name in message:
        with pytest.raises(ProtocolError):
            parse({key: value for key, value in message.items() if key != name})


@pytest.mark.parametrize(
    "change",
    [{"count": "1"}, {"count": True}, {"status": "fine"}, {"more": 1}, {"execution_time_ms": None}, {"op": "other"}],
    ids=str,
)
def test_d20_wrong_and_additional_fields_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        parse({**RESULT, **change})
