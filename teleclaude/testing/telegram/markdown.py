"""``parse_mode=MarkdownV2`` and the older ``Markdown`` as Telegram reads them."""

from __future__ import annotations

from dataclasses import dataclass, field

from teleclaude.testing.telegram.refusal import ApiError, bad_request
from teleclaude.testing.telegram.text import Entity, check_url, outer_first, units

_RESERVED = frozenset("_*[]()~`>#+-=|{}.!")
_MARKS = {"__": "underline", "||": "spoiler", "_": "italic", "*": "bold", "~": "strikethrough"}
_NAMES = {
    "underline": "Underline", "spoiler": "Spoiler", "italic": "Italic", "bold": "Bold",
    "strikethrough": "Strikethrough", "code": "Code", "pre": "PreCode", "text_link": "TextUrl",
}  # fmt: skip


@dataclass
class _Reader:
    source: str
    at: int = 0
    out: list[str] = field(default_factory=list)
    length: int = 0
    entities: list[Entity] = field(default_factory=list)

    def put(self, text: str) -> None:
        self.out.append(text)
        self.length += units(text)

    def ahead(self, text: str) -> bool:
        return self.source.startswith(text, self.at)

    def fault(self, what: str, at: int | None = None) -> ApiError:
        offset = len(self.source[: self.at if at is None else at].encode("utf-8", "surrogatepass"))
        return bad_request(f"can't parse entities: {what} at byte offset {offset}")

    def mark(self, kind: str, offset: int, **more: str) -> None:
        if self.length > offset:
            self.entities.append({"type": kind, "offset": offset, "length": self.length - offset, **more})

    def result(self) -> tuple[str, list[Entity]]:
        return "".join(self.out), outer_first(self.entities)


def parse_markdown_v2(source: str) -> tuple[str, list[Entity]]:
    """Text and entities; raises ``ApiError`` in Telegram's words."""
    reader = _Reader(source)
    stack: list[tuple[str, str, int, int]] = []  # mark that ends it, type, offset in the text, place in the source
    quote: int | None = None
    while reader.at < len(source):
        character = source[reader.at]
        if quote is not None and character == "\n" and not source.startswith("\n>", reader.at):
            reader.mark("blockquote", quote)
            quote = None
        if character == "\\" and reader.at + 1 < len(source) and source[reader.at + 1].isascii():
            reader.put(source[reader.at + 1])
            reader.at += 2
        elif stack and reader.ahead(stack[-1][0]) and not _underline_begins(reader, stack):
            _end(reader, stack.pop())
        elif character == ">" and (reader.at == 0 or source[reader.at - 1] == "\n"):
            quote = reader.length if quote is None else quote
            reader.at += 1
        elif character in _RESERVED:
            _begin(reader, stack)
        else:
            reader.put(character)
            reader.at += 1
    if stack:
        _, kind, _, place = stack[-1]
        raise reader.fault(f"Can't find end of {_NAMES[kind]} entity", place)
    if quote is not None:
        reader.mark("blockquote", quote)
    return reader.result()


def _underline_begins(reader: _Reader, stack: list[tuple[str, str, int, int]]) -> bool:
    """Inside italics a double underscore opens (or closes) underline before it ends the italics."""
    return stack[-1][0] == "_" and reader.ahead("__") and not any(mark == "__" for mark, *_ in stack)


def _begin(reader: _Reader, stack: list[tuple[str, str, int, int]]) -> None:
    start = reader.at
    if reader.ahead("```"):
        _code(reader, "```", "pre")
    elif reader.ahead("`"):
        _code(reader, "`", "code")
    elif reader.ahead("[") or reader.ahead("!["):
        reader.at += 1 if reader.ahead("[") else 2
        stack.append(("]", "text_link", reader.length, start))
    else:
        mark = next((mark for mark in _MARKS if reader.ahead(mark)), None)
        if mark is None:
            character = reader.source[reader.at]
            what = f"Character '{character}' is reserved and must be escaped with the preceding '\\'"
            raise bad_request(f"can't parse entities: {what}")
        reader.at += len(mark)
        stack.append((mark, _MARKS[mark], reader.length, start))


def _end(reader: _Reader, ended: tuple[str, str, int, int]) -> None:
    mark, kind, offset, _ = ended
    reader.at += len(mark)
    if kind != "text_link":
        reader.mark(kind, offset)
        return
    url = _target(reader)
    check_url(url, "entity URL")
    reader.mark(kind, offset, url=url)


def _target(reader: _Reader) -> str:
    if not reader.ahead("("):
        raise reader.fault("Can't find URL of TextUrl entity")
    start = reader.at
    reader.at += 1
    url = ""
    while reader.at < len(reader.source) and not reader.ahead(")"):
        reader.at += reader.ahead("\\")
        url += reader.source[reader.at : reader.at + 1]
        reader.at += 1
    if reader.at >= len(reader.source):
        raise reader.fault("Can't find end of a URL", start)
    reader.at += 1
    return url


def _code(reader: _Reader, mark: str, kind: str) -> None:
    start, offset = reader.at, reader.length
    reader.at += len(mark)
    more: dict[str, str] = {}
    if kind == "pre":
        line = reader.source[reader.at :].partition("\n")[0]
        if "\n" in reader.source[reader.at :] and "`" not in line and " " not in line:
            reader.at += len(line) + 1
            more = {"language": line} if line else {}
    while not reader.ahead(mark):
        reader.at += reader.ahead("\\")
        if reader.at >= len(reader.source):
            raise reader.fault(f"Can't find end of {_NAMES[kind]} entity", start)
        reader.put(reader.source[reader.at])
        reader.at += 1
    reader.at += len(mark)
    reader.mark(kind, offset, **more)


def parse_markdown(source: str) -> tuple[str, list[Entity]]:
    """The older mode: no nesting, and only ``_*`[`` mean anything."""
    reader = _Reader(source)
    while reader.at < len(source):
        character = source[reader.at]
        if character == "\\" and source[reader.at + 1 : reader.at + 2] in set("_*`["):
            reader.put(source[reader.at + 1])
            reader.at += 2
        elif character in "_*`[":
            _old_entity(reader)
        else:
            reader.put(character)
            reader.at += 1
    return reader.result()


def _old_entity(reader: _Reader) -> None:
    start, offset = reader.at, reader.length
    mark = "```" if reader.ahead("```") else reader.source[reader.at]
    end = reader.source.find("]" if mark == "[" else mark, reader.at + len(mark))
    if end < 0:
        raise reader.fault("Can't find end of the entity starting", start)
    inside = reader.source[reader.at + len(mark) : end]
    reader.put(inside)
    reader.at = end + len(mark)
    if mark == "[":
        if reader.ahead("("):
            url = _target(reader)
            check_url(url, "entity URL")
            reader.mark("text_link", offset, url=url)
        return
    kinds = {"_": "italic", "*": "bold", "`": "code", "```": "pre"}
    reader.mark(kinds[mark], offset)
