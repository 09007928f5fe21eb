"""The description against the daemon that gives it: every route is in it and serves those who may and nobody else, and
whatever is sent is answered as it says.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
import requests
import schemathesis
import yarl
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks as openapi_checks

from teleclaude_rest.pages import PAGES
from teleclaude_rest.route import Route
from teleclaude_rest.routes import ROUTES
from tests.integration.rest.examples import EXAMPLES, House, title
from tests.support.daemon import Client
from tests.support.outside import Outside, shared_outside_daemon

TRIES = 5
"""Of each kind for every operation."""

ROLES = ("viewer", "operator", "owner")
ALL = list(HealthCheck)
AWAY = ("tmux.adopt",)

CHECKS = [
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
]
"""Left out of what there is: ``positive_data_acceptance``, as a description cannot say that an id has to exist; those
about authentication, which the matrix of roles covers; ``not_a_server_error``, in whose place is a stricter one. Left
out of the routes are those whose reply does not end, or is no HTTP: they have tests of their own.
"""

SHORT = {"wait_ms": 20, "timeout_ms": 20, "grace_ms": 0}
"""Waiting as long as the description allows would take days."""


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """Whatever is to be run, nothing is: the shell is ``true``, other programs are refused, tmux has no sessions."""
    environ = {
        "TELECLAUDE_SESSIONS__SHELL": "/bin/true",
        "TELECLAUDE_SESSIONS__MAX": "1000",
        "TELECLAUDE_EXECUTIONS__ALLOWED": '["true", "cat", "sleep"]',
        "TELECLAUDE_COMPUTER__TRUSTED_DIRS": '[{"path": "/tmp", "name": "tmp"}]',
        "TMUX_TMPDIR": str(tmp_path_factory.mktemp("tmux")),
    }
    with shared_outside_daemon(environ) as running:
        yield running


class Things:
    """The description, and what is there, so that ids mean something now and then."""

    def __init__(self, schema: Any, ids: dict[str, list[str]]) -> None:
        self.schema = schema
        self._ids = ids
        self._turn = 0

    def fill(self, route: Route, case: Any) -> None:
        """Every other time the id is one that there is."""
        self._turn += 1
        known = self._ids.get(route.path.split("/")[1], [])
        if route.path.endswith("/restart"):
            known = known[:2]  # a worker that is started again would outlive the test that did it
        if "id" in case.path_parameters and known and self._turn % 2:
            case.path_parameters["id"] = known[self._turn // 2 % len(known)]


async def look(outside: Outside) -> Things:
    document = (await outside.ask("GET", "/v1/openapi.json"))[1]
    # The token is always shown: without, most of what is tried would end at the door.
    for operation in (each for methods in document["paths"].values() for each in methods.values()):
        operation["security"] = []
    async with Client(outside.daemon.socket) as client:
        cat = await client.new(["cat"], name="cat")
        ended = await client.new(["true"], name="ended")
        await client.wait("ended", exit=True)
        python = await client.new(kind="python", name="python")
        await client.post("/sessions/python/executions", {"code": "x = 1", "wait_ms": 10_000})
        ran = await client.post("/executions", {"argv": ["true"], "wait_ms": 10_000})
        plan = await client.post("/plans", {"mode": "serial", "steps": [{"id": "a", "argv": ["true"]}]})
    ids = {
        "sessions": [cat["id"], ended["id"], python["id"]],
        "executions": [ran["id"]],
        "plans": [plan["id"]],
    }
    return Things(schemathesis.openapi.from_dict({**document, "security": []}), ids)


@pytest.fixture(scope="module")
def things(outside: Outside) -> Things:
    return asyncio.run(look(outside))


@pytest.fixture(scope="module")
def http(outside: Outside) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.headers.update({**outside.bearer(), "Connection": "close"})
        yield session


@pytest.mark.parametrize("route", [route for route in ROUTES if not route.endless], ids=title)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["allowed", "not-allowed"])
def test_answers_are_as_described(
    http: requests.Session, outside: Outside, things: Things, route: Route, mode: GenerationMode
) -> None:
    operation = things.schema[f"/v1{route.path}"][route.method]

    @seed(0)
    @settings(max_examples=TRIES, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=ALL)
    @given(operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        things.fill(route, case)
        for place in (case.query, case.body):
            _shorten(place)
        reply = case.call(base_url=outside.base, session=http, timeout=20)
        assert reply.status_code < 500 or _is_away(reply), reply.content
        case.validate_response(reply, checks=CHECKS)

    try:
        ask()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE  # there is nothing in it that could be wrong
    assert "_failed" not in outside.daemon.log


def _shorten(place: Any) -> None:
    if isinstance(place, dict):
        place.update({name: most for name, most in SHORT.items() if name in place})
        place.pop("computer", None)  # there is no other


def _is_away(reply: Any) -> bool:
    """A refusal that is no defect: what was asked for needs a part that is not there."""
    return bool(
        reply.status_code == 503 and reply.json()["code"] == "unavailable" and reply.json()["operation"] in AWAY
    )


@pytest.fixture
async def house(outside: Outside) -> AsyncIterator[House]:
    async with Client(outside.daemon.socket) as client:
        house = House(outside, client)
        yield house
        await house.tidy()


async def status(house: House, route: Route, token: str, id_: str) -> int:
    """How the example of the row is answered to who shows ``token`` ("" none)."""
    example = EXAMPLES[title(route)]
    path = f"/v1{route.path}".replace("{id}", id_).replace("{name}", "a")
    url = yarl.URL(f"{house.outside.base}{path}" + (f"?{example.query}" if example.query else ""), encoded=True)
    headers = house.outside.bearer(token) if token else {}
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=10)) as http:
        if route.websocket and token:
            try:
                async with http.ws_connect(url):
                    return 101
            except aiohttp.WSServerHandshakeError as refused:
                return refused.status
        body = {"data": example.body} if isinstance(example.body, bytes) else {"json": example.body}
        async with http.request(route.method, url, **body) as response:
            return response.status


async def test_every_row_is_described_with_its_role(outside: Outside) -> None:
    document = (await outside.ask("GET", "/v1/openapi.json"))[1]
    described = {
        f"{method.upper()} {path.removeprefix('/v1')}": operation["x-role"]
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert described == {title(route): route.role.label if route.role else "anybody" for route in ROUTES}
    assert set(described) == set(EXAMPLES)
    assert all(route.open for route in PAGES)


@pytest.mark.parametrize("route", ROUTES, ids=title)
async def test_it_serves_those_who_may_and_nobody_else(house: House, route: Route) -> None:
    example = EXAMPLES[title(route)]
    id_ = await house.one(example.about)
    expected = example.status or route.status
    assert (await status(house, route, "", id_) == 401) is not route.open
    for role in ROLES:
        allowed = route.role is None or ROLES.index(role) >= ROLES.index(route.role.label)
        token = await house.outside.new_token(role, role=role)
        found = await status(house, route, token, id_)
        assert found == (expected if allowed else 403), (role, found)
        if allowed:
            break
    narrow = await house.outside.new_token("narrow", role="owner", verbs=["session.list"])
    if route.command is not None and route.command.operation != "session.list":
        assert await status(house, route, narrow, id_) == 403
