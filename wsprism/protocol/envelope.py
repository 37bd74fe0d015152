"""The ext lane: the envelope, and the two codecs that read and write it (JSON as text, MessagePack as binary frames).

Owns every rule of the envelope's fields. `data` stays raw until a service asks for it. Knows neither connections nor
services; the same message gives the same envelope in either codec. Called once per ext message received and once per
message sent, whatever the number of receivers.
"""

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from wsprism.protocol import faults
from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.faults import DataFault, EnvelopeFault
from wsprism.protocol.fields import (
    ACK_REQUESTED,
    MAX_NAME_LENGTH,
    MAX_ROOM_LENGTH,
    MAX_SEQ,
    ROOM_PRESENT,
    SEQ_PRESENT,
    Envelope,
    Probe,
)
from wsprism.protocol.frames import binary_frame, text_frame
from wsprism.protocol.msgpack_nesting import msgpack_before_nesting, msgpack_nests_too_deep
from wsprism.protocol.nesting import MAX_DEPTH, is_portable, json_nests_too_deep, may_hold_large_numbers

__all__ = [
    "ACK_REQUESTED",
    "JSON",
    "MAX_NAME_LENGTH",
    "MAX_ROOM_LENGTH",
    "MAX_SEQ",
    "MSGPACK",
    "ROOM_PRESENT",
    "SEQ_PRESENT",
    "Codec",
    "DataFault",
    "Envelope",
    "EnvelopeFault",
    "JsonCodec",
    "MsgpackCodec",
    "is_name",
    "is_room_name",
]


_MALFORMED: Final = EnvelopeFault(ErrorCode.BAD_REQUEST, faults.MALFORMED)
_NOT_AN_OBJECT: Final = EnvelopeFault(ErrorCode.BAD_REQUEST, faults.NOT_AN_OBJECT)
_NOT_BINARY: Final = EnvelopeFault(ErrorCode.BAD_REQUEST, faults.NOT_BINARY)
_DATA_MISSING: Final = DataFault(faults.DATA_MISSING)
_DATA_NOT_PORTABLE: Final = DataFault(faults.NOT_PORTABLE)

_ANY: Final[object] = Any
_RAW: Final[object] = msgspec.Raw
"""Looked up once, where it is compiled."""

_MAY_NEST_TOO_DEEP: Final = 2 * MAX_DEPTH
"""So many characters it takes at least."""

_is_odd_name: Final = re.compile(r"[^A-Za-z0-9_.-]").search
_control_character: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]").search
_is_integer: Final = re.compile(rb"-?[0-9]+").fullmatch
_scalars_before_nesting: Final = re.compile(
    r'\s*\{(?:\s*"[^"\\]*"\s*:\s*(?:"[^"\\]*(?:\\.[^"\\]*)*"|[-+.0-9eE]+|true|false|null)\s*,)*', re.DOTALL
).match


_MOST_NAMES: Final = 1024
_names: Final[set[str]] = set()
"""That were found to be spelled well: a service's few come with every message. Who invents some is only looked at."""


def _before_nesting(text: str) -> str | None:
    """A message of the plain fields that stand before the first that nests; None where no object begins."""
    found = _scalars_before_nesting(text)
    return f'{found[0]}"":0}}' if found else None


def is_name(text: str) -> bool:
    """Whether `text` may be a `svc` or a `type`."""
    return 0 < len(text) <= MAX_NAME_LENGTH and _is_odd_name(text) is None


def _is_spelled_well(name: str) -> bool:
    """Whether a name of a good length has no other characters than it may have."""
    if _is_odd_name(name):
        return False
    if len(_names) < _MOST_NAMES:
        _names.add(name)
    return True


def is_room_name(text: str) -> bool:
    """Whether `text` may name a room."""
    return 0 < len(text) <= MAX_ROOM_LENGTH and (text.isprintable() or _control_character(text) is None)


