"""Followers of one stream share the texts that are made of it."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from teleclaude.api import OutputExit, OutputItem, OutputText
from teleclaude.model import Chunk, Gap
from teleclaude.service.texts import SharedTexts, TextFollower
from teleclaude.streams import TextDecoder


class Items:
    """Implements ``OutputFollower`` over what is given."""

    def __init__(self, items: Sequence[OutputItem], offset: int = 0) -> None:
        self._items = iter(items)
        self.offset = offset

    async def next(self, _timeout: float | None = None) -> OutputItem | None:
        item = next(self._items, None)
        if isinstance(item, Chunk | Gap):
            self.offset = item.end
        return item


def chunks(data: bytes, sizes: Sequence[int]) -> list[Chunk]:
    found, at = [], 0
    for size in (*sizes, len(data)):
        if piece := data[at : at + size]:
            found.append(Chunk(start=at, end=at + len(piece), stream_end=len(data), data=piece))
            at += len(piece)
    return found


async def read(follower: TextFollower) -> list[OutputItem]:
    found = []
    while (item := await follower.next()) is not None:
        found.append(item)
    return found


async def test_a_hundred_followers_cost_one_text_each() -> None:
    texts = SharedTexts()
    pieces = chunks(b"one \xe2\x82\xac\x1b[1mtwo\r\nthree", [5, 3, 4, 2])
    first = await read(TextFollower(Items(pieces), texts))
    assert "".join(item.text for item in first if isinstance(item, OutputText)) == "one €two\nthree"
    for _ in range(99):
        again = await read(TextFollower(Items(pieces), texts))
        assert all(one is other for one, other in zip(first, again, strict=True))


async def test_who_begins_elsewhere_gets_its_own() -> None:
    texts = SharedTexts()
    pieces = chunks(b"\xc3\xa9 and more", [1])
    (whole,) = await read(TextFollower(Items(pieces), texts))
    (late,) = await read(TextFollower(Items(pieces[1:], offset=1), texts))
    assert (whole, late) == (OutputText(0, 11, "é and more"), OutputText(1, 11, "\ufffd and more"))


PIECES = [b"a", b"\r", b"\n", b"\x1b", b"[1m", b"]0;t", b"\x07", b"\xe2\x82", b"\xac", b"\xc2\x9b", b"\xff", b"word"]
DATA = st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join)


@given(DATA, st.lists(st.integers(1, 7), max_size=20), st.lists(st.integers(0, 12), max_size=6))
async def test_sharing_never_changes_the_text(data: bytes, sizes: list[int], starts: list[int]) -> None:
    texts, pieces = SharedTexts(), chunks(data, sizes)
    for start in (0, 0, *starts):
        rest: list[OutputItem] = [*pieces[start:], OutputExit({})]
        offset = pieces[start].start if start < len(pieces) else len(data)
        alone = TextDecoder()
        expected = alone.feed(data[offset:]) + alone.finish()
        found = await read(TextFollower(Items(rest, offset), texts))
        assert "".join(item.text for item in found if isinstance(item, OutputText)) == expected
