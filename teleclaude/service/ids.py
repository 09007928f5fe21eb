"""Ids: short, sortable by time, safe in a path or a shell, and never mistaken for a name (they hold capitals)."""

from __future__ import annotations

import secrets

from teleclaude.clock import Clock

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TIME_DIGITS = 9
_RANDOM_DIGITS = 8


def new_id(prefix: str, clock: Clock) -> str:
    """``prefix`` (one capital letter), 9 digits of milliseconds and 8 of chance, in Crockford's base 32."""
    moment = int(clock.now().timestamp() * 1000)
    return prefix + _digits(moment, _TIME_DIGITS) + _digits(secrets.randbits(5 * _RANDOM_DIGITS), _RANDOM_DIGITS)


def _digits(number: int, count: int) -> str:
    return "".join(_ALPHABET[(number >> (5 * place)) & 31] for place in reversed(range(count)))
