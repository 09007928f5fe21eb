"""Is every part up: one bounded look at each, and "unknown" is not "ok"."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog

from teleclaude.api import Check, Readiness
from teleclaude.errors import TeleclaudeError

log = structlog.get_logger(__name__)

CHECK_SECONDS = 1.5

Probe = Callable[[], Awaitable[Check]]


class Health:
    """Runs all probes side by side, each under its own deadline, so that the answer comes within 2 s."""

    def __init__(
        self, probes: Mapping[str, Probe], adapters: Callable[[], Awaitable[Mapping[str, Check]]] | None = None
    ) -> None:
        self._probes = probes
        self.adapters = adapters

    async def readiness(self) -> Readiness:
        probes = asyncio.gather(*(_probe(name, probe) for name, probe in self._probes.items()))
        found, adapters = await asyncio.gather(probes, self._adapter_checks())
        return Readiness(checks={**dict(zip(self._probes, found, strict=True)), **adapters})

    async def _adapter_checks(self) -> Mapping[str, Check]:
        if self.adapters is None:
            return {}
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                return await self.adapters()
        except TimeoutError:
            return {"adapters": Check(ok=False, detail="their checks did not answer: state unknown")}


async def _probe(name: str, probe: Probe) -> Check:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await probe()
    except TimeoutError:
        return Check(ok=False, detail=f"no answer within {CHECK_SECONDS:g} s: state unknown")
    except (TeleclaudeError, OSError) as error:
        return Check(ok=False, detail=str(error))
    except Exception as error:
        # A probe with a defect must not hide what the others found.
        log.exception("probe_failed", probe=name)
        return Check(ok=False, detail=f"the check itself failed: {error}")
