"""What goes wrong between here and Telegram: nothing that must be said is lost, nothing is done twice."""

from __future__ import annotations

import stat

import pytest

from teleclaude.wire.sessions import CloseSession, CreateSession, RestartSession, SendInput
from teleclaude_telegram import poll
from tests.integration.telegram.stage import OWNER, QUICK, Stage, stage
from tests.support.wait import eventually


async def ill(room: Stage, why: str = "") -> bool:
    check = await room.adapter.check()
    return not check.ok and why in check.detail


async def test_x33_told_to_wait_it_keeps_silent_and_then_says_everything(room: Stage) -> None:
    topic = await room.new("flood")
    await room.worked_off()
    room.fake.ban(room.group, 1)
    await room.ann.says("echo held $((40+2))", topic=topic)
    await room.shows("flood", "held 42")
    await room.said("held 42", topic, timeout=10)
    assert len(room.fake.recorder.early) <= 1  # the one that was told to wait
    assert len(room.fake.messages("held 42", topic=topic)) == 1


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("code", [500, 502, 504])
async def test_x34_a_server_that_fails_is_asked_again(room: Stage, code: int) -> None:
    topic = await room.new("again")
    room.fake.fail(code, method="sendMessage", chat=room.group, times=1)
    await room.ann.says("echo once $((40+2))", topic=topic)
    await room.said("once 42", topic)


@pytest.mark.usefixtures("hasty")
async def test_x34_a_send_whose_answer_was_lost_is_repeated_and_marked(room: Stage) -> None:
    topic = await room.new("cut")
    room.fake.cut(method="sendMessage", done=True)
    await room.ann.says("echo twice $((40+2))", topic=topic)
    marked = await room.said("perhaps for the second time", topic)
    assert "twice 42" in marked.shown


@pytest.mark.usefixtures("hasty")
async def test_x35_after_an_outage_there_is_one_message_for_each_topic(room: Stage) -> None:
    topics = {name: await room.new(name) for name in ("one", "two")}
    await room.fake.settle()
    before = len(room.fake.messages())
    room.fake.outage(on=True)
    for number in range(3):
        for name in topics:
            await room.hub.call(OWNER, SendInput(id=name, text=f"echo round {number} $((number+1))"))
            await room.shows(name, f"round {number}")
    await eventually(lambda: ill(room), timeout=10)
    room.fake.outage(on=False)
    for topic in topics.values():
        digest = await room.said("round 2", topic, timeout=25)
        assert "round 0" in digest.shown
    assert len(room.fake.messages()) == before + 2

    async def well() -> bool:
        return (await room.adapter.check()).ok

    await eventually(well, timeout=20)


async def test_x35_what_is_queued_survives_a_restart(room: Stage) -> None:
    topic = await room.new("kept")
    await room.worked_off()
    room.fake.ban(room.group, 2)
    await room.ann.says("echo survives $((40+2))", topic=topic)
    await room.shows("kept", "survives 42")
    await eventually(lambda: [job for job in room.adapter._outbox.plan.jobs if job.doc["do"] == "final"], timeout=10)
    await room.stop()
    await room.start()
    await room.said("survives 42", topic, timeout=15)
    assert len(room.fake.topics()) == 1
    journal = room.state / "telegram" / "journal.db"
    assert stat.S_IMODE(journal.stat().st_mode) == 0o600


async def test_told_to_wait_it_keeps_silent_over_a_restart(room: Stage) -> None:
    topic = await room.new("hush")
    await room.worked_off()
    room.fake.ban(room.group, 2)
    await room.ann.says("echo held $((40+2))", topic=topic)
    await room.fake.until(lambda: [call for call in room.fake.calls() if call.status == 429], 10)
    await room.stop()
    await room.start()
    await room.said("held 42", topic, timeout=15)
    assert len([call for call in room.fake.calls() if call.status == 429]) == 1


