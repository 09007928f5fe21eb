from __future__ import annotations

import json

import pytest

from teleclaude.errors import InvalidError, LimitError, MethodError, NotFoundError
from teleclaude_rest.errors import HeadTooLargeError, TooManyConnectionsError, problem_response


def body(response: object) -> dict[str, object]:
    found: dict[str, object] = json.loads(response.body)  # type: ignore[attr-defined]
    return found


def test_the_shape_of_a_problem() -> None:
    response = problem_response(NotFoundError("there is no such session", operation="session.get"))
    assert (response.status, response.headers["Content-Type"]) == (404, "application/problem+json")
    assert body(response) == {
        "type": "urn:teleclaude:error:not_found",
        "title": "not found",
        "status": 404,
        "detail": "there is no such session",
        "code": "not_found",
        "operation": "session.get",
    }


@pytest.mark.parametrize(("delay_ms", "seconds"), [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (60_000, "60")])
def test_a_delay_is_rounded_up_to_seconds(delay_ms: int, seconds: str) -> None:
    assert problem_response(LimitError("full", retry_after_ms=delay_ms)).headers["Retry-After"] == seconds


def test_methods_that_would_do() -> None:
    assert problem_response(MethodError("no", allow=["GET", "POST"])).headers["Allow"] == "GET, POST"


def test_one_code_may_have_more_than_one_status() -> None:
    assert (problem_response(HeadTooLargeError("long")).status, HeadTooLargeError.code) == (431, "too_large")
    assert (problem_response(TooManyConnectionsError("full")).status, TooManyConnectionsError.code) == (503, "limit")


def test_hostile_text_in_a_detail_is_told_nevertheless() -> None:
    response = problem_response(InvalidError("\ud800\r\nX: 1", operation="a", value=object()))
    assert response.status == 422
    assert body(response)["detail"] == "\ud800\r\nX: 1"
