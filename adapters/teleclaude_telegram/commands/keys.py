"""Commands that press keys."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from teleclaude.errors import InvalidError
from teleclaude.wire.sessions import SendInput, SendKeys
from teleclaude_telegram.ask import Ask
from teleclaude_telegram.validation import checked

Run = Callable[[Ask], Awaitable[None]]


async def press(ask: Ask, keys: list[str], *, repeat: int = 1) -> None:
    """Raises ``TeleclaudeError``."""
    place = ask.session()
    ask.tools.watcher.touched(place.session_id)
    await ask.call(checked(SendKeys, {"id": place.session_id, "keys": keys, "repeat": repeat}))
    await ask.served()


def pressing(*keys: str) -> Run:
    async def run(ask: Ask) -> None:
        await press(ask, list(keys))

    return run


def repeating(key: str) -> Run:
    async def run(ask: Ask) -> None:
        await press(ask, [key], repeat=ask.number(most=200))

    return run


def escaping(times: int) -> Run:
    async def run(ask: Ask) -> None:
        await press(ask, ["Escape"] * times)
        if ask.args:
            await ask.call(checked(SendInput, {"id": ask.session().session_id, "text": ask.args}), "-text")

    return run


async def control(ask: Ask) -> None:
    key = ask.args.strip().lower()
    if len(key) != 1:
        raise InvalidError("write one key behind /ctrl, such as: /ctrl d", operation="telegram")
    await press(ask, [f"C-{key}"])
