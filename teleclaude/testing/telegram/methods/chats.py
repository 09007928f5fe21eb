"""What a bot can ask about a chat."""

from __future__ import annotations

from typing import Any

from teleclaude.testing.telegram.methods.request import Request
from teleclaude.testing.telegram.refusal import bad_request
from teleclaude.testing.telegram.world import Chat, User

RIGHTS = (
    "can_manage_chat", "can_delete_messages", "can_manage_video_chats", "can_restrict_members", "can_promote_members",
    "can_change_info", "can_invite_users", "can_post_stories", "can_edit_stories", "can_delete_stories",
    "can_pin_messages", "can_manage_topics",
)  # fmt: skip


def get_chat(request: Request) -> Any:
    chat = request.chat()
    gifts = {"unlimited_gifts": False, "limited_gifts": False, "unique_gifts": False, "premium_subscription": False}
    full = {
        "accent_color_id": 0,
        "max_reaction_count": 11,
        "accepted_gift_types": gifts | {"gifts_from_channels": False},
    }
    pinned = chat.alive(chat.pinned[-1]) if chat.pinned else None
    return chat.view() | full | ({"pinned_message": pinned.view(nested=True)} if pinned else {})


def get_chat_member(request: Request) -> Any:
    chat = request.chat()
    user_id = request.params.needed("user_id", "invalid user_id specified")
    user = _people(request).get(user_id)
    if user is None or (chat.is_group and user_id not in chat.members):
        raise bad_request("PARTICIPANT_ID_INVALID")
    return member_view(chat, user)


def get_chat_administrators(request: Request) -> Any:
    chat = request.chat()
    if not chat.is_group:
        raise bad_request("there are no administrators in the private chat")
    people = _people(request)
    return [
        member_view(chat, people[user_id])
        for user_id, status in chat.members.items()
        if status == "administrator" and user_id in people
    ]


def get_chat_member_count(request: Request) -> Any:
    chat = request.chat()
    return sum(status not in ("left", "kicked") for status in chat.members.values()) if chat.is_group else 2


def leave_chat(request: Request) -> Any:
    chat = request.chat()
    if not chat.is_group:
        raise bad_request("chat member status can't be changed in private chats")
    chat.members[request.bot.user.id] = "left"
    return True


def _people(request: Request) -> dict[int, User]:
    return request.world.users | {bot.user.id: bot.user for bot in request.world.bots.values()}


def member_view(chat: Chat, user: User) -> dict[str, Any]:
    status = chat.members.get(user.id, "member")
    view: dict[str, Any] = {"user": user.view(), "status": status}
    if status == "administrator":
        held = chat.rights.get(user.id, frozenset())
        rights = {right: right in held or right == "can_manage_chat" for right in RIGHTS}
        return view | rights | {"can_be_edited": False, "is_anonymous": False}
    return view | ({"until_date": 0} if status == "kicked" else {})
