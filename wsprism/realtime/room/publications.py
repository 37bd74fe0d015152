"""Makes publications of what a backend or a service gives: trusted, without a sender."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wsprism.protocol.frames import binary_frame
from wsprism.protocol.hot import HotFault, decode_hot
from wsprism.realtime.messages import HotPublication

if TYPE_CHECKING:
    from wsprism.realtime.rules import TenantRules

__all__ = ["BACKEND", "hot_publication"]

BACKEND: Final = "backend"
"""Stands for the sender where hot frames are conflated by sender."""


def hot_publication(raw: bytes, rules: TenantRules, room: str | None) -> HotPublication | None:
    """A whole hot frame for ``room`` (None: for single sessions); None: it is not in the tenant's framing now."""
    frame = decode_hot(raw, rules.hot_framing)
    if isinstance(frame, HotFault):
        return None
    key = None
    if rules.conflation.active:
        key = (room, frame.service_id, rules.conflation.key_for(BACKEND, frame.opcode, frame.payload))
    return HotPublication(binary_frame(raw), key)
