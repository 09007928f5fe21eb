"""Who may press what, on which dialog, and what becomes of a button that was pressed in vain."""

from __future__ import annotations

from teleclaude.wire.sessions import CloseSession, SendInput
from teleclaude_telegram.taps import CHANGED, FOR_OPERATORS, NOT_YOURS
from tests.integration.telegram.stage import ANN, BOB, OWNER, Stage, stage

ASK = "printf 'Overwrite notes.txt? [y/N] '; read it; echo you said $it"
TWO = {str(ANN): "owner", str(BOB): "operator"}


async def test_a_viewer_cannot_use_up_the_buttons_of_a_question(room: Stage) -> None:
    topic = await room.new("asks")
    await room.ann.says(ASK, topic=topic)
    question = await room.button("Yes", topic)
    assert await room.taps(room.bob, "Yes", message=question) == FOR_OPERATORS
    assert not question.deleted
    assert await room.taps(room.ann, "Yes", message=question) == ""
    await room.shows("asks", "you said y")


async def test_a_viewer_does_not_answer_a_question_by_writing(room: Stage) -> None:
    topic = await room.new("open")
    await room.ann.says("printf 'Overwrite notes.txt? [y/N] '; read it; echo you said $it", topic=topic)
    await room.button("Yes", topic)
    (place,) = room.adapter._room.places.values()
    await room.bob.says("n", topic=topic, chat=room.group)
    await room.said("operator", topic)
    assert place.asked
    await room.taps(room.ann, "Yes")
    await room.shows("open", "you said y")


async def test_a_viewer_looks_at_the_picture_anew_and_presses_no_key(room: Stage) -> None:
    topic = await room.new("view", ["cat"])
    await room.ann.says("/screen", topic=topic)
    photo = await room.button("⏎", topic)
    assert await room.taps(room.bob, "⏎", message=photo) == FOR_OPERATORS
    assert await room.taps(room.bob, "🔄", message=photo) == ""


async def test_a_role_that_was_lowered_holds_for_buttons_that_are_there_already() -> None:
    async with stage(users=TWO) as room:
        topic = await room.new("lowered")
        await room.ann.says(ASK, topic=topic)
        question = await room.button("Yes", topic)
        room.reload(users={str(ANN): "owner", str(BOB): "viewer"})
        assert await room.taps(room.bob, "Yes", message=question) == FOR_OPERATORS
        room.reload(users={str(BOB): "viewer"})
        tap = await room.ann.presses("Yes", chat=room.group, message=question)
        await room.ann.says("nobody any more", topic=topic)
        await room.worked_off()
        assert tap.answer is None
        shown = "\n".join((await room.screen("lowered")).lines)
        assert shown.rstrip().endswith("[y/N]")


async def test_g7_what_somebody_sent_is_confirmed_by_nobody_else() -> None:
    """The words of an operator would run with the role of the owner who presses the button."""
    async with stage(users=TWO) as room:
        topic = await room.new_echo("whose")
        origin = {"type": "hidden_user", "sender_user_name": "X", "date": 1}
        await room.bob.says("forwarded words", topic=topic, chat=room.group, extra={"forward_origin": origin})
        asked = await room.button("Run", topic)
        assert await room.taps(room.ann, "Run", message=asked) == NOT_YOURS
        assert "forwarded" not in "\n".join((await room.screen("whose")).lines)
        assert await room.taps(room.bob, "Run", message=asked) == ""
        await room.shows("whose", "forwarded words")


async def test_what_waits_for_a_confirmation_is_not_tidied_away(room: Stage) -> None:
    topic = await room.new("offer")
    await room.ann.uploads("notes.txt", b"remember", topic=topic)
    offer = await room.button("Only keep it", topic)
    await room.ann.says("echo meanwhile $((40+2))", topic=topic)
    await room.said("meanwhile 42", topic)
    await room.worked_off()
    await room.fake.settle()
    assert not offer.deleted
    await room.taps(room.ann, "Only keep it", message=offer)
    await room.fake.until(lambda: offer.deleted)


async def test_a_key_does_not_answer_a_question_that_its_picture_does_not_show(room: Stage) -> None:
    topic = await room.new("late", "read x; printf 'Delete everything? [y/N] '; read y; echo got $y; exec cat")
    await room.ann.says("/screen", topic=topic)
    photo = await room.button("⏎", topic)
    room.fake.ban(room.group, 2)
    await room.hub.call(OWNER, SendInput(id="late", text="go"))
    await room.shows("late", "Delete everything?")
    assert await room.taps(room.ann, "⏎", message=photo) == CHANGED
    assert "got" not in "\n".join((await room.screen("late")).lines)
    await room.fake.until(lambda: room.fake.calls("editMessageMedia", ok=True), 10)
    assert await room.taps(room.ann, "⏎", message=photo) == ""
    await room.shows("late", "got")


async def test_a_viewer_turns_nobody_to_another_session() -> None:
    async with stage(private="group") as room:
        await room.ann.says("/new one")
        await room.said("one is the session that you talk to now")
        await room.ann.says("/new two")
        await room.said("two is the session that you talk to now")
        await room.bob.says("/use one", chat=room.group)
        await room.said("for operators")
        await room.ann.says("echo still $((40+2))")
        assert "[two]" in (await room.said("still 42")).shown


async def test_a_topic_that_a_viewer_closed_is_opened_again(room: Stage) -> None:
    topic = await room.new("stays")
    await room.worked_off()
    await room.bob.closes_topic(topic)
    await room.said("the session goes on", topic)
    assert not topic.closed
    assert (await room.session("stays")).state == "running"
    await room.hub.call(OWNER, CloseSession(id="stays"))
    await room.fake.until(lambda: topic.closed, 10)


async def test_a_password_stays_in_the_chat_no_longer_than_it_must(room: Stage) -> None:
    topic = await room.new("secret", "stty -echo; printf 'Password: '; read it; exec sleep 60")
    await room.said("Password:", topic)
    written = await room.ann.says("hunter2", topic=topic)
    await room.fake.until(lambda: written.deleted)


async def test_the_same_question_again_is_another(room: Stage) -> None:
    """Answered at the keyboard between two looks, and asked again in the same words with nothing above them."""
    ask = r"printf '\n\nGo on? [y/N] '; read it"
    topic = await room.new("twice", f"clear; {ask}; {ask}; echo done; cat")
    first = await room.button("Yes", topic)
    await room.hub.call(OWNER, SendInput(id="twice", text="y"))
    second = await room.fake.until(
        lambda: [m for m in room.fake.messages(topic=topic, button="Yes") if m.id != first.id], 10
    )
    assert "Nothing was" in await room.taps(room.ann, "Yes", message=first)
    await room.taps(room.ann, "No", message=second[-1])
    await room.shows("twice", "done")
    assert len([call for call in room.fake.calls("sendMessage") if "Go on?" in str(call.params.get("text"))]) == 2
