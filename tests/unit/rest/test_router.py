from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.errors import MalformedError, MethodError, NotFoundError
from teleclaude_rest.router import Router
from teleclaude_rest.routes import ROUTES

ROUTER = Router(ROUTES)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/v1/sessions/build", "build"),
        ("/v1/sessions/computer%2Fname", "computer/name"),
        ("/v1/sessions/computer%2fname", "computer/name"),
        ("/v1/sessions/%2562", "%62"),
        ("/v1/sessions/a+b", "a+b"),
        ("/v1/sessions/%C3%A9", "é"),
        ("/v1/sessions/..", ".."),
        ("/v1/sessions/..%2f..%2fconfig", "../../config"),
        ("/v1/sessions/a;b=c", "a;b=c"),
    ],
)
def test_a_segment_is_decoded_once(target: str, path: str) -> None:
    assert ROUTER.find("GET", target).path == {"id": path}


def test_the_query_stays_as_it_is() -> None:
    assert ROUTER.find("GET", "/v1/sessions/a?from=%31&x=?").query == "from=%31&x=?"


def test_a_literal_wins_over_a_parameter() -> None:
    assert ROUTER.find("POST", "/v1/sessions/adopt").route.path == "/sessions/adopt"
    assert ROUTER.find("GET", "/v1/sessions/adopt").path == {"id": "adopt"}


def test_another_method_is_named() -> None:
    with pytest.raises(MethodError) as refused:
        ROUTER.find("PUT", "/v1/sessions")
    assert refused.value.fields["allow"] == ["GET", "HEAD", "POST"]


def test_only_probes_are_served_without_the_prefix() -> None:
    assert ROUTER.find("GET", "/metrics").route.path == "/metrics"
    with pytest.raises(NotFoundError):
        ROUTER.find("GET", "/sessions")


@given(st.text(max_size=40), st.sampled_from(["GET", "POST", "X"]))
def test_any_target_is_found_or_refused(text: str, method: str) -> None:
    try:
        found = ROUTER.find(method, "/v1/sessions/" + text)
    except (MalformedError, NotFoundError, MethodError):
        return
    for value in found.path.values():
        value.encode()
        assert value
        assert all(ord(character) >= 32 for character in value)


def test_every_field_of_a_command_comes_from_one_place() -> None:
    for route in ROUTES:
        if route.command is None:
            continue
        places = [*route.parameters, *route.query, *route.body]
        assert len(places) == len(set(places)), route.path
        required = {f.alias or n for n, f in route.command.model_fields.items() if f.is_required()}
        assert required <= set(places), route.path


def test_what_reads_is_a_get_and_what_changes_is_not() -> None:
    for route in ROUTES:
        if route.command is not None and route.method == "GET":
            assert not route.command.mutates, route.path
