"""The OpenAPI document says what the code does: routes, models, refusals."""

from __future__ import annotations

from typing import Any

import jsonschema
import msgspec
import pytest
from pydantic import ValidationError

from wsprism.protocol.codes import ErrorCode
from wsprism.transport.api.openapi import document, document_json
from wsprism.transport.api.problems import CODES, Problem
from wsprism.transport.api.routes import OPERATIONS, Operation

OPEN_PATHS = {"/healthz", "/readyz", "/metrics", "/openapi.json"}


def call(operation: Operation) -> Any:
    return document()["paths"][operation.path][operation.method.lower()]


def test_its_calls_are_those_of_the_route_table() -> None:
    shown = {
        (method.upper(), path)
        for path, methods in document()["paths"].items()
        for method in methods
        if path not in OPEN_PATHS
    }
    assert shown == {(one.method, one.path) for one in OPERATIONS}
    assert set(document()["paths"]) - {one.path for one in OPERATIONS} == OPEN_PATHS


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_a_call_shows_its_parameters_body_and_refusals(operation: Operation) -> None:
    shown = call(operation)
    in_path = [one["name"] for one in shown["parameters"] if one["in"] == "path"]
    assert in_path == operation.parameters
    in_query = {one["name"] for one in shown["parameters"] if one["in"] == "query"}
    assert in_query == (set(operation.query.model_fields) if operation.query is not None else set())
    assert ("requestBody" in shown) is (operation.body is not None)
    assert ("Idempotency-Key" in {one["name"] for one in shown["parameters"]}) is operation.idempotent
    assert shown["security"] == [{"key": []}]
    assert {"400", "401", "500", str(operation.status)} <= set(shown["responses"])
    assert ("403" in shown["responses"]) is (operation.gateway_wide or operation.method != "GET")
    assert ("413" in shown["responses"]) is (operation.body is not None)


BODIES: list[tuple[str, Any]] = [
    ("publish", {"svc": "a", "type": "b", "data": {"deep": [1]}}),
    ("publish", [{"svc": "a", "type": "b"}, {"hot": "AQUA"}]),
    ("publish", []),
    ("publish", {"svc": "sys", "type": "b"}),
    ("publish", {"hot": "AQUA", "svc": "a"}),
    ("publish", {"svc": "a"}),
    ("publish", "x"),
    ("publish", {"svc": "a", "type": "b", "exclude": {"user": "u"}}),
    ("publish", {"hot": "AQUA", "exclude": {}}),
    ("publishToRooms", {"rooms": ["a", "b"], "messages": {"svc": "a", "type": "b"}}),
    ("publishToRooms", {"rooms": ["a"], "messages": [{"hot": "AQUA"}], "exclude": {"sid": "s"}}),
    ("publishToRooms", {"rooms": [], "messages": {"svc": "a", "type": "b"}}),
    ("publishToRooms", {"rooms": ["a"] * 1001, "messages": {"svc": "a", "type": "b"}}),
    ("publishToRooms", {"rooms": ["a\u0000b"], "messages": {"svc": "a", "type": "b"}}),
    ("publishToRooms", {"rooms": ["a"], "messages": {"svc": "a"}}),
    ("publishToRooms", {"rooms": ["a"]}),
    ("join", {"user": "u", "active": True}),
    ("join", {"user": "u"}),
    ("join", {"sid": "s", "user": "u"}),
    ("join", {}),
    ("join", {"user": None}),
    ("disconnect", {"room": "r", "code": 4999}),
    ("disconnect", {"room": "r", "user": "u"}),
    ("disconnect", {"user": "u", "code": 3999}),
    ("disconnect", {"user": "u", "code": 4500.5}),
    ("mintTicket", {"user": "u", "ttl_s": 1, "rooms": ["a*"], "claims": {}, "read_only": True}),
    ("mintTicket", {"user": "u", "ttl_s": 0}),
    ("mintTicket", {"user": "", "ttl_s": 1}),
    ("revoke", {"token_id": "t", "until_s": 5}),
    ("revoke", {"token_id": "t", "sid": "s"}),
    ("revoke", {"until_s": 5}),
    ("revoke", {"user": "u", "reason": "r" * 200}),
    ("revoke", {"user": "u", "reason": "r" * 201}),
    ("logLevel", {"level": "debug", "component": "http"}),
    ("logLevel", {"level": "trace"}),
]


@pytest.mark.parametrize(("name", "body"), BODIES)
def test_a_body_is_good_for_the_document_if_and_only_if_it_is_for_the_code(name: str, body: Any) -> None:
    operation = next(one for one in OPERATIONS if one.name == name)
    schema = call(operation)["requestBody"]["content"]["application/json"]["schema"]
    validator = jsonschema.Draft202012Validator({**schema, "components": document()["components"]})
    assert operation.body is not None
    try:
        operation.body.validate_python(body)
    except ValidationError:
        assert not validator.is_valid(body)
    else:
        assert validator.is_valid(body)


def test_it_is_served_as_it_is() -> None:
    assert msgspec.json.decode(document_json()) == document()


@pytest.mark.parametrize("status", CODES)
def test_a_problem_has_the_fields_of_rfc_9457_and_a_stable_code(status: int) -> None:
    response = Problem(status, "why", errors=(("/a", "b"),)).response()
    assert response.content_type == "application/problem+json"
    assert isinstance(response.body, bytes)
    shown = msgspec.json.decode(response.body)
    assert (shown["status"], shown["detail"], shown["type"]) == (status, "why", "about:blank")
    assert ErrorCode(shown["code"]) is CODES[status]
    schema = {"$ref": "#/components/schemas/ProblemAnswer", "components": document()["components"]}
    jsonschema.Draft202012Validator(schema).validate(shown)
