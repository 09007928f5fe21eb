"""One adapter's failure is its own."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from types import SimpleNamespace
from typing import Any, Self, cast

import pytest

from teleclaude.api import AdapterContext, Check
from teleclaude.plugins import GROUP, Adapters

LIFE: list[str] = []


class Good:
    name = "good"

    async def __aenter__(self) -> Self:
        LIFE.append(f"{self.name} up")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        LIFE.append(f"{self.name} down")

    async def check(self) -> Check:
        return Check(ok=True, detail="ok")


class Broken(Good):
    async def __aenter__(self) -> Self:
        raise RuntimeError("no socket")


class Rude(Good):
    name = "rude"

    async def __aexit__(self, *exc_info: object) -> None:
        raise RuntimeError("will not go")

    async def check(self) -> Check:
        raise RuntimeError("cannot look")


def good(_context: AdapterContext) -> Good:
    return Good()


def broken(_context: AdapterContext) -> Good:
    return Broken()


def rude(_context: AdapterContext) -> Good:
    return Rude()


def points(**targets: str) -> dict[str, EntryPoint]:
    return {name: EntryPoint(name=name, group=GROUP, value=value) for name, value in targets.items()}


@pytest.fixture(autouse=True)
def _fresh() -> None:
    LIFE.clear()


async def test_a_failing_adapter_is_reported_and_the_others_serve() -> None:
    failures: list[tuple[str, str]] = []
    found = points(a=f"{__name__}:broken", b=f"{__name__}:good", c=f"{__name__}:rude", d="no_such_module_xyz:adapter")
    context = cast(AdapterContext, SimpleNamespace())

    def failed(name: str, detail: str) -> None:
        failures.append((name, detail))

    async with Adapters(lambda _name: context, on_failure=failed, found=found) as adapters:
        checks = await adapters.checks()
        assert {name: check.ok for name, check in checks.items()} == {"a": False, "b": True, "c": False, "d": False}
        assert "no socket" in checks["a"].detail
        assert "teleclaude[d]" in checks["d"].detail
        assert [name for name, _ in failures] == ["a", "d"]
    assert LIFE == ["good up", "rude up", "good down"]


async def test_only_enabled_adapters_are_loaded() -> None:
    def nobody(_name: str) -> None:
        return None

    def failed(name: str, detail: str) -> Any:
        pytest.fail(f"{name}: {detail}")

    async with Adapters(nobody, on_failure=failed, found=points(a="no_such_module_xyz:adapter")) as adapters:
        assert await adapters.checks() == {}
