"""One topic, one session: what people write is typed, what programs print is said."""

from __future__ import annotations

import pytest

from teleclaude.model import Kind
from teleclaude.wire.sessions import CloseSession, CreateSession
from teleclaude_telegram import turns
from tests.integration.telegram.stage import OWNER, Stage, stage
from tests.support.wait import eventually


async def test_new_with_a_name_begins_the_default_shell_in_a_topic_of_its_own(room: Stage) -> None:
    await room.ann.says("/new build")
    topic = await room.fake.until(lambda: room.fake.topic("build"))
    session = await room.session("build")
    assert session.command is None
    await room.ann.says("echo $((6 * 7)) apples", topic=topic)
    said = await room.said("42 apples", topic)
    assert said.silent
    assert "\x1b" not in said.shown


async def test_a_session_started_elsewhere_has_a_topic_that_closes_with_it(room: Stage) -> None:
    topic = await room.new("cat", "printf 'last words'; exit 3")
    await room.said("last words", topic)
    end = await room.said("Ended with code 3", topic)
    assert not end.silent
    await room.fake.until(lambda: topic.closed)
    assert not topic.deleted
    assert "cat" in topic.name
    assert room.fake.messages("last words", topic=topic)


async def test_closing_the_topic_closes_the_session(room: Stage) -> None:
    topic = await room.new("shut")
    await room.ann.closes_topic(topic)

    async def closed() -> bool:
        return (await room.session("shut")).state == "exited"

    await eventually(closed, timeout=10)


async def test_two_slashes_type_one_and_an_edit_never_runs_again(room: Stage) -> None:
    topic = await room.new("echo", ["cat"])
    message = await room.ann.says("//help me", topic=topic)
    await room.shows("echo", "/help me")
    assert "//help" not in "\n".join((await room.screen("echo")).lines)
    await room.ann.edits(message, "//something else")
    await room.worked_off()
    assert "something else" not in "\n".join((await room.screen("echo")).lines)


async def test_g12_words_that_mean_something_to_tmux_or_a_shell_are_typed_as_they_are(room: Stage) -> None:
    topic = await room.new_echo("literal")
    words = ["; rm -rf x", "-R", "C-c", "Enter", "%0", "#(id)", "$(id)", "word;"]
    for word in words:
        await room.ann.says(word, topic=topic)

    await room.shows("literal", "word;")
    assert [line for line in await room.lines("literal") if line in words] == words


async def test_g13_long_and_odd_text_is_typed_and_said(room: Stage) -> None:
    topic = await room.new("odd", "stty -icanon; cat")
    await room.ann.says("שלום 👨‍👩‍👧 \x1b[201~ e\u0301nd", topic=topic)
    await room.shows("odd", "nd")
    await room.ann.says("x" * 4096, topic=topic)
    await room.ann.says("after", topic=topic)
    await room.shows("odd", "after")
    await room.said("after", topic)
    assert not room.fake.calls(ok=False)


async def test_a_long_turn_has_one_live_message_and_then_a_final_one(
    room: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "FIRST_LIVE_SECONDS", 0.7)
    monkeypatch.setattr(turns, "LOOK_SECONDS", 0.5)
    topic = await room.new("work")
    await room.ann.says("for i in $(seq 20); do echo step $i; sleep 0.1; done", topic=topic)
    live = await room.said("step 7", topic)
    await room.fake.until(lambda: live.edits > 0, 10)
    final = await room.fake.until(
        lambda: [m for m in room.fake.messages("step 20", topic=topic) if m.id != live.id], 10
    )
    await room.fake.until(lambda: live.deleted)
    assert "step 1\n" in final[-1].shown
    assert all(call.params.get("disable_notification") for call in room.fake.calls("sendMessage"))


async def test_long_output_is_cut_and_the_rest_is_a_file(room: Stage) -> None:
    topic = await room.new("long")
    await room.ann.says("seq 5000", topic=topic)
    cut = await room.button("all of it, as a file", topic)
    assert "5000" in cut.shown
    assert "It is on its way." in await room.taps(room.ann, "all of it, as a file")
    file = await room.fake.until(lambda: [m for m in room.fake.messages(topic=topic) if "document" in m.content])
    assert file[-1].content["document"]["file_name"] == "long.txt"


async def test_python_keeps_its_variables_and_shows_its_figures(room: Stage) -> None:
    await room.hub.call(OWNER, CreateSession(name="numbers", kind=Kind.PYTHON))
    topic = await room.fake.until(lambda: room.fake.topic("numbers"))
    await room.ann.says("x = 20", topic=topic)
    await room.ann.says("/py x * 2 + 2", topic=topic)
    await room.said("42", topic)
    figure = (
        "class F:\n def _repr_png_(self):\n"
        "  import base64; return base64.b64decode("
        "'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==')\nF()"
    )
    await room.ann.says(figure, topic=topic)
    await room.fake.until(lambda: [m for m in room.fake.messages(topic=topic) if "photo" in m.content], 15)


async def test_run_says_how_it_ended(room: Stage) -> None:
    await room.ann.says("/run echo out; echo err >&2; exit 4")
    said = await room.said("failed 4")
    assert "out" in said.shown
    assert "err" in said.shown
    assert not said.silent
    topic = await room.new("there")
    await room.ann.says("/run pwd", topic=topic)
    await room.said(str(room.work), topic)


async def test_a_private_chat_with_topics() -> None:
    async with stage(private="topics") as room:
        topic = await room.new("mine")
        await room.ann.says("echo private $((1+1))", topic=topic)
        await room.said("private 2", topic)
        await room.hub.call(OWNER, CloseSession(id="mine"))
        await room.said("Ended", topic)


async def test_a_private_chat_without_topics_has_a_current_session() -> None:
    async with stage(private="plain") as room:
        await room.ann.says("/new one")
        await room.said("one is the session that you talk to now")
        await room.ann.says("echo first $((1+1))")
        assert "[one]" in (await room.said("first 2")).shown
        await room.ann.says("/new two")
        await room.said("two is the session that you talk to now")
        await room.ann.says("/use one")
        await room.said("You talk to this session now")
        await room.ann.says("echo again $((2+2))")
        assert "[one]" in (await room.said("again 4")).shown
