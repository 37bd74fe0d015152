"""The wire formats of protocol version 1, sans-IO: bytes in, values out, and back.

This is the package's face: envelope and codecs, hot frames, server frames, sys messages (as the module `sysmsg`),
codes, handshake and trace context. Imports no asyncio and no web framework, reads no clock. A peer's mistake is a value
(`EnvelopeFault`, `DataFault`, `HotFault`, `HandshakeFault`), never an exception.
"""

from wsprism.protocol import sysmsg
from wsprism.protocol.codes import CloseCode, ErrorCode, may_reconnect
from wsprism.protocol.envelope import (
    JSON,
    MSGPACK,
    Codec,
    DataFault,
    Envelope,
    EnvelopeFault,
    JsonCodec,
    MsgpackCodec,
    is_name,
    is_room_name,
)
from wsprism.protocol.frames import (
    binary_frame,
    close_frame,
    is_valid_close_code,
    ping_frame,
    pong_frame,
    text_frame,
)
from wsprism.protocol.handshake import (
    SUBPROTOCOL_JSON,
    SUBPROTOCOL_MSGPACK,
    HandshakeFault,
    HandshakeRequest,
    parse_handshake,
)
from wsprism.protocol.hot import (
    Framing,
    HotFault,
    HotFrame,
    decode_delivery,
    decode_hot,
    encode_hot,
    with_room,
    with_sender,
)
from wsprism.protocol.nesting import MAX_DEPTH
from wsprism.protocol.trace import TraceParent, parse_traceparent

__all__ = [
    "JSON",
    "MAX_DEPTH",
    "MSGPACK",
    "SUBPROTOCOL_JSON",
    "SUBPROTOCOL_MSGPACK",
    "CloseCode",
    "Codec",
    "DataFault",
    "Envelope",
    "EnvelopeFault",
    "ErrorCode",
    "Framing",
    "HandshakeFault",
    "HandshakeRequest",
    "HotFault",
    "HotFrame",
    "JsonCodec",
    "MsgpackCodec",
    "TraceParent",
    "binary_frame",
    "close_frame",
    "decode_delivery",
    "decode_hot",
    "encode_hot",
    "is_name",
    "is_room_name",
    "is_valid_close_code",
    "may_reconnect",
    "parse_handshake",
    "parse_traceparent",
    "ping_frame",
    "pong_frame",
    "sysmsg",
    "text_frame",
    "with_room",
    "with_sender",
]
