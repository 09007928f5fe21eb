"""The session commands refuse what they should, and the views show what the contract names."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from teleclaude.model import Bounds, Exit, Exited, HandedOff, Kind, Session, SessionSpec
from teleclaude.wire.base import Command
from teleclaude.wire.problems import error_from, invalid, problem
from teleclaude.wire.sessions import CreateSession, ResizeSession, SendInput, SendKeys, SessionView, UpdateSession
from teleclaude.wire.waits import WaitSession


@pytest.mark.parametrize(
    ("command", "fields"),
    [
        (CreateSession, {"name": "UPPER"}),
        (CreateSession, {"name": "a\n"}),
        (CreateSession, {"name": "a" * 64}),
        (CreateSession, {"cols": True}),
        (CreateSession, {"cols": "80"}),
        (CreateSession, {"cols": 80.0}),
        (CreateSession, {"cols": 0}),
        (CreateSession, {"command": []}),
        (CreateSession, {"command": [""]}),
        (CreateSession, {"command": ""}),
        (CreateSession, {"command": ["a\0b"]}),
        (CreateSession, {"command": 5}),
        (CreateSession, {"env": {"A B": "x"}}),
        (CreateSession, {"env": {"A": "x\0"}}),
        (CreateSession, {"env": {"": "x"}}),
        (CreateSession, {"cwd": "\ud800"}),
        (CreateSession, {"rol": "owner"}),
        (CreateSession, {"agent": "claude", "command": "ls"}),
        (CreateSession, {"prompt": "hi"}),
        (CreateSession, {"kind": "shell"}),
        (CreateSession, {"tags": ["a b"]}),
        (SendInput, {"id": "x", "text": "\ud800"}),
        (SendInput, {"id": "x", "text": 5}),
        (SendInput, {"id": "x", "text": "a", "submit": 1}),
        (SendInput, {"id": "x", "text": "a", "seq": 1}),
        (SendInput, {"id": "x", "text": "a", "client_id": "me"}),
        (SendInput, {"id": "x", "text": "a", "client_id": "me", "seq": -1}),
        (SendKeys, {"id": "x", "keys": []}),
        (SendKeys, {"id": "x", "keys": "Enter"}),
        (SendKeys, {"id": "x", "keys": ["a"], "repeat": 1001}),
        (ResizeSession, {"id": "x", "cols": 80}),
        (UpdateSession, {"id": "x", "tags": [""]}),
        (WaitSession, {"id": "x", "until": {}}),
        (WaitSession, {"id": "x", "until": {"text": "a", "exit": True}}),
        (WaitSession, {"id": "x", "until": {"exit": False}}),
        (WaitSession, {"id": "x", "until": {"text": ""}}),
        (WaitSession, {"id": "x", "until": {"idle_ms": 0}}),
        (WaitSession, {"id": "x", "until": {"text": None}}),
        (WaitSession, {"id": "x", "until": {"text": "a"}, "timeout_ms": -1}),
    ],
)
def test_refused(command: type[Command[Any]], fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        command.model_validate(fields, strict=True)
    error = invalid(refused.value, operation=command.operation)
    assert error.status == 422
    assert error.detail


def test_a_wait_takes_from_by_its_wire_name() -> None:
    command = WaitSession.model_validate_json('{"id": "x", "until": {"activity": "idle"}, "from": -5}')
    assert command.from_ == -5


def test_errors_go_over_the_wire_and_back() -> None:
    with pytest.raises(ValidationError) as refused:
        CreateSession.model_validate({"name": "X"})
    sent = invalid(refused.value, operation="session.create")
    back = error_from(problem(sent))
    assert type(back) is type(sent)
    assert (back.detail, back.operation) == (sent.detail, sent.operation)


def _session(**changes: Any) -> Session:
    fields: dict[str, Any] = {
        "id": "S0",
        "name": "build",
        "kind": Kind.TERMINAL,
        "computer": "box",
        "spec": SessionSpec(command=("bash",), cwd="/"),
        "state": Exited(Exit(3, None, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "exited")),
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
        "owner": "local",
    }
    return Session(**{**fields, **changes})


def test_the_view_has_the_members_of_the_contract() -> None:
    view = SessionView.of(_session(), bounds=Bounds(0, 9), last_activity_at="2026-01-01T00:00:00.000Z").model_dump()
    assert view["exit"] == {"code": 3, "signal": None, "at": "2026-01-02T03:04:05.000Z", "reason": "exited"}
    assert view["output"] == {"start": 0, "end": 9}
    assert view["command"] == ["bash"]
    assert set(view) >= {
        *("id", "name", "kind", "computer", "state", "activity", "command", "agent", "cwd", "cols", "rows", "title"),
        *("tags", "epoch", "created_at", "last_activity_at", "exit", "output"),
    }


def test_a_session_that_moved_says_where() -> None:
    view = SessionView.of(_session(state=HandedOff("other", "S1", 2)), bounds=Bounds(0, 0), last_activity_at="")
    assert view.handed_off is not None
    assert (view.state, view.handed_off.computer, view.handed_off.epoch) == ("handed_off", "other", 2)


@pytest.mark.parametrize("command", ["", [], ["a\0b"], 5, [1]])
def test_a_refusal_names_the_place_and_no_internals(command: object) -> None:
    with pytest.raises(ValidationError) as refused:
        CreateSession.model_validate({"command": command})
    detail = invalid(refused.value, operation="session.create").detail
    assert detail.startswith("command")
    assert not set("[]<>(") & set(detail.split(":", 1)[0])
    assert "0x" not in detail
    assert "functools" not in detail
