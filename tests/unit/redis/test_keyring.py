"""Whose key opens what, and which files are keys."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from teleclaude.config.sections import RedisConfig
from teleclaude.errors import InvalidError
from teleclaude.model import Role
from teleclaude_redis.envelope import Envelope, RefusedError
from teleclaude_redis.keyring import MAC, KeyRing, load_keyring, read_key

FLEET, OWN = b"f" * 32, b"o" * 32


def key_file(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def message(sender: str, to: str) -> Envelope:
    return Envelope(kind="call", sender=sender, to=to, id="1", ts=0, body=b"")


def ring(name: str, **peers: tuple[bytes | None, Role]) -> KeyRing:
    return KeyRing(name, FLEET, peers)


def test_the_fleet_knows_each_other() -> None:
    assert ring("south").open(ring("north").seal(message("north", "south"))).sender == "north"


def test_a_pair_with_a_key_of_its_own_uses_nothing_else() -> None:
    north, south = ring("north", south=(OWN, Role.OPERATOR)), ring("south", north=(OWN, Role.OPERATOR))
    assert south.open(north.seal(message("north", "south"))).sender == "north"
    with pytest.raises(RefusedError, match="signature"):
        south.open(ring("north").seal(message("north", "south")))
    with pytest.raises(RefusedError, match="signature"):
        ring("south").open(north.seal(message("north", "south")))


def test_what_is_for_all_is_signed_for_each() -> None:
    north = ring("north", south=(OWN, Role.OPERATOR))
    fields = north.seal_for_all(message("north", "*"))
    assert fields.keys() == {b"e", MAC, b"m:south"}
    assert ring("east").open_for_all(fields).sender == "north"
    assert ring("south", north=(OWN, Role.OPERATOR)).open_for_all(fields).sender == "north"
    with pytest.raises(RefusedError, match="signature"):
        ring("west", north=(OWN, Role.OPERATOR)).open_for_all(fields)
    assert north.seal_for_all(message("north", "*"), {"east"}).keys() == {b"e", MAC}


def test_nobody_is_taken_for_this_computer() -> None:
    with pytest.raises(RefusedError, match="signature"):
        ring("south").open(ring("north").seal(message("south", "south")))


def test_roles_are_given_here_and_only_lowered_there() -> None:
    south = ring("south", boss=(None, Role.OWNER), guest=(None, Role.VIEWER))
    assert south.principal("north", None).role is Role.OPERATOR
    assert south.principal("north", "owner").role is Role.OPERATOR
    assert south.principal("north", "viewer").role is Role.VIEWER
    assert south.principal("boss", "owner").role is Role.OWNER
    assert south.principal("guest", "operator").role is Role.VIEWER
    assert south.principal("boss", 17).name == "node:boss"


def test_a_key_is_used_as_it_is_after_trailing_white_space(tmp_path: Path) -> None:
    assert read_key(key_file(tmp_path / "k", b" " + FLEET + b" \n\n")) == b" " + FLEET


def test_files_that_are_no_keys(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="31 bytes"):
        read_key(key_file(tmp_path / "short", b"s" * 31 + b"\n"))
    with pytest.raises(InvalidError, match="chmod 600"):
        read_key(key_file(tmp_path / "open", FLEET, 0o640))
    with pytest.raises(InvalidError, match="No such file"):
        read_key(tmp_path / "absent")
    with pytest.raises(InvalidError, match="no regular file"):
        read_key(tmp_path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(InvalidError, match="no regular file"):
        read_key(tmp_path / "pipe")


def test_the_ring_is_what_the_config_says(tmp_path: Path) -> None:
    peers: dict[str, dict[str, str]] = {
        "north": {"key_file": str(key_file(tmp_path / "own", OWN)), "role": "owner"},
        "east": {},
        "south": {"role": "viewer"},
    }
    settings = RedisConfig.model_validate({"key_file": str(key_file(tmp_path / "fleet", FLEET)), "peers": peers})
    loaded = load_keyring("south", settings)
    assert set(loaded.named) == {"north", "east"}
    assert loaded.principal("north", None).role is Role.OWNER
    assert loaded.open(ring("north", south=(OWN, Role.OWNER)).seal(message("north", "south"))).sender == "north"
