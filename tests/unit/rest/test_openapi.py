from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from teleclaude_rest.docs import render
from teleclaude_rest.openapi import Description, describe
from teleclaude_rest.routes import ROUTES


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return describe(ROUTES)


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref":
                yield inner
            else:
                yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_it_is_a_document_of_its_kind(document: dict[str, Any]) -> None:
    """By the schema that the OpenAPI initiative publishes for version 3.1."""
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_every_route_is_described(document: dict[str, Any]) -> None:
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == {(route.method, f"/v1{route.path}") for route in ROUTES}


def test_operations_have_names_of_their_own(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(names) == len(set(names))


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = set(references(document))
    assert found
    for reference in found:
        assert reference.removeprefix("#/components/schemas/") in document["components"]["schemas"], reference


def test_fields_are_described_where_they_are_taken_from(document: dict[str, Any]) -> None:
    keys = document["paths"]["/v1/sessions/{id}/keys"]["post"]
    assert [(p["name"], p["in"], p["required"]) for p in keys["parameters"]] == [
        ("id", "path", True),
        ("Idempotency-Key", "header", False),
    ]
    schema = keys["requestBody"]["content"]["application/json"]["schema"]
    assert set(schema["properties"]) == {"keys", "repeat"}
    assert (schema["required"], schema["additionalProperties"]) == (["keys"], False)
    assert keys["requestBody"]["required"]
    output = document["paths"]["/v1/sessions/{id}/output"]["get"]
    assert [p["name"] for p in output["parameters"]] == ["id", "from", "limit", "wait_ms", "format"]
    assert set(output["responses"]["200"]["content"]) == {"application/octet-stream", "text/plain"}


def test_the_limits_that_validate_are_the_limits_that_are_described(document: dict[str, Any]) -> None:
    parameters = document["paths"]["/v1/sessions/{id}/output"]["get"]["parameters"]
    limit = next(p["schema"] for p in parameters if p["name"] == "limit")
    assert (limit["minimum"], limit["maximum"], limit["default"]) == (1, 1 << 20, 64 << 10)


def test_replies_are_described_by_their_models(document: dict[str, Any]) -> None:
    created = document["paths"]["/v1/sessions"]["post"]
    reference = {"$ref": "#/components/schemas/SessionView"}
    assert created["responses"]["201"]["content"] == {"application/json": {"schema": reference}}
    assert not created["requestBody"]["required"]
    assert "CreateSession" not in document["components"]["schemas"]


async def test_it_is_made_once() -> None:
    description = Description(ROUTES)
    first = await description.get()
    assert json.loads(first)["openapi"] == "3.1.0"
    assert await description.get() is first


def test_every_route_says_who_may_ask(document: dict[str, Any]) -> None:
    roles = {"anybody", "viewer", "operator", "owner"}
    for methods in document["paths"].values():
        for operation in methods.values():
            assert operation["x-role"] in roles
            assert (operation["x-role"] == "anybody") == (operation.get("security") == [])
    assert document["security"] == [{"token": []}]
    assert document["paths"]["/v1/tokens"]["post"]["x-role"] == "owner"


def test_what_types_cannot_say_is_told(document: dict[str, Any]) -> None:
    for kind in ("sessions", "executions"):
        stream = document["paths"][f"/v1/{kind}/{{id}}/stream"]["get"]
        assert "Last-Event-ID" in [parameter["name"] for parameter in stream["parameters"]]
        assert set(document["paths"][f"/v1/{kind}/{{id}}/output"]["get"]["responses"]["200"]["headers"]) == {
            "Teleclaude-From",
            "Teleclaude-To",
            "Teleclaude-End",
        }
    ready = document["paths"]["/v1/ready"]["get"]["responses"]
    assert ready["503"]["content"]["application/json"] == ready["200"]["content"]["application/json"]
    schemas = document["components"]["schemas"]
    assert "`session.exit {state, code, signal, at, reason, offset}`" in schemas["Event"]["description"]
    assert {"plan.exit", "output.gap"} < set(schemas["Event"]["properties"]["type"]["enum"])
    assert "`gap` 410" in schemas["Problem"]["description"]
    assert "offset to go on from" in document["paths"]["/v1/sessions/{id}/stream"]["get"]["description"]


def test_the_page_holds_all_of_it_and_fetches_nothing(document: dict[str, Any]) -> None:
    page = render(document)
    for path in document["paths"]:
        assert path in page
    for name in document["components"]["schemas"]:
        assert f"id='{name}'" in page
    for reaching_out in ("http:", "https:", "src=", "url(", "<script", "<link"):
        assert reaching_out not in page
