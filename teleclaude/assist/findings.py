"""What the doctor says: one finding for each thing it looked at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from teleclaude.cli.escapes import plain


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """It works, and should be looked at."""
    FAILURE = "failure"
    UNKNOWN = "unknown"
    """It could not be looked at; that is not the same as fine."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``about`` names the thing, ``detail`` says how it is and, where something is wrong, what to do."""

    about: str
    level: Level
    detail: str

    def row(self) -> dict[str, Any]:
        return asdict(self)


def ok(about: str, detail: str) -> Finding:
    return Finding(about, Level.OK, detail)


def warning(about: str, detail: str) -> Finding:
    return Finding(about, Level.WARNING, detail)


def failure(about: str, detail: str) -> Finding:
    return Finding(about, Level.FAILURE, detail)


def unknown(about: str, detail: str) -> Finding:
    return Finding(about, Level.UNKNOWN, detail)


_MARKS = {Level.OK: "ok  ", Level.WARNING: "look", Level.FAILURE: "FAIL", Level.UNKNOWN: "?   "}


def line(finding: Finding) -> str:
    return f"{_MARKS[finding.level]}  {finding.about}: {plain(finding.detail)}"


def summary(findings: Iterable[Finding]) -> str:
    levels = [finding.level for finding in findings]
    failed, looked = levels.count(Level.FAILURE), levels.count(Level.WARNING)
    if failed:
        return f"{failed} of {len(levels)} checks failed"
    unsure = levels.count(Level.UNKNOWN)
    return f"{len(levels)} checks: nothing failed" + (f", {looked + unsure} to look at" if looked + unsure else "")
