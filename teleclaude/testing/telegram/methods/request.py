"""One call of a bot, and what most methods begin with."""

from __future__ import annotations

from dataclasses import dataclass

from teleclaude.testing.telegram.html import parse_html
from teleclaude.testing.telegram.keyboard import Keyboard, check_markup
from teleclaude.testing.telegram.limits import CAPTION_UNITS, TEXT_UNITS
from teleclaude.testing.telegram.markdown import parse_markdown, parse_markdown_v2
from teleclaude.testing.telegram.params import Params
from teleclaude.testing.telegram.refusal import ApiError, bad_request
from teleclaude.testing.telegram.text import Entity, blank, check_count, check_entities, cleaned, units
from teleclaude.testing.telegram.world import GENERAL, Bot, Chat, Message, World

_MODES = {"html": parse_html, "markdownv2": parse_markdown_v2, "markdown": parse_markdown}


@dataclass(frozen=True, slots=True)
class Request:
    world: World
    bot: Bot
    params: Params

    def chat(self) -> Chat:
        if self.params.text("chat_id") in (None, ""):
            raise bad_request("chat_id is empty")
        chat_id = self.params.number("chat_id")
        assert chat_id is not None
        return self.world.chat(self.bot, chat_id)

    def thread(self, chat: Chat) -> int | None:
        """The topic a new message goes to; None where there is none, ``GENERAL`` for a forum's general topic."""
        thread_id = self.params.number("message_thread_id")
        if thread_id is None:
            if chat.forum and chat.general.closed:
                raise bad_request("TOPIC_CLOSED")
            return GENERAL if chat.forum else None
        topic = chat.topics.get(thread_id)
        if topic is None or topic.deleted:
            raise bad_request("message thread not found")
        if topic.closed:
            raise bad_request("TOPIC_CLOSED")
        return thread_id

    def own_message(self, chat: Chat, missing: str, wrong: str) -> Message:
        """The message to change. Raises ``ApiError`` when it is not there, or not the bot's."""
        message = chat.alive(self.params.needed("message_id", "message identifier is not specified"))
        if message is None:
            raise bad_request(missing)
        if message.sender.id != self.bot.user.id or message.service:
            raise bad_request(wrong)
        return message

    def body(self) -> tuple[str, list[Entity]]:
        """Text and entities of a message."""
        text = self.params.text("text")
        if not text:
            raise bad_request("message text is empty")
        text, entities = formatted(text, self.params.text("parse_mode"), self._entities("entities"))
        if blank(text):
            raise bad_request("text must be non-empty")
        if units(text) > TEXT_UNITS:
            raise bad_request("message is too long")
        return text, entities

    def caption(self) -> tuple[str | None, list[Entity]]:
        return caption_of(
            self.params.text("caption"), self.params.text("parse_mode"), self._entities("caption_entities")
        )

    def keyboard(self, chat: Chat) -> Keyboard | None:
        markup = self.params.value("reply_markup", "reply keyboard markup")
        return None if markup is None else check_markup(markup, private=not chat.is_group)

    def reply_target(self, chat: Chat) -> int | None:
        given = self.params.value("reply_parameters", "reply parameters")
        target = given.get("message_id") if isinstance(given, dict) else self.params.number("reply_to_message_id")
        if target is None or chat.alive(int(target)) is not None:
            return target
        tolerant = bool(given.get("allow_sending_without_reply")) if isinstance(given, dict) else False
        if tolerant or self.params.flag("allow_sending_without_reply"):
            return None
        raise bad_request("message to be replied not found")

    def _entities(self, name: str) -> object:
        return self.params.value(name, "entities")


def caption_of(text: str | None, mode: str | None, entities: object) -> tuple[str | None, list[Entity]]:
    """Raises ``ApiError`` for a caption that is too long or cannot be parsed."""
    if not text:
        return None, []
    text, found = formatted(text, mode, entities)
    if units(text) > CAPTION_UNITS:
        raise bad_request("message caption is too long")
    return text or None, found


def formatted(text: str, mode: str | None, entities: object) -> tuple[str, list[Entity]]:
    """A text as it will be shown. Raises ``ApiError``."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise bad_request("strings must be encoded in UTF-8") from None
    if mode and mode.lower() != "none":
        parser = _MODES.get(mode.lower())
        if parser is None:
            raise bad_request("unsupported parse_mode")
        text, found = parser(text)
        check_count(found)
    else:
        found = check_entities(text, entities) if entities is not None else []
    return cleaned(text, found)


def same(error: str = "message") -> ApiError:
    return bad_request(
        f"{error} is not modified: specified new message content and reply markup are exactly the same as a current "
        "content and reply markup of the message"
    )
