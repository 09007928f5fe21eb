"""Twenty sessions go on while there is no network, with a clock that is moved by hand."""

from __future__ import annotations

from benchmarks._telegram_outage import SESSIONS, outage


async def test_x35_what_waits_is_bounded_and_afterwards_everything_is_said_once() -> None:
    found = await outage(seconds=60)
    assert found.wrong == []
    assert found.waiting <= 4 * SESSIONS
    assert found.rows <= 3 * SESSIONS
