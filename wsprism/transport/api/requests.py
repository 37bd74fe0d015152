"""From an HTTP request to checked values: query, body, Idempotency-Key. Every fault is a ``Problem``."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from wsprism.protocol.nesting import MAX_DEPTH
from wsprism.protocol.outside_json import decode_json
from wsprism.transport.api.problems import Problem

__all__ = ["MAX_BODY_BYTES", "check_body", "read_body", "read_idempotency_key", "read_query"]

ModelT = TypeVar("ModelT", bound=BaseModel)

MAX_BODY_BYTES: Final = 1024 * 1024
BODY_TIMEOUT_S: Final = 10.0
_MAX_ERRORS: Final = 20
_TAGS: Final = frozenset({"ext", "hot", "one", "list"})
"""Names that pydantic puts into a location for the branch of a union that it took."""

_is_idempotency_key = re.compile(r"[!-~]{1,255}").fullmatch

_NOT_JSON: Final = Problem(400, "the body is not JSON in UTF-8")
_BROKEN: Final = Problem(400, "the body could not be read")
_TOO_SLOW: Final = Problem(408, "the body did not arrive in time")
_UNSUPPORTED: Final = Problem(415, "the body must be application/json without Content-Encoding")


async def read_body(request: web.BaseRequest, max_bytes: int) -> bytes | Problem:
    """The raw body; nothing beyond ``max_bytes`` is kept."""
    if request.content_type != "application/json" or "Content-Encoding" in request.headers:
        return _UNSUPPORTED
    too_large = Problem(413, f"a body has at most {max_bytes} bytes here", headers={"Connection": "close"})
    try:
        if (request.content_length or 0) > max_bytes:
            return too_large
        body = bytearray()
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > max_bytes:
                    return too_large
    except TimeoutError:
        return _TOO_SLOW
    except (web.RequestPayloadError, HttpProcessingError, ConnectionError, ValueError):
        return _BROKEN
    return bytes(body)


def check_body(raw: bytes, adapter: TypeAdapter[Any]) -> Any:
    """The body as the model wants it, or the ``Problem`` with its faults. Of a repeated key the last counts."""
    try:
        plain = decode_json(raw, max_depth=2 * MAX_DEPTH)  # `data` in it is counted by itself
    except msgspec.DecodeError:
        return _NOT_JSON
    try:
        return adapter.validate_python(plain)
    except ValidationError as error:
        errors = tuple(_fault(one) for one in error.errors(include_url=False, include_input=False)[:_MAX_ERRORS])
        return Problem(422, "the body is not what this call takes; nothing was done", errors=errors)


def read_query(request: web.BaseRequest, model: type[ModelT] | None) -> ModelT | Problem | None:
    """The query string as ``model``; a call without one takes no query."""
    query = request.query
    if model is None:
        return Problem(400, "this call takes no query") if query else None
    if len(set(query)) < len(query):
        return Problem(400, "a query parameter stands twice")
    try:
        return model.model_validate(dict(query))
    except ValidationError as error:
        pointer, detail = _fault(error.errors(include_url=False, include_input=False)[0])
        return Problem(400, f"{pointer[1:]}: {detail}")


def read_idempotency_key(request: web.BaseRequest) -> str | Problem | None:
    """The ``Idempotency-Key`` header; None: there is none."""
    keys = request.headers.getall("Idempotency-Key", [])
    if not keys:
        return None
    if len(keys) > 1 or not _is_idempotency_key(keys[0]):
        return Problem(400, "Idempotency-Key must be one header of 1-255 visible ASCII characters")
    return keys[0]


def _fault(details: ErrorDetails) -> tuple[str, str]:
    """A JSON pointer (RFC 6901) and a sentence."""
    parts = [str(part) for part in details["loc"] if part not in _TAGS]
    pointer = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)
    return pointer, details["msg"].replace("Input should be", "must be")
