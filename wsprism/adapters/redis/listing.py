"""What the scripts that list a tenant's sessions and rooms say, read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wsprism.adapters.redis.session_calls import revocable
from wsprism.policy.revocation import Revocation
from wsprism.ports import Listed, ListedRoom, ListedSession, LostMember, LostSession, RoomCounts, SessionKey

__all__ = ["read_counts", "read_lost", "read_revocations", "read_rooms", "read_sessions"]


def read_sessions(answer: Sequence[Any]) -> Listed[ListedSession]:
    """Of ``list_sessions``."""
    items: list[ListedSession] = []
    at = 2
    while at < len(answer):
        user, sid, _, generation, opened_ms, about, rooms = answer[at : at + 7]
        at += 7 + rooms
        key = SessionKey(user.decode(), sid.decode(), int(generation))
        names = [name.decode() for name in answer[at - rooms : at]]
        items.append(ListedSession(key, int(opened_ms) / 1000, about, names))
    return Listed(items, int(answer[1]) if answer[1] else None)


def read_rooms(answer: Sequence[Any], limit: int) -> Listed[ListedRoom]:
    """Of ``list_rooms``, which was asked for one more than ``limit``."""
    words = iter(answer[1:])
    items = [
        ListedRoom(room.decode(), int(number), RoomCounts(users, sessions))
        for room, number, sessions, users in zip(words, words, words, words, strict=True)
    ]
    more, items = len(items) > limit, items[:limit]
    return Listed(items, items[-1].number if more else None)


def read_revocations(answer: Sequence[Any]) -> Listed[Revocation]:
    """Of ``list_revocations``. Of another version's kinds nothing is told."""
    words = iter(answer[2:])
    items = []
    for named, until_ms, reason in zip(words, words, words, strict=True):
        kind, _, name = named.partition(b":")
        what = revocable(kind)
        if what is not None:
            items.append(Revocation(what, name.decode(), int(until_ms) / 1000, reason.decode()))
    return Listed(items, int(answer[1]) if answer[1] else None)


def read_lost(words: Sequence[Any]) -> LostMember | LostSession:
    """One of ``reap``."""
    user, sid, generation, about, what, *counts = words
    key = SessionKey(user.decode(), sid.decode(), int(generation))
    if len(counts) == 2:
        return LostMember(key, about, what.decode(), RoomCounts(*counts))
    return LostSession(key, about, int(what), counts[0])


def read_counts(answer: Sequence[Any]) -> list[RoomCounts]:
    """Of ``counts``."""
    return [RoomCounts(users, sessions) for users, sessions in zip(answer[1::2], answer[2::2], strict=True)]
