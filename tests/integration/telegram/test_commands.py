"""The commands, the pictures and the files."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import pytest

from teleclaude.testing.telegram import Message, Topic
from teleclaude.wire.sessions import CloseSession, CreateSession, SendInput, UpdateSession
from teleclaude_telegram.commands import TABLE
from tests.integration.telegram.stage import OWNER, Stage, stage
from tests.support.wait import eventually

# fmt: off
EARLIER = [
    "agent_restart", "agent_resume", "backspace", "cancel", "cancel2x", "cd", "claude", "claude_plan", "codex",
    "ctrl", "enter", "escape", "escape2x", "gemini", "help", "key_down", "key_left", "key_right", "key_up", "kill",
    "new_session", "rename", "resize", "shift_tab", "tab",
]
# fmt: on
OURS = ["new", "ls", "screen", "log", "run", "py", "kill", "handoff", "who", "help", "get"]
KEYS = [
    ("/cancel", "^C"),
    ("/cancel2x", "^C^C"),
    ("/ctrl b", "^B"),
    ("/tab", "^I"),
    ("/shift_tab 2", "^[[Z^[[Z"),
    ("/claude_plan", "^[[Z^[[Z^[[Z"),
    ("/backspace 2", "^?^?"),
    ("/escape hi", "^[hi^M"),
    ("/escape2x", "^[^["),
    ("/key_up 2", "^[[A^[[A"),
    ("/key_down", "^[[B"),
    ("/key_right", "^[[C"),
    ("/key_left", "^[[D"),
]
SHOW_KEYS = "stty raw -echo; printf READY; exec cat -vT"


def test_every_command_that_people_had_is_there() -> None:
    names = {command.name for command in TABLE}
    assert set(EARLIER) <= names
    assert set(OURS) <= names
    assert len(names) == len(TABLE) <= 100


async def test_the_commands_are_published_for_the_group(room: Stage) -> None:
    published = await room.fake.until(lambda: room.fake.bot.commands)
    (commands,) = published.values()
    assert {command["command"] for command in commands} == {command.name for command in TABLE}
    assert all(0 < len(command["description"]) <= 256 for command in commands)


async def test_only_one_bot_of_a_group_publishes_and_answers_outside_of_topics() -> None:
    async with stage(publish_commands=False) as room:
        await room.ann.says("/new nobodys")
        await room.ann.says(f"/new@{room.fake.bot.user.username} mine")
        await room.fake.until(lambda: room.fake.topic("mine"))
        assert room.fake.bot.commands == {}
        assert await room.sessions() == ["mine"]
        assert not room.fake.messages()


async def test_keys(room: Stage) -> None:
    topic = await room.new("keys", SHOW_KEYS)
    await room.shows("keys", "READY")
    shown = "READY"
    for command, keys in KEYS:
        await room.ann.says(command, topic=topic)
        shown += keys
        await eventually(lambda want=shown: _joined(room, want), timeout=10)  # type: ignore[misc]


async def _joined(room: Stage, want: str, name: str = "keys") -> bool:
    """Whether it is there, over the ends of lines."""
    found = "".join(line.rstrip() for line in (await room.screen(name)).lines)
    assert want in found, found
    return True


async def test_new_offers_what_and_where_as_buttons(room: Stage) -> None:
    await room.ann.says("/new")
    what = await room.button("shell")
    assert "python" in what.buttons
    await room.taps(room.ann, "shell", message=what)
    await room.button("work")
    assert "begins" in await room.taps(room.ann, "work")
    (name,) = await room.sessions()
    assert (await room.session(name)).cwd == str(room.work)
    await room.fake.until(lambda: room.fake.topic(name))


async def test_the_terminal_is_a_picture_that_changes_in_place(room: Stage) -> None:
    topic = await room.new("view", ["cat"])
    await room.ann.says("/screen", topic=topic)
    photo = await room.button("⏎", topic)
    assert "photo" in photo.content
    await room.hub.call(OWNER, SendInput(id="view", text="hello"))
    await room.fake.until(lambda: room.fake.calls("editMessageMedia", ok=True), 10)
    tap = await room.ann.presses("⏎", chat=room.group, message=photo)
    await room.fake.until(lambda: tap.answer is not None)
    await room.fake.until(lambda: len(room.fake.calls("editMessageMedia", ok=True)) > 1, 10)
    await room.taps(room.ann, "🔄", message=photo)
    await room.fake.until(lambda: room.fake.calls("editMessageReplyMarkup", ok=True), 10)
    assert len([m for m in room.fake.messages(topic=topic) if "photo" in m.content]) == 1
    assert not room.fake.calls("editMessageMedia", ok=False)


@pytest.mark.usefixtures("signs_soon")
async def test_listing_renaming_resizing_and_ending(room: Stage) -> None:
    topic = await room.new("first")
    await room.ann.says("/resize 100 30", topic=topic)

    async def resized() -> bool:
        return (await room.session("first")).cols == 100

    await eventually(resized, timeout=10)
    await room.ann.says("/rename second", topic=topic)
    await room.fake.until(lambda: "second" in topic.name, 10)
    await room.ann.says("/ls")
    await room.said("here/second")
    await room.ann.says("/who")
    await room.said("tg:7, owner")
    await room.ann.says("/cd", topic=topic)
    await room.button("work", topic)
    await room.taps(room.ann, "work")
    await room.shows("second", f"cd {room.work}")
    await room.ann.says("/nonsense", topic=topic)
    await room.said("there is no /nonsense", topic)
    await room.ann.says("/kill", topic=topic)
    await room.fake.until(lambda: topic.closed, 10)


async def test_restarting(room: Stage) -> None:
    topic = await room.new("again", "echo began; exec cat")
    await room.said("began", topic)
    await room.ann.says("/agent_resume", topic=topic)
    await room.said("only an agent's session can be resumed", topic)
    await room.ann.says("/agent_restart", topic=topic)
    await room.fake.until(lambda: len(room.fake.messages("began", topic=topic)) == 2, 10)


async def test_an_agent_in_a_mode_and_its_conversation_taken_up_again(tmp_path: Path) -> None:
    record = tmp_path / "prompts"
    program = [sys.executable, "-m", "teleclaude.testing.fake_agent", "--record", str(record)]
    script = tmp_path / "script.json"
    script.write_text('{"rules": []}')
    profile = {
        "command": [*program, "--session-id", "{conversation_id}"],
        "resume": [*program, "--resume", "{conversation_id}"],
        "modes": {"fast": [str(script)]},
    }
    async with stage(sections={"agents": {"claude": profile}}) as room:
        ground = await room.new("ground", ["cat"])
        await room.ann.says("/claude slow think", topic=ground)
        await room.said("agent claude has no mode 'slow'; known: fast", ground)
        await room.ann.says("/claude fast", topic=ground)
        topic = await room.fake.until(lambda: room.fake.topic("claude-fast"), 10)
        session = await room.session("claude-fast")
        assert session.agent is not None
        assert (session.agent.name, session.cwd) == ("claude:fast", str(room.work))
        conversation = session.agent.conversation_id
        await room.shows("claude-fast", "? for help")
        await room.ann.says("remember the milk", topic=topic)
        await room.said("You said: remember the milk", topic)
        await room.ann.says("/agent_resume", topic=topic)

        async def resumed() -> bool:
            shown = "\n".join(await room.lines("claude-fast"))
            return "> remember the milk" in shown and "You said" not in shown and "? for help" in shown

        await eventually(resumed, timeout=10)
        session = await room.session("claude-fast")
        assert session.command == [*program, "--resume", conversation, str(script)]
        await room.ann.says("and the bread", topic=topic)
        await room.said("You said: and the bread", topic)
    rows = [json.loads(row) for row in record.read_text().splitlines()]
    assert [(row["prompt"], row["conversation_id"]) for row in rows] == [
        ("remember the milk", conversation),
        ("and the bread", conversation),
    ]


async def test_get_sends_files_from_allowed_directories_only(room: Stage) -> None:
    (room.work / "notes.txt").write_text("noted")
    (room.work / "link").symlink_to("/etc/passwd")
    topic = await room.new("files")
    await room.ann.says("/get notes.txt", topic=topic)
    await room.fake.until(lambda: [m for m in room.fake.messages(topic=topic) if "document" in m.content], 10)
    for path in ("/etc/passwd", "link", "../../../etc/passwd", f"{room.work}/../token"):
        await room.ann.says(f"/get {path}", topic=topic)
    await room.fake.until(lambda: len(room.fake.messages("these directories only", topic=topic)) == 4, 10)
    await room.ann.says("/get missing", topic=topic)
    await room.said("there is no file missing", topic)


async def test_g14_files_are_stored_under_a_safe_name_and_typed_after_a_confirmation(room: Stage) -> None:
    topic = await room.new("drop", ["cat"])
    names = ["../../x", "a\0b", "n" * 300, "-rf", ".bashrc", "résumé (1).pdf"]
    for number, name in enumerate(names):
        await room.ann.uploads(name, f"content {number}".encode(), topic=topic)
    offers = await room.fake.until(lambda: _all(room, topic, len(names)), 10)
    assert "/" not in "\n".join((await room.screen("drop")).lines)
    await room.taps(room.ann, "Type its path", message=offers[-1])
    await eventually(lambda: _joined(room, "r_sum_1_.pdf", "drop"), timeout=10)
    paths = [path for path in room.state.rglob("*") if path.is_file() and path.read_bytes()[:8] == b"content "]
    assert len(paths) == len(names)
    assert all(path.name[0].isalnum() and len(path.name) < 100 for path in paths)
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in paths)


def _all(room: Stage, topic: Topic, count: int) -> list[Message]:
    found = room.fake.messages(topic=topic, button="Type its path")
    return found if len(found) == count else []


async def test_g14_what_is_too_large_is_refused(room: Stage) -> None:
    topic = await room.new("large", ["cat"])
    await room.ann.uploads("big.bin", b"x", size=2 << 30, topic=topic)
    await room.said("20 MB at most", topic)


async def test_a_voice_note_is_shown_before_it_is_typed(tmp_path: Path) -> None:
    script = tmp_path / "hear"
    script.write_text('#!/bin/sh\necho "echo heard $(cat "$1")"\n')
    script.chmod(0o700)
    async with stage(transcribe_command=[str(script)]) as room:
        topic = await room.new("voice")
        await room.ann.voice(b"you", topic=topic)
        await room.button("Send", topic)
        await room.taps(room.ann, "Send")
        await room.shows("voice", "heard you")


async def test_what_was_understood_is_typed_only_when_it_can_be_seen(tmp_path: Path) -> None:
    script = tmp_path / "hear"
    script.write_text("#!/bin/sh\nhead -c 6000 /dev/zero | tr '\\0' x\n")
    script.chmod(0o700)
    async with stage(transcribe_command=[str(script)]) as room:
        topic = await room.new("voice")
        await room.ann.voice(b"you", topic=topic)
        await room.said("say it in parts", topic)


async def test_voice_is_off_by_default(room: Stage) -> None:
    topic = await room.new("deaf")
    await room.ann.voice(b"x", topic=topic)
    await room.said("voice notes are off", topic)


async def test_a_tag_takes_no_topic_from_the_session_that_lives_in_it(room: Stage) -> None:
    """The tag leads whoever takes a session over to its topic; on any other session it means nothing."""
    topic = await room.new_echo("victim")
    mark = f"telegram:{-room.group.id}:{topic.id}"

    async def marked() -> bool:
        return (await room.session("victim")).tags == [mark]

    await eventually(marked, timeout=10)
    for name, tags in (("thief", [mark]), ("general", [f"telegram:{-room.group.id}:1"])):
        await room.hub.call(OWNER, CreateSession(name=name, cwd=str(room.work), command=["cat"], tags=tags))
        await room.fake.until(lambda name=name: room.fake.topic(name), 10)  # type: ignore[misc]
    await room.ann.says("for the victim", topic=topic)
    await room.shows("victim", "for the victim")
    assert not [line for line in await room.lines("thief") if line]
    await room.hub.call(OWNER, UpdateSession(id="victim", tags=["mine"]))

    async def marked_again() -> bool:
        return (await room.session("victim")).tags == ["mine", mark]

    await eventually(marked_again, timeout=10)


async def test_what_people_say_to_each_other_is_hinted_at_once(room: Stage) -> None:
    for _ in range(3):
        await room.ann.says("good morning", chat=room.group)
    await room.worked_off()
    assert len(await room.fake.until(lambda: room.fake.messages("/new NAME begins a session"))) == 1


async def test_the_result_of_a_command_is_said_when_its_session_is_gone(room: Stage) -> None:
    topic = await room.new("brief", ["cat"])
    await room.ann.says("/run while [ ! -e go ]; do sleep 0.05; done; echo result $((40+2))", topic=topic)
    await room.worked_off()
    await room.hub.call(OWNER, CloseSession(id="brief", purge=True))
    await room.fake.until(lambda: topic.closed, 10)
    (room.work / "go").touch()
    result = await room.said("result 42")
    assert result.thread_id == room.group.general.id
    assert topic.closed
    assert not room.adapter._room.places
