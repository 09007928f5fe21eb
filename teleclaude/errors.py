"""Every error a caller can meet: a stable ``code``, the operation, and what to do next.

Clients branch on ``code``; ``status`` is the HTTP status that goes with it. The tree is one level deep on purpose:
one class per thing a caller can do about it.
"""

from __future__ import annotations

from typing import ClassVar


class TeleclaudeError(Exception):
    """Base of all errors that may reach a client.

    ``detail`` is one sentence for a person and says what to do; ``operation`` names what was tried
    (``session.create``, ``tmux.send-keys``); ``fields`` are extra members of the wire object.
    """

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500

    def __init__(self, detail: str, *, operation: str = "", **fields: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.operation = operation
        self.fields = fields

    def __str__(self) -> str:
        return f"{self.operation}: {self.detail}" if self.operation else self.detail


class InternalError(TeleclaudeError):
    """A defect of ours; the log holds the trace."""


class MalformedError(TeleclaudeError):
    """The request could not be read at all."""

    code = "malformed"
    status = 400


class UnauthenticatedError(TeleclaudeError):
    code = "unauthenticated"
    status = 401


class ForbiddenError(TeleclaudeError):
    code = "forbidden"
    status = 403


class NotFoundError(TeleclaudeError):
    code = "not_found"
    status = 404


class MethodError(TeleclaudeError):
    """The path exists, but not with this method."""

    code = "method"
    status = 405


class ConflictError(TeleclaudeError):
    code = "conflict"
    status = 409


class BusyError(TeleclaudeError):
    code = "busy"
    status = 409


class ExitedError(TeleclaudeError):
    """The session or execution has ended, so it takes no more input."""

    code = "exited"
    status = 409


class KeyReusedError(TeleclaudeError):
    """An idempotency key came back with another body."""

    code = "key_reused"
    status = 409


class GapError(TeleclaudeError):
    """The bytes asked for are below retention; ``start`` is the oldest kept offset."""

    code = "gap"
    status = 410

    def __init__(self, detail: str, *, start: int, operation: str = "") -> None:
        super().__init__(detail, operation=operation, start=start)
        self.start = start


class TooLargeError(TeleclaudeError):
    code = "too_large"
    status = 413


class MediaTypeError(TeleclaudeError):
    code = "media_type"
    status = 415


class MisdirectedError(TeleclaudeError):
    code = "misdirected"
    status = 421


class InvalidError(TeleclaudeError):
    """The request was read, but a value in it is not acceptable."""

    code = "invalid"
    status = 422


class LimitError(TeleclaudeError):
    """A configured limit is reached; ``retry_after_ms`` says when to try again, where that is known."""

    code = "limit"
    status = 429

    def __init__(self, detail: str, *, operation: str = "", retry_after_ms: int = 1000) -> None:
        super().__init__(detail, operation=operation, retry_after_ms=retry_after_ms)
        self.retry_after_ms = retry_after_ms


class UnavailableError(TeleclaudeError):
    """A part the request needs is away; nothing was done."""

    code = "unavailable"
    status = 503


class StoppingError(UnavailableError):
    """The daemon is on its way out; the same request can be made again once it is back."""


class DeadlineError(TeleclaudeError):
    """The deadline passed and it is known that nothing took effect."""

    code = "timeout"
    status = 504


class IndeterminateError(TeleclaudeError):
    """The deadline passed and the effect may still happen. Never retried by the daemon; look before trying again."""

    code = "indeterminate"
    status = 504


class NoSpaceError(TeleclaudeError):
    code = "no_space"
    status = 507


class SubprocessTimeoutError(DeadlineError):
    """A helper process outlived its deadline and was killed. ``timeout`` is in seconds."""

    def __init__(self, operation: str, timeout: float, pid: int) -> None:
        super().__init__(f"process {pid} did not end within {timeout:g} s and was killed", operation=operation, pid=pid)
        self.timeout = timeout
        self.pid = pid


class SubprocessStuckError(IndeterminateError):
    """A helper process did not end even after SIGKILL; the kernel still holds it."""

    def __init__(self, operation: str, pid: int) -> None:
        super().__init__(
            f"process {pid} survived SIGKILL; look at it with ps before trying again", operation=operation, pid=pid
        )
        self.pid = pid


ERRORS_BY_CODE: dict[str, type[TeleclaudeError]] = {
    cls.code: cls
    for cls in (
        InternalError,
        MalformedError,
        UnauthenticatedError,
        ForbiddenError,
        NotFoundError,
        MethodError,
        ConflictError,
        BusyError,
        ExitedError,
        KeyReusedError,
        GapError,
        TooLargeError,
        MediaTypeError,
        MisdirectedError,
        InvalidError,
        LimitError,
        UnavailableError,
        DeadlineError,
        IndeterminateError,
        NoSpaceError,
    )
}
