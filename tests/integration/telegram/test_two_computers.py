"""Two computers, each with a bot of its own in one group: each topic is served by the bot of the session's owner."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.telegram.pair import Pair, two_computers
from tests.support.wait import eventually


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with two_computers() as running:
        yield running


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


async def test_g15_what_is_said_in_a_topic_is_for_the_bot_of_its_session_only(pair: Pair) -> None:
    topic = await pair.south.new("far", ["cat"])
    ran = pair.south.work / "ran"
    origin = {"type": "hidden_user", "sender_user_name": "X", "date": 1}
    ann = pair.south.ann
    await ann.says(f"/run echo $PWD >> {ran}", topic=topic)
    await ann.says("/nonsense", topic=topic)
    await ann.says("/cancel2x", topic=topic)
    await ann.voice(b"x", topic=topic)
    await ann.uploads("a.txt", b"content", topic=topic)
    await ann.says("late words", topic=topic, ago=400)
    await ann.says("forwarded words", topic=topic, extra={"forward_origin": origin})
    await ann.says("late in general", chat=pair.group, ago=400)
    await ann.says("late for south /ls", chat=pair.group, ago=400)
    await pair.worked_off()
    await pair.fake.until(lambda: pair.of(pair.south, "Run this?", topic), 10)
    await pair.fake.until(lambda: pair.of(pair.south, "a.txt", topic), 10)
    await eventually(lambda: lines(ran) == [str(pair.south.work)], timeout=10)
    await pair.fake.until(lambda: pair.of(pair.north, "Run this?"), 10)
    assert [message.thread_id for message in pair.of(pair.north)] == [pair.group.general.id]
    assert len(pair.of(pair.south, "there is no /nonsense", topic)) == 1
    assert len(pair.of(pair.south, "voice notes are off", topic)) == 1
    assert not [message for message in pair.of(pair.south) if message.thread_id != topic.id]
    assert lines(ran) == [str(pair.south.work)]
