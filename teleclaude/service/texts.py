"""Output as it is followed, turned into text: once for all who follow one stream."""

from __future__ import annotations

from collections import OrderedDict

from teleclaude.api import OutputExit, OutputFollower, OutputHandedOff, OutputItem, OutputText
from teleclaude.model import Chunk, Gap
from teleclaude.streams import TextDecoder


class SharedTexts:
    """Texts by the chunk they were made of, so that those who follow one stream share the making: they are given the
    same object. Keeps the latest ``limit``; each holds its chunk, so no identity comes to mean another.
    """

    def __init__(self, limit: int = 16) -> None:
        self._limit = limit
        self._made: OrderedDict[tuple[int, int, int], tuple[Chunk, OutputText | None, TextDecoder]] = OrderedDict()

    def make(self, chunk: Chunk, shown: int, decoder: TextDecoder) -> tuple[OutputText | None, TextDecoder]:
        """The text that ``chunk`` completes, from offset ``shown`` on, and the decoder that goes on behind it."""
        # What a decoder holds back follows from how much that is: a fresh one could begin so far back.
        key = (id(chunk), shown, decoder.pending)
        made = self._made.get(key)
        if made is None:
            text = decoder.feed(chunk.data)
            item = OutputText(shown, chunk.end - decoder.pending, text) if text else None
            made = self._made[key] = (chunk, item, decoder)
            if len(self._made) > self._limit:
                self._made.popitem(last=False)
        return made[1], made[2].copy()


class TextFollower:
    """The same items with bytes turned into text. A text ends where the next one is best begun, so that its offset
    resumes exactly, also in the middle of a character or an escape sequence.
    """

    def __init__(self, inner: OutputFollower, texts: SharedTexts | None = None) -> None:
        self._inner = inner
        self._texts = texts or SharedTexts(1)
        self._decoder = TextDecoder()
        self._shown = inner.offset
        self._last: OutputItem | None = None

    @property
    def offset(self) -> int:
        return self._shown

    async def next(self, timeout: float | None = None) -> OutputItem | None:
        if self._last is not None:
            last, self._last = self._last, None
            return last
        while True:
            item = await self._inner.next(timeout)
            if isinstance(item, Chunk):
                text, self._decoder = self._texts.make(item, self._shown, self._decoder)
                if text is None:
                    continue  # part of a character or nothing but escapes: the next bytes come with their timeout
                self._shown = text.end
                return text
            if isinstance(item, Gap):
                self._decoder = TextDecoder()
                self._shown = item.end
            elif isinstance(item, OutputExit | OutputHandedOff) and self._decoder.pending:
                self._last = item
                start, self._shown = self._shown, self._inner.offset
                return OutputText(start, self._shown, self._decoder.finish())
            return item
