from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.cli.conftest import CommandLine, ScriptedDaemon
from tests.support.outside import outside_daemon


async def test_a_token_is_made_used_and_revoked(tmp_path: Path) -> None:
    async with outside_daemon() as outside:
        cli = CommandLine(outside.daemon.runtime)
        made = await cli("token", "create", "ci", "--role", "viewer", "--expires", "30d", "--verb", "session.list")
        assert (made.code, made.out.count("\n")) == (0, 1)
        assert "only time" in made.err
        file = tmp_path / "token"
        file.write_text(made.out)
        file.chmod(0o600)
        there = ("--url", outside.base, "--token-file", str(file))
        assert (await cli("ls", "--json", *there)).json == {"sessions": []}
        refused = await cli("new", "x", *there)
        assert (refused.code, "forbidden" in refused.err) == (1, True)
        head, row = (await cli("token", "list")).out.splitlines()
        assert head.split() == ["NAME", "ROLE", "EXPIRES", "SESSIONS", "VERBS"]
        assert row.split()[:2] == ["ci", "viewer"]
        assert (await cli("token", "revoke", "ci")).code == 0
        ended = await cli("ls", *there)
        assert (ended.code, "unauthenticated" in ended.err) == (1, True)


async def test_scopes_are_sent_as_given(daemon: ScriptedDaemon, cli: CommandLine) -> None:
    daemon.answer("POST", "/tokens", {"token": "t"}, status=201)
    assert (await cli("token", "create", "a", "--session", "x", "--session", "y", "--expires", "90s")).code == 0
    assert daemon.seen[0].body == {"name": "a", "role": "operator", "expires_in_ms": 90_000, "sessions": ["x", "y"]}


@pytest.mark.parametrize(
    "argv", [(), ("create",), ("create", "a", "--expires", "soon"), ("create", "a", "--expires", "0d")]
)
async def test_wrong_usage(cli: CommandLine, argv: tuple[str, ...]) -> None:
    assert (await cli("token", *argv)).code == 2
