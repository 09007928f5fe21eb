"""Two computers, each with a bot of its own in one group: each topic is served by the bot of the session's owner."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from teleclaude.wire.sessions import CreateSession, SendInput
from tests.integration.telegram.pair import SAYS_ALL, Pair, two_computers
from tests.integration.telegram.stage import OWNER
from tests.support.wait import eventually

PAGE = Path(__file__).parents[3] / "docs/telegram.md"


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


async def test_a_handoff_carries_the_topic_along_and_back(pair: Pair) -> None:
    ann = pair.north.ann
    topic = await pair.north.new("work", SAYS_ALL)
    await pair.fake.until(lambda: pair.of(pair.north, "began", topic), 10)
    source, target = pair.north, pair.south
    for number in range(2):
        await ann.says(f"before {number}", topic=topic)
        await pair.says(source, f"<before {number}> on {source.home.name}", topic)
        await ann.says(f"/handoff {target.name}", topic=topic)
        await pair.says(source, f"It lives on {target.name} now", topic)
        await ann.says(f"after {number}", topic=topic)
        await pair.says(target, f"<after {number}> on {target.home.name}", topic)
        source, target = target, source
    await pair.worked_off()
    said = "".join(message.shown for message in pair.fake.messages(topic=topic))
    assert [said.count(f"<{when} {number}>") for when in ("before", "after") for number in range(2)] == [1] * 4
    assert said.count("began") == 3
    assert "⚠️" not in said
    assert [one.id for one in pair.fake.topics()] == [topic.id]
    assert not topic.closed
    await ann.says("/kill", topic=topic)
    await pair.fake.until(lambda: topic.closed, 10)
    # What its title is the other bot has seen to already.
    assert {call.method for call in pair.fake.calls(ok=False)} <= {"editForumTopic"}


async def test_what_waits_when_a_session_leaves_is_said_once(pair: Pair) -> None:
    """Told to wait, the old owner's bot has a final message, a question and a command's result to say."""
    north, south, ann = pair.north, pair.south, pair.north.ann
    topic = await north.new("busy", SAYS_ALL)
    await pair.says(north, "began", topic)
    pair.fake.ban(pair.group, 2, bot=north.bot)
    await ann.says("/run echo result $((40+2))", topic=topic)
    await north.hub.call(OWNER, SendInput(id="busy", text="one"))
    await eventually(lambda: {"final", "say"} <= {job.doc["do"] for job in north.waiting()}, timeout=10)
    await north.hub.call(OWNER, SendInput(id="busy", text="ask"))
    await eventually(lambda: "question" in {job.doc["do"] for job in north.waiting()}, timeout=10)
    await pair.hand("busy", north, south)
    await pair.says(south, "began", topic)
    await ann.says("two", topic=topic)
    await pair.says(south, f"<two> on {south.home.name}", topic)
    await pair.says(north, "It lives on south now", topic)
    said = "".join(message.shown for message in pair.of(north, topic=topic))
    for text in ("<one> on", "result 42", "Overwrite notes.txt?", "It lives on"):
        assert said.count(text) == 1, said
    assert not pair.of(north, "<two>")
    assert not pair.fake.messages(topic=topic, button="Yes")
    await ann.says("ask", topic=topic)
    asked = await south.button("Yes", topic)
    assert pair.of(south, "Overwrite notes.txt?", topic)[-1].id == asked.id
    assert len(pair.of(south, "<one>")) == 0


async def test_what_is_written_while_a_session_moves_is_typed_once(pair: Pair) -> None:
    ann, words = pair.north.ann, [f"word{number}." for number in range(24)]
    topic = await pair.north.new("moves", SAYS_ALL)
    await pair.says(pair.north, "began", topic)

    async def write() -> None:
        for word in words:
            await ann.says(word, topic=topic)
            await asyncio.sleep(0.05)

    async def move() -> None:
        await pair.hand("moves", pair.north, pair.south)
        await pair.hand("moves", pair.south, pair.north)

    await asyncio.gather(write(), move())
    await ann.says("last", topic=topic)
    await pair.says(pair.north, "<last>", topic)
    await pair.worked_off()
    assert [message.shown for message in pair.fake.messages("⚠️")] == []
    assert len(pair.receipts(pair.north)) == len(words) + 1
    assert None not in pair.receipts(pair.north)
    # What was typed in the moment before it left went to a program that had no time left to answer.
    printed = await pair.printed(pair.north, "moves")
    answered = [printed.count(f"<{word}>") for word in words]
    assert max(answered) == 1
    assert sum(answered) >= len(words) - 2


async def test_a_move_that_the_bots_slept_through(pair: Pair) -> None:
    """What was written meanwhile comes to both; it is typed once, and the topic is the new owner's."""
    north, south, ann = pair.north, pair.south, pair.north.ann
    topic = await north.new("slept", SAYS_ALL)
    await pair.says(north, "began", topic)
    await north.stop()
    await south.stop()
    await north.hub.call(OWNER, SendInput(id="slept", text="unheard"))
    await north.shows("slept", "<unheard>")
    await pair.hand("slept", north, south)
    await ann.says("in between", topic=topic)
    await north.start()
    await south.start()
    await pair.says(south, f"<in between> on {south.home.name}", topic)
    await pair.says(north, f"<unheard> on {north.home.name}", topic)
    await pair.says(north, "It lives on south now", topic)
    await pair.worked_off()
    assert (await pair.printed(south, "slept")).count("<in between>") == 1
    assert len(pair.fake.messages("<in between>")) == 1
    await ann.says("afterwards", topic=topic)
    await pair.says(south, "<afterwards>", topic)
    await pair.worked_off()
    assert (await pair.printed(south, "slept")).count("<afterwards>") == 1
    assert len(pair.of(north, topic=topic)) == 3


