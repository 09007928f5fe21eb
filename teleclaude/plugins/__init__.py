"""Adapters by entry point: built-ins and strangers enter by the same door, and none can keep the daemon down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points

import structlog

from teleclaude.api import Adapter, AdapterContext, Check
from teleclaude.errors import UnavailableError

log = structlog.get_logger(__name__)

GROUP = "teleclaude.adapters"
START_TIMEOUT = 15.0
STOP_TIMEOUT = 5.0
CHECK_TIMEOUT = 1.5


class Adapters:
    """The enabled adapters, started in name order and stopped in reverse; an async context manager.

    ``context_for`` gives the context of an adapter by name, or None when it is not enabled.
    """

    def __init__(
        self,
        context_for: Callable[[str], AdapterContext | None],
        *,
        on_failure: Callable[[str, str], None],
        found: Mapping[str, EntryPoint] | None = None,
    ) -> None:
        self._context_for = context_for
        self._on_failure = on_failure
        self._found = found if found is not None else {point.name: point for point in entry_points(group=GROUP)}
        self._running: dict[str, Adapter] = {}
        self._failed: dict[str, str] = {}

    async def __aenter__(self) -> Adapters:
        for name in sorted(self._found):
            context = self._context_for(name)
            if context is not None:
                await self._start(name, context)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for name, adapter in reversed(self._running.items()):
            try:
                async with asyncio.timeout(STOP_TIMEOUT):
                    await adapter.__aexit__(None, None, None)
            except TimeoutError:
                log.warning("adapter_stop_timeout", adapter=name, timeout_s=STOP_TIMEOUT)
            except Exception:
                # The others still have to be stopped.
                log.exception("adapter_stop_failed", adapter=name)
        self._running.clear()

    async def _start(self, name: str, context: AdapterContext) -> None:
        try:
            factory = _load(self._found[name])
            adapter = factory(context)
            async with asyncio.timeout(START_TIMEOUT):
                await adapter.__aenter__()
        except TimeoutError:
            self._fail(name, f"did not start within {START_TIMEOUT:g} s")
        except Exception as error:
            # An adapter that cannot start leaves the daemon running; readiness and the log say so.
            log.exception("adapter_start_failed", adapter=name)
            self._fail(name, str(error) or type(error).__name__)
        else:
            self._running[name] = adapter
            log.info("adapter_started", adapter=name)

    def _fail(self, name: str, detail: str) -> None:
        self._failed[name] = detail
        self._on_failure(name, detail)

    async def checks(self) -> dict[str, Check]:
        """One check per enabled adapter; one that does not answer in time is not ok."""
        results = {name: Check(ok=False, detail=detail) for name, detail in self._failed.items()}
        for name, adapter in self._running.items():
            results[name] = await _check(name, adapter)
        return results


async def _check(name: str, adapter: Adapter) -> Check:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            return await adapter.check()
    except TimeoutError:
        return Check(ok=False, detail="the check did not answer: state unknown")
    except Exception as error:
        # A failed check is a finding, not a reason to fail readiness as a whole.
        log.exception("adapter_check_failed", adapter=name)
        return Check(ok=False, detail=f"the check failed: {error}")


def _load(point: EntryPoint) -> Callable[[AdapterContext], Adapter]:
    try:
        factory: Callable[[AdapterContext], Adapter] = point.load()
    except ImportError as error:
        raise UnavailableError(
            f"a library is missing ({error.name or error}); install it with: pip install 'teleclaude[{point.name}]'",
            operation=f"adapter.{point.name}",
        ) from error
    return factory
