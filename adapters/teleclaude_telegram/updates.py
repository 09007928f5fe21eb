"""What an update of the Bot API says, as far as it matters here. Pure: raw JSON objects in, facts out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

ALLOWED = ("message", "edited_message", "callback_query", "my_chat_member")
"""What is asked for with every poll, since the server remembers what was last asked."""

_WORD = re.compile(r"\S*")

TopicChange = Literal["created", "closed", "reopened", "renamed"]


@dataclass(frozen=True, slots=True)
class Attachment:
    """``size`` is None where Telegram does not say. ``album`` is the same for what was sent together, else empty. Of
    kind "other" is what is no file; ``name`` says what it is.
    """

    kind: Literal["document", "photo", "voice", "other"]
    file_id: str
    name: str
    size: int | None
    album: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """``user_id`` is None for who has no id of a person: channels, anonymous administrators, bots.

    ``indirect``: forwarded or sent through another bot, so perhaps not the words of the sender. ``made_by`` is who made
    the topic, and ``made_as`` its first name, where the message tells.
    """

    update_id: int
    chat_id: int
    message_id: int
    thread_id: int | None
    user_id: int | None
    text: str
    date: int
    indirect: bool
    attachment: Attachment | None
    made_by: int | None = None
    made_as: str = ""


@dataclass(frozen=True, slots=True)
class Tapped:
    update_id: int
    chat_id: int | None
    message_id: int | None
    thread_id: int | None
    user_id: int | None
    tap_id: str
    data: str


@dataclass(frozen=True, slots=True)
class TopicNews:
    update_id: int
    chat_id: int
    thread_id: int
    user_id: int | None
    change: TopicChange
    name: str


@dataclass(frozen=True, slots=True)
class Moved:
    """The group has another id now."""

    update_id: int
    chat_id: int
    to: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What the bot may do in a chat has changed."""

    update_id: int
    chat_id: int


@dataclass(frozen=True, slots=True)
class Ignored:
    update_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class Spoken:
    """A command: its name in small letters, the bot it is for ("" for any), and what stands behind it."""

    name: str
    bot: str
    args: str


def read_command(text: str) -> Spoken | None:
    """None for what is no command; two slashes type one."""
    if not text.startswith("/") or text.startswith("//"):
        return None
    word = _WORD.match(text, 1)
    assert word is not None
    name, _, bot = word[0].partition("@")
    return Spoken(name.lower(), bot.lower(), text[word.end() :].strip())


Incoming = Said | Tapped | TopicNews | Moved | Standing | Ignored


def read_update(raw: Any, update_id: int) -> Incoming:
    """Never raises: what is not understood is ``Ignored``."""
    try:
        return _read(raw, update_id)
    except (KeyError, TypeError, ValueError, AttributeError):
        return Ignored(update_id, "not understood")


def _read(raw: Any, update_id: int) -> Incoming:
    if "callback_query" in raw:
        return _tapped(raw["callback_query"], update_id)
    if "edited_message" in raw:
        return Ignored(update_id, "an edit never runs again")
    if "my_chat_member" in raw:
        return Standing(update_id, _id(raw["my_chat_member"]["chat"]["id"]))
    if "message" not in raw:
        return Ignored(update_id, "of no interest")
    message = raw["message"]
    if "migrate_to_chat_id" in message:
        return Moved(update_id, _id(message["chat"]["id"]), _id(message["migrate_to_chat_id"]))
    return _topic_news(message, update_id) or _said(message, update_id)


def _tapped(query: Any, update_id: int) -> Tapped:
    message = query.get("message") or {}
    chat = message.get("chat") or {}
    return Tapped(
        update_id=update_id,
        chat_id=_id_or_none(chat.get("id")),
        message_id=_id_or_none(message.get("message_id")),
        thread_id=_thread(message),
        user_id=_person(query),
        tap_id=str(query["id"]),
        data=str(query.get("data", "")),
    )


_CHANGES: dict[str, TopicChange] = {
    "forum_topic_created": "created",
    "forum_topic_closed": "closed",
    "forum_topic_reopened": "reopened",
    "forum_topic_edited": "renamed",
}


def _topic_news(message: Any, update_id: int) -> TopicNews | None:
    for key, change in _CHANGES.items():
        if key in message:
            return TopicNews(
                update_id=update_id,
                chat_id=_id(message["chat"]["id"]),
                thread_id=_id(message["message_thread_id"]),
                user_id=_person(message),
                change=change,
                name=str((message[key] or {}).get("name", "")),
            )
    return None


def _said(message: Any, update_id: int) -> Incoming:
    attachment = _attachment(message)
    text = message.get("text") or message.get("caption") or ""
    if not isinstance(text, str) or not (text or attachment):
        return Ignored(update_id, "nothing was said")
    made_by, made_as = _maker(message)
    return Said(
        update_id=update_id,
        chat_id=_id(message["chat"]["id"]),
        message_id=_id(message["message_id"]),
        thread_id=_thread(message),
        user_id=_person(message),
        text=text,
        date=_id(message["date"]),
        indirect="forward_origin" in message or "forward_date" in message or "via_bot" in message,
        attachment=attachment,
        made_by=made_by,
        made_as=made_as,
    )


def _maker(message: Any) -> tuple[int | None, str]:
    """Who made the topic: what is no reply to anything is one to the message with which the topic began."""
    first = message.get("reply_to_message")
    made = first.get("forum_topic_created") if isinstance(first, dict) else None
    maker = first.get("from") if isinstance(first, dict) else None
    if not isinstance(made, dict) or not isinstance(maker, dict):
        return None, ""
    return _id_or_none(maker.get("id")), str(made.get("name", ""))


def _person(holder: Any) -> int | None:
    sender = holder.get("from")
    if not isinstance(sender, dict) or sender.get("is_bot") or "sender_chat" in holder:
        return None
    return _id(sender["id"])


_FILES = {
    "document": "file",
    "video": "video.mp4",
    "audio": "audio.mp3",
    "video_note": "video-note.mp4",
    "sticker": "sticker",
}
"""What comes as one file, and the name of one that has none."""

_NO_FILES = ("location", "venue", "contact", "poll", "dice", "game", "story", "paid_media", "checklist")


def _attachment(message: Any) -> Attachment | None:
    album = str(message.get("media_group_id", ""))
    if "voice" in message:
        voice = message["voice"]
        return Attachment("voice", str(voice["file_id"]), "voice.oga", voice.get("file_size"))
    for kind, unnamed in _FILES.items():
        if kind in message:
            file = message[kind]
            name = str(file.get("file_name") or unnamed)
            return Attachment("document", str(file["file_id"]), name, file.get("file_size"), album)
    if message.get("photo"):
        largest = message["photo"][-1]
        return Attachment("photo", str(largest["file_id"]), "photo.jpg", largest.get("file_size"), album)
    return next((Attachment("other", "", kind, None) for kind in _NO_FILES if kind in message), None)


def _thread(message: Any) -> int | None:
    """Its topic; answers in the general one have a thread that is none."""
    return _id_or_none(message.get("message_thread_id")) if message.get("is_topic_message") else None


def _id_or_none(value: Any) -> int | None:
    return None if value is None else _id(value)


def _id(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError("an id is a number")
    return value
