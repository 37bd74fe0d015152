"""permessage-deflate (RFC 7692) without context takeover: negotiation and compression of one message.

No context survives a message, so a compressed publication is shared by all its receivers and an idle connection
holds no window.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Set
from typing import Final

__all__ = ["DEFLATE_RESPONSE", "MIN_DEFLATE_BYTES", "accepts_deflate", "deflate"]

DEFLATE_RESPONSE: Final = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
"""The ``Sec-WebSocket-Extensions`` answer to an offer that ``accepts_deflate`` accepts (RFC 7692 §7.1.1)."""

MIN_DEFLATE_BYTES: Final = 256
"""Smaller messages are sent as they are: compressing them costs more than it saves."""

_WINDOW_BITS: Final = frozenset({"", *map(str, range(8, 16))})
_PARAMETERS: Final[Mapping[str, Set[str]]] = {
    "server_no_context_takeover": frozenset({""}),
    "client_no_context_takeover": frozenset({""}),
    "client_max_window_bits": _WINDOW_BITS,
}
"""The parameters of an acceptable offer with the values they may have; "" is none."""


def accepts_deflate(extensions: str) -> bool:
    """Whether a ``Sec-WebSocket-Extensions`` header holds an offer that ``DEFLATE_RESPONSE`` answers.

    An offer that limits the server's window (``server_max_window_bits``), repeats a parameter or gives one a value that
    it cannot have is declined (RFC 7692 §5.1, §7.1): the next one in the list is looked at.
    """
    return any(_acceptable(offer) for offer in extensions.split(","))


def _acceptable(offer: str) -> bool:
    name, *parameters = offer.split(";")
    seen = set[str]()
    for parameter in parameters:
        key, equals, value = (part.strip() for part in parameter.partition("="))
        if key in seen or _unquoted(value) not in _PARAMETERS.get(key, ()) or (equals and not value):
            return False
        seen.add(key)
    return name.strip() == "permessage-deflate"


def _unquoted(value: str) -> str:
    """A parameter's value may be a quoted token (RFC 6455 §9.1)."""
    return value[1:-1] if len(value) > 2 and value[0] == value[-1] == '"' else value


def deflate(payload: bytes) -> bytes:
    """One message, compressed as RFC 7692 §7.2.1 wants it (the trailing 00 00 ff ff removed)."""
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
