"""Keys, text and pastes out of bytes, however they are cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from teleclaude.testing.typed_keys import PASTE_END, PASTE_START, Input, KeyDecoder, Pressed, Typed


def joined(items: list[Input]) -> list[Input]:
    """Typed text that arrived in pieces, as one."""
    result: list[Input] = []
    for item in items:
        if (
            result
            and isinstance(item, Typed)
            and isinstance(result[-1], Typed)
            and item.how == result[-1].how == "typed"
        ):
            result[-1] = Typed(result[-1].text + item.text)
        else:
            result.append(item)
    return result


def decode(data: bytes) -> list[Input]:
    return KeyDecoder().feed(data)


def test_keys_and_text() -> None:
    assert decode(b"ab\r\x1b[A\x1bOB\x7f\x03\x1b[15~") == [
        Typed("ab"),
        *map(Pressed, ("enter", "up", "down", "backspace", "ctrl-c", "other")),
    ]


def test_a_paste_keeps_its_lines_and_is_no_typing() -> None:
    assert decode(PASTE_START + b"a\rb\r\nc\x1b[A" + PASTE_END + b"d") == [Typed("a\nb\nc\x1b[A", "pasted"), Typed("d")]


def test_a_lone_escape_waits_until_nothing_follows() -> None:
    decoder = KeyDecoder()
    assert decoder.feed(b"\x1b") == []
    assert decoder.undecided
    assert decoder.give_up_waiting() == [Pressed("escape")]
    assert decoder.give_up_waiting() == []


def test_an_unfinished_paste_is_not_given_up() -> None:
    decoder = KeyDecoder()
    assert decoder.feed(PASTE_START + b"half") == []
    assert not decoder.undecided
    assert decoder.give_up_waiting() == []
    assert decoder.feed(b" done" + PASTE_END) == [Typed("half done", "pasted")]


@given(
    st.lists(
        st.sampled_from(
            [b"a", "é✳".encode(), b"\r", b"\x1b[A", b"\x1bOA", b"\x1b[15;2~", PASTE_START + b"p\r" + PASTE_END]
        ),
        max_size=12,
    ),
    st.data(),
)
def test_the_cut_does_not_matter(parts: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    decoder, pieces = KeyDecoder(), list[Input]()
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        pieces += decoder.feed(whole[start:end])
    assert joined(pieces) == joined(decode(whole))


@given(st.binary(max_size=80))
def test_no_byte_breaks_it(data: bytes) -> None:
    decoder = KeyDecoder()
    decoder.feed(data)
    decoder.give_up_waiting()
