"""What counts as a failure of the machine, and what only as a wrong request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from teleclaude.errors import IndeterminateError, InternalError, UnavailableError
from teleclaude.process.breaker import SpawnBreaker


@contextmanager
def guarded(breaker: SpawnBreaker) -> Iterator[None]:
    """Counts how the block ends. Raises ``UnavailableError`` at once while the breaker is open."""
    breaker.admit()
    try:
        yield
    except (UnavailableError, IndeterminateError, InternalError, OSError):
        breaker.failed()
        raise
    except BaseException:
        breaker.withdrawn()
        raise
    else:
        breaker.succeeded()
