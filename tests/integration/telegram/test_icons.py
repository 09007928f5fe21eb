"""The icon of a topic says the state of its session."""

from __future__ import annotations

import pytest

from teleclaude.testing.telegram import Topic
from teleclaude.testing.telegram.methods.topics import ICONS
from tests.integration.telegram.stage import Stage
from tests.support.wait import eventually


def icon(topic: Topic) -> str:
    return ICONS.get(topic.icon_custom_emoji_id, "").replace("\ufe0f", "")


@pytest.mark.usefixtures("signs_soon")
async def test_it_runs_it_asks_it_runs_on_and_it_has_ended(room: Stage) -> None:
    topic = await room.new("work", "printf 'Overwrite? [y/N] '; read it; echo went on; read it; exit 0")
    assert topic.name == "work"
    await room.button("Yes", topic)
    await eventually(lambda: icon(topic) == "❓", timeout=10)
    await room.taps(room.ann, "Yes")
    await room.said("went on", topic)
    await eventually(lambda: icon(topic) == "💻", timeout=10)
    await room.ann.says("that is all", topic=topic)
    await room.fake.until(lambda: topic.closed, 10)
    await eventually(lambda: icon(topic) == "🏁", timeout=10)
    assert topic.name == "work"
    assert not room.fake.calls(ok=False)


async def test_an_icon_that_is_refused_leaves_a_sign_in_the_title(room: Stage) -> None:
    room.fake.fail(400, "Bad Request: DOCUMENT_INVALID", method="createForumTopic")
    topic = await room.new("plain")
    assert topic.name == "🟢 plain"
    assert not topic.icon_custom_emoji_id


async def test_a_server_that_names_no_icons_leaves_signs_in_the_titles(room: Stage) -> None:
    await room.stop()
    published = len(room.fake.calls("setMyCommands", ok=True))
    (room.state / "telegram" / "journal.db").unlink()
    room.fake.fail(502, method="getForumTopicIconStickers", times=None)
    await room.start()
    topic = await room.new("signed")
    assert topic.name == "🟢 signed"
    assert not topic.icon_custom_emoji_id
    await room.fake.until(lambda: len(room.fake.calls("setMyCommands", ok=True)) > published)
