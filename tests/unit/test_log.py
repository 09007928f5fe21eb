from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.log import configure_logging, scrub

BOT_TOKEN = "123456789:AAabcdefghijklmnopqrstuvwxyz_012345"


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_when_not_a_terminal(stream: io.StringIO) -> None:
    configure_logging(stream=stream)
    structlog.get_logger("teleclaude.test").info("recorder_rearmed", session_id="s1", gap_bytes=None)
    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "recorder_rearmed",
        "session_id": "s1",
        "gap_bytes": None,
        "level": "info",
        "logger": "teleclaude.test",
    }


def test_library_records_have_the_same_form_and_context(stream: io.StringIO) -> None:
    configure_logging(stream=stream)
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        logging.getLogger("some.library").warning("hello %s", "there")
        structlog.get_logger("own").warning("own_event")
    library, own = lines(stream)
    assert (library["event"], library["level"], library["logger"]) == ("hello there", "warning", "some.library")
    assert library["request_id"] == own["request_id"] == "r1"


def test_level_can_be_changed(stream: io.StringIO) -> None:
    log = structlog.get_logger("own")
    configure_logging("warning", stream=stream)
    log.info("unseen")
    configure_logging("debug", stream=stream)
    log.debug("seen")
    logging.getLogger("httpx").info("GET address")
    assert [line["event"] for line in lines(stream)] == ["seen"]


def fail(message: str) -> None:
    raise ValueError(message)


def test_traces_have_no_local_variables(stream: io.StringIO) -> None:
    configure_logging(stream=stream)
    local = "canary".upper()
    try:
        fail(str(len(local)))
    except ValueError:
        structlog.get_logger("own").exception("broken")
        logging.getLogger("library").exception("broken too")
    for line in lines(stream):
        assert "ValueError: 6" in line["exception"]
        assert "in fail" in line["exception"]
    assert "CANARY" not in stream.getvalue()


@pytest.mark.parametrize("style", ["json", "console"])
def test_secrets_are_scrubbed_everywhere(style: str, stream: io.StringIO) -> None:
    configure_logging(style=style, stream=stream)
    log = structlog.get_logger("own")
    nested = {"password": "canary1", "list": [{"secret": "canary2"}]}
    log.info("keys", token="canary3", bot_token="canary4", nested=nested)
    log.info("Bearer canary5", header="Authorization: Bearer canary6", url="redis://user:canary7@localhost/0")
    logging.getLogger("library").warning("GET https://api.example/bot%s/getMe", BOT_TOKEN)
    message = f"Bearer canary8 {BOT_TOKEN}"
    try:
        fail(message)
    except ValueError:
        log.exception("broken", cause=Exception("Bearer canary9"))
    assert "canary" not in stream.getvalue()
    assert BOT_TOKEN not in stream.getvalue()
    log.info("paths", token_file="/etc/token")
    assert "/etc/token" in stream.getvalue()


def test_console_on_a_terminal_does_not_obey_what_is_logged() -> None:
    stream = Terminal()
    configure_logging(stream=stream)
    structlog.get_logger("own").info("title", title="a\x1b]0;evil\x07b\x9b31m", trace="one\ntwo")
    assert "\\x1b]0;evil\\x07b\\x9b31m" in stream.getvalue()
    assert "\x1b]0" not in stream.getvalue()


def test_odd_values_do_not_break_a_line(stream: io.StringIO) -> None:
    configure_logging(stream=stream)
    structlog.get_logger("own").info("odd", lone="\ud800", data=b"\xff", number=float("nan"), thing={1: {2}})
    (line,) = lines(stream)
    assert line["data"] == "b'\\xff'"
    assert line["thing"] == {"1": [2]}


def test_other_handlers_stay(stream: io.StringIO) -> None:
    other = logging.NullHandler()
    logging.getLogger().addHandler(other)
    configure_logging(stream=stream)
    configure_logging(stream=stream)
    assert other in logging.getLogger().handlers
    structlog.get_logger("own").info("once")
    assert len(lines(stream)) == 1


@given(st.text(), st.text(alphabet=st.characters(codec="ascii", categories=("L", "N")), min_size=30, max_size=60))
def test_scrub_finds_a_bearer_token_in_any_text(around: str, token: str) -> None:
    scrubbed = scrub(f"{around} Bearer {token} {around}")
    assert isinstance(scrubbed, str)
    assert f"Bearer {token}" not in scrubbed