async def test_g15_run_and_py_asked_of_the_other_bot_run_where_the_session_is(pair: Pair) -> None:
    """Whoever is asked by name answers; what runs, runs on the computer of the topic."""
    north, south, ann = pair.north, pair.south, pair.north.ann
    topic = await south.new("far", ["cat"])
    us, them = north.bot.user.username, south.bot.user.username
    await pair.marked(south, "far", topic)
    await ann.says(f"/run@{us} pwd; touch was-here", topic=topic)
    await pair.says(north, str(south.work), topic)
    assert (south.work / "was-here").exists()
    assert not (north.work / "was-here").exists()
    await ann.says(f"/py@{us} x = 40", topic=topic)
    await ann.says(f"/py@{us} import os; print(os.getcwd()); x + 2", topic=topic)
    await pair.says(north, f"{south.work}\n42", topic)
    assert await north.sessions() == []
    assert sorted(await south.sessions()) == ["far", "py"]
    await ann.says(f"/cancel@{us}", topic=topic)
    await pair.says(north, "this topic is another computer's", topic)
    await ann.says(f"/new@{them} other", chat=pair.group)
    await pair.fake.until(lambda: pair.fake.topic("other"), 10)
    assert "other" in await south.sessions()
    await south.stop()
    tags = [f"telegram:{-pair.group.id}:{topic.id}"]
    await south.hub.call(OWNER, CreateSession(name="claims", command=["cat"], cwd=str(south.work), tags=tags))
    await ann.says(f"/run@{us} touch claimed", topic=topic)
    await pair.says(north, "several sessions claim this topic", topic)
    await south.start()
    nobodys = await ann.creates_topic("talk", chat=pair.group)
    await ann.says(f"/run@{us} touch nowhere", topic=nobodys)
    await pair.says(north, "no session of a computer", nobodys)
    await ann.says("hello everybody", topic=nobodys)
    await pair.worked_off()
    assert not pair.of(south, topic=nobodys)
    assert len(pair.of(north, topic=nobodys)) == 1
    assert not [
        path for home in (north.home, south.home) for name in ("nowhere", "claimed") for path in home.rglob(name)
    ]


async def test_a_handoff_in_private_chats_says_where_the_session_went() -> None:
    async with two_computers(private=True) as pair:
        north, south, ann = pair.north, pair.south, pair.north.ann
        await north.hub.call(OWNER, CreateSession(name="mine", cwd=str(north.work)))
        await eventually(lambda: north.adapter._room.current is not None, timeout=10)
        await ann.says("/handoff south", chat=north.group)
        await pair.says(north, "It lives on south now")
        assert north.adapter._room.current is None
        await ann.says("not for mine", chat=north.group)
        await pair.says(north, "/new NAME begins a session")
        await ann.says("echo $((40+2)) there", chat=south.group)
        await pair.says(south, "42 there")
        await ann.says("/handoff nowhere", chat=south.group)
        await pair.says(south, "there is no computer nowhere")
        await ann.says("/handoff north", chat=south.group)
        await pair.says(south, "It lives on north now")
        await ann.says("echo $((40+3)) back", chat=north.group)
        await pair.says(north, "43 back")
        assert "not for mine" not in await pair.printed(north, "mine")


async def test_the_examples_of_the_page(pair: Pair) -> None:
    chapter = PAGE.read_text().partition("\n## Several computers\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(/.*?)` \| `(.*?)` \| `(\w+)`", chapter, re.MULTILINE)
    assert len(rows) == 5
    topic = await pair.south.new("far", ["cat"])
    await pair.marked(pair.south, "far", topic)
    stages = {stage.name: stage for stage in pair.both}
    for command, answer, name in rows:
        stage = stages[name]
        await stage.ann.says(command.replace("north_bot", pair.north.bot.user.username), topic=topic)
        await pair.says(stage, answer, topic)
        assert [one for one in pair.fake.messages(answer, topic=topic) if one.sender.id != stage.bot.user.id] == []
