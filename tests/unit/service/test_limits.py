from __future__ import annotations

import pytest

from teleclaude.errors import ConflictError, LimitError, UnavailableError
from teleclaude.model import Principal, Role
from teleclaude.process.breaker import FAILURES, SpawnBreaker
from teleclaude.service.breaker import guarded
from teleclaude.service.limits import CALLS, MAX_STREAMS, STARTING, Limits
from teleclaude.testing.clock import ManualClock

CI = Principal("token:ci", Role.OPERATOR)
LOCAL = Principal("local", Role.OWNER)


async def test_calls_come_back_with_time() -> None:
    clock = ManualClock()
    limits = Limits(clock)
    for _ in range(CALLS.burst):
        limits.admit(CI, "session.list")
    with pytest.raises(LimitError) as refused:
        limits.admit(CI, "session.list")
    assert 0 < refused.value.retry_after_ms <= 1000 / CALLS.per_second
    limits.admit(Principal("token:other", Role.OPERATOR), "session.list")
    await clock.advance(10 / CALLS.per_second)
    for _ in range(10):
        limits.admit(CI, "session.list")
    with pytest.raises(LimitError):
        limits.admit(CI, "session.list")


def test_starting_is_rarer() -> None:
    limits = Limits(ManualClock())
    for _ in range(STARTING.burst):
        limits.admit(CI, "session.create")
    with pytest.raises(LimitError):
        limits.admit(CI, "execution.start")
    limits.admit(CI, "session.list")


def test_the_local_owner_is_not_limited() -> None:
    limits = Limits(ManualClock())
    for _ in range(10 * CALLS.burst):
        limits.admit(LOCAL, "session.create")


def test_streams_at_once() -> None:
    limits = Limits(ManualClock())
    open_ = [limits.stream(CI, "output.follow") for _ in range(MAX_STREAMS)]
    for stream in open_:
        stream.__enter__()
    with pytest.raises(LimitError), limits.stream(CI, "output.follow"):
        pass
    open_.pop().__exit__(None, None, None)
    with limits.stream(CI, "output.follow"):
        pass
    for stream in open_:
        stream.__exit__(None, None, None)


async def test_the_machine_failing_opens_the_breaker_and_one_probe_closes_it() -> None:
    clock = ManualClock()
    breaker = SpawnBreaker(clock, operation="session.create", cool_down=3)
    for _ in range(3 * FAILURES):
        with pytest.raises(ConflictError), guarded(breaker):
            raise ConflictError("the request's own fault")
    for _ in range(FAILURES):
        with pytest.raises(UnavailableError, match="away"), guarded(breaker):
            raise UnavailableError("away")
    with pytest.raises(UnavailableError, match="attempts") as refused, guarded(breaker):
        pytest.fail("let through")
    assert refused.value.fields["retry_after_ms"] == 3000
    await clock.advance(3.1)
    with pytest.raises(UnavailableError, match="away"), guarded(breaker):
        raise UnavailableError("away")
    assert breaker.is_open
    await clock.advance(3.1)
    with guarded(breaker):
        pass
    assert not breaker.is_open
