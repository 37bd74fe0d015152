"""A tenant's sessions and memberships over all nodes: a ``Registry``. In one process the tenant actor itself is it.

Answers come as a ``Broker`` gives them: once, by a callback, as a value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from wsprism.policy.decisions import Denied
from wsprism.policy.limits import Limits
from wsprism.policy.revocation import Revocable
from wsprism.policy.sessions import SessionPolicy
from wsprism.ports.broker import Unavailable

__all__ = ["Opened", "Registry", "RegistryListener", "RoomCounts", "SessionKey", "SessionOpening"]


class SessionKey(NamedTuple):
    """One session of the tenant. Of two with the same user and sid the greater ``generation`` is the newer."""

    user: str
    sid: str
    generation: int


@dataclass(frozen=True, slots=True)
class SessionOpening:
    """Who wants in. ``sid`` None: it gets one that nobody has. ``about``: what lists say of it, as JSON."""

    user: str
    sid: str | None
    token_id: str | None
    about: bytes


@dataclass(frozen=True, slots=True)
class Opened:
    """It is counted. ``replaced`` were ended for it, in the same step, each with the reason; those on other nodes are
    told there by ``RegistryListener.end``, those of this node are left to the caller."""

    key: SessionKey
    replaced: Sequence[tuple[SessionKey, str]]


class RoomCounts(NamedTuple):
    """Who is in a room, over all nodes."""

    users: int
    sessions: int


class RegistryListener(Protocol):
    """A tenant on its node, as the registry tells it what others have decided about its sessions."""

    def end(self, key: SessionKey, reason: str) -> None:
        """A session of this node was ended by what happened elsewhere; it is counted no more."""
        ...

    def revoked(self, what: Revocable, name: str, until_s: float) -> None:
        """Sessions of this name are to be closed; none is opened until then (Unix time). 0: it was lifted.

        It is told again where a session of that name may have been opened meanwhile.
        """
        ...

    def told(self, body: bytes) -> None:
        """What a node has said to all by ``Registry.tell``, this one or another."""
        ...

    def fenced(self) -> None:
        """Others took this node for dead: what it held is counted no more, and it has a new name. Open it anew."""
        ...


class Registry(Protocol):
    """A tenant's sessions and who is in which room, counted over all nodes: every check and the change that it allows
    are one step, so that no limit is exceeded by one.

    ``open`` and ``join`` are answered once; what only makes room (``close``, ``leave``) is never refused and is made up
    for when it could not be told at once. ``listener`` is set before the first.
    """

    listener: RegistryListener | None

    def open(
        self,
        opening: SessionOpening,
        limits: Limits,
        policy: SessionPolicy,
        done: Callable[[Opened | Denied | Unavailable], object],
    ) -> None:
        """Count one more session, if no revocation names it and the limits allow it or others make room."""
        ...

    def close(self, key: SessionKey) -> None:
        """It has ended, with all its memberships. One that was replaced since is left alone."""
        ...

    def join(
        self, key: SessionKey, room: str, limits: Limits, done: Callable[[Denied | Unavailable | None], object]
    ) -> None:
        """Count a session into a room; None: it is. One that is in it already adds nothing."""
        ...

    def leave(self, key: SessionKey, room: str) -> None:
        """Count it out again."""
        ...

    def revoke(
        self,
        what: Revocable,
        name: str,
        until_s: float,
        reason: str,
        done: Callable[[int | Denied | Unavailable], object],
    ) -> None:
        """Nobody of this name opens a session until ``until_s`` (Unix time); the answer is how many were ended.

        ``until_s`` 0 lifts it: 1, or 0 where there was none. Nodes hear of it by ``RegistryListener.revoked``.
        """
        ...

    def end(self, user: str, sid: str | None, reason: str, done: Callable[[int | Unavailable], object]) -> None:
        """End the user's session of this sid, or all of them; how many it were. Their nodes are told, this one too."""
        ...

    def counts(self, room: str, done: Callable[[RoomCounts | Unavailable], object]) -> None:
        """Who is in a room."""
        ...

    def tell(self, body: bytes, done: Callable[[Unavailable | None], object]) -> None:
        """Have every node of the tenant told, in the one order of all that they are told; this one too.

        Once each, and at most: who was away for very long misses it. State that must not be missed is the registry's.
        """
        ...
