"""What was said, as a text for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from teleclaude.testing.telegram.methods.topics import ICONS
from teleclaude.testing.telegram.recorder import Call, Deed, Entry
from teleclaude.testing.telegram.world import World

_SENDS = {
    "sendMessage": "",
    "sendPhoto": "photo",
    "sendDocument": "document",
    "sendVoice": "voice note",
    "sendMediaGroup": "album",
}
_FILES = {"uploads": "document", "sends_photo": "photo", "voice": "voice note"}
_EDITS = frozenset({"editMessageText", "editMessageCaption", "editMessageMedia", "editMessageReplyMarkup"})
_TOPICS = {"closeForumTopic": "closes", "reopenForumTopic": "reopens", "deleteForumTopic": "deletes"}
INDENT = " " * 10


def transcript(entries: Iterable[Entry], world: World) -> str:
    """A line for each thing; further lines of a text and its buttons are indented below it."""
    return "\n".join(line for entry in entries for line in lines_of(entry, world))


def lines_of(entry: Entry, world: World) -> Iterator[str]:
    """The lines of one entry; none for what nobody sees."""
    said = _call(entry, world) if isinstance(entry, Call) else _deed(entry, world)
    if said is None:
        return
    first, *rest = said
    yield f"{datetime.fromtimestamp(entry.at_ms / 1000, UTC):%H:%M:%S}  {first}"
    for line in rest:
        yield f"{INDENT}{line}"


def _call(call: Call, world: World) -> list[str] | None:
    who = next((bot.user.first_name for bot in world.bots.values() if bot.user.id == call.bot), "bot")
    if not call.ok:
        quiet = call.method.startswith("get")
        return (
            None if quiet else [f"{who} is refused {call.method}: {call.answer.get('description', 'connection cut')}"]
        )
    params = call.params
    where = _where(world, call.chat, params.get("message_thread_id"))
    if call.method in _SENDS:
        silent = " (silent)" if str(params.get("disable_notification")).lower() == "true" else ""
        return _text(f"{who} → {where}{silent}: ", _SENDS[call.method], params)
    if call.method in _EDITS:
        return _text(f"{who} edits {params.get('message_id')}: ", "", params)
    what = _small(call.method, params, where)
    return None if what is None else [f"{who} {what}"]


def _small(method: str, params: dict[str, Any], where: str) -> str | None:
    match method:
        case "createForumTopic":
            return f"makes the topic “{params.get('name')}”{_icon(params)}"
        case "editForumTopic":
            return f"changes the topic to “{params.get('name') or where}”{_icon(params)}"
        case "answerCallbackQuery" if params.get("text"):
            return f"answers the tap: {params['text']}"
        case "deleteMessage":
            return f"deletes {params.get('message_id')}"
    return f"{_TOPICS[method]} the topic “{where}”" if method in _TOPICS else None


def _icon(params: dict[str, Any]) -> str:
    icon = ICONS.get(str(params.get("icon_custom_emoji_id")))
    return f" with the icon {icon}" if icon else ""


def _text(head: str, what: str, params: dict[str, Any]) -> list[str]:
    text = str(params.get("text") or params.get("caption") or "")
    first, *rest = text.split("\n")
    lines = [f"{head}{f'[{what}] ' if what else ''}{first}".rstrip(), *rest]
    markup = params.get("reply_markup")
    rows = markup.get("inline_keyboard", []) if isinstance(markup, dict) else []
    return lines + ["".join(f"[{button['text']}] " for button in row).rstrip() for row in rows]


def _deed(deed: Deed, world: World) -> list[str] | None:
    if deed.actor is None:
        return None
    args, who = deed.args, str(deed.actor["name"])
    where = _where(world, args.get("chat"), args.get("topic"))
    first, *rest = _doing(deed.action, args, where).split("\n")
    return [f"{who} {first}", *rest]


def _doing(action: str, args: dict[str, Any], where: str) -> str:
    match action:
        case "says":
            return f"→ {where}: {args['text']}"
        case "edits":
            return f"edits {args['message']}: {args['text']}"
        case "presses":
            return f"presses [{args['button']}]"
        case "uploads" | "sends_photo" | "voice":
            return f"→ {where}: [{_FILES[action]}] {args.get('name', '')}".rstrip()
        case "creates_topic":
            return f"makes the topic “{args['name']}”"
        case "closes_topic" | "reopens_topic" | "deletes_topic":
            return f"{action.removesuffix('_topic')} the topic “{where}”"
    return action.replace("_", " ")


def _where(world: World, chat_id: int | None, thread: object) -> str:
    chat = world.groups.get(chat_id or 0)
    if chat is None:
        chat = next((bot.private[chat_id] for bot in world.bots.values() if chat_id in bot.private), None)
    if chat is None:
        return "nowhere"
    topic = chat.topics.get(int(str(thread))) if thread not in (None, "") else None
    if topic is not None:
        return topic.name
    return "General" if chat.forum else chat.title or "private chat"
