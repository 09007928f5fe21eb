"""What is signed: a header of JSON, a newline, and the body as it is. Pure.

The signature covers exactly these bytes. They are checked before anything in them is read, and never written anew.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from teleclaude.errors import MalformedError
from teleclaude.model import is_name
from teleclaude.wire import jsonio

VERSION = 1
EVERYBODY = "*"
"""The recipient of what is for all: presence, events, output."""

MAX_BYTES = 1_900_000
MAX_HEADER_BYTES = 4096
WINDOW_SECONDS = 60.0

_TYPES: Mapping[str, type] = {
    "v": int,
    "kind": str,
    "from": str,
    "to": str,
    "id": str,
    "nonce": str,
    "ts": int,
    "about": dict,
}


class RefusedError(Exception):
    """An envelope that is not accepted; ``reason`` is one word, ``sender`` who it claims to be from."""

    def __init__(self, reason: str, sender: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.sender = sender


@dataclass(frozen=True, slots=True)
class Envelope:
    """``ts`` is Unix time in ms; ``about`` holds what a kind of message needs beside its body."""

    kind: str
    sender: str
    to: str
    id: str
    ts: int
    body: bytes
    about: Mapping[str, Any] = field(default_factory=dict)
    nonce: str = ""
    version: int = VERSION

    def encode(self) -> bytes:
        """The bytes to sign, with a nonce of their own."""
        header = {
            "v": self.version,
            "kind": self.kind,
            "from": self.sender,
            "to": self.to,
            "id": self.id,
            "nonce": self.nonce or secrets.token_hex(16),
            "ts": self.ts,
            "about": dict(self.about),
        }
        return jsonio.dumps(header) + b"\n" + self.body


def mac(key: bytes, data: bytes) -> bytes:
    """32 bytes."""
    return hmac.digest(key, data, hashlib.sha256)


def is_genuine(key: bytes, data: bytes, signature: bytes) -> bool:
    return hmac.compare_digest(mac(key, data), signature)


def read_header(data: bytes) -> dict[str, Any]:
    """Raises ``RefusedError`` for what is no envelope."""
    if len(data) > MAX_BYTES:
        raise RefusedError("too_large")
    line, newline, _ = data[: MAX_HEADER_BYTES + 1].partition(b"\n")
    if not newline:
        raise RefusedError("malformed")
    try:
        header = jsonio.loads(line, operation="remote")
    except MalformedError:
        raise RefusedError("malformed") from None
    if not isinstance(header, dict):
        raise RefusedError("malformed")
    return header


def claimed_sender(header: Mapping[str, Any]) -> str:
    """Whose key to check with. Raises ``RefusedError``."""
    return _name(header, "from")


def decode(data: bytes, header: Mapping[str, Any] | None = None) -> Envelope:
    """An envelope whose signature was found genuine; ``header`` is what was read of it. Raises ``RefusedError``."""
    header = read_header(data) if header is None else header
    if header.keys() != _TYPES.keys() or any(type(header[name]) is not kind for name, kind in _TYPES.items()):
        # Another version may have other fields; say that rather than that they are wrong.
        raise RefusedError("version" if header.get("v") not in (None, VERSION) else "malformed", _name(header, "from"))
    if header["v"] != VERSION:
        raise RefusedError("version", _name(header, "from"))
    return Envelope(
        kind=header["kind"],
        sender=_name(header, "from"),
        to=header["to"],
        id=header["id"],
        ts=header["ts"],
        body=data[data.index(b"\n") + 1 :],
        about=header["about"],
        nonce=header["nonce"],
        version=header["v"],
    )


def _name(header: Mapping[str, Any], member: str) -> str:
    name = header.get(member)
    if not isinstance(name, str) or not is_name(name):
        raise RefusedError("malformed")
    return name
