from __future__ import annotations

import pytest

from tests.support.wait import eventually


async def test_it_gives_back_the_first_true_answer() -> None:
    answers = iter([0, "", None, "yes"])
    assert await eventually(lambda: next(answers)) == "yes"


async def test_a_failed_assertion_means_not_yet() -> None:
    calls: list[int] = []

    async def third() -> bool:
        calls.append(1)
        assert len(calls) == 3
        return True

    assert await eventually(third)


async def test_it_gives_up_and_says_why() -> None:
    def never() -> bool:
        raise AssertionError("still closed")

    with pytest.raises(AssertionError, match=r"not so within 0\.02 s") as caught:
        await eventually(never, timeout=0.02)
    assert str(caught.value.__cause__) == "still closed"


async def test_other_errors_are_told_at_once() -> None:
    with pytest.raises(ZeroDivisionError):
        await eventually(lambda: 1 / 0)
