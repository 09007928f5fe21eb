"""Strict JSON in, compact JSON out (RFC 8259). Everything the standard parser lets through silently is refused."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from teleclaude.errors import MalformedError

MAX_DEPTH = 64


def loads(data: bytes, *, operation: str) -> Any:
    """Parse UTF-8 JSON; raises ``MalformedError`` for bad UTF-8, duplicate keys, NaN, Infinity, numbers out of range,
    nesting beyond ``MAX_DEPTH``, and anything that is not JSON.
    """
    try:
        value = json.loads(
            data.decode(),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_integer,
        )
    except UnicodeDecodeError as error:
        raise MalformedError(f"the body is not UTF-8 (byte {error.start})", operation=operation) from None
    except RecursionError:
        raise MalformedError("the JSON is nested too deeply", operation=operation) from None
    except ValueError as error:
        raise MalformedError(f"the body is not valid JSON: {error}", operation=operation) from None
    if _depth_exceeds(value, MAX_DEPTH):
        raise MalformedError(f"the JSON is nested deeper than {MAX_DEPTH} levels", operation=operation)
    return value


def dumps(value: object) -> bytes:
    """Compact UTF-8 JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key {key[:60]!r} appears twice")
        found[key] = value
    return found


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"number {text[:40]} is out of range")
    return number


def _integer(text: str) -> int:
    if len(text) > 20:
        raise ValueError(f"number {text[:20]}… is out of range")
    return int(text)


def _depth_exceeds(value: object, limit: int) -> bool:
    level: list[object] = [value]
    for _ in range(limit + 1):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return True
