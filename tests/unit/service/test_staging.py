"""What is brought for a session that may come here has bounds, and is looked at before anything is let go of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from teleclaude.errors import TooLargeError
from teleclaude.service.handoff.staging import Staged
from teleclaude.wire.handoff import MAX_HISTORY_BYTES, PrepareHandoff

ID = "H" + "0" * 17
SEGMENT = 1 << 20


def request(**changes: Any) -> PrepareHandoff:
    session: dict[str, Any] = {
        "id": "S" + "0" * 17,
        "name": "work",
        "command": None,
        "agent": None,
        "cwd": "/",
        "places": [],
        "env": {},
        "cols": 80,
        "rows": 24,
        "tags": [],
        "title": "",
        "owner": "local",
        "created_at": "2026-01-02T03:04:05+00:00",
    }
    fields = {"handoff": ID, "source": "north", "epoch": 1, "start": 7, "git": False}
    return PrepareHandoff.model_validate({**fields, "session": {**session, **changes}})


def test_a_history_has_a_bound_that_holes_count_for(tmp_path: Path) -> None:
    staged = Staged(tmp_path / ID, SEGMENT)
    staged.begin(request(), "/", 1)
    assert staged.write_history(7, b"abc") == 10
    assert staged.skip_history(10 + 3 * SEGMENT) == 10 + 3 * SEGMENT
    for too_far in (8 + MAX_HISTORY_BYTES, 2**62):
        with pytest.raises(TooLargeError):
            staged.skip_history(too_far)
        with pytest.raises(TooLargeError):
            staged.write_history(too_far - 1, b"x")


def test_a_conversation_is_something_that_a_program_can_be_given() -> None:
    with pytest.raises(ValidationError):
        request(agent={"name": "claude", "conversation_id": "a\0b"})


@pytest.mark.parametrize("text", ["", "yesterday", "2026-01-02T03:04:05"])
def test_a_session_says_when_it_was_made(text: str) -> None:
    with pytest.raises(ValidationError):
        request(created_at=text)
