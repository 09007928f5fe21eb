"""Where the daemon is, and who may see the token."""

from __future__ import annotations

from pathlib import Path

import pytest

from teleclaude.cli.endpoint import UrlEndpoint, find_endpoint, read_token
from teleclaude.cli.failure import BAD_CONFIG, CliError, UsageError


def test_this_users_daemon_is_the_default(tmp_path: Path) -> None:
    endpoint = find_endpoint(None, None, {"TELECLAUDE_RUNTIME_DIR": str(tmp_path), "HOME": "/nowhere"})
    assert str(endpoint) == str(tmp_path / "teleclaude.sock")
    assert endpoint.is_local
    assert endpoint.headers == {}


def test_a_daemon_of_the_systems_manager_is_found_too(tmp_path: Path) -> None:
    environ = {"XDG_RUNTIME_DIR": str(tmp_path / "run"), "XDG_STATE_HOME": str(tmp_path / "state")}
    usual = tmp_path / "run/teleclaude/teleclaude.sock"
    below_state = tmp_path / "state/teleclaude/run/teleclaude.sock"
    assert str(find_endpoint(None, None, environ)) == str(usual)
    for socket in (below_state, usual):
        socket.parent.mkdir(parents=True)
        socket.touch()
        assert str(find_endpoint(None, None, environ)) == str(socket)


@pytest.mark.parametrize(
    "url", ["http://localhost:7433", "http://127.0.0.1:7433/", "http://[::1]:7433/v1", "https://barn:7433/v1/"]
)
def test_urls(url: str) -> None:
    endpoint = UrlEndpoint(url, "secret")
    assert not endpoint.is_local
    assert endpoint.path == ""
    assert endpoint.headers == {"Authorization": "Bearer secret"}


def test_a_url_may_have_a_path() -> None:
    assert UrlEndpoint("https://barn/tc/v1", None).path == "/tc"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "barn",
        "ftp://barn",
        "http://",
        "http://barn:7433",
        "http://localhost:99999",
        "https://user:secret@barn",
        "https://barn?token=secret",
        "https://[barn",
    ],
)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(UsageError):
        UrlEndpoint(url, None)


def test_a_token_file_alone_makes_no_sense() -> None:
    with pytest.raises(UsageError, match="goes with --url"):
        find_endpoint(None, "token", {})


def write_token(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.touch(mode=mode)
    path.chmod(mode)
    path.write_bytes(content)
    return path


def test_the_token_of_a_file(tmp_path: Path) -> None:
    assert read_token(write_token(tmp_path / "token", b"abc-123\n")) == "abc-123"


@pytest.mark.parametrize("content", [b"", b"\n", b"a b", b"a\r\nHost: x", b"\xff", b"x" * 5000])
def test_files_that_hold_no_token(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(CliError, match="one token") as refused:
        read_token(write_token(tmp_path / "token", content))
    assert refused.value.exit_code == BAD_CONFIG


def test_a_token_that_others_may_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="chmod 600") as refused:
        read_token(write_token(tmp_path / "token", b"abc", mode=0o640))
    assert refused.value.exit_code == BAD_CONFIG


def test_a_token_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="No such file"):
        read_token(tmp_path / "token")


def test_a_directory_is_no_token_file(tmp_path: Path) -> None:
    with pytest.raises(CliError) as refused:
        read_token(tmp_path)
    assert refused.value.exit_code == BAD_CONFIG
