"""What an execution may use: the configured policy and what one request makes of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from teleclaude.errors import InvalidError
from teleclaude.model import ExecutionSpec, Overflow


@dataclass(frozen=True, slots=True)
class ExecutionPolicy:
    """The ``executions`` section as this layer needs it. ``allowed`` None lets every program run."""

    shell: str = "/bin/sh"
    max_concurrent: int = 16
    timeout_ms: int | None = None
    max_timeout_ms: int = 24 * 3_600_000
    grace_ms: int = 2000
    drain_ms: int = 500
    max_output_bytes: int = 16 << 20
    overflow: Overflow = Overflow.TRUNCATE
    max_spool_bytes: int = 1 << 30
    allowed: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one execution. Times are milliseconds; ``output_bytes`` holds for each stream.

    A spool is there to hold what is beyond the usual cap, so its one limit is the policy's ``max_spool_bytes``.
    """

    timeout_ms: int | None
    idle_timeout_ms: int | None
    grace_ms: int
    drain_ms: int
    output_bytes: int
    overflow: Overflow


def limits_for(spec: ExecutionSpec, policy: ExecutionPolicy) -> Limits:
    """Raises ``InvalidError`` for what the policy does not grant."""
    for name, value in (("timeout_ms", spec.timeout_ms), ("idle_timeout_ms", spec.idle_timeout_ms)):
        if value is not None and not 0 < value <= policy.max_timeout_ms:
            raise InvalidError(
                f"{name} is {value}; give 1 to {policy.max_timeout_ms} (executions.max_timeout_ms)",
                operation="execution.start",
            )
    overflow = spec.overflow or policy.overflow
    ceiling = policy.max_spool_bytes
    default = min(policy.max_output_bytes, ceiling)
    output_bytes = default if spec.max_output_bytes is None else spec.max_output_bytes
    if not 0 <= output_bytes <= ceiling:
        raise InvalidError(
            f"max_output_bytes is {output_bytes}; give 0 to {ceiling} (executions.max_spool_bytes)",
            operation="execution.start",
        )
    return Limits(
        timeout_ms=policy.timeout_ms if spec.timeout_ms is None else spec.timeout_ms,
        idle_timeout_ms=spec.idle_timeout_ms,
        grace_ms=policy.grace_ms,
        drain_ms=policy.drain_ms,
        output_bytes=ceiling if overflow is Overflow.SPOOL else output_bytes,
        overflow=overflow,
    )
