"""A tenant's sessions and memberships over all nodes: a ``Registry``. In one process the tenant actor itself is it.

Answers come as a ``Broker`` gives them: once, by a callback, as a value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from wsprism.policy.decisions import Denied
from wsprism.policy.limits import Limits
from wsprism.policy.revocation import Revocable, Revocation
from wsprism.policy.sessions import EvictReason, SessionPolicy
from wsprism.ports.listed import Listed, ListedRoom, ListedSession, RoomCounts, SessionFilter, SessionKey
from wsprism.ports.shared_state import SharedState
from wsprism.ports.unavailable import Unavailable

__all__ = [
    "Answer",
    "Departed",
    "LostMember",
    "LostSession",
    "Opened",
    "Registry",
    "RegistryListener",
    "SessionOpening",
]

Answer = Callable[[bytes], object]
"""Answers a node that has asked all; to be called once, at any time."""


@dataclass(frozen=True, slots=True)
class SessionOpening:
    """Who wants in. ``sid`` None: it gets one that nobody has. ``about``: what lists say of it, as JSON.

    ``generation`` is one that ``next_generation`` has given: it gets it, unless a newer session of its name is there.
    ``was_there``: it was counted with that generation, and is counted anew. It keeps it, and gives way to newer ones.
    """

    user: str
    sid: str | None
    token_id: str | None
    about: bytes
    generation: int | None = None
    was_there: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    """It is counted. ``replaced`` were ended for it, in the same step, each with the reason; those on other nodes are
    told there by ``RegistryListener.end``, those of this node are left to the caller."""

    key: SessionKey
    replaced: Sequence[tuple[SessionKey, str]]


@dataclass(frozen=True, slots=True)
class Departed:
    """What is left behind a session: of its user, and in the rooms that were asked about."""

    sessions: int
    rooms: Mapping[str, RoomCounts]


@dataclass(frozen=True, slots=True)
class LostMember:
    """A session of a node that died was taken out of a room; ``counts``: who is left there."""

    key: SessionKey
    about: bytes
    room: str
    counts: RoomCounts


@dataclass(frozen=True, slots=True)
class LostSession:
    """It was in no room any more, and is gone; ``sessions_left`` are those of its user."""

    key: SessionKey
    about: bytes
    lasted_ms: int
    sessions_left: int


class RegistryListener(Protocol):
    """A tenant on its node, as the registry tells it what others have decided about its sessions."""

    @property
    def wants_lost(self) -> bool:
        """Whether it wants to hear of the sessions of a node that died, where this one cleans up after it."""
        ...

    def lost(self, what: Sequence[LostMember | LostSession]) -> None:
        """Some of them, in their order."""
        ...

    def end(self, key: SessionKey, reason: str) -> None:
        """A session of this node was ended by what happened elsewhere; it is counted no more."""
        ...

    def revoked(self, what: Revocable, name: str, until_s: float) -> None:
        """Sessions of this name are to be closed; none is opened until then (Unix time). 0: it was lifted.

        It is told again where a session of that name may have been opened meanwhile.
        """
        ...

    def learned(self, revocations: Sequence[Revocation]) -> None:
        """They were in force before this node could be told. None of its sessions is meant."""
        ...

    def ended(self, key: SessionKey, code: int, reason: str) -> None:
        """A session of this node was ended by ``Registry.end``; it is counted no more."""
        ...

    def put_out(self, key: SessionKey, room: str) -> None:
        """A session of this node was taken out of a room by ``Registry.put_out``; it is not counted there any more."""
        ...

    def unsure(self) -> None:
        """It may have missed who was put out of rooms: ``Registry.not_in`` tells."""
        ...

    def asked(self, body: bytes, answer: Answer | None) -> None:
        """What a node, this or another one, asks all of them by ``Registry.ask``; None: nobody waits for an answer.

        An empty ``body`` asks that everything be in force that was told before.
        """
        ...

    def fenced(self) -> None:
        """Others took this node for dead: what it held is counted no more, and it has a new name. Open it anew."""
        ...


class Registry(SharedState, Protocol):
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
        done: Callable[[Opened | Denied | EvictReason | Unavailable], object],
    ) -> None:
        """Count one more session, if no revocation names it and the limits allow it or others make room.

        ``EvictReason``: it was there before, and a newer one has its place.
        """
        ...

    def close(
        self, key: SessionKey, rooms: Sequence[str] = (), counted: Callable[[Departed | None], object] | None = None
    ) -> None:
        """It has ended, with all its memberships. One that was replaced since is left alone.

        ``counted`` is told once what is left then, of its user and in ``rooms``; None: nobody knows, Redis is away.
        """
        ...

    def describe(self, key: SessionKey, about: bytes) -> None:
        """What lists say of it is another now."""
        ...

    def join(
        self, key: SessionKey, room: str, limits: Limits, done: Callable[[RoomCounts | Denied | Unavailable], object]
    ) -> None:
        """Count a session into a room; who is in it then. One that is in it already adds nothing."""
        ...

    def leave(self, key: SessionKey, room: str, counted: Callable[[RoomCounts | None], object] | None = None) -> None:
        """Count it out again. ``counted`` is told once who is left; None: nobody knows, Redis is away."""
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

        ``until_s`` 0 lifts it: 1, or 0 where there was none. Nodes hear of it by ``RegistryListener.revoked``; it is
        answered as ``end`` is.
        """
        ...

    def end(
        self, keys: Sequence[SessionKey], code: int, reason: str, done: Callable[[int | Unavailable], object]
    ) -> None:
        """End these sessions, on whatever node they are; how many it were. One that was replaced since is another.

        They are counted no more from the first step on; their nodes are told (``RegistryListener.ended``), and ``done``
        once nothing that they have said can be published any more: each node has said so, or may publish no more.
        """
        ...

    def put_out(self, keys: Sequence[SessionKey], room: str, done: Callable[[int | Unavailable], object]) -> None:
        """Take these sessions out of a room; how many were in it. As ``end``, for what they have said there."""
        ...

    def ask(
        self,
        body: bytes,
        done: Callable[[Sequence[bytes] | Unavailable], object],
        patience_s: float | None = None,
    ) -> None:
        """Have every node told, in the one order of all that they are told, this one too; ``done``: their answers.

        Told once each, and at most: who was away for very long misses it. State that must not be missed is the
        registry's. A node that dies does not answer; who is silent for ``patience_s`` is not waited for any longer.
        """
        ...

    def tell(self, body: bytes, refused: Callable[[], object]) -> None:
        """Have every node told, as ``ask`` does, without an answer; ``refused``: it will not be."""
        ...

    def cast(self, body: bytes) -> bool:
        """Have every node told, as ``tell`` does, but perhaps, and in no order with anything else. False: nobody is."""
        ...

    def counts(self, rooms: Sequence[str], done: Callable[[Sequence[RoomCounts] | Unavailable], object]) -> None:
        """Who is in these rooms."""
        ...

    def not_in(
        self, members: Sequence[tuple[SessionKey, str]], done: Callable[[Sequence[int] | Unavailable], object]
    ) -> None:
        """The places of those that are not counted in that room, of some hundred at most."""
        ...

    def list_sessions(
        self,
        which: SessionFilter,
        after: int,
        limit: int,
        done: Callable[[Listed[ListedSession] | Unavailable], object],
        *,
        with_rooms: bool = False,
    ) -> None:
        """A page of sessions, by generation, behind the one of ``after``. It may have fewer and not be the last."""
        ...

    def list_rooms(self, after: int, limit: int, done: Callable[[Listed[ListedRoom] | Unavailable], object]) -> None:
        """A page of the rooms that have members, in the order in which they were opened."""
        ...

    def list_revocations(
        self, after: int, limit: int, done: Callable[[Listed[Revocation] | Unavailable], object]
    ) -> None:
        """A page of who is locked out, in the order of the words on them. It may have fewer and not be the last."""
        ...
