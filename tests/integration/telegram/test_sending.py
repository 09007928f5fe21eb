"""What goes wrong while something is sent, row by row: floods, lost answers, topics that are gone, refusals."""

from __future__ import annotations

import pytest

from teleclaude.testing.telegram import Message
from teleclaude.wire.sessions import SendInput
from teleclaude_telegram import api, turns
from teleclaude_telegram.topics import MAX_REMADE
from tests.integration.telegram.stage import OWNER, Stage, stage
from tests.support.wait import eventually

ASK = "printf 'Overwrite notes.txt? [y/N] '; read it; echo you said $it"
SECOND_TIME = "perhaps for the second time"
FIGURE = (
    "class F:\n def _repr_png_(self):\n"
    "  import base64; return base64.b64decode("
    "'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==')\nF()"
)


def with_content(room: Stage, kind: str) -> list[Message]:
    return [message for message in room.fake.messages() if kind in message.content]


async def test_x33_while_told_to_wait_edits_become_one_and_taps_are_answered(
    room: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "FIRST_LIVE_SECONDS", 0.5)
    asks, topic = await room.new("asks"), await room.new("busy")
    await room.ann.says(ASK, topic=asks)
    question = await room.button("Yes", asks)
    await room.worked_off()
    room.fake.ban(room.group, 2)
    await room.ann.says("for i in 1 2 3 4 5 6 7 8 9 10; do echo line $i; sleep 0.1; done", topic=topic)
    assert await room.taps(room.ann, "Yes", message=question) == ""
    await room.shows("asks", "you said y")
    await room.said("line 10", topic, timeout=15)
    await room.fake.settle()
    assert len(room.fake.recorder.early) <= 1
    assert len([message for message in room.fake.messages(topic=topic) if "line 2" in message.shown]) == 1


@pytest.mark.usefixtures("hasty")
async def test_x34_a_call_that_takes_too_long_is_made_again_and_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "CALL_SECONDS", 0.4)
    async with stage() as room:
        topic = await room.new("slow")
        await room.worked_off()
        room.fake.delay(1, method="sendMessage")
        await room.hub.call(OWNER, SendInput(id="slow", text="echo late $((40+2))"))
        marked = await room.said(SECOND_TIME, topic)
        assert "late 42" in marked.shown


@pytest.mark.usefixtures("hasty")
async def test_x34_x38_an_edit_whose_answer_was_lost_or_that_changes_nothing_is_no_trouble(room: Stage) -> None:
    topic = await room.new("edits", ["cat"])
    await room.ann.says("/screen", topic=topic)
    photo = await room.button("^C", topic)
    cut = room.fake.cut(method="editMessageMedia", done=True)
    await room.taps(room.ann, "1", message=photo)
    await room.fake.until(lambda: cut.met and len(room.calls("editMessageMedia")) == 2, 10)
    same = "Bad Request: message is not modified: specified new message content is the same"
    unchanged = room.fake.fail(400, same, method="editMessageReplyMarkup")
    await room.taps(room.ann, "🔄", message=photo)
    await room.fake.until(lambda: unchanged.met, 10)
    await room.ann.says("done", topic=topic)
    await room.said("done", topic)
    assert with_content(room, "photo") == [photo]
    assert not room.fake.messages(SECOND_TIME)
    assert (await room.adapter.check()).ok


@pytest.mark.usefixtures("hasty")
async def test_x34_a_file_whose_answer_was_lost_is_sent_again_and_marked(room: Stage) -> None:
    topic = await room.new("files")
    (room.work / "notes.txt").write_text("notes")
    room.fake.cut(method="sendDocument", done=True)
    await room.ann.says("/get notes.txt", topic=topic)
    await room.fake.until(lambda: len(with_content(room, "document")) == 2, 10)
    first, second = with_content(room, "document")
    assert SECOND_TIME not in str(first.content)
    assert SECOND_TIME in second.shown


@pytest.mark.parametrize("method", ["sendMessage", "sendPhoto", "sendDocument"])
async def test_x37_what_the_server_puts_elsewhere_is_taken_back(room: Stage, method: str) -> None:
    topic = await room.new("astray")
    (room.work / "notes.txt").write_text("notes")
    await room.worked_off()
    room.fake.misplace(method=method)
    says = {"sendMessage": "echo here", "sendPhoto": "/screen", "sendDocument": "/get notes.txt"}[method]
    await room.ann.says(says, topic=topic)
    again = await room.fake.until(lambda: _other(room, topic.id), 10)
    await room.fake.until(lambda: room.fake.messages(topic=again), 10)
    await room.fake.settle()
    assert not [message for message in room.fake.messages() if message.thread_id is None]


def _other(room: Stage, thread: int) -> int:
    """The topic that was made in its place."""
    topic = room.fake.topic("astray")
    if topic.id == thread:
        raise LookupError("not yet")
    return topic.id


async def test_x37_a_chat_that_takes_no_topic_makes_no_loop(room: Stage) -> None:
    topic = await room.new("astray")
    await room.worked_off()
    room.fake.misplace(times=None)
    await room.hub.call(OWNER, SendInput(id="astray", text="echo where $((40+2))"))
    await room.fake.until(lambda: _other(room, topic.id), 10)

    async def given_up() -> bool:
        return not await room.adapter.journal.unsaid()

    await eventually(given_up, timeout=10)
    assert len(room.fake.calls("createForumTopic")) <= 1 + MAX_REMADE
    assert not room.fake.messages("where 42")


async def test_x38_too_long_is_cut_and_sent_as_a_file(room: Stage) -> None:
    await room.ann.says("/run seq 3000")
    await room.said("3000")
    await room.fake.until(lambda: with_content(room, "document"), 10)
    assert not room.fake.calls("sendMessage", ok=False)


@pytest.mark.parametrize("why", ["PHOTO_INVALID_DIMENSIONS", "file of size 10485761 bytes is too big for a photo"])
async def test_x38_what_is_no_photo_goes_as_a_file(room: Stage, why: str) -> None:
    topic = await room.new("picture")
    await room.worked_off()
    room.fake.fail(400, f"Bad Request: {why}", method="sendPhoto", times=None)
    await room.ann.says("/screen", topic=topic)
    await room.fake.until(lambda: with_content(room, "document"), 10)
    await room.ann.says(f"/py {FIGURE}")
    await room.fake.until(lambda: len(with_content(room, "document")) == 2, 20)
