"""The WebSockets of the internal API: a backend's stream, and the tail of a room."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from wsprism.policy.proxies import UNIX_PEER
from wsprism.ports import StreamCalls
from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.handshake import TAIL_SUBPROTOCOL
from wsprism.protocol.stream import STREAM_SUBPROTOCOL_JSON, STREAM_SUBPROTOCOL_MSGPACK, StreamCodec
from wsprism.realtime.rules import TenantContext
from wsprism.realtime.stream.messages import NoStream, OpenStream
from wsprism.realtime.tail.messages import NoTail, OpenTail
from wsprism.transport.admission.refusal import Refusal
from wsprism.transport.websocket.keyed import Purpose

__all__ = ["MAX_MESSAGE_BYTES", "stream_of", "tail_of"]

MAX_MESSAGE_BYTES: Final = 1024 * 1024
"""Of one message of a backend, as of a body of the internal API; more where the tenant's messages may be larger."""

_MAX_TAIL_MESSAGE_BYTES: Final = 1024
"""It has nothing to say."""

_NO_STREAM: Final = {
    NoStream.NOT_WANTED: Refusal(
        409, ErrorCode.NOT_ALLOWED, "this tenant takes no stream: backend.stream is not true", "no_stream"
    ),
    NoStream.TOO_MANY: Refusal(
        503, ErrorCode.RESOURCE_EXHAUSTED, "too many streams of this tenant", "overloaded", {"Retry-After": "5"}
    ),
}
_NO_TAIL: Final = {
    NoTail.TENANT_REMOVED: Refusal(404, ErrorCode.BAD_REQUEST, "no such tenant", "no_tail"),
    NoTail.TOO_MANY: Refusal(
        503, ErrorCode.RESOURCE_EXHAUSTED, "too many tails of this tenant", "overloaded", {"Retry-After": "5"}
    ),
}


def stream_of(request: web.BaseRequest, tenant: TenantContext, key_name: str, calls: StreamCalls) -> Purpose:
    """A backend that connects by itself; ``calls`` has the rights of its key."""
    remote = request.remote or UNIX_PEER

    def question(subprotocol: str) -> OpenStream:
        codec = StreamCodec(msgpack=subprotocol == STREAM_SUBPROTOCOL_MSGPACK)
        return OpenStream(codec, calls, key_name, remote)

    most = max(MAX_MESSAGE_BYTES, 2 * tenant.rules.limits.max_backend_bytes)
    return Purpose(tenant, (STREAM_SUBPROTOCOL_JSON, STREAM_SUBPROTOCOL_MSGPACK), question, _NO_STREAM, most)


def tail_of(request: web.BaseRequest, tenant: TenantContext, key_name: str, room: str) -> Purpose:
    """Somebody who watches a room."""
    opening = OpenTail(room, key_name, request.remote or UNIX_PEER)
    return Purpose(tenant, (TAIL_SUBPROTOCOL,), lambda _: opening, _NO_TAIL, _MAX_TAIL_MESSAGE_BYTES)
