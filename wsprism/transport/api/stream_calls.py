"""What a backend calls over its stream: the same calls as over HTTP, checked and carried out by the same code.

A call is an object: ``call`` names it, ``id`` asks for an answer, ``room`` and ``user`` are the names that stand in a
path over HTTP where the call has them there, and the rest is its body.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from pydantic import BaseModel

from wsprism.protocol.codes import ErrorCode
from wsprism.realtime.rules import TenantContext
from wsprism.transport.api.calls import Call, GatewayControl
from wsprism.transport.api.keys import ApiKey
from wsprism.transport.api.problems import CODES, Problem
from wsprism.transport.api.rates import RateMeter
from wsprism.transport.api.requests import check_body
from wsprism.transport.api.routes import OPERATIONS, PARAMETERS, Operation

__all__ = ["KeyCalls"]

_log = logging.getLogger("wsprism.api")

_CALLS: Final = {
    one.name: one for one in OPERATIONS if one.name in ("publish", "send", "broadcast", "join", "remove", "disconnect")
}
_INTO_ROOMS: Final = next(one for one in OPERATIONS if one.name == "publishToRooms")
_NO_BODY: Final = msgspec.Raw(b"null")
_UNKNOWN: Final = Problem(400, f"call must be one of {', '.join(_CALLS)}")
_FAILED: Final = Problem(500, "internal error")


class KeyCalls:
    """The calls of one stream, with the rights of ``key``."""

    def __init__(self, gateway: GatewayControl, rates: RateMeter, key: ApiKey, tenant: TenantContext) -> None:
        self._gateway = gateway
        self._rates = rates
        self._key = key
        self._tenant = tenant

    async def carry_out(self, calls: Sequence[Mapping[str, msgspec.Raw]], say: Callable[[bytes], object]) -> None:
        """All of ``calls`` in their order; ``say`` gets the answer to each that has an ``id``."""
        for call in calls:
            answer = await self._carry_out(call)
            asked = call.get("id")
            if asked is not None:
                say(_encode(asked, answer))

    async def _carry_out(self, fields: Mapping[str, msgspec.Raw]) -> BaseModel | Problem:
        try:
            operation = _CALLS.get(_text(fields.get("call", _NO_BODY)) or "")
            if operation is None:
                return _UNKNOWN
            if operation.name == "publish" and "rooms" in fields:
                operation = _INTO_ROOMS
            call = self._read(operation, fields)
            return call if isinstance(call, Problem) else await operation.handler(call)
        except Exception:
            _log.exception("a call of a backend's stream could not be carried out", extra={"tenant": self._tenant.id})
            return _FAILED

    def _read(self, operation: Operation, fields: Mapping[str, msgspec.Raw]) -> Call | Problem:
        named = [name for name in operation.parameters if name != "tenant"]
        path = {}
        for name in named:
            value = _text(fields.get(name, _NO_BODY))
            if value is None:
                return Problem(422, f"{operation.name} needs {name}, a string", errors=((f"/{name}", "is missing"),))
            if (fault := _wrong_name(name, value)) is not None:
                return Problem(422, fault, errors=((f"/{name}", fault),))
            path[name] = value
        own = ("call", "id", *named)
        raw = msgspec.json.encode({name: value for name, value in fields.items() if name not in own})
        assert operation.body is not None
        body: Any = check_body(raw, operation.body)
        if isinstance(body, Problem):
            return body
        return Call(self._gateway, self._rates, self._key, path, body=body, one_tenant=self._tenant)


def _wrong_name(name: str, value: str) -> str | None:
    try:
        PARAMETERS[name].validate_python(value)
    except ValueError as error:
        return f"{name}: {str(error).splitlines()[-2].split(' [')[0].strip()}"
    return None


def _text(raw: msgspec.Raw) -> str | None:
    value = msgspec.json.decode(raw)
    return value if isinstance(value, str) else None


def _encode(asked: msgspec.Raw, answer: BaseModel | Problem) -> bytes:
    if isinstance(answer, BaseModel):
        return msgspec.json.encode({"id": asked} | answer.model_dump(mode="json"))
    code: ErrorCode = answer.code or CODES[answer.status]
    msg = answer.detail
    if answer.errors:
        msg += ": " + "; ".join(f"{pointer} {detail}".strip() for pointer, detail in answer.errors)
    return msgspec.json.encode({"id": asked, "code": code.value, "msg": msg})
