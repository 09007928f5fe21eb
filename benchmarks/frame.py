"""Rows of the table, how they are judged, and how times are taken."""

from __future__ import annotations

import importlib
import pkgutil
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import benchmarks

_HEAD = ("what", "value", "unit", "target", "")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. ``ok`` is None for one that only gives the others their scale."""

    name: str
    value: float
    unit: str
    target: str = ""
    ok: bool | None = None


Measure = Callable[[], Awaitable[list[Row]]]


def figure(name: str, value: float, unit: str) -> Row:
    """A figure without a target."""
    return Row(name, value, unit)


def at_least(name: str, value: float, unit: str, target: float) -> Row:
    return Row(name, value, unit, f"≥ {target:g}", value >= target)


def at_most(name: str, value: float, unit: str, target: float) -> Row:
    return Row(name, value, unit, f"≤ {target:g}", value <= target)


async def median_ms(work: Callable[[], Awaitable[object]], rounds: int) -> float:
    """The median time that one call of ``work`` takes, in milliseconds."""
    return statistics.median([await once_ms(work) for _ in range(rounds)])


async def once_ms(work: Callable[[], Awaitable[object]]) -> float:
    start = time.perf_counter()
    await work()
    return (time.perf_counter() - start) * 1000


async def medians_ms(works: Sequence[Callable[[], Awaitable[object]]], rounds: int, calls: int) -> list[float]:
    """The median of each in milliseconds: ``rounds`` turns of ``calls`` each, so that a busy moment strikes all."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, taken in zip(works, times, strict=True):
            taken += [await once_ms(work) for _ in range(calls)]
    return [statistics.median(taken) for taken in times]


def find() -> dict[str, Measure]:
    """Every benchmark of this package by its name."""
    found = {}
    for module in pkgutil.iter_modules(benchmarks.__path__):
        if not module.name.startswith("_") and module.name != "frame":
            found[module.name] = importlib.import_module(f"benchmarks.{module.name}").measure
    return found


def table(rows: Sequence[Row]) -> str:
    """The rows under a head, in columns."""
    cells = [_HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEAD))]
    lines = []
    for line in cells:
        name, value, *rest = line
        fields = [name.ljust(widths[0]), value.rjust(widths[1])]
        fields += [text.ljust(width) for text, width in zip(rest, widths[2:], strict=True)]
        lines.append("  ".join(fields).rstrip())
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    verdict = {True: "ok", False: "MISSED", None: ""}[row.ok]
    return (
        row.name,
        f"{row.value:.3g}" if abs(row.value) < 1000 else f"{row.value:.0f}",
        row.unit,
        row.target,
        verdict,
    )
