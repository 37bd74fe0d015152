"""Which hot frames replace each other while a connection is congested.

A rule is parsed once from the configuration; the publisher asks it for each frame's key.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum

from qos.errors import ConflationSyntaxError

__all__ = ["Conflation", "ConflationKind"]

_KEY = re.compile(r"key:([1-9][0-9]{0,5})", re.ASCII)


class ConflationKind(Enum):
    """What makes two hot frames the same thing."""

    NONE = "none"
    SENDER = "sender"
    SENDER_OPCODE = "sender_opcode"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class Conflation:
    """One rule. ``key_bytes`` is the length of the entity id at the payload's start, for ``KEY``."""

    kind: ConflationKind = ConflationKind.NONE
    key_bytes: int = 0

    @classmethod
    def parse(cls, text: str) -> Conflation:
        """Read ``none``, ``sender``, ``sender_opcode`` or ``key:<n>``; anything else: `ConflationSyntaxError`."""
        if match := _KEY.fullmatch(text):
            return cls(ConflationKind.KEY, int(match[1]))
        if text == ConflationKind.KEY.value:
            raise ConflationSyntaxError(text)
        try:
            return cls(ConflationKind(text))
        except ValueError as exc:
            raise ConflationSyntaxError(text) from exc

    @property
    def active(self) -> bool:
        """Whether any frame has a key."""
        return self.kind is not ConflationKind.NONE

    def key_for(self, sender: Hashable, opcode: int, payload: bytes | memoryview) -> Hashable | None:
        """The key of one frame; ``None``: it is never replaced (so is a payload too short to hold an entity id)."""
        kind = self.kind
        if kind is ConflationKind.NONE:
            return None
        if kind is ConflationKind.SENDER:
            return sender
        if kind is ConflationKind.SENDER_OPCODE:
            return (sender, opcode)
        return bytes(payload[: self.key_bytes]) if len(payload) >= self.key_bytes else None
