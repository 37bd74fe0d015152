"""What the fuzzers feed: one function per target that takes any bytes and raises AssertionError when a promise breaks.

Pure Python and without atheris, so that seeds and old findings run as ordinary tests. The first byte of an input
chooses a variant of the target (codec, framing), the rest is what a hostile client or a broken file would say.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from tests.fuzz.guests import call
from tests.fuzz.machine import connection
from wsprism.effects import (
    MAX_EFFECTS,
    Disconnect,
    JoinRoom,
    LeaveRoom,
    Publish,
    PublishHot,
    Refuse,
    Reply,
    Send,
    SendHot,
    read_effects,
)
from wsprism.protocol import (
    JSON,
    MSGPACK,
    DataFault,
    Envelope,
    EnvelopeFault,
    ErrorCode,
    Framing,
    HotFault,
    close_frame,
    decode_delivery,
    decode_hot,
    encode_hot,
    is_name,
    is_room_name,
    with_sender,
)
from wsprism.realtime.rules import ServiceRegistry, compile_rules
from wsprism.services.data import ChatSend
from wsprism.settings import Settings, SettingsError, configuration_hash, load_settings, masked

__all__ = ["TARGETS"]

_FRAMINGS: Final = (Framing.COMPACT, Framing.VERSIONED)
_MAX_SEQ: Final = 2**53 - 1
_LONGEST_FAULT: Final = 200
_MAX_EFFECT_BYTES: Final = 1000


def envelope(data: bytes) -> None:
    """Any payload gives an envelope that keeps its rules, or a fault fit to be shown; data never raises either."""
    variant, payload = data[:1], data[1:]
    binary = bool(variant and variant[0] & 1)
    codec = MSGPACK if binary else JSON
    if not binary and variant and variant[0] & 2:
        try:
            message = codec.decode(payload.decode())
        except UnicodeDecodeError:
            return
    else:
        message = codec.decode(payload)
    if isinstance(message, EnvelopeFault):
        assert message.code in (ErrorCode.BAD_REQUEST, ErrorCode.UNSUPPORTED_VERSION)
        assert message.msg.isprintable()
        assert len(message.msg) < _LONGEST_FAULT
        assert message.seq is None or 0 <= message.seq <= _MAX_SEQ
        return
    assert isinstance(message, Envelope)
    assert message.v == 1
    assert is_name(message.svc)
    assert is_name(message.type)
    assert message.room is None or is_room_name(message.room)
    assert message.seq is None or 0 <= message.seq <= _MAX_SEQ
    typed = codec.decode_data(message.data, ChatSend)
    assert isinstance(typed, ChatSend | DataFault)
    value = codec.decode_data(message.data)
    if isinstance(value, DataFault):
        assert len(value.msg) < _LONGEST_FAULT
        assert value.msg.isprintable()
        return
    for other in (JSON, MSGPACK):
        assert other.decode_data(msgspec.Raw(other.encode(value))) == value
    codec.encode({"data": message.data})


def hot(data: bytes) -> None:
    """Any frame gives a header that encodes back to the same bytes, or a fault; a named sender is read back."""
    framing = _FRAMINGS[data[0] & 1] if data else Framing.COMPACT
    raw = data[1:]
    delivered = decode_delivery(raw, framing)
    frame = decode_hot(raw, framing)
    if isinstance(frame, HotFault):
        assert frame.reason
        return
    assert delivered == frame
    again = encode_hot(
        frame.service_id,
        frame.opcode,
        bytes(frame.payload),
        flags=frame.flags,
        seq=frame.seq,
        room=frame.room,
        framing=framing,
    )
    assert again == raw
    named = decode_delivery(with_sender(frame, "user:ü"), framing)
    assert not isinstance(named, HotFault)
    assert (named.sender, bytes(named.payload), named.seq) == ("user:ü", bytes(frame.payload), frame.seq)


def effects(data: bytes) -> None:
    """Any answer gives effects that can be told in every codec, or a fault fit to be logged; never both, never more."""
    framing = _FRAMINGS[data[0] & 1] if data else Framing.COMPACT
    found = read_effects(data[1:], framing=framing, max_bytes=_MAX_EFFECT_BYTES)
    if isinstance(found, str):
        assert found
        assert len(found) < 2 * _LONGEST_FAULT
        return
    assert len(found) <= MAX_EFFECTS
    for effect in found:
        if isinstance(effect, Refuse):
            assert len(found) == 1
            assert len(effect.msg) <= _LONGEST_FAULT
        elif isinstance(effect, Disconnect):
            assert 4000 <= effect.code <= 4999
            close_frame(effect.code, effect.reason)
        elif isinstance(effect, PublishHot | SendHot):
            assert not isinstance(decode_hot(effect.frame, framing), HotFault)
        elif isinstance(effect, JoinRoom | LeaveRoom):
            assert effect.room is not None
            assert is_room_name(effect.room)
        else:
            assert isinstance(effect, Publish | Send | Reply)
            assert effect.type is None or is_name(effect.type)
            value = JSON.decode_data(effect.data) if isinstance(effect.data, msgspec.Raw) else effect.data
            assert not isinstance(value, DataFault)
            assert MSGPACK.decode_data(msgspec.Raw(MSGPACK.encode(value))) == value


def settings(data: bytes) -> None:
    """Any file gives settings that compile, mask and hash, or a list of faults with their lines."""
    with tempfile.NamedTemporaryFile(suffix=".yaml") as file:
        file.write(data)
        file.flush()
        found = _load(file.name)
        if isinstance(found, SettingsError):
            assert found.faults
            assert str(found)
            return
        assert configuration_hash(found) == configuration_hash(load_settings(file.name, _ENVIRONMENT))
        assert msgspec.json.encode(masked(found))
        for tenant in found.tenants:
            compile_rules(tenant, ServiceRegistry({}, {}))


_ENVIRONMENT: Final = {"FUZZ": "1"}


def _load(path: str) -> Settings | SettingsError:
    try:
        return load_settings(path, _ENVIRONMENT)
    except SettingsError as error:
        return error


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    "envelope": envelope,
    "hot": hot,
    "effects": effects,
    "guest": call,
    "settings": settings,
    "connection": connection,
}
"""By the name that ``python -m tests.fuzz`` takes."""
