"""The parameters of one call, from whatever form they came in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from teleclaude.testing.telegram.refusal import bad_request


@dataclass(frozen=True, slots=True)
class Upload:
    name: str
    mime: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Params:
    """``fields`` are texts (form, query) or JSON values (JSON body); ``files`` came by multipart."""

    fields: Mapping[str, Any]
    files: Mapping[str, Upload] = field(default_factory=dict)

    def text(self, name: str) -> str | None:
        value = self.fields.get(name)
        return value if value is None or isinstance(value, str) else json.dumps(value)

    def number(self, name: str) -> int | None:
        value = self.fields.get(name)
        if value is None or value == "":
            return None
        try:
            return int(str(value))
        except ValueError:
            raise bad_request(f"invalid {name} specified") from None

    def needed(self, name: str, missing: str) -> int:
        value = self.number(name)
        if value is None:
            raise bad_request(missing)
        return value

    def flag(self, name: str) -> bool:
        return str(self.fields.get(name, "")).lower() in {"true", "1", "yes"}

    def value(self, name: str, what: str) -> Any:
        """A nested value, given as JSON text in forms; None when it is not there. ``what`` names it in the refusal."""
        value = self.fields.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError:
            raise bad_request(f"can't parse {what} JSON object") from None

    def without(self, name: str) -> Params:
        return Params({key: value for key, value in self.fields.items() if key != name}, self.files)

    def plain(self) -> dict[str, Any]:
        """For the record: nested values as values, files as their names and sizes."""
        shown = {name: _plain(value) for name, value in self.fields.items()}
        return shown | {name: {"file": file.name, "bytes": len(file.data)} for name, file in self.files.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
