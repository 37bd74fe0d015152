"""What a message of the ext lane is once it is decoded: its fields, their bounds and their forms.

Read by the codecs of ``envelope.py``, which have every other rule.
"""

from typing import TYPE_CHECKING, Annotated, Final

import msgspec

__all__ = [
    "ACK_REQUESTED",
    "MAX_FLAGS",
    "MAX_NAME_LENGTH",
    "MAX_ROOM_LENGTH",
    "MAX_SEQ",
    "ROOM_PRESENT",
    "SEQ_PRESENT",
    "Envelope",
    "Probe",
]

SEQ_PRESENT: Final = 0x01
ROOM_PRESENT: Final = 0x02
ACK_REQUESTED: Final = 0x04

MAX_NAME_LENGTH = 64
MAX_ROOM_LENGTH = 128
MAX_SEQ = 2**53 - 1
MAX_FLAGS = 2**32 - 1
MAX_ID_LENGTH = 64
_VISIBLE_ASCII = rf"^[!-~]{{1,{MAX_ID_LENGTH}}}\Z"

if TYPE_CHECKING:
    _Name = str
    _Flags = int
    _Seq = int | None
    _Room = str | None
    _Id = str | None
    _Trace = str | None
    _Data = msgspec.Raw | None
else:
    # None stands for "absent" and is never accepted from the wire, so the decoder is not told of it.
    _Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_LENGTH)]
    _Flags = Annotated[int, msgspec.Meta(ge=0, le=MAX_FLAGS)]
    _Seq = Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQ)]
    _Room = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ROOM_LENGTH)]
    _Id = Annotated[str, msgspec.Meta(pattern=_VISIBLE_ASCII)]
    _Trace = str
    _Data = msgspec.Raw


class Envelope(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One decoded ext-lane message; a field that the sender left out is None (`flags`: 0).

    `trace` is as the client wrote it: read it with `parse_traceparent`, which ignores what is malformed. `data` is
    well-formed and within the depth limit; a JSON null is there (Raw `null`), unlike data that is absent.
    """

    v: int
    svc: _Name
    type: _Name
    flags: _Flags = 0
    seq: _Seq = None
    room: _Room = None
    id: _Id = None
    trace: _Trace = None
    data: _Data = None


class Probe(msgspec.Struct, gc=False):
    """What is still worth reading in a message that is not an envelope."""

    v: msgspec.Raw = msgspec.Raw()
    seq: msgspec.Raw = msgspec.Raw()
