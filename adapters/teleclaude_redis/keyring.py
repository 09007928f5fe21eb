"""Who is trusted with what: the key and the role of every peer, from files that only their owner may read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from teleclaude.errors import InvalidError
from teleclaude.model import Principal, Role
from teleclaude_redis.envelope import Envelope, RefusedError, claimed_sender, decode, is_genuine, mac, read_header

MIN_KEY_BYTES = 32
MAX_KEY_BYTES = 4096
OPERATION = "redis.keys"

ENVELOPE = b"e"
MAC = b"m"


@dataclass(frozen=True, slots=True)
class _Peer:
    key: bytes
    role: Role


class KeyRing:
    """The fleet's key opens for everybody who has no key of its own here; that one's opens for nobody else."""

    def __init__(self, computer: str, fleet: bytes, peers: Mapping[str, tuple[bytes | None, Role]]) -> None:
        self._computer = computer
        self._fleet = fleet
        self._peers = {name: _Peer(key or fleet, role) for name, (key, role) in peers.items()}
        self._own_keys = {name: key for name, (key, _) in peers.items() if key is not None}

    @property
    def named(self) -> Iterable[str]:
        """Computers that the config knows."""
        return self._peers.keys()

    def principal(self, peer: str, claimed: object) -> Principal:
        """``peer`` as a principal here: at most the role that this computer gives it, less when it asks for less."""
        ceiling = self._peers[peer].role if peer in self._peers else Role.OPERATOR
        asked = next((role for role in Role if role.label == claimed), ceiling)
        return Principal(name=f"node:{peer}", role=min(ceiling, asked))

    def seal(self, envelope: Envelope) -> dict[bytes, bytes]:
        """The fields of a stream's entry for the envelope's one recipient."""
        data = envelope.encode()
        return {ENVELOPE: data, MAC: mac(self._key(envelope.to), data)}

    def seal_for_all(self, envelope: Envelope, peers: Iterable[str] | None = None) -> dict[bytes, bytes]:
        """The same with one signature for the fleet and one for each of ``peers`` (None: all) with a key of its own."""
        data = envelope.encode()
        named = self._own_keys.keys() if peers is None else self._own_keys.keys() & set(peers)
        own = {MAC + b":" + name.encode(): mac(self._own_keys[name], data) for name in named}
        return {ENVELOPE: data, MAC: mac(self._fleet, data), **own}

    def open(self, fields: Mapping[bytes, bytes]) -> Envelope:
        """What ``seal`` made. Raises ``RefusedError``."""
        if fields.keys() != {ENVELOPE, MAC}:
            raise RefusedError("malformed")
        data = fields[ENVELOPE]
        return self._open(data, fields[MAC], read_header(data))

    def open_for_all(self, fields: Mapping[bytes, bytes]) -> Envelope:
        """What ``seal_for_all`` made. Raises ``RefusedError``."""
        data = fields.get(ENVELOPE)
        if data is None:
            raise RefusedError("malformed")
        header = read_header(data)
        own = MAC + b":" + self._computer.encode()
        member = own if claimed_sender(header) in self._own_keys else MAC
        return self._open(data, fields.get(member, b""), header)

    def _open(self, data: bytes, signature: bytes, header: Mapping[str, Any]) -> Envelope:
        sender = claimed_sender(header)
        if sender == self._computer or not is_genuine(self._key(sender), data, signature):
            raise RefusedError("signature", sender)
        return decode(data, header)

    def _key(self, peer: str) -> bytes:
        found = self._peers.get(peer)
        return self._fleet if found is None else found.key


def load_keyring(computer: str, settings: Any) -> KeyRing:
    """From the files that the ``redis`` section names. Blocks. Raises ``InvalidError``, naming file and fault."""
    peers: dict[str, tuple[bytes | None, Role]] = {}
    for name, peer in settings.peers.items():
        if name != computer:
            role = peer.role if peer.role is not None else Role.OPERATOR
            peers[name] = (read_key(Path(peer.key_file)) if peer.key_file is not None else None, role)
    return KeyRing(computer, read_key(Path(settings.key_file)), peers)


def read_key(path: Path) -> bytes:
    """The key in ``path``, without trailing white space. Blocks. Raises ``InvalidError``."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise InvalidError(f"key_file {path}: {error.strerror}", operation=OPERATION) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise InvalidError(f"key_file {path}: this is no regular file", operation=OPERATION)
        if status.st_mode & 0o077:
            raise InvalidError(
                f"key_file {path}: others may read it; make it private: chmod 600 {path}", operation=OPERATION
            )
        key = os.read(descriptor, MAX_KEY_BYTES + 1).rstrip()
    finally:
        os.close(descriptor)
    if not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        raise InvalidError(
            f"key_file {path}: it holds {len(key)} bytes, and a key has {MIN_KEY_BYTES} to {MAX_KEY_BYTES}; "
            "make one with: teleclaude computers pair --create",
            operation=OPERATION,
        )
    return key
