"""The ``executions`` section as the process layer needs it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import structlog

from teleclaude.config import Config
from teleclaude.model import Overflow
from teleclaude.process import CgroupRoot, ExecutionPolicy, claim

log = structlog.get_logger(__name__)

_DAEMON_ONLY = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")


def policy_of(config: Config) -> ExecutionPolicy:
    section = config.executions
    return ExecutionPolicy(
        max_concurrent=section.max_concurrent,
        timeout_ms=section.timeout_ms,
        max_timeout_ms=section.max_timeout_ms,
        grace_ms=section.grace_ms,
        drain_ms=section.drain_ms,
        max_output_bytes=section.max_output_bytes,
        overflow=Overflow(section.overflow),
        max_spool_bytes=section.max_spool_bytes,
        allowed=None if section.allowed is None else tuple(section.allowed),
    )


def cgroups_of(config: Config) -> CgroupRoot | None:
    """Where commands get control groups of their own, with the configured caps; None where none is delegated to us.

    Caps that cannot be enforced are said in the log, once; commands run all the same.
    """
    root, section = claim(), config.executions
    if root is not None:
        return root.with_caps(pids_max=section.max_processes, memory_max_bytes=section.max_memory_bytes)
    if section.max_memory_bytes is not None or section.max_processes is not None:
        log.warning("caps_not_enforced", detail="no control group is delegated to the daemon")
    return None


def unenforced_caps(config: Config, cgroups: CgroupRoot | None) -> list[str]:
    """The keys of the caps that are set and do nothing, with ``cgroups`` as ``cgroups_of`` answered."""
    section, kept = config.executions, cgroups or CgroupRoot(Path())
    caps = {
        "executions.max_memory_bytes": (section.max_memory_bytes, kept.memory_max_bytes),
        "executions.max_processes": (section.max_processes, kept.pids_max),
    }
    return [key for key, (wanted, given) in caps.items() if wanted != given]


def command_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What a command starts from: the user's environment, without what speaks to the service manager."""
    return {name: value for name, value in environ.items() if name not in _DAEMON_ONLY}
