from __future__ import annotations

import signal

import pytest

from teleclaude.errors import InvalidError
from teleclaude.process.signals import parse_signal, signal_name


@pytest.mark.parametrize("text", ["KILL", "SIGKILL", "sigkill", "kill"])
def test_a_signal_is_named_with_or_without_sig(text: str) -> None:
    assert parse_signal(text, operation="execution.signal") is signal.SIGKILL


@pytest.mark.parametrize("text", ["", "SIG", "9", "KILL;", "TREM", "SIGSIGTERM", "\ud800", "x" * 10_000])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidError):
        parse_signal(text, operation="execution.signal")


def test_a_slip_is_answered_with_the_nearest_names() -> None:
    with pytest.raises(InvalidError, match="did you mean TERM"):
        parse_signal("TREM", operation="execution.signal")


def test_names_come_without_sig() -> None:
    assert signal_name(9) == "KILL"
    assert signal_name(signal.SIGRTMIN + 3) == "RTMIN+3"


def test_every_name_reads_back() -> None:
    for sig in signal.Signals:
        assert parse_signal(signal_name(sig), operation="x") is sig
