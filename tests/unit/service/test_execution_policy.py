"""The configured caps of commands, and whether they hold."""

from __future__ import annotations

from pathlib import Path

from teleclaude.config import Config
from teleclaude.process import CgroupRoot
from teleclaude.service.executions.policy import unenforced_caps

CAPPED = Config.model_validate({"executions": {"max_memory_bytes": 1 << 30, "max_processes": 50}})
BOTH = ["executions.max_memory_bytes", "executions.max_processes"]


def test_caps_that_do_nothing_are_named() -> None:
    assert unenforced_caps(CAPPED, None) == BOTH
    assert unenforced_caps(CAPPED, CgroupRoot(Path("/delegated"))) == BOTH
    assert unenforced_caps(CAPPED, CgroupRoot(Path("/delegated"), pids_max=50)) == BOTH[:1]


def test_caps_that_hold_or_are_not_set_are_not() -> None:
    assert unenforced_caps(CAPPED, CgroupRoot(Path("/delegated"), pids_max=50, memory_max_bytes=1 << 30)) == []
    assert unenforced_caps(Config(), None) == []
