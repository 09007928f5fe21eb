"""What is printed where."""

from __future__ import annotations

import io
import json

import pytest

from teleclaude.cli.output import Output


def pipe() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="ascii")


def written(stream: io.TextIOWrapper) -> bytes:
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue()


def test_text_is_utf_8_whatever_the_locale_says() -> None:
    stdout = pipe()
    Output(stdout, None).line("漢 \ud800")
    assert written(stdout) == "漢 ?\n".encode()


def test_json_is_ascii_on_one_line_in_a_pipe() -> None:
    stdout = pipe()
    Output(stdout, None).json({"title": "\x1b]0;é\x9b"})
    line = written(stdout).decode("ascii")
    assert line.count("\n") == 1
    assert "\x1b" not in line
    assert json.loads(line) == {"title": "\x1b]0;é\x9b"}


def test_remarks_are_one_safe_line() -> None:
    stderr = pipe()
    Output(None, stderr).note("no\nsuch \x1b[2Jsession")
    assert written(stderr) == b"teleclaude: no such session\n"


def test_a_closed_stdout_is_a_broken_pipe() -> None:
    with pytest.raises(BrokenPipeError):
        Output(None, None).line("x")


def test_a_closed_stderr_changes_nothing() -> None:
    Output(None, None).note("x")
