"""Nobody else's hands on it: every actor of every update and button is checked."""

from __future__ import annotations

from teleclaude.wire.sessions import CloseSession, SendInput
from teleclaude_telegram.elsewhere import CLIENTS, numbered
from tests.integration.telegram.stage import OWNER, Stage, stage
from tests.support.wait import eventually

ASK = "printf 'Overwrite notes.txt? [y/N] '; read it; echo you said $it"


async def quiet(room: Stage, before: int) -> None:
    """Nothing was said, asked or done."""
    await room.worked_off()
    assert len(room.fake.messages()) == before
    assert await room.sessions() == []


async def test_g1_g2_g3_strangers_get_no_answer_and_are_counted(room: Stage) -> None:
    ann_by_name = room.fake.user(77, "Ann", "ann")
    for who in (room.eve, ann_by_name):
        await who.says("/run id", chat=room.group)
        await who.says("/new theirs", chat=room.group)
    await quiet(room, 0)
    assert room.adapter._desk.refused == 4


async def test_g4_an_anonymous_administrator_is_nobody(room: Stage) -> None:
    await room.ann.says("/new hidden", anonymous=True)
    await quiet(room, 0)


async def test_nobody_is_served_by_an_empty_list() -> None:
    async with stage(users={}) as room:
        await room.ann.says("/new mine")
        await quiet(room, 0)


async def test_another_chat_is_not_served(room: Stage) -> None:
    other = room.fake.add_forum("Other", members=[room.ann])
    await room.ann.says("/new there", chat=other)
    await quiet(room, 0)


async def test_a_viewer_looks_and_does_not_type(room: Stage) -> None:
    topic = await room.new("glass", ["cat"])
    await room.bob.says("/ls", topic=topic, chat=room.group)
    await room.said("glass", topic)
    await room.bob.says("typed by bob", topic=topic, chat=room.group)
    await room.said("operator", topic)
    assert "typed by bob" not in "\n".join((await room.screen("glass")).lines)
    await room.bob.says("/get /etc/passwd", topic=topic, chat=room.group)
    await room.said("for operators", topic)


async def test_g6_forwarded_words_ask_first(room: Stage) -> None:
    topic = await room.new("copy", ["cat"])
    origin = {"type": "hidden_user", "sender_user_name": "X", "date": 1}
    await room.ann.says("forwarded words", topic=topic, extra={"forward_origin": origin})
    await room.button("Run", topic)
    assert "forwarded" not in "\n".join((await room.screen("copy")).lines)
    await room.taps(room.ann, "Discard")
    await room.worked_off()
    assert "forwarded" not in "\n".join((await room.screen("copy")).lines)


async def test_g11_old_messages_ask_first_together(room: Stage) -> None:
    topic = await room.new_echo("late")
    await room.stop()
    await room.ann.says("old one", topic=topic, ago=301)
    await room.ann.says("old two", topic=topic, ago=400)
    await room.start()
    asked = await room.button("Run", topic)
    assert "old one" in asked.shown
    assert "old two" in asked.shown
    assert "old" not in "\n".join((await room.screen("late")).lines)
    assert len(room.fake.messages(button="Run")) == 1
    await room.taps(room.ann, "Run")
    await room.shows("late", "old two")
    assert [line for line in await room.lines("late") if "old" in line] == ["old one", "old two"]


async def test_g7_g8_taps_of_others_forged_and_used_taps_do_nothing(room: Stage) -> None:
    topic = await room.new("asks")
    await room.ann.says(ASK, topic=topic)
    question = await room.button("Yes", topic)
    assert not question.silent
    forged = await room.eve.presses("Yes", chat=room.group, message=question)
    await room.worked_off()
    assert forged.answer is None
    pressed = "\n".join((await room.screen("asks")).lines)
    assert pressed.rstrip().endswith("[y/N]")
    assert "expired" in await room.taps(room.ann, "Yes", message=question, data="not minted by us")
    assert "you said" not in "\n".join((await room.screen("asks")).lines).replace("echo you said", "")


async def test_a_tap_answers_once(room: Stage) -> None:
    topic = await room.new("once")
    await room.ann.says(ASK, topic=topic)
    question = await room.button("Yes", topic)
    assert await room.taps(room.ann, "Yes", message=question) == ""
    await room.shows("once", "you said y")
    room.group.messages[question.id].deleted = False
    assert "expired" in await room.taps(room.ann, "No", message=question)


