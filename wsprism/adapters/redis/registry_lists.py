"""What of a tenant is listed and counted over all nodes: calls that change nothing, in no order with anything else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from wsprism.adapters.redis.call_line import Call
from wsprism.adapters.redis.listing import read_counts, read_revocations, read_rooms, read_sessions
from wsprism.adapters.redis.protocol import Word
from wsprism.adapters.redis.scripts import script
from wsprism.adapters.redis.simple_call import SimpleCall
from wsprism.adapters.redis.tenant_calls import CallsNode, TenantCalls, next_number
from wsprism.policy.revocation import Revocation
from wsprism.ports import Listed, ListedRoom, ListedSession, RoomCounts, SessionFilter, SessionKey, Unavailable

__all__ = ["RegistryLists"]

T = TypeVar("T")


class RegistryLists(TenantCalls[CallsNode]):
    """The lists of the port."""

    def __init__(self, node: CallsNode, prefix: bytes) -> None:
        super().__init__(node, prefix)
        self._numbers = 0
        """The last that was given."""

    def counts(self, rooms: Sequence[str], done: Callable[[Sequence[RoomCounts] | Unavailable], object]) -> None:
        self._ask("counts", rooms, read_counts, done)

    def list_sessions(
        self,
        which: SessionFilter,
        after: int,
        limit: int,
        done: Callable[[Listed[ListedSession] | Unavailable], object],
        *,
        with_rooms: bool = False,
    ) -> None:
        names = (name or "" for name in which)
        self._ask("list_sessions", (after, limit, *names, int(with_rooms)), read_sessions, done)

    def list_rooms(self, after: int, limit: int, done: Callable[[Listed[ListedRoom] | Unavailable], object]) -> None:
        self._ask("list_rooms", (after, limit + 1), lambda answer: read_rooms(answer, limit), done)

    def list_revocations(
        self, after: int, limit: int, done: Callable[[Listed[Revocation] | Unavailable], object]
    ) -> None:
        self._ask("list_revocations", (after, limit), read_revocations, done)

    def not_in(
        self, members: Sequence[tuple[SessionKey, str]], done: Callable[[Sequence[int] | Unavailable], object]
    ) -> None:
        words = [word for key, room in members for word in (*key, room)]
        self._ask("not_in", words, lambda answer: list(answer[1:]), done)

    def next_number(self) -> int:
        """Of what is done once, though it may be asked for again."""
        self._numbers = next_number()
        return self._numbers

    def add(self, number: int, what: Call) -> None:
        """In no order with anything else."""
        self._add(("once", number), what)

    def _ask(
        self,
        name: str,
        arguments: Sequence[Word],
        read: Callable[[Sequence[Any]], T],
        done: Callable[[T | Unavailable], object],
    ) -> None:
        self.add(self.next_number(), SimpleCall(script(name), arguments, read, done))
