"""What is in the middle of things when the daemon stops, or is killed, is taken up by the next one."""

from __future__ import annotations

from pathlib import Path

from teleclaude.wire.sessions import CreateSession, SendInput
from teleclaude_telegram.journal import Journal
from tests.integration.telegram.stage import OWNER, Stage, stage
from tests.support.wait import eventually

ASK = "printf 'Overwrite notes.txt? [y/N] '; read it; echo you said $it"


async def begun(room: Stage) -> bool:
    return bool(await room.adapter.journal.beside())


async def test_what_comes_while_the_daemon_stops_is_done_by_the_next_one(room: Stage) -> None:
    topic, asks = await room.new_echo("last"), await room.new("asks")
    await room.ann.says(ASK, topic=asks)
    question = await room.button("Yes", asks)
    await room.worked_off()
    hub = room.core.hub
    await hub.close_intake()
    await room.ann.says("said to who leaves", topic=topic)
    tap = await room.ann.presses("Yes", message=question, chat=room.group)
    last = room.fake.bot.updates.waiting[-1]["update_id"]
    await eventually(lambda: room.fake.bot.updates.confirmed >= last, timeout=10)
    await room.fake.settle()
    assert len(await room.adapter.journal.waiting()) == 2
    assert not room.fake.messages("stopping")
    await room.stop()
    hub._closed = False
    await room.start()
    await room.shows("last", "said to who leaves")
    await room.shows("asks", "you said y")
    await room.fake.until(lambda: tap.answer is not None)
    assert (await room.lines("last")).count("said to who leaves") == 1


async def test_a_run_is_followed_to_its_end_by_the_next_one(room: Stage) -> None:
    await room.ann.says("/run sleep 1; echo slept well")
    await eventually(lambda: begun(room), timeout=10)
    await room.stop()
    await room.start()
    await room.said("slept well")
    await room.fake.settle()
    assert len(room.fake.messages("slept well")) == 1
    assert not await begun(room)


async def test_a_voice_note_is_heard_by_the_next_one(tmp_path: Path) -> None:
    script = tmp_path / "hear"
    script.write_text('#!/bin/sh\nsleep 0.7\necho "echo heard $(cat "$1")"\n')
    script.chmod(0o700)
    async with stage(transcribe_command=[str(script)]) as room:
        topic = await room.new("voice")
        await room.ann.voice(b"you", topic=topic)
        await eventually(lambda: begun(room), timeout=10)
        await room.stop()
        await room.start()
        await room.button("Send", topic)
        spool = room.state / "telegram" / "spool"
        await eventually(lambda: not list(spool.iterdir()), timeout=5)


async def test_a_run_of_somebody_who_may_no_more_is_let_go(room: Stage) -> None:
    await room.ann.says("/run sleep 1; echo unheard")
    await eventually(lambda: begun(room), timeout=10)
    await room.stop()
    room._settings["users"] = {}
    await room.start()

    async def let_go() -> bool:
        return not await begun(room)

    await eventually(let_go, timeout=10)


async def test_a_tap_that_was_cut_short_is_done_when_its_update_comes_again(room: Stage) -> None:
    topic = await room.new("asks")
    await room.ann.says(ASK, topic=topic)
    question = await room.button("Yes", topic)
    await room.worked_off()
    await cut_short(room, question.buttons.index("Yes"))
    assert await room.taps(room.ann, "Yes", message=question) == ""
    await room.shows("asks", "you said y")


async def test_a_tap_that_was_cut_short_presses_nothing_when_the_screen_has_changed(room: Stage) -> None:
    topic = await room.new("asks")
    await room.ann.says(f"{ASK}; {ASK.replace('notes.txt', 'all')}", topic=topic)
    question = await room.button("Yes", topic)
    await room.hub.call(OWNER, SendInput(id="asks", text="n"))
    await room.shows("asks", "Overwrite all?")
    await room.worked_off()
    await cut_short(room, question.buttons.index("Yes"))
    assert "look whether it was pressed" in await room.taps(room.ann, "Yes", message=question)
    assert "you said y" not in "\n".join(await room.lines("asks"))


async def cut_short(room: Stage, number: int) -> None:
    """The next update is one that was killed when it had used its button up."""
    tokens = await room.adapter.journal._rows(
        "SELECT token FROM callbacks WHERE keyboard LIKE 'question:%' ORDER BY rowid"
    )
    updates = room.fake.bot.updates
    assert await room.adapter.journal.burn(tokens[number][0], keyboard=True, by=updates._next)


async def test_a_question_that_was_noticed_and_not_yet_queued_is_asked_by_the_next_one(room: Stage) -> None:
    topic = await room.new("asks")
    await room.ann.says(ASK, topic=topic)
    first = await room.button("Yes", topic)
    await room.worked_off()
    await room.stop()
    async with Journal(room.state / "telegram" / "journal.db") as journal:
        (place,) = await journal.places()
        place.question = None
        await journal.keep(place)
    await room.start()
    await room.fake.until(lambda: len(room.fake.messages("notes.txt", topic=topic, button="Yes")) == 2, 10)
    assert "expired" in await room.taps(room.ann, "Yes", message=first)
    await room.taps(room.ann, "Yes")
    await room.shows("asks", "you said y")


async def test_how_a_session_ended_is_said_once(room: Stage) -> None:
    topic = await room.new("over")
    room.fake.flood(1, method="closeForumTopic")
    await room.ann.says("exit 3", topic=topic)
    await room.said("Ended with code 3", topic)
    await room.fake.until(lambda: room.fake.calls("closeForumTopic", ok=False), 10)
    await room.stop()
    await room.start()
    await room.fake.until(lambda: topic.closed, 10)
    assert len(room.fake.messages("Ended with code 3", topic=topic)) == 1


async def test_a_topic_that_was_made_and_never_known_says_where_it_goes_on(room: Stage) -> None:
    room.fake.cut(method="createForumTopic", done=True)
    await room.hub.call(OWNER, CreateSession(name="twice", cwd=str(room.work)))
    await room.fake.until(lambda: len(room.fake.topics()) == 2, 10)
    behind, topic = room.fake.topics()
    await room.fake.settle()
    await room.ann.says("echo lost $((40+2))", topic=behind)
    said = await room.said("left behind")
    assert said.thread_id == behind.id
    await room.ann.says("echo found $((40+2))", topic=topic)
    await room.said("found 42", topic)
    assert not room.fake.messages("lost 42")


async def test_who_meets_a_defect_hears_of_it(room: Stage) -> None:
    topic = await room.new("defect")
    await room.ann.says("/ctrl é", topic=topic)
    await room.said("C-é", topic)
    await room.adapter.journal._change(("ALTER TABLE callbacks RENAME TO elsewhere", ()))
    await room.ann.says("/new", topic=topic)
    said = await room.said("a defect of the daemon", topic)
    assert not said.silent
    await room.ann.says("echo goes $((40+2)) on", topic=topic)
    await room.said("goes 42 on", topic)
