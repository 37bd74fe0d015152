"""What a room over nodes keeps on its node of what the broker keeps: a mirror, loaded from a window of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from wsprism.policy.history import Position
from wsprism.realtime.room.history import kept_at
from wsprism.realtime.room.kept_publication import KeptPublication
from wsprism.realtime.room.remote import publication_from

if TYPE_CHECKING:
    from wsprism.policy.history import HistoryBounds
    from wsprism.ports import Mirror, Window

__all__ = ["mirror_window", "missed"]


def mirror_window(mirror: Mirror, room: str, bounds: HistoryBounds, window: Window, until: int) -> None:
    """Keep what it has up to ``until``, as far back as all of it can be read."""
    kept: list[tuple[KeptPublication, float]] = []
    for item in window.items:
        if item.offset > until:
            break
        publication = publication_from(item.payload)
        if publication is None:
            kept.clear()
        else:
            kept.append((kept_at(publication, room, item.offset), item.age_s))
    mirror.load(room, Position(window.epoch, until), bounds, kept)


def missed(window: Window, since: Position) -> Sequence[bytes] | None:
    """What comes behind ``since``, when all of it is there."""
    if window.epoch != since.epoch or window.top < since.offset:
        return None
    found = [item.payload for item in window.items if item.offset > since.offset]
    return found if len(found) == window.top - since.offset else None
