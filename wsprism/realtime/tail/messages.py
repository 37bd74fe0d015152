"""What is said about tails, as messages between the transport, the tenant and a tail's actor."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

__all__ = ["NoTail", "OpenTail"]


class NoTail(Enum):
    """Why there is no further tail."""

    TOO_MANY = auto()
    TENANT_REMOVED = auto()


@dataclass(frozen=True, slots=True)
class OpenTail:
    """Transport asks the tenant for the tail of a room. The answer is its ``KeyedSession``, or ``NoTail``."""

    room: str
    key_name: str
    remote_address: str
