"""Topics that people close and open, and how many there can be."""

from __future__ import annotations

import pytest

from teleclaude.wire.sessions import CloseSession, RestartSession
from teleclaude_telegram import watch
from tests.integration.telegram.stage import OWNER, Stage
from tests.support.wait import eventually


async def test_a_session_that_begins_again_in_silence_has_its_topic_open(room: Stage) -> None:
    topic = await room.new("back", "test -e there && exec cat; touch there")
    await room.fake.until(lambda: topic.closed, 10)
    await room.hub.call(OWNER, RestartSession(id="back"))
    await room.fake.until(lambda: not topic.closed, 10)


async def test_a_topic_that_somebody_opens_again_is_closed_with_its_session(room: Stage) -> None:
    topic = await room.new("again", "test -e there && exec cat; touch there")
    await room.fake.until(lambda: topic.closed, 10)
    await room.ann.reopens_topic(topic)
    await room.worked_off()
    await room.hub.call(OWNER, RestartSession(id="again"))
    await room.hub.call(OWNER, CloseSession(id="again"))
    await room.fake.until(lambda: topic.closed, 10)


async def test_when_there_are_too_many_the_oldest_that_has_ended_gives_up_its_place(
    room: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "MAX_PLACES", 2)
    await room.new("lives", ["cat"])
    await room.new("ends", "exit 0")
    place = next(place for place in room.adapter._room.places.values() if place.name == "ends")
    await eventually(lambda: place.closed, timeout=10)
    await room.new("comes", ["cat"])
    assert {place.name for place in room.adapter._room.places.values()} == {"lives", "comes"}
