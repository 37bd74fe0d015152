"""What the lists of all nodes say of a session besides its name and rooms: made where it is, read where lists are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from wsprism.protocol.envelope import JSON

if TYPE_CHECKING:
    from wsprism.realtime.session import Session

__all__ = ["MOST_BYTES", "About", "about", "about_from", "about_session"]

MOST_BYTES: Final = 8192
"""Of metadata and info together; what is more is not told by other nodes."""

_NOTHING: Final = msgspec.Raw(b"null")


class About(msgspec.Struct):
    """``node`` is what operators call the node that has it."""

    node: str | None = None
    address: str = ""
    metadata: dict[str, Any] = {}
    info: Any = None


def about(node: str | None, address: str, metadata: Mapping[str, Any], info: msgspec.Raw | None) -> bytes:
    """As a node tells it."""
    said = {"node": node, "address": address}
    body = JSON.encode(said | {"metadata": metadata, "info": info or _NOTHING})
    return body if len(body) <= MOST_BYTES else JSON.encode(said)


def about_session(session: Session, node: str | None) -> bytes:
    """Of one that is there."""
    return about(node, session.remote_address, session.principal.metadata, session.info)


def about_from(body: bytes) -> About:
    """As others read it; what they cannot read says nothing."""
    try:
        return msgspec.json.decode(body, type=About)
    except msgspec.MsgspecError:
        return About()
