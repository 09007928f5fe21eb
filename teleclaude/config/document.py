"""YAML text → plain values and where each one stands. Pure; stricter than YAML where YAML surprises people."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from teleclaude.config.problems import KeyPath

MAX_BYTES = 256 * 1024
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_TAG = "tag:yaml.org,2002:"


@dataclass(slots=True)
class Document:
    """``values`` is the tree, ``lines`` the line (from 1) of every node, ``plain`` the text of unquoted scalars."""

    values: dict[str, Any]
    lines: dict[KeyPath, int] = field(default_factory=dict)
    plain: dict[KeyPath, str] = field(default_factory=dict)


@dataclass(slots=True)
class DocumentError(Exception):
    """``text`` cannot be read as settings at all. ``line`` counts from 1; 0 stands for the whole file."""

    findings: list[tuple[int, KeyPath, str]]


def parse_document(data: bytes) -> Document:
    """Read one YAML document that is a mapping, or nothing, which is an empty one.

    Raises ``DocumentError`` with all that was found.
    """
    if len(data) > MAX_BYTES:
        raise _error(0, f"is larger than {MAX_BYTES // 1024} KiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _error(data.count(b"\n", 0, error.start) + 1, "is not UTF-8 text") from None
    try:
        root = _compose(text)
    except RecursionError:
        raise _error(0, "is nested too deeply") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise _error(line, _explain(error, text, line)) from None
    except yaml.YAMLError as error:
        raise _error(0, f"is not YAML: {' '.join(str(error).split())}") from None
    if root is None or root.tag == f"{_TAG}null":
        return Document(values={})
    if not isinstance(root, yaml.MappingNode):
        raise _error(root.start_mark.line + 1, "must hold sections such as `sessions:` at the top, not a list or text")
    reader = _Reader()
    document = Document(values=reader.mapping(root, ()), lines=reader.lines, plain=reader.plain)
    if reader.findings:
        raise DocumentError(reader.findings)
    return document


class _Loader(yaml.SafeLoader):
    """Refuses anchors, aliases and tags, so that a small file stays small and plain."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise yaml.MarkedYAMLError(
                problem="anchors and aliases (& and *) are not allowed; quote the text, or write the value out",
                problem_mark=event.start_mark,
            )
        tag = getattr(event, "tag", None)
        if tag is not None and tag != "!":
            raise yaml.MarkedYAMLError(problem=f"the tag {tag} is not allowed", problem_mark=event.start_mark)
        return super().compose_node(parent, index)


def _compose(text: str) -> yaml.Node | None:
    loader = _Loader(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


def _explain(error: yaml.MarkedYAMLError, text: str, line: int) -> str:
    lines = text.splitlines()
    if 0 < line <= len(lines) and "\t" in lines[line - 1]:
        return "a tab stands here; indent with spaces"
    return error.problem or "is not YAML"


def _error(line: int, what: str) -> DocumentError:
    return DocumentError([(line, (), what)])


class _Reader:
    """Walks the nodes, collecting every finding instead of stopping at the first."""

    def __init__(self) -> None:
        self.lines: dict[KeyPath, int] = {}
        self.plain: dict[KeyPath, str] = {}
        self.findings: list[tuple[int, KeyPath, str]] = []
        self._construct = yaml.constructor.SafeConstructor()

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[Any, Any]:
        values: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = self._key(key_node, path)
            if key is None:
                continue
            here = (*path, key)
            if key in values:
                self.findings.append((line, here, f"this key is already on line {self.lines[here]}"))
                continue
            self.lines[here] = line
            values[key] = self._value(value_node, here)
        return values

    def _value(self, node: yaml.Node, path: KeyPath) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(child, (*path, index)) for index, child in enumerate(node.value)]
        return self._scalar(node, path)

    def _key(self, node: yaml.Node, path: KeyPath) -> str | int | None:
        line = node.start_mark.line + 1
        if not isinstance(node, yaml.ScalarNode):
            self.findings.append((line, path, "a key must be a word, not a list or mapping"))
            return None
        key = self._scalar(node, (*path, node.value))
        if isinstance(key, str) or (isinstance(key, int) and not isinstance(key, bool)):
            return key
        self.findings.append((line, (*path, node.value), f"this key was read as {_name_of(key)}; quote it"))
        return None

    def _scalar(self, node: yaml.Node, path: KeyPath) -> Any:
        text = str(node.value)
        kind = node.tag.removeprefix(_TAG)
        if kind in {"str", "value", "merge"}:
            return text
        try:
            value = self._construct.construct_object(node)
        except (ValueError, yaml.YAMLError):
            self.findings.append(
                (node.start_mark.line + 1, path, f"`{text[:40]}` is no valid {kind}; quote it for text")
            )
            return None
        if kind == "int" and not _DECIMAL.fullmatch(text):
            self.findings.append(
                (
                    node.start_mark.line + 1,
                    path,
                    f"`{text}` was read as the number {value}; write that, or quote it for text",
                )
            )
            return None
        self.plain[path] = text
        return value


def surprise(text: str, value: object) -> str:
    """How an unquoted scalar was read, for the error of a value that was meant otherwise."""
    return f"`{text}` was read as {_name_of(value)}; quote it for text"


def _name_of(value: object) -> str:
    match value:
        case None:
            return "nothing (null)"
        case bool():
            return "the boolean true" if value else "the boolean false"
        case int() | float():
            return f"the number {value}"
        case _:
            return f"a {type(value).__name__}"
