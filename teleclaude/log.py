"""One log for structlog and stdlib loggers: JSON lines or a console, on stderr, without secrets.

Names of events and keys are an interface: snake_case, scalar values. Bind what belongs to one request with
``structlog.contextvars`` (``request_id``, ``session_id``, ``execution_id``); library records get it too.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

HIDDEN = "***"

_SECRET_KEY = re.compile(r"(?:^|[_-])(?:token|secret|password|authorization)$", re.IGNORECASE)
_SECRET_VALUES = (
    (re.compile(r"(Bearer\s+)[^\s\"',;]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    # A bot token, also where it is part of an address.
    (re.compile(r"\d+:[A-Za-z0-9_-]{30,}"), HIDDEN),
    (re.compile(r"(://[^/\s:@]*:)[^/\s@]+@"), rf"\1{HIDDEN}@"),
)
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}
_CHATTY = ("aiohttp.access", "asyncio", "httpcore", "httpx", "telegram")
"""Libraries that narrate at info or debug, some of them addresses with tokens in them."""


def configure_logging(level: str = "info", style: str = "auto", stream: TextIO | None = None) -> None:
    """Send all logs to ``stream`` (stderr) in ``style`` (``auto``, ``console``, ``json``); can be called again.

    ``level`` is ``debug``, ``info``, ``warning`` or ``error``.
    """
    stream = stream if stream is not None else sys.stderr
    console = style == "console" or (style == "auto" and stream.isatty())
    handler = _Handler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_common(), processors=_console(stream) if console else _json()
        )
    )
    root = logging.getLogger()
    for old in [known for known in root.handlers if isinstance(known, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=_PROCESSORS,
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        # Level and handler are asked of the standard library each time, so nothing that is kept can grow old.
        cache_logger_on_first_use=True,
    )


def scrub(value: object) -> object:
    """``value`` with everything that looks like a secret replaced by ``***``, in mappings and lists too."""
    if isinstance(value, str):
        for pattern, replacement in _SECRET_VALUES:
            value = pattern.sub(replacement, value)
        return value
    if isinstance(value, Mapping):
        return {key: HIDDEN if _is_secret(key) else scrub(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [scrub(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return scrub(repr(value))


class _Handler(logging.StreamHandler[TextIO]):
    """Ours, so that a second configuration replaces the first and leaves others alone."""


def _common() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        # As text, here already: it shows no local variables, and is scrubbed like everything else.
        structlog.processors.format_exc_info,
    ]


_PROCESSORS: list[Processor] = [
    structlog.stdlib.filter_by_level,
    *_common(),
    structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
]


def _json() -> list[Processor]:
    return [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        _scrub_all,
        structlog.processors.JSONRenderer(),
    ]


def _console(stream: TextIO) -> list[Processor]:
    return [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        _scrub_all,
        _disarm,
        structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=32
        ),
    ]


def _is_secret(key: object) -> bool:
    return isinstance(key, str) and _SECRET_KEY.search(key) is not None


def _scrub_all(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: HIDDEN if _is_secret(key) else scrub(value) for key, value in event.items()}


def _disarm(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A terminal must not obey what was logged."""
    return {key: value.translate(_CONTROLS) if isinstance(value, str) else value for key, value in event.items()}
