"""How Python sessions are run: the configured values as this layer needs them. Pure."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from teleclaude.process import CgroupRoot


@dataclass(frozen=True, slots=True)
class PythonSettings:
    """Times are milliseconds. ``memory_bytes`` caps a worker's address space (RLIMIT_AS); None leaves it alone.
    ``cgroups`` makes a control group for each worker and all it starts, with caps of its own; None makes none.

    ``drain_ms`` is how long the end of a cell waits for its output to be stored.
    """

    interpreter: str = sys.executable
    ready_timeout_ms: int = 10_000
    grace_ms: int = 500
    drain_ms: int = 500
    input_timeout_ms: int = 600_000
    heartbeat_ms: int = 5_000
    request_timeout_ms: int = 10_000
    max_output_bytes: int = 16 << 20
    max_queued: int = 100
    cache_size: int | None = 100
    memory_bytes: int | None = None
    warm: int = 0
    cgroups: CgroupRoot | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a session's code runs: an existing directory, and what its environment has besides the daemon's."""

    cwd: str
    env: Mapping[str, str] = field(default_factory=dict)
