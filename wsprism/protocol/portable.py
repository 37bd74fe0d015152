"""Whether raw JSON can be told to every client: what its parser takes and MessagePack cannot say is large numbers."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from wsprism.protocol.envelope import JSON, DataFault

__all__ = ["TOO_LARGE", "can_be_told"]

TOO_LARGE: Final = "a number that is too large: integers have at most 64 bits"

_may_be_too_large = re.compile(rb"[0-9]{19}|[0-9][eE]").search
"""The decoder has seen everything of raw data but how large its numbers are."""


def can_be_told(data: msgspec.Raw) -> bool:
    """Of well-formed ``data``; absent data can."""
    return not (_may_be_too_large(bytes(data)) and isinstance(JSON.decode_data(data), DataFault))
