"""Whether raw JSON can be told to every client: what its parser takes and MessagePack cannot say is large numbers."""

from __future__ import annotations

from typing import Final

import msgspec

from wsprism.protocol.envelope import JSON, DataFault
from wsprism.protocol.nesting import may_hold_large_numbers

__all__ = ["TOO_LARGE", "can_be_told"]

TOO_LARGE: Final = "a number that is too large: integers have at most 64 bits"


def can_be_told(data: msgspec.Raw) -> bool:
    """Of well-formed ``data``; absent data can."""
    return not (may_hold_large_numbers(bytes(data)) and isinstance(JSON.decode_data(data), DataFault))
