"""The ``python`` and ``executions`` sections as the engine needs them. Pure."""

from __future__ import annotations

from dataclasses import replace

from teleclaude.config import Config
from teleclaude.errors import InvalidError
from teleclaude.process import CgroupRoot
from teleclaude.python import PythonSettings
from teleclaude.wire.python import RunCell


def settings_of(config: Config, cgroups: CgroupRoot | None = None) -> PythonSettings:
    """``cgroups`` is where the workers may have control groups of their own; they get the configured caps."""
    section, executions = config.python, config.executions
    if cgroups is not None:
        cgroups = replace(cgroups, pids_max=section.max_processes, memory_max_bytes=section.max_memory_bytes)
    return PythonSettings(
        interpreter=section.interpreter,
        ready_timeout_ms=section.ready_timeout_ms,
        grace_ms=section.grace_ms,
        drain_ms=executions.drain_ms,
        max_output_bytes=executions.max_output_bytes,
        memory_bytes=section.max_memory_bytes,
        warm=section.warm,
        cgroups=cgroups,
    )


def timeout_of(command: RunCell, config: Config) -> int | None:
    """Raises ``InvalidError`` for more than is granted."""
    most = config.executions.max_timeout_ms
    if command.timeout_ms is not None and command.timeout_ms > most:
        raise InvalidError(
            f"timeout_ms is {command.timeout_ms}; give 1 to {most} (executions.max_timeout_ms)",
            operation=command.operation,
        )
    return config.executions.timeout_ms if command.timeout_ms is None else command.timeout_ms
