"""The page about Telegram names every command and setting, and the numbers are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from teleclaude.config.sections import TelegramConfig
from teleclaude_telegram import desk, finals, intake, keyboards, media, watch
from teleclaude_telegram.commands import TABLE, running, showing
from teleclaude_telegram.plan import GROUP, PRIVATE, Limits

PAGE = (Path(__file__).parents[3] / "docs/telegram.md").read_text(encoding="utf-8")


def _chapter(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_every_command_is_there_and_no_other() -> None:
    rows = [line for line in _chapter("Writing").splitlines() if line.startswith("| `/")]
    named = {name for row in rows for name in re.findall(r"`/([a-z_0-9]+)", row.split("|")[1])}
    assert named == {command.name for command in TABLE}


def test_every_setting_is_there_and_no_other() -> None:
    rows = [line for line in _chapter("Settings").splitlines() if line.startswith("| `")]
    assert {key for row in rows for key in re.findall(r"`([a-z_]+)`", row.split("|")[1])} == set(
        TelegramConfig.model_fields
    )


@pytest.mark.parametrize(("limits", "first"), [(GROUP, "may use all {}, "), (PRIVATE, "bear {} ")])
def test_the_budget(limits: Limits, first: str) -> None:
    urgent, *others = dict.fromkeys(limits.marks.values())
    told = first.format(urgent)
    assert told in " ".join(_chapter("The budget").split())
    numbers = re.findall(r"\d+", " ".join(_chapter("The budget").split()).partition(told)[2])
    assert numbers[: len(others)] == [str(number) for number in others]


def test_the_limits() -> None:
    page = " ".join(_chapter("Limits").split())
    assert f"{intake.MAX_DOWNLOAD_BYTES >> 20} MB; {media.MAX_UPLOAD_BYTES >> 20} MB" in page
    assert f"{intake.MAX_SPOKEN_UNITS} characters; {intake.TRANSCRIBE_MS // 1000} s" in page
    assert f"last {finals.FINAL_UNITS} characters" in page
    assert f"last {running.FILE_BYTES >> 20} MiB" in page
    assert f"{keyboards.MAX_BUTTONS} in a message" in page
    assert f"| {watch.MAX_PLACES};" in page
    assert f"{running.PATIENCE_SECONDS / keyboards.HOUR:.0f} hours" in page
    writing = _chapter("Writing")
    assert f"the last {showing.LOG_LINES} lines" in writing
    assert f"at most {showing.FILE_BYTES >> 20} MiB" in writing
    assert desk.LATE_SECONDS == 5 * 60
    assert "five minutes" in writing
