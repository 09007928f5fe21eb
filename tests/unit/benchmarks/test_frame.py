"""The table of the benchmarks. Nothing here asserts a time."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import main
from benchmarks.frame import at_least, at_most, figure, find, medians_ms, table


def test_every_benchmark_is_found_and_can_measure() -> None:
    found = find()
    assert "tmux" in found
    assert all(callable(measure) for measure in found.values())


def test_rows_are_judged_by_their_target() -> None:
    assert at_least("ratio", 20, "×", 20).ok
    assert not at_least("ratio", 19.9, "×", 20).ok
    assert at_most("time", 0.1, "ms", 0.1).ok
    assert not at_most("time", 0.11, "ms", 0.1).ok
    assert figure("time", 1, "ms").ok is None


def test_the_table_has_its_columns_in_line() -> None:
    rows = [at_least("bridge", 31.26, "×", 20), at_most("a longer name", 12345, "ms", 0.1), figure("floor", 0.02, "ms")]
    assert table(rows).splitlines() == [
        "what           value  unit  target",
        "bridge          31.3  ×     ≥ 20    ok",
        "a longer name  12345  ms    ≤ 0.1   MISSED",
        "floor           0.02  ms",
    ]


async def test_works_take_turns() -> None:
    order: list[str] = []

    async def first() -> None:
        order.append("first")

    async def second() -> None:
        order.append("second")

    assert len(await medians_ms([first, second], rounds=2, calls=2)) == 2
    assert order == ["first", "first", "second", "second"] * 2


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["nonsense"])
    assert "there are:" in capsys.readouterr().err
