"""A refusal that a browser can read: a page never sees the status of a refused handshake, it sees 1006 (WHATWG).

So the no is told behind the upgrade: ``sys.error``, then a Close whose code says whether to come back. No session, no
actor and no queue is made for it; everything leaves in one write, and the socket is closed.
"""

from __future__ import annotations

from collections.abc import Sequence

from wsprism.protocol import sysmsg
from wsprism.protocol.codes import CloseCode
from wsprism.protocol.envelope import JSON, MSGPACK
from wsprism.protocol.frames import close_frame
from wsprism.protocol.handshake import SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK, accept_key
from wsprism.transport.admission.refusal import Refusal

__all__ = ["explained", "response_head"]

_SPOKEN = (SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK)


def explained(refusal: Refusal, key: str, offered: Sequence[str], trace_id: str) -> bytes:
    """Everything that is sent to a client whose handshake had ``key`` and offered these subprotocols.

    One of them is chosen in any case: a browser fails a connection whose answer chooses none.
    """
    assert refusal.close is not None, "this refusal stays HTTP"
    subprotocol = next((one for one in offered if one in _SPOKEN), offered[0] if offered else None)
    codec = MSGPACK if subprotocol == SUBPROTOCOL_MSGPACK else JSON
    retry_after_ms = refusal.retry_after_ms if refusal.close is CloseCode.TRY_LATER else None
    error = sysmsg.error(refusal.code, refusal.msg, trace_id, retry_after_ms=retry_after_ms)
    return b"".join(
        (
            response_head(accept_key(key), subprotocol),
            codec.frame(codec.encode(error)),
            close_frame(refusal.close, refusal.msg),
        )
    )


def response_head(accept: str, subprotocol: str | None, extensions: str | None = None) -> bytes:
    """The 101 of RFC 6455 §4.2.2."""
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept}",
    ]
    if subprotocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    if extensions is not None:
        lines.append(f"Sec-WebSocket-Extensions: {extensions}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")
