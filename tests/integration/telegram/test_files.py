"""Files, albums and pictures, in both directions."""

from __future__ import annotations

import base64
from typing import Any

from teleclaude.model import Kind
from teleclaude.testing.telegram.methods.files import document_content
from teleclaude.wire.sessions import CreateSession
from tests.integration.telegram.stage import OWNER, Stage, stage
from tests.support.wait import eventually

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PLOTS = f"""
import base64, sys, types
sys.modules['matplotlib.figure'] = figures = types.ModuleType('matplotlib.figure')
class Figure:
    def savefig(self, buffer, format, **options): buffer.write(base64.b64decode('{PIXEL}'))
figures.Figure = Figure
sys.modules['matplotlib.pyplot'] = plt = types.ModuleType('matplotlib.pyplot')
plt.open = []
plt.get_fignums = lambda: list(range(len(plt.open)))
plt.gcf = lambda: plt.open[-1]
plt.figure = lambda number: plt.open[number]
plt.close = lambda what: plt.open.clear()
"""


def uploaded(room: Stage, name: str, **fields: Any) -> dict[str, Any]:
    return document_content(room.fake.world.add_file(b"content", name, "text/plain")) | fields


async def test_what_is_sent_together_is_offered_together(room: Stage) -> None:
    topic = await room.new("drop", ["cat"])
    for name in ("a.txt", "b.txt", "c.txt"):
        caption = {"caption": "compare these"} if name == "a.txt" else {}
        extra = uploaded(room, name, media_group_id="77", **caption)
        await room.ann.says("", topic=topic, extra=extra)
    offer = await room.button("Type their paths", topic)
    assert [offer.shown.count(name) for name in ("a.txt", "b.txt", "c.txt")] == [1, 1, 1]
    await room.taps(room.ann, "Type their paths", message=offer)

    async def typed() -> bool:
        return "compare these" in "".join((await room.screen("drop")).lines)

    await eventually(typed, timeout=10)
    assert len(room.fake.calls("sendMessage")) == 1


async def test_other_files_are_files_and_what_is_none_is_said_so(room: Stage) -> None:
    topic = await room.new("kinds", ["cat"])
    file = uploaded(room, "x.bin")["document"]
    for kind, name in (("video", "video.mp4"), ("audio", "audio.mp3"), ("sticker", "sticker")):
        sent = {key: value for key, value in file.items() if key != "file_name"}
        await room.ann.says("", topic=topic, extra={kind: sent})
        await room.said(f"-{name}", topic)
    await room.ann.says("", topic=topic, extra={"poll": {"id": "1", "question": "?"}})
    await room.said("A poll cannot be typed", topic)
    await room.ann.says("", extra={"location": {"latitude": 1, "longitude": 2}})
    await room.worked_off()
    assert not room.fake.messages("A location")


async def test_a_file_that_has_become_another_is_not_sent(room: Stage) -> None:
    topic = await room.new("swap")
    asked, secret = room.work / "report.txt", room.home / "secret"
    asked.write_text("what was asked for")
    secret.write_text("nobody's business")
    room.fake.ban(room.group, 2.0)
    await room.ann.says("/get report.txt", topic=topic)
    await room.fake.until(lambda: room.fake.calls("sendDocument", ok=False), 10)
    asked.unlink()
    asked.symlink_to(secret)
    await room.said("report.txt is no longer what it was", topic)
    assert not room.fake.calls("sendDocument", ok=True)


async def test_several_figures_of_a_cell_come_as_one_album(room: Stage) -> None:
    await room.hub.call(OWNER, CreateSession(name="plots", kind=Kind.PYTHON))
    topic = await room.fake.until(lambda: room.fake.topic("plots"))
    await room.ann.says(f"{PLOTS}\nplt.open[:] = [Figure(), Figure(), Figure()]", topic=topic)
    photos = await room.fake.until(lambda: [m for m in room.fake.messages(topic=topic) if "photo" in m.content], 15)
    assert len(photos) == 3
    assert len({message.content["media_group_id"] for message in photos}) == 1
    assert len(room.fake.calls("sendMediaGroup")) == 1
    await eventually(lambda: not list((room.state / "telegram" / "spool").iterdir()), timeout=5)


async def test_an_album_that_is_refused_comes_one_by_one(room: Stage) -> None:
    room.fake.fail(400, "Bad Request: PHOTO_INVALID_DIMENSIONS", method="sendMediaGroup")
    await room.hub.call(OWNER, CreateSession(name="plots", kind=Kind.PYTHON))
    topic = await room.fake.until(lambda: room.fake.topic("plots"))
    await room.ann.says(f"{PLOTS}\nplt.open[:] = [Figure(), Figure()]", topic=topic)

    def photos() -> bool:
        return len([m for m in room.fake.messages(topic=topic) if "photo" in m.content]) == 2

    await room.fake.until(photos, 15)
    assert base64.b64decode(PIXEL) in [file.data for file in room.fake.world.files.values()]


async def test_in_a_chat_without_topics_a_picture_says_whose_it_is() -> None:
    async with stage(private="plain") as room:
        await room.ann.says("/new one")
        await room.said("one is the session that you talk to now")
        await room.ann.says("/screen")
        shown = await room.fake.until(lambda: [m for m in room.fake.messages() if "photo" in m.content], 15)
        assert shown[-1].caption == "[one]"
