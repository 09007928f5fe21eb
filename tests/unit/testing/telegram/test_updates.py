"""The queue of updates."""

from __future__ import annotations

from teleclaude.testing.telegram.updates import FIRST_ID, Updates


def ids(updates: Updates, limit: int = 100) -> list[int]:
    return [update["update_id"] - FIRST_ID for update in updates.take(limit)]


def test_an_offset_confirms_what_is_below_it() -> None:
    updates = Updates()
    for _ in range(5):
        updates.add("message", {}, 0)
    assert ids(updates, 2) == [0, 1]
    updates.confirm(FIRST_ID + 2, 0)
    assert ids(updates) == [2, 3, 4]
    updates.confirm(-1, 0)
    assert ids(updates) == [4]
    assert updates.confirmed == FIRST_ID + 3


def test_holes_repeats_and_strangers() -> None:
    updates = Updates()
    updates.add("message", {}, 0)
    updates.skip(3)
    updates.add("message", {}, 0)
    updates.inject({"update_id": FIRST_ID + 9, "x": 1}, 0)
    assert updates.add("message", {}, 0) == FIRST_ID + 10
    assert ids(updates) == [0, 4, 9, 10]
    updates.confirm(FIRST_ID + 11, 0)
    updates.repeat(2)
    assert ids(updates) == [9, 10]
    assert ids(updates) == []


def test_a_kind_that_nobody_asked_for_uses_up_an_id() -> None:
    updates = Updates()
    updates.add("message_reaction", {}, 0)
    updates.allowed = frozenset({"message_reaction"})
    updates.add("message", {}, 0)
    updates.add("message_reaction", {}, 0)
    assert ids(updates) == [2]
