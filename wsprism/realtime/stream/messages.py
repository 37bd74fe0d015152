"""What is said about streams, as messages between the transport, the tenant and a stream's actor."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsprism.ports import StreamCalls
    from wsprism.protocol.stream import StreamCodec

__all__ = ["NoStream", "OpenStream"]


class NoStream(Enum):
    """Why there is no further stream."""

    NOT_WANTED = auto()
    """The configuration does not have ``backend.stream``."""
    TOO_MANY = auto()


@dataclass(frozen=True, slots=True)
class OpenStream:
    """Transport asks the tenant for a stream. The answer is its ``StreamSession``, or ``NoStream``."""

    codec: StreamCodec
    calls: StreamCalls
    key_name: str
    remote_address: str
