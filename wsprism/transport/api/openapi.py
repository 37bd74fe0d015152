"""The OpenAPI 3.1 document of the internal API, made from the route table and the models that check requests."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import msgspec
from pydantic import TypeAdapter

from wsprism import __version__
from wsprism.transport.api.answers import ProblemAnswer, StatusAnswer
from wsprism.transport.api.models import MAX_PUBLICATIONS
from wsprism.transport.api.problems import CODES, PROBLEM_JSON
from wsprism.transport.api.routes import OPERATIONS, PARAMETERS, Operation

__all__ = ["document", "document_json"]

_REF: Final = "#/components/schemas/{model}"

_REFUSALS: Final = {
    400: "A name, a query parameter, a header or the JSON is malformed",
    401: "No key, or a wrong one",
    403: "The key is scoped to tenants, or read-only",
    404: "No such tenant, as far as the key goes",
    408: "The body did not arrive in time",
    409: "A limit or the tenant's configuration forbids it; nothing was done",
    413: "The body, or a message in it, is too large; nothing was done",
    415: "The body is not application/json",
    422: "The body is not what the call takes; nothing was done",
    500: "The gateway's fault",
    503: "Overloaded; nothing was done",
}

_IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A repeated call within ten minutes answers the first result and delivers nothing twice",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
}


@lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    """The document; do not change it."""
    schemas, components = _schemas()
    paths: dict[str, Any] = {path: {"get": _open_call(path)} for path in ("/healthz", "/readyz")}
    paths["/metrics"] = {"get": _plain_call("metrics", "Prometheus metrics", "text/plain")}
    paths["/openapi.json"] = {"get": _plain_call("openapi", "This document", "application/json")}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _call(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "wsPrism internal API",
            "version": __version__,
            "description": "What a backend publishes is trusted: allowlists and rate limits do not apply to it; the"
            f" payload limit and the room's one order do. A list has at most {MAX_PUBLICATIONS} messages.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


@lru_cache(maxsize=1)
def document_json() -> bytes:
    """The document as it is served."""
    return msgspec.json.encode(document())


def _schemas() -> tuple[dict[tuple[str, str], Any], dict[str, Any]]:
    """The schema of every body, answer and path parameter by (kind, name), and the components that they refer to."""
    wanted: list[tuple[tuple[str, str], Any, TypeAdapter[Any]]] = [
        (("answer", "problem"), "serialization", TypeAdapter(ProblemAnswer)),
        (("answer", "status"), "serialization", TypeAdapter(StatusAnswer)),
    ]
    wanted += [(("parameter", name), "validation", adapter) for name, adapter in PARAMETERS.items()]
    for operation in OPERATIONS:
        wanted.append((("answer", operation.name), "serialization", TypeAdapter(operation.answer)))
        if operation.body is not None:
            wanted.append((("body", operation.name), "validation", operation.body))
    schemas, definitions = TypeAdapter.json_schemas(
        [(key, mode, adapter) for key, mode, adapter in wanted], ref_template=_REF
    )
    return {key: schema for (key, _), schema in schemas.items()}, definitions.get("$defs", {})


def _call(operation: Operation, schemas: dict[tuple[str, str], Any]) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": schemas["parameter", name]}
        for name in operation.parameters
    ]
    return {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": ["gateway" if operation.gateway_wide else "tenants"],
        "security": [{"key": []}],
        "parameters": parameters + _query_parameters(operation) + [_IDEMPOTENCY_KEY] * operation.idempotent,
        **_request_body(operation, schemas),
        "responses": {
            str(operation.status): _json("Done", schemas["answer", operation.name]),
            **{str(status): _problem(status, schemas) for status in _refusals(operation)},
        },
    }


def _query_parameters(operation: Operation) -> list[dict[str, Any]]:
    if operation.query is None:
        return []
    properties = operation.query.model_json_schema()["properties"]
    return [{"name": name, "in": "query", "required": False, "schema": schema} for name, schema in properties.items()]


def _request_body(operation: Operation, schemas: dict[tuple[str, str], Any]) -> dict[str, Any]:
    if operation.body is None:
        return {}
    content = {"application/json": {"schema": schemas["body", operation.name]}}
    return {"requestBody": {"required": True, "content": content}}


def _refusals(operation: Operation) -> list[int]:
    statuses = {400, 401, 500, *operation.refusals}
    if operation.gateway_wide or operation.method != "GET":
        statuses.add(403)
    if "tenant" in operation.parameters:
        statuses.add(404)
    if operation.body is not None:
        statuses |= {408, 413, 415, 422}
    return sorted(statuses)


def _problem(status: int, schemas: dict[tuple[str, str], Any]) -> dict[str, Any]:
    description = f"{_REFUSALS[status]} (`{CODES[status].value}`)"
    return {"description": description, "content": {PROBLEM_JSON: {"schema": schemas["answer", "problem"]}}}


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _open_call(path: str) -> dict[str, Any]:
    answer = _json("Yes", {"$ref": _REF.format(model="StatusAnswer")})
    responses = {"200": answer}
    if path == "/readyz":
        responses["503"] = {**answer, "description": "Draining"}
    return {"operationId": path[1:], "summary": "Alive" if path == "/healthz" else "Ready", "responses": responses}


def _plain_call(name: str, summary: str, content_type: str) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "responses": {"200": {"description": summary, "content": {content_type: {}}}},
    }