async def test_a_tap_on_a_dialog_that_has_changed_does_nothing_and_shows_the_new_one(room: Stage) -> None:
    topic = await room.new("turns")
    second = "printf 'Delete %s? [y/N] ' everything; read b; echo got $b"
    await room.ann.says(f"printf 'Overwrite notes.txt? [y/N] '; read a; clear; {second}", topic=topic)
    question = await room.button("Yes", topic)
    await room.core.hub.call(OWNER, SendInput(id="turns", text="n"))
    await room.shows("turns", "Delete everything?")
    answer = await room.taps(room.ann, "Yes", message=question)
    assert "changed" in answer or "expired" in answer
    assert "got" not in "\n".join((await room.screen("turns")).lines)
    new = await room.fake.until(
        lambda: [m for m in room.fake.messages(topic=topic, button="Yes") if m.id != question.id]
    )
    await room.taps(room.ann, "No", message=new[-1])
    await room.shows("turns", "got n")


async def test_a_secret_that_was_typed_stays_neither_in_the_chat_nor_in_the_journal(room: Stage) -> None:
    topic = await room.new("safe", "stty -echo; printf 'Password: '; read p; exec cat")
    await room.said("the message is removed", topic)
    room.fake.fail(502, method="deleteMessage")
    message = await room.ann.says("correct horse battery", topic=topic)
    await room.fake.until(lambda: message.deleted, 10)
    await room.worked_off()
    await room.adapter.journal.expire(0)
    kept = b"".join(path.read_bytes() for path in (room.state / "telegram").iterdir() if path.is_file())
    assert b"correct horse" not in kept


async def test_a_secret_does_not_wait_until_something_may_be_said(room: Stage) -> None:
    topic = await room.new("safe", "stty -echo; printf 'Password: '; read p; exec cat")
    await room.said("the message is removed", topic)
    room.fake.ban(room.group, 30)
    await room.ann.says("/who", topic=topic)
    await room.fake.until(lambda: [call for call in room.fake.calls() if call.status == 429])
    message = await room.ann.says("correct horse battery", topic=topic)
    await room.fake.until(lambda: message.deleted)


async def test_a_secret_that_the_bot_may_not_remove_is_left_to_the_person(room: Stage) -> None:
    topic = await room.new("safe", "stty -echo; printf 'Password: '; read p; exec cat")
    await room.said("the message is removed", topic)
    room.fake.demote_bot(room.group, {"can_manage_topics"})
    await room.ann.says("correct horse battery", topic=topic)
    assert not (await room.said("Remove what you wrote yourself", topic)).silent


async def test_g9_a_button_of_a_session_that_is_gone(room: Stage) -> None:
    topic = await room.new("gone")
    await room.ann.says("/screen", topic=topic)
    photo = await room.button("^C", topic)
    await room.hub.call(OWNER, CloseSession(id="gone", purge=True))

    await eventually(lambda: not room.adapter._room.places, timeout=10)
    assert "gone" in await room.taps(room.ann, "^C", message=photo)


async def test_g10_x36_an_update_that_comes_twice_runs_once(room: Stage) -> None:
    topic = await room.new_echo("twice")
    await room.ann.says("only once", topic=topic)
    await room.shows("twice", "only once")
    await room.worked_off()
    room.fake.bot.updates.repeat(1)
    await room.ann.says("afterwards", topic=topic)
    await room.shows("twice", "afterwards")
    assert (await room.lines("twice")).count("only once") == 1


async def test_a_message_is_known_again_by_a_number_of_few_clients(room: Stage) -> None:
    """So that what is remembered of a session's input has a bound, and a late message is not too late."""
    seen = {
        (found["client_id"], found["seq"]) for found in (numbered(room.adapter._room, number) for number in range(1000))
    }
    assert len(seen) == 1000
    assert len({client for client, _ in seen}) == CLIENTS


async def test_g16_odd_updates_are_passed_over(room: Stage) -> None:
    first = 900_000_001
    shapes: list[dict[str, object]] = [
        {"hologram": {"depth": 3}},
        {"message": {"message_id": 5}},
        {"message": None},
        {},
    ]
    for number, shape in enumerate(shapes):
        room.fake.inject({"update_id": first + number, **shape})
    await eventually(lambda: room.fake.bot.updates.confirmed >= first + 3, timeout=10)
    await eventually(room._nothing_waits, timeout=10)
    assert (await room.adapter.check()).ok