def _fault_in(message: Envelope) -> EnvelopeFault | None:
    """The rules that the decoder's types cannot say: version, the names' alphabet, the room's characters."""
    if message.v != 1:
        return EnvelopeFault(ErrorCode.UNSUPPORTED_VERSION, faults.UNSUPPORTED, message.seq)
    svc, kind = message.svc, message.type
    if svc not in _names and not _is_spelled_well(svc):
        return EnvelopeFault(ErrorCode.BAD_REQUEST, faults.RULES["svc"], message.seq)
    if kind not in _names and not _is_spelled_well(kind):
        return EnvelopeFault(ErrorCode.BAD_REQUEST, faults.RULES["type"], message.seq)
    room = message.room
    if room is not None and not room.isprintable() and _control_character(room):
        return EnvelopeFault(ErrorCode.BAD_REQUEST, faults.RULES["room"], message.seq)
    return None


class _Codec:
    """What both codecs share: `module` is msgspec.json or msgspec.msgpack.

    `encode`: the payload of a message (a mapping or a Struct), without a frame around it.
    """

    def __init__(self, module: Any) -> None:
        self._new_decoder = module.Decoder
        self._decode: Callable[[str | bytes], Envelope] = module.Decoder(Envelope).decode
        self._probe: Callable[[str | bytes], Probe] = module.Decoder(Probe).decode
        self._decode_int: Callable[[msgspec.Raw], int] = module.Decoder(int).decode
        self._decode_any: Callable[[msgspec.Raw], Any] = module.Decoder().decode
        self._decode_typed: dict[object, Callable[[msgspec.Raw], Any]] = {}
        self.encode: Callable[[object], bytes] = module.Encoder().encode

    def read_seq(self, payload: str | bytes) -> int | None:
        """The seq of a message that is not going to be heard, without the checks that a heard one is worth."""
        try:
            return self._seq(self._probe(payload))
        except (msgspec.MsgspecError, UnicodeError, RecursionError, TypeError):
            return None

    def decode_data(self, raw: msgspec.Raw | None, type: Any = Any) -> Any:
        """Reads the `data` of an envelope that this codec decoded, as `type` (default: anything that JSON can say).

        Absent data is None when no type is asked for, else a fault; what does not fit is a `DataFault`. Every value
        returned without a type can be encoded by every codec. As ``msgspec.Raw`` it is JSON, whatever the codec.
        """
        if raw is None:
            return None if type is Any else _DATA_MISSING
        try:
            if type is _ANY:
                value = self._decode_any(raw)
                return value if is_portable(value) else _DATA_NOT_PORTABLE
            if type is _RAW:
                return self._as_json(raw)
            decode = self._decode_typed.get(type)
            if decode is None:
                decode = self._decode_typed[type] = self._new_decoder(type).decode
            return decode(raw)
        except msgspec.ValidationError as error:
            return DataFault(faults.describe_data_error(str(error), type))
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return _DATA_NOT_PORTABLE

    def forget(self, type: object) -> None:
        """No data is read as ``type`` any more: what reads it goes, and with it whatever the type holds."""
        self._decode_typed.pop(type, None)

    def _as_json(self, raw: msgspec.Raw) -> msgspec.Raw | DataFault:
        value = self._decode_any(raw)
        return msgspec.Raw(msgspec.json.encode(value)) if is_portable(value) else _DATA_NOT_PORTABLE

    def _explain(self, error: msgspec.ValidationError, payload: str | bytes) -> EnvelopeFault:
        """The fault of a message with a wrong field; another version is told as such, whatever else is wrong."""
        try:
            probe = self._probe(payload)
        except msgspec.ValidationError:
            return _NOT_AN_OBJECT
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return _MALFORMED
        seq = self._seq(probe)
        if self._integer(probe.v) not in (None, 1):
            return EnvelopeFault(ErrorCode.UNSUPPORTED_VERSION, faults.UNSUPPORTED, seq)
        return EnvelopeFault(ErrorCode.BAD_REQUEST, faults.describe_envelope_error(str(error)), seq)

    def _too_deep(self, before: str | bytes | None) -> EnvelopeFault:
        """The fault of a message that nests too deep; `before` holds the plain fields that stand before what nests."""
        seq = None if before is None else _Codec.read_seq(self, before)
        return EnvelopeFault(ErrorCode.BAD_REQUEST, faults.TOO_DEEP, seq)

    def _seq(self, probe: Probe) -> int | None:
        seq = self._integer(probe.seq)
        return seq if seq is not None and 0 <= seq <= MAX_SEQ else None

    def _integer(self, raw: msgspec.Raw) -> int | None:
        """The integer that `raw` holds; -1, which no field takes, when it is too large to be read; else None."""
        try:
            return self._decode_int(raw)
        except msgspec.DecodeError:
            return -1 if _is_integer(bytes(raw)) else None


