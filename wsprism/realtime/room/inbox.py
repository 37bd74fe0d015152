"""The way into a room: what is published is counted until it is on its way to the members, and bounded.

A connection that is a member, the tenant and its backend all publish through ``Inbox.publish``. Too much that waits, in
messages or bytes, is refused to whoever can be told; hot frames that nobody waits for give way to newer ones there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wsprism.realtime.messages import ExtPublication, HotPublication, PublicationList, SampledPublication

if TYPE_CHECKING:
    from actors import ActorRef
    from wsprism.protocol.traces import MessageTrace
    from wsprism.realtime.messages import Publications, ValueWork

__all__ = ["MAX_WAITING", "MAX_WAITING_BYTES", "Inbox"]

MAX_WAITING: Final = 16_384
MAX_WAITING_BYTES: Final = 8 * 1024 * 1024
"""Publications that wait in one room. A single one is always taken."""


class Inbox:
    """One per room, made just before it; ``ref`` is the room's, ``number`` stands for it from its first
    member to its last. ``over_nodes``: it has its order from the broker.
    """

    __slots__ = ("number", "over_nodes", "ref", "waiting", "waiting_bytes")

    def __init__(self, *, over_nodes: bool = False) -> None:
        self.ref: ActorRef
        self.over_nodes = over_nodes
        self.number = 0
        self.waiting = 0
        self.waiting_bytes = 0

    def publish(self, publication: ExtPublication | HotPublication, trace: MessageTrace | None = None) -> bool:
        """Put it behind everything published so far. False: too much waits, and it will not be heard."""
        size_bytes = len(publication.frame if type(publication) is HotPublication else publication.data)
        if self.waiting and (self.waiting >= MAX_WAITING or self.waiting_bytes + size_bytes > MAX_WAITING_BYTES):
            return False
        if trace is None:
            taken = self.ref.tell(publication)
        else:
            trace.handed_on = taken = self.ref.tell(SampledPublication(publication, trace))
        if taken:
            self.waiting += 1
            self.waiting_bytes += size_bytes
        return taken

    def ask(self, work: ValueWork) -> bool:
        """Put it behind everything published so far, in a room over nodes. False: too much waits."""
        publications = (work.publication,)
        if not self.takes(publications) or not self.ref.tell(work):
            return False
        self._count(publications)
        return True

    def takes(self, publications: Publications) -> bool:
        """Whether not too much waits for all of them."""
        if not self.waiting:
            return True
        size_bytes = self.waiting_bytes + sum(map(size_of, publications))
        return self.waiting + len(publications) <= MAX_WAITING and size_bytes <= MAX_WAITING_BYTES

    def publish_all(self, publications: Publications) -> bool:
        """Put all of them there, with nothing in between, or none."""
        if not self.takes(publications) or not self.ref.tell(PublicationList(publications)):
            return False
        self._count(publications)
        return True

    def publish_taken(self, publications: Publications) -> None:
        """Put all of them there after ``takes`` has said yes, in the same step."""
        if self.ref.tell_control(PublicationList(publications)):
            self._count(publications)

    def _count(self, publications: Publications) -> None:
        self.waiting += len(publications)
        self.waiting_bytes += sum(map(size_of, publications))

    def gone(self, count: int, size_bytes: int) -> None:
        """So much is on its way to the members, or was given up. For the room."""
        self.waiting -= count
        self.waiting_bytes -= size_bytes


def size_of(publication: ExtPublication | HotPublication) -> int:
    """What it counts in bytes while it waits."""
    return len(publication.frame if type(publication) is HotPublication else publication.data)
