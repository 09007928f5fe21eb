"""What the bot may not do in the chat, or not now: nothing is lost over it, and nothing else is held up by it."""

from __future__ import annotations

from contextlib import suppress

import pytest

from teleclaude.testing.telegram.fake import ADMINISTRATOR
from teleclaude.wire.sessions import CreateSession, SendInput
from tests.integration.telegram.stage import OWNER, Stage
from tests.support.wait import eventually


async def ill(room: Stage, why: str) -> bool:
    check = await room.adapter.check()
    return not check.ok and why in check.detail


async def test_a_right_that_comes_back_is_used_at_once(room: Stage) -> None:
    room.fake.demote_bot(room.group)
    await room.worked_off()
    await room.hub.call(OWNER, CreateSession(name="mute", cwd=str(room.work)))
    await eventually(lambda: ill(room, "may not make topics"), timeout=10)
    await room.hub.call(OWNER, SendInput(id="mute", text="echo in general $((40+2))"))
    await room.said("in general 42")
    assert len(room.fake.calls("createForumTopic", ok=False)) == 1
    room.fake.demote_bot(room.group, ADMINISTRATOR)
    await room.worked_off()
    await room.hub.call(OWNER, SendInput(id="mute", text="echo apart $((40+3))"))
    topic = await room.fake.until(lambda: room.fake.topic("mute"), 10)
    await room.said("apart 43", topic)
    assert (await room.adapter.check()).ok


@pytest.mark.parametrize("refusal", ["not enough rights to send text messages to the chat", "chat not found"])
async def test_a_chat_that_refuses_everything_costs_no_message(room: Stage, refusal: str) -> None:
    topic = await room.new("waits")
    await room.worked_off()
    fault = room.fake.fail(400, f"Bad Request: {refusal}", method="sendMessage", times=None)
    await room.hub.call(OWNER, SendInput(id="waits", text="echo kept $((40+2))"))
    for times in range(1, 5):
        await eventually(lambda times=times: fault.met >= times, timeout=10)  # type: ignore[misc]
        await eventually(lambda: ill(room, "cannot speak"), timeout=10)
        await room.stop()
        await room.start()
    fault.end()
    await room.stop()
    await room.start()
    await room.said("kept 42", topic)


async def test_topics_that_are_switched_off_leave_one_plain_chat(room: Stage) -> None:
    await room.new("flat")
    await room.worked_off()
    room.group.forum = False
    room.group.topics.clear()
    await room.hub.call(OWNER, SendInput(id="flat", text="echo plainly $((40+2))"))
    assert "[flat]" in (await room.said("plainly 42")).shown


async def test_what_telegram_refuses_is_admitted(room: Stage) -> None:
    topic = await room.new("odd")
    await room.worked_off()
    room.fake.fail(400, "Bad Request: this is not to be said", method="sendMessage", times=3)
    await room.ann.says("/who", topic=topic)
    assert not (await room.said("refused what was to be said", topic)).silent


async def test_an_answer_does_not_wait_for_a_file(room: Stage) -> None:
    (room.work / "large.bin").write_bytes(b"\0" * 1000)
    topic = await room.new("files")
    fault = room.fake.delay(2, method="sendDocument")
    await room.ann.says("/get large.bin", topic=topic)
    await eventually(lambda: fault.met, timeout=10)
    await room.ann.says("/who", topic=topic)
    await room.said("You are", topic)
    assert not _files(room)
    await room.fake.until(lambda: _files(room), 10)


async def test_a_file_that_was_cut_off_is_sent_again(room: Stage) -> None:
    (room.work / "notes.txt").write_text("noted")
    topic = await room.new("files")
    room.fake.cut(method="sendDocument", done=False)
    await room.ann.says("/get notes.txt", topic=topic)
    await room.fake.until(lambda: _files(room), 10)
    (room.work / "more.txt").write_text("more")
    fault = room.fake.delay(1, method="sendDocument")
    await room.ann.says("/get more.txt", topic=topic)
    await eventually(lambda: fault.met, timeout=10)
    await room.stop()
    with suppress(TimeoutError):
        await room.fake.settle()
    await room.start()
    await room.fake.until(lambda: "more.txt" in _files(room), 10)


def _files(room: Stage) -> list[str]:
    return [
        message.content["document"]["file_name"] for message in room.fake.messages() if "document" in message.content
    ]
