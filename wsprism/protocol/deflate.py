"""permessage-deflate (RFC 7692) without context takeover: negotiation and compression of one message.

No context survives a message, so a compressed publication is shared by all its receivers and an idle connection
holds no window.
"""

from __future__ import annotations

import zlib
from typing import Final

__all__ = ["DEFLATE_RESPONSE", "MIN_DEFLATE_BYTES", "accepts_deflate", "deflate"]

DEFLATE_RESPONSE: Final = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
"""The ``Sec-WebSocket-Extensions`` answer to an offer that ``accepts_deflate`` accepts (RFC 7692 §7.1.1)."""

MIN_DEFLATE_BYTES: Final = 256
"""Smaller messages are sent as they are: compressing them costs more than it saves."""

_KNOWN_PARAMETERS: Final = frozenset(
    {"server_no_context_takeover", "client_no_context_takeover", "client_max_window_bits"}
)


def accepts_deflate(extensions: str) -> bool:
    """Whether a ``Sec-WebSocket-Extensions`` header holds an offer that ``DEFLATE_RESPONSE`` answers.

    An offer that limits the server's window (``server_max_window_bits``) or repeats a parameter is declined
    (RFC 7692 §5.1, §7.1): the next one in the list is looked at.
    """
    return any(_acceptable(offer) for offer in extensions.split(","))


def _acceptable(offer: str) -> bool:
    name, *parameters = (part.strip() for part in offer.split(";"))
    names = [parameter.partition("=")[0].strip() for parameter in parameters]
    return name == "permessage-deflate" and _KNOWN_PARAMETERS.issuperset(names) and len(names) == len(set(names))


def deflate(payload: bytes) -> bytes:
    """One message, compressed as RFC 7692 §7.2.1 wants it (the trailing 00 00 ff ff removed)."""
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
