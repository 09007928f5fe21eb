"""``teleclaude demo telegram``: a conversation with the adapter, printed while it happens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from teleclaude.assist.stage import Stage, quiet, stage
from teleclaude.cli.failure import OK, REFUSED
from teleclaude.cli.output import Output
from teleclaude.testing.telegram import Message, Topic
from teleclaude.testing.telegram.recorder import Entry
from teleclaude.testing.telegram.transcript import lines_of

PATIENCE_SECONDS = 30.0
GENERAL = 1
"""The topic of a forum that is always there."""


@dataclass(frozen=True, slots=True)
class Scene:
    """``title`` says what the person wants to see; ``play`` ends once it has been seen."""

    title: str
    play: Callable[[Stage], Awaitable[None]]


def demo_telegram(out: Output, environ: Mapping[str, str]) -> int:
    """Answers 0 when every scene went as it should."""
    quiet()
    return asyncio.run(_demo(out, environ))


async def _demo(out: Output, environ: Mapping[str, str]) -> int:
    async with stage(environ) as scene:

        def show(entry: Entry) -> None:
            for line in lines_of(entry, scene.fake.world):
                out.line(line)

        scene.fake.listeners.append(show)
        for part in SCENES:
            out.line(f"\n— {part.title}")
            try:
                await part.play(scene)
            except (TimeoutError, LookupError) as error:
                out.note(f"this did not happen: {part.title} ({str(error).splitlines()[0]})")
                return REFUSED
    return OK


async def _polls(scene: Stage) -> None:
    await scene.fake.until(scene.fake.polling, PATIENCE_SECONDS)


async def _begins(scene: Stage) -> None:
    await scene.ann.says("/new build", chat=scene.group)
    await scene.fake.until(lambda: scene.fake.topic("build"), PATIENCE_SECONDS)


async def _types(scene: Stage) -> None:
    await scene.ann.says("echo $((6 * 7)) apples", topic=_topic(scene))
    await _answered(scene, "42 apples")


async def _is_asked(scene: Stage) -> None:
    await scene.ann.says("printf 'Overwrite notes.txt? [y/N] '; read it; echo you said $it", topic=_topic(scene))
    await scene.fake.until(lambda: scene.fake.messages(topic=_topic(scene), button="Yes"), PATIENCE_SECONDS)
    await scene.ann.presses("Yes", chat=scene.group)
    await _answered(scene, "you said y")


async def _looks(scene: Stage) -> None:
    await scene.ann.says("/screen", topic=_topic(scene))
    await scene.fake.until(lambda: [m for m in scene.fake.messages(topic=_topic(scene)) if "photo" in m.content], 30)


async def _runs(scene: Stage) -> None:
    await scene.ann.says("/run echo by itself; exit 3", chat=scene.group)
    await scene.fake.until(lambda: scene.fake.messages("by itself"), PATIENCE_SECONDS)


async def _sends_a_file(scene: Stage) -> None:
    await scene.ann.uploads("notes.txt", b"remember the milk\n", topic=_topic(scene))
    await scene.fake.until(lambda: _newest_buttons(scene, "notes"), PATIENCE_SECONDS)


def _newest_buttons(scene: Stage, text: str) -> list[Message]:
    return [message for message in scene.fake.messages(text, topic=_topic(scene)) if message.buttons]


async def _is_a_stranger(scene: Stage) -> None:
    eve = scene.fake.user(66, "Eve")
    before = len(scene.fake.messages(topic=GENERAL))
    await eve.says("/run id", chat=scene.group)
    taken = scene.fake.bot.updates
    last = max(update["update_id"] for update in taken.waiting)
    await scene.fake.until(lambda: taken.confirmed >= last, PATIENCE_SECONDS)
    if len(scene.fake.messages(topic=GENERAL)) > before:
        raise LookupError("a stranger got an answer")


async def _ends(scene: Stage) -> None:
    topic = _topic(scene)
    await scene.ann.says("exit", topic=topic)
    await scene.fake.until(lambda: topic.closed, PATIENCE_SECONDS)


def _topic(scene: Stage) -> Topic:
    return scene.fake.topic("build")


async def _answered(scene: Stage, text: str) -> list[Message]:
    return await scene.fake.until(lambda: scene.fake.messages(text, topic=_topic(scene)), PATIENCE_SECONDS)


SCENES = (
    Scene("the bot listens", _polls),
    Scene("Ann begins a session, and it has a topic of its own", _begins),
    Scene("what she writes there is typed, and the output comes back", _types),
    Scene("a question on the screen has buttons", _is_asked),
    Scene("she looks at the terminal", _looks),
    Scene("a command is run once, by itself", _runs),
    Scene("a file she sends is offered to the program", _sends_a_file),
    Scene("a stranger gets no answer", _is_a_stranger),
    Scene("the session ends, and so does its topic", _ends),
)
