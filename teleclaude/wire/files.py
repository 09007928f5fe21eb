"""Commands and views of a session's file drop."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from teleclaude.model import Role
from teleclaude.wire.base import Command, Line, Reference, View

MAX_NAME_BYTES = 255


def _file_name(text: str) -> str:
    if text in ("", ".", "..") or "/" in text or "\\" in text:
        raise ValueError("a file's name is one name, without / and \\")
    if len(text.encode()) > MAX_NAME_BYTES:
        raise ValueError(f"a file's name has at most {MAX_NAME_BYTES} bytes")
    return text


FileName = Annotated[
    Line,
    Field(min_length=1, max_length=MAX_NAME_BYTES, json_schema_extra={"pattern": r"^[^/\\\x00]+$"}),
    AfterValidator(_file_name),
]


class FileView(View):
    """``path`` is what a program on that computer can open."""

    name: str
    path: str
    bytes: int
    modified_at: str


class FileList(View):
    files: list[FileView]


class ListFiles(Command[FileList]):
    operation = "session.files"
    role = Role.VIEWER
    mutates = False

    id: Reference


class PutFile(Command[FileView]):
    """The body is the file. It is there whole or not at all; an existing one is kept unless ``overwrite``."""

    operation = "session.files.put"
    role = Role.OPERATOR

    id: Reference
    name: FileName
    overwrite: bool = False


class GetFile(Command[None]):
    """The file as it was when the reply began."""

    operation = "session.files.get"
    role = Role.VIEWER
    mutates = False

    id: Reference
    name: FileName
