"""The values that a room's members share, over nodes: what a node has of them, so that whoever comes is told at once.

The broker judges a change and gives it its version; here it is heard in the room's order, and done once more. Whenever
the room may have missed something, and whenever a version is not the next one, the whole is read; members whose node
had something else are told it. ADR 0049.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from wsprism.policy.values import RoomValues
from wsprism.ports import Unavailable
from wsprism.protocol.node_words import read_changed
from wsprism.realtime.room.values import values_publication

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wsprism.ports import Values, ValuesBroker
    from wsprism.realtime.messages import ExtPublication
    from wsprism.realtime.room.cluster import ClusterRoom

__all__ = ["SharedValues", "ValuesNews"]

READ_AGAIN_S: Final = 0.25


class ValuesNews:
    """To the room: the answer to what it has read; None: it may be possible now."""

    def __init__(self, question: object, answer: Values | Unavailable | None) -> None:
        self.question = question
        self.answer = answer


class SharedValues:
    """``known``: the tenant's table has what the broker has, as far as the room has heard."""

    def __init__(self, room: ClusterRoom, broker: ValuesBroker) -> None:
        self.known = False
        self._room = room
        self._broker = broker
        self._fresh = True
        self._untold: set[str] = set()
        self._services: frozenset[str] = frozenset()
        self._question: object = None
        self._heard: dict[str, int] = {}

    def lose(self) -> None:
        """Something may be missing."""
        self.known = False
        self._question = None

    def read(self) -> None:
        """The room stands where it should: from here on it hears every change. Without such services there are none."""
        services = frozenset(self._room.tenant.rules.values)
        self._untold |= services - self._services  # members may have heard changes that were not followed here
        self._services = services
        self.lose()
        if self._services:
            self._ask()
        else:
            self.known = True

    def follow(self) -> None:
        """The tenant's services may be others."""
        room = self._room
        services, forgotten = frozenset(room.tenant.rules.values), room.tenant.values.take_forgotten(room.name)
        if room.members.roster:
            for name in sorted(one for one in forgotten if one not in services):
                room.say_last(values_publication(name, room.name, RoomValues()))
        back = services.intersection(forgotten)
        self._untold |= back
        if self.known and (back or self._services != services):
            if services:
                room.wait()
            self.read()

    def hear(self, changes: Sequence[ExtPublication]) -> None:
        """They stand in the room's line now; each has its version as ``seq``."""
        self.follow()
        for one in changes:
            if one.svc not in self._services or one.seq is None:
                continue
            is_next = self._take(one)
            if not self.known:
                self._heard[one.svc] = one.seq
            elif not is_next:
                self._room.wait()
                self.read()

    def hear_of_read(self, news: ValuesNews) -> bool:
        """What it has asked for has come. Whether the values are known now."""
        answer = news.answer
        if news.question is not self._question:
            return False
        if answer is None:
            self._ask()
            return False
        if isinstance(answer, Unavailable):
            self._room.context.call_later(READ_AGAIN_S, ValuesNews(self._question, None))
            return False
        if any(version > _of(answer, service).version for service, version in self._heard.items()):
            self._ask()
            return False
        self._question = None
        self.known = True
        self._load(answer)
        return True

    def end(self) -> None:
        """The room ends here."""
        self.lose()
        self._room.tenant.values.drop(self._room.name)

    def _ask(self) -> None:
        self._heard.clear()
        question = self._question = object()
        ref = self._room.context.ref

        def done(answer: Values | Unavailable) -> None:
            ref.tell_control(ValuesNews(question, answer))

        self._broker.read_values(self._room.name, None, None, done)

    def _take(self, publication: ExtPublication) -> bool:
        """Do what was done; False: it is not what comes next here."""
        room = self._room
        table, svc = room.tenant.values, publication.svc
        if publication.seq != table.of(room.name, svc).version + 1:
            return False
        try:
            told = read_changed(publication.data)
        except msgspec.MsgspecError:
            return False
        table.change(room.name, svc, told.key, None if told.deleted else bytes(told.value), told.user)
        return True

    def _load(self, answer: Values) -> None:
        room = self._room
        table = room.tenant.values
        fresh, self._fresh = self._fresh and bool(room.members.roster), False
        # Of a room that was restarted nobody knows which of its changes members have heard.
        stale = [
            one
            for one in self._services
            if fresh or one in self._untold or not table.of(room.name, one).is_same(_of(answer, one))
        ]
        self._untold.clear()
        if not stale:
            return
        table.load(room.name, {name: values for name, values in answer.items() if name in self._services})
        if room.members.roster:
            for name in sorted(stale):
                room.say_last(values_publication(name, room.name, table.of(room.name, name)))


def _of(values: Values, service: str) -> RoomValues:
    return values.get(service) or RoomValues()