class JsonCodec(_Codec):
    """JSON text; the `wsprism.v1` subprotocol."""

    name: Final = "json"
    binary: Final = False

    def __init__(self) -> None:
        super().__init__(msgspec.json)

    def decode(self, payload: str | bytes) -> Envelope | EnvelopeFault:
        try:
            text = payload if isinstance(payload, str) else payload.decode()
        except UnicodeDecodeError:
            return _MALFORMED
        if len(text) >= _MAY_NEST_TOO_DEEP and json_nests_too_deep(text):
            return self._too_deep(_before_nesting(text))
        try:
            message = self._decode(text)
        except msgspec.ValidationError as error:
            return self._explain(error, text)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return _MALFORMED
        return _fault_in(message) or message

    def read_seq(self, payload: str | bytes) -> int | None:
        if isinstance(payload, str) and len(payload) >= _MAY_NEST_TOO_DEEP and json_nests_too_deep(payload):
            return super().read_seq(_before_nesting(payload) or "")
        return super().read_seq(payload)

    def frame(self, payload: bytes) -> bytes:
        return text_frame(payload)

    def _as_json(self, raw: msgspec.Raw) -> msgspec.Raw | DataFault:
        if may_hold_large_numbers(bytes(raw)) and not is_portable(self._decode_any(raw)):
            return _DATA_NOT_PORTABLE
        return raw


class MsgpackCodec(_Codec):
    """MessagePack maps in binary frames; the `wsprism.v1.msgpack` subprotocol.

    `data` is checked whole while decoding: what JSON cannot say (binary, extensions, other keys than strings, NaN) is
    a fault.
    """

    name: Final = "msgpack"
    binary: Final = True

    def __init__(self) -> None:
        super().__init__(msgspec.msgpack)

    def decode(self, payload: str | bytes) -> Envelope | EnvelopeFault:
        if isinstance(payload, str):
            return _NOT_BINARY
        read = self._read(payload)
        if type(read) is EnvelopeFault and msgpack_nests_too_deep(payload):
            return self._too_deep(msgpack_before_nesting(payload))
        return read

    def _read(self, payload: bytes) -> Envelope | EnvelopeFault:
        try:
            message = self._decode(payload)
        except msgspec.ValidationError as error:
            return self._explain(error, payload)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return _MALFORMED
        data = message.data
        if data is not None and self.decode_data(data) is _DATA_NOT_PORTABLE:
            return EnvelopeFault(ErrorCode.BAD_REQUEST, faults.NOT_PORTABLE, message.seq)
        return _fault_in(message) or message

    def frame(self, payload: bytes) -> bytes:
        return binary_frame(payload)


Codec = JsonCodec | MsgpackCodec
"""What a connection needs of the encoding that its client negotiated. Both that there are: where it is compiled, what
every message calls is bound early.

`decode` reads one message: anything at all gives an envelope or a fault, nothing is raised. `frame`: a payload as a
ready WebSocket frame of the kind that this codec's clients expect.
"""

JSON: Final = JsonCodec()
MSGPACK: Final = MsgpackCodec()