async def test_a_bot_that_may_not_make_topics_says_it_all_the_same(room: Stage) -> None:
    room.fake.demote_bot(room.group)
    await room.worked_off()
    ask = "printf 'Overwrite notes.txt? [y/N] '; read it; echo you said $it; exec cat"
    await room.hub.call(OWNER, CreateSession(name="homeless", command=ask))
    question = await room.button("Yes")
    assert "[homeless]" in question.shown
    assert await ill(room, "may not make topics")
    await room.taps(room.ann, "Yes", message=question)
    assert "[homeless]" in (await room.said("you said y")).shown
    assert len(room.fake.calls("createForumTopic")) == 1


async def test_an_upload_that_takes_long_holds_up_no_question(room: Stage) -> None:
    (room.work / "large.bin").write_bytes(b"x" * 1000)
    topic = await room.new("both")
    room.fake.delay(2.5, method="sendDocument")
    await room.ann.says("/get large.bin", topic=topic)
    await room.worked_off()
    await room.ann.says("printf 'Overwrite notes.txt? [y/N] '; read it", topic=topic)
    await room.button("Yes", topic)
    assert not [message for message in room.fake.messages(topic=topic) if "document" in message.content]
    await room.fake.until(lambda: [m for m in room.fake.messages(topic=topic) if "document" in m.content], 10)
    assert len(room.fake.calls("sendDocument")) == 1


async def test_one_session_that_is_slow_holds_up_no_other(room: Stage) -> None:
    slow, quick = await room.new("slow"), await room.new_echo("quick")
    room.fake.delay(5, method="getFile")
    await room.ann.uploads("large.bin", b"x", topic=slow)
    await room.ann.says("at once", topic=quick)
    await room.shows("quick", "at once")
    assert not room.fake.messages("large.bin", topic=slow)


async def test_output_while_the_adapter_was_away_is_said_when_it_is_back(room: Stage) -> None:
    topic = await room.new("away")
    await room.worked_off()
    await room.stop()
    await room.hub.call(OWNER, SendInput(id="away", text="echo meanwhile $((40+2)); exit 5"))

    async def over() -> bool:
        return (await room.session("away")).state == "exited"

    await eventually(over, timeout=10)
    await room.start()
    await room.said("meanwhile 42", topic)
    await room.said("Ended with code 5", topic)
    await room.fake.until(lambda: topic.closed, 10)


async def test_x37_a_deleted_topic_is_made_once_more(room: Stage) -> None:
    topic = await room.new("lost")
    await room.ann.deletes_topic(topic)
    await room.hub.call(OWNER, SendInput(id="lost", text="echo where $((40+2))"))
    said = await room.said("where 42")
    again = await room.fake.until(lambda: room.fake.topic("lost"))
    assert again.id != topic.id
    assert said.thread_id == again.id
    assert len(room.fake.calls("createForumTopic")) == 2


async def test_x37_a_closed_topic_is_opened_to_say_what_must_be_said(room: Stage) -> None:
    topic = await room.new("shut")
    await room.worked_off()
    topic.closed = True  # by somebody, while nobody was told
    await room.hub.call(OWNER, SendInput(id="shut", text="echo open $((40+2))"))
    await room.said("open 42", topic)


async def test_x38_entities_that_are_refused_leave_plain_text(room: Stage) -> None:
    topic = await room.new("plain")
    room.fake.fail(400, "Bad Request: can't parse entities", method="sendMessage", times=1)
    await room.ann.says("echo bare $((40+2))", topic=topic)
    said = await room.said("bare 42", topic)
    assert not said.entities


async def test_x38_a_group_that_moved_is_followed(room: Stage) -> None:
    topic = await room.new("moves")
    await room.worked_off()
    new = room.fake.migrate(room.group)
    new.topics = dict(room.group.topics)
    await room.hub.call(OWNER, SendInput(id="moves", text="echo there $((40+2))"))
    await room.fake.until(lambda: room.fake.messages("there 42", chat=new), 10)
    assert topic.id in new.topics
    await room.stop()
    await room.start()
    assert room.adapter._room.chat_id == new.id


