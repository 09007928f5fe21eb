"""A failed check is unknown, never fine, and none holds up the others."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from teleclaude.api import Check
from teleclaude.errors import UnavailableError
from teleclaude.service import health
from teleclaude.service.health import Health

OK = Check(ok=True, detail="ok")


async def good() -> Check:
    return OK


async def hangs() -> Check:
    await asyncio.Event().wait()
    return OK


async def breaks() -> Check:
    raise ZeroDivisionError


async def away() -> Check:
    raise UnavailableError("nobody home", operation="part.check")


async def test_what_cannot_be_known_is_not_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.05)
    readiness = await Health({"a": good, "b": hangs, "c": breaks, "d": away}).readiness()
    assert {name: check.ok for name, check in readiness.checks.items()} == {
        "a": True,
        "b": False,
        "c": False,
        "d": False,
    }
    assert "unknown" in readiness.checks["b"].detail
    assert "nobody home" in readiness.checks["d"].detail
    assert not readiness.ok


async def test_adapters_count_and_their_silence_does_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.05)
    parts = Health({"a": good})
    assert (await parts.readiness()).ok

    async def adapters() -> Mapping[str, Check]:
        return {"rest": OK}

    parts.adapters = adapters
    assert set((await parts.readiness()).checks) == {"a", "rest"}

    async def silent() -> Mapping[str, Check]:
        await asyncio.Event().wait()
        return {}

    parts.adapters = silent
    assert not (await parts.readiness()).ok
