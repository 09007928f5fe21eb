"""Files, both ways."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import pytest
import telegram
from telegram import InputMediaPhoto
from telegram.error import BadRequest, NetworkError

from teleclaude.testing.telegram import Chat, FakeBotApi, Person


def picture(width: int = 4, height: int = 3) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


async def test_a_document_out_and_back(fake: FakeBotApi, bot: telegram.Bot, group: Chat) -> None:
    sent = await bot.send_document(
        group.id, BytesIO(b"\x00abc"), filename="../x y.log", caption="*c*", parse_mode="MarkdownV2"
    )
    assert sent.document is not None
    assert (sent.document.file_size, sent.caption, len(sent.caption_entities)) == (4, "c", 1)
    file = await bot.get_file(sent.document.file_id)
    assert bytes(await file.download_as_bytearray()) == b"\x00abc"
    again = await bot.send_document(group.id, sent.document.file_id)
    assert again.document == sent.document


async def test_a_picture_is_replaced_in_place(bot: telegram.Bot, group: Chat) -> None:
    sent = await bot.send_photo(group.id, picture(), disable_notification=True)
    assert [(size.width, size.height) for size in sent.photo] == [(4, 3)]
    edited = await bot.edit_message_media(InputMediaPhoto(picture(5, 5), caption="new"), group.id, sent.message_id)
    assert isinstance(edited, telegram.Message)
    assert (edited.photo[0].width, edited.caption, edited.message_id) == (5, "new", sent.message_id)
    with pytest.raises(BadRequest, match="Message is not modified"):
        await bot.edit_message_media(InputMediaPhoto(edited.photo[0].file_id, caption="new"), group.id, sent.message_id)
    captioned = await bot.edit_message_caption(group.id, sent.message_id, caption="newer")
    assert isinstance(captioned, telegram.Message)
    with pytest.raises(BadRequest, match="There is no text in the message to edit"):
        await bot.edit_message_text("a", group.id, sent.message_id)


@pytest.mark.parametrize(
    ("data", "refusal"),
    [
        (b"no picture", "Image_process_failed"),
        (picture(9000, 2000), "Photo_invalid_dimensions"),
        (picture(2100, 100), "Photo_invalid_dimensions"),
        (picture() + bytes(10 << 20), "is too big for a photo; the maximum size is 10485760 bytes"),
    ],
)
async def test_pictures_that_are_refused(bot: telegram.Bot, group: Chat, data: bytes, refusal: str) -> None:
    with pytest.raises(BadRequest, match=refusal):
        await bot.send_photo(group.id, data)


async def test_other_refusals(bot: telegram.Bot, group: Chat) -> None:
    with pytest.raises(BadRequest, match="Message caption is too long"):
        await bot.send_document(group.id, b"a", caption="x" * 1025)
    with pytest.raises(BadRequest, match="File must be non-empty"):
        await bot.send_document(group.id, b"", filename="x")
    with pytest.raises(BadRequest, match="Wrong file identifier"):
        await bot.send_document(group.id, "no-such-id")
    with pytest.raises(BadRequest, match="Wrong file_id or the file is temporarily unavailable"):
        await bot.get_file("no-such-id")
    sent = await bot.send_message(group.id, "text")
    with pytest.raises(BadRequest, match="There is no media in the message to edit"):
        await bot.edit_message_media(InputMediaPhoto(picture()), group.id, sent.message_id)
    with pytest.raises(NetworkError, match="Request Entity Too Large"):
        await bot.send_document(group.id, bytes((50 << 20) + 1), filename="large")


async def test_an_album(bot: telegram.Bot, group: Chat) -> None:
    sent = await bot.send_media_group(group.id, [InputMediaPhoto(picture()), InputMediaPhoto(picture(), caption="b")])
    assert [message.caption for message in sent] == [None, "b"]
    with pytest.raises(BadRequest, match="from 2 to 10"):
        await bot.send_media_group(group.id, [InputMediaPhoto(picture())])


async def test_what_people_send(bot: telegram.Bot, group: Chat, ann: Person) -> None:
    await ann.uploads("../../x", b"data", caption="see", mime="text/plain")
    await ann.sends_photo(picture())
    await ann.voice(b"OggS", seconds=3)
    await ann.uploads("huge", b"", size=2 << 30)
    document, photo, voice, huge = [update.message for update in await bot.get_updates()]
    assert document is not None
    assert document.document is not None
    assert (document.document.file_name, document.caption) == ("../../x", "see")
    data = await (await document.document.get_file()).download_as_bytearray()
    assert bytes(data) == b"data"
    assert photo is not None
    assert photo.photo[0].width == 4
    assert voice is not None
    assert voice.voice is not None
    assert huge is not None
    assert huge.document is not None
    with pytest.raises(BadRequest, match="File is too big"):
        await huge.document.get_file()


async def test_a_voice_note_out(bot: telegram.Bot, group: Chat) -> None:
    assert (await bot.send_voice(group.id, b"OggS", duration=2)).voice is not None
