from __future__ import annotations

import asyncio
from pathlib import Path

from teleclaude.store.ballast import BALLAST_BYTES, RETRY_SECONDS, Ballast
from teleclaude.testing.clock import ManualClock


def test_it_is_kept_given_back_and_made_again(tmp_path: Path) -> None:
    path, clock = tmp_path / "ballast", ManualClock()
    kept = Ballast(path, clock)
    kept.keep()
    assert path.stat().st_size == BALLAST_BYTES
    assert path.stat().st_blocks * 512 >= BALLAST_BYTES
    assert path.stat().st_mode & 0o777 == 0o600
    assert kept.release()
    assert not kept.release()
    kept.keep()
    assert not path.exists(), "the room just given back must serve the delete first"
    asyncio.run(clock.advance(RETRY_SECONDS))
    kept.keep()
    assert path.stat().st_size == BALLAST_BYTES


def test_a_place_that_cannot_hold_it_is_no_failure(tmp_path: Path) -> None:
    kept = Ballast(tmp_path / "missing/ballast", ManualClock())
    kept.keep()
    assert not kept.release()
