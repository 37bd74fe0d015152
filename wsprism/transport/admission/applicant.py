"""What a client that wants to come in says of itself, and what it is let in with."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from wsprism.protocol.trace import TraceParent
    from wsprism.realtime.rules import TenantContext
    from wsprism.realtime.session import Session

__all__ = ["Admitted", "Applicant", "told"]

_TOLD_CHARACTERS: Final = 256
_SHARED_WORDS: Final = 512


class Applicant(msgspec.Struct, frozen=True, gc=False):
    """``subprotocols`` are the known ones that it speaks, in its order of preference; none: JSON.

    ``deflate``: it takes compressed messages, and may have them. ``echo``: for a conformance suite.
    """

    tenant: str
    ticket: str | None
    remote_address: str
    sid: str | None = None
    subprotocols: tuple[str, ...] = ()
    deflate: bool = False
    origin: str | None = None
    user_agent: str | None = None
    traceparent: TraceParent | None = None
    echo: bool = False


class Admitted(msgspec.Struct, frozen=True, gc=False):
    """The session whose connection waits for its socket, and what is spoken on it."""

    session: Session
    tenant: TenantContext
    subprotocol: str | None
    deflated: bool


def told(value: str | None) -> str | None:
    """What a ticket is judged by besides itself. A connection keeps it: it is cut, text, and shared by equal ones."""
    return value if value is None else _shared(value[:_TOLD_CHARACTERS].encode("utf-8", "replace").decode())


@lru_cache(_SHARED_WORDS)
def _shared(word: str) -> str:
    """The same object for equal words while they are in use; strangers choose them, so that few are kept."""
    return word
