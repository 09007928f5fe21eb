"""The way from an update to a terminal and back, walked without Telegram: the adapter on a stage of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from teleclaude.assist.echo import word
from teleclaude.assist.findings import Finding, failure, ok
from teleclaude.assist.stage import quiet, stage
from teleclaude.cli.failure import CliError

PATIENCE_SECONDS = 30.0
ABOUT = "telegram rehearsal"


def rehearse(environ: Mapping[str, str]) -> Finding:
    """Takes some seconds; the user's own daemon, sessions and bot are not touched."""
    quiet()
    try:
        return asyncio.run(_rehearse(environ))
    except CliError as error:
        return failure(ABOUT, f"the adapter's daemon did not come up: {error}")


async def _rehearse(environ: Mapping[str, str]) -> Finding:
    there, back = word(), word()
    async with stage(environ) as scene:
        fake, missing = scene.fake, "a poll of the adapter"
        try:
            await fake.until(fake.polling, PATIENCE_SECONDS)
            missing = "a topic for a new session"
            await scene.ann.says("/new echo", chat=scene.group)
            topic = await fake.until(lambda: fake.topic("echo"), PATIENCE_SECONDS)
            missing = "the output of what was typed"
            # The echo of the typed line holds the words, but not together.
            await scene.ann.says(f"printf '%s-%s\\n' {there} {back}", topic=topic)
            await fake.until(lambda: fake.messages(f"{there}-{back}", topic=topic), PATIENCE_SECONDS)
        except TimeoutError:
            return failure(ABOUT, f"there was no {missing.removeprefix('a ')} within {PATIENCE_SECONDS:g} s")
    return ok(ABOUT, "an update reached a terminal, and its output came back as a message (offline, on a fake server)")
