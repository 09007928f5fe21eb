"""Updates as facts, whatever comes."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from teleclaude_telegram.updates import Ignored, Moved, Said, Tapped, TopicNews, read_update

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["message", "from", "chat", "id", "text", "date", "message_id", "callback_query", "photo", "voice"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
MESSAGE: dict[str, Any] = {
    "message_id": 3,
    "date": 100,
    "chat": {"id": -5},
    "from": {"id": 7, "is_bot": False},
    "text": "hi",
}


def said(**fields: Any) -> Any:
    return read_update({"update_id": 1, "message": MESSAGE | fields}, 1)


@given(JSON)
def test_nothing_is_too_odd(raw: Any) -> None:
    assert read_update(raw, 9).update_id == 9


def test_a_text() -> None:
    assert said() == Said(1, -5, 3, None, 7, "hi", 100, False, None)
    assert said(message_thread_id=4, is_topic_message=True).thread_id == 4
    assert said(message_thread_id=4).thread_id is None  # an answer in the general topic


def test_who_is_nobody() -> None:
    assert said(sender_chat={"id": -5}).user_id is None
    assert said(**{"from": {"id": 7, "is_bot": True}}).user_id is None
    assert said(**{"from": {"id": True}}) == Ignored(1, "not understood")


def test_words_of_others() -> None:
    assert said(forward_origin={}).indirect
    assert said(via_bot={"id": 1}).indirect


def test_an_edit_is_ignored() -> None:
    assert isinstance(read_update({"edited_message": MESSAGE}, 1), Ignored)


def test_files() -> None:
    photo = said(text=None, photo=[{"file_id": "s", "file_size": 1}, {"file_id": "l", "file_size": 9}], caption="see")
    assert (photo.attachment.kind, photo.attachment.file_id, photo.text) == ("photo", "l", "see")
    assert said(text=None, voice={"file_id": "v"}).attachment.kind == "voice"
    assert said(text=None, document={"file_id": "d", "file_name": "a.txt"}).attachment.name == "a.txt"


def test_taps_topics_and_moves() -> None:
    tap = read_update({"callback_query": {"id": "9", "from": {"id": 7}, "data": "x", "message": MESSAGE}}, 2)
    assert tap == Tapped(2, -5, 3, None, 7, "9", "x")
    closed = said(text=None, message_thread_id=4, forum_topic_closed={})
    assert isinstance(closed, TopicNews)
    assert (closed.change, closed.thread_id) == ("closed", 4)
    assert said(migrate_to_chat_id=-100) == Moved(1, -5, -100)