async def test_x38_a_bot_that_was_thrown_out_keeps_what_it_has_to_say(room: Stage) -> None:
    await room.new("out")
    await room.worked_off()
    room.fake.kick_bot(room.group)
    await room.hub.call(OWNER, SendInput(id="out", text="echo nobody $((40+2))"))
    await room.fake.until(lambda: [call for call in room.fake.calls() if call.status == 403], 10)
    await eventually(lambda: ill(room, "kicked"), timeout=10)
    await eventually(room.adapter.journal.unsaid, timeout=10)


async def test_x46_a_second_poller_is_noticed_and_said(room: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poll, "CONFLICT_SECONDS", 0.3)
    fault = room.fake.second_poller()
    await room.ann.says("hello")  # ends the poll that waits

    async def noticed() -> bool:
        return "same token" in (await room.adapter.check()).detail

    await eventually(noticed, timeout=10)
    assert not (await room.adapter.check()).ok
    fault.end()

    async def well() -> bool:
        return (await room.adapter.check()).ok

    await eventually(well, timeout=15)


async def test_every_poll_says_what_it_wants_and_none_throws_anything_away(room: Stage) -> None:
    await room.ann.says("hello")
    await room.worked_off()
    polls = room.fake.calls("getUpdates")
    assert polls
    assert all("callback_query" in str(call.params.get("allowed_updates")) for call in polls)
    assert not room.fake.calls("deleteWebhook")


@pytest.mark.usefixtures("hasty")
async def test_without_a_network_at_the_start_it_comes_later() -> None:
    async with stage(timing=QUICK) as room:
        await room.stop()
        room.fake.outage(on=True)
        await room.start()
        assert not (await room.adapter.check()).ok
        room.fake.outage(on=False)
        await room.ann.says("/new early")
        await room.fake.until(lambda: room.fake.topic("early"), 25)
        await room.hub.call(OWNER, CloseSession(id="early"))


async def test_a_deleted_session_leaves_a_closed_topic(room: Stage) -> None:
    topic = await room.new("purged")
    await room.hub.call(OWNER, CloseSession(id="purged", purge=True))
    await room.fake.until(lambda: topic.closed, 10)
    assert not topic.deleted


async def test_a_session_that_begins_again_opens_its_topic_again(room: Stage) -> None:
    topic = await room.new("again", "echo began $((40+2))")
    await room.fake.until(lambda: topic.closed, 10)
    await room.hub.call(OWNER, RestartSession(id="again"))
    await room.fake.until(lambda: len(room.fake.messages("began 42", topic=topic)) == 2, 10)
    await room.fake.until(lambda: topic.closed, 10)


async def test_a_question_amid_noise_is_passed_on(room: Stage) -> None:
    say = "printf '\\033[1;1H%s' $i; printf '\\033[5;1HProceed? [y/N] '"
    topic = await room.new("noise", f"i=0; while :; do i=$((i+1)); {say}; sleep 0.1; done")
    question = await room.button("Yes", topic)
    assert not question.silent
    assert "Proceed?" in question.shown


async def test_a_question_below_a_counter_is_not_asked_with_every_step_of_it(room: Stage) -> None:
    say = "printf '\\033[4;1HRead %s' $i; printf '\\033[5;1HProceed? [y/N] '"
    topic = await room.new("counts", f"clear; i=0; while [ $i -lt 30 ]; do i=$((i+1)); {say}; sleep 0.1; done; cat")
    await room.button("Yes", topic)
    last = await room.said("Read 30", topic, timeout=20)
    assert "Yes" in last.buttons  # what is on the screen in the end was asked, too
    asked = [call for call in room.fake.calls("sendMessage") if "Proceed?" in str(call.params["text"])]
    assert len(asked) <= 4


async def test_another_chat_begins_anew(room: Stage) -> None:
    await room.new("stays")
    await room.stop()
    room.group = room.fake.add_forum("Other", members=[room.ann, room.bob])
    await room.start()
    topic = await room.fake.until(lambda: room.fake.topic("stays", room.group), 10)
    await room.ann.says("echo here $((40+2))", topic=topic, chat=room.group)
    await room.said("here 42", topic)
