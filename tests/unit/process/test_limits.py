from __future__ import annotations

import pytest

from teleclaude.errors import InvalidError
from teleclaude.model import ExecutionSpec, Overflow
from teleclaude.process.limits import ExecutionPolicy, limits_for


def spec(**fields: object) -> ExecutionSpec:
    return ExecutionSpec(cwd="/", argv=("true",), **fields)  # type: ignore[arg-type]


def test_what_is_not_asked_for_comes_from_the_policy() -> None:
    limits = limits_for(spec(), ExecutionPolicy(timeout_ms=7000, max_output_bytes=10))
    assert (limits.timeout_ms, limits.idle_timeout_ms, limits.output_bytes) == (7000, None, 10)
    assert limits.overflow is Overflow.TRUNCATE


@pytest.mark.parametrize("name", ["timeout_ms", "idle_timeout_ms"])
@pytest.mark.parametrize("value", [0, -1, 5001])
def test_c18_a_time_beyond_the_maximum_is_refused(name: str, value: int) -> None:
    with pytest.raises(InvalidError, match=name):
        limits_for(spec(**{name: value}), ExecutionPolicy(max_timeout_ms=5000))


def test_c06_spool_keeps_up_to_its_own_maximum() -> None:
    policy = ExecutionPolicy(max_output_bytes=10, max_spool_bytes=1000)
    assert limits_for(spec(overflow=Overflow.SPOOL), policy).output_bytes == 1000
    assert limits_for(spec(overflow=Overflow.SPOOL, max_output_bytes=20), policy).output_bytes == 1000


def test_nobody_may_keep_more_than_a_spool() -> None:
    policy = ExecutionPolicy(max_spool_bytes=1000)
    assert limits_for(spec(), policy).output_bytes == 1000
    for value in (-1, 1001):
        with pytest.raises(InvalidError, match="max_output_bytes"):
            limits_for(spec(max_output_bytes=value), policy)
