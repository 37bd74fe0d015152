"""The lease of a node, tenant by tenant, renewed and watched; and cleaning up after nodes whose lease is over.

Redis's clock says when that is, and only a node that has itself seen the same primary for a whole lease cleans up: an
outage of Redis is nobody's death. A primary that is another one, or was started anew, may lack what was told to the one
before: the node begins anew there, and what it held is counted again. By its own clock a node counts itself dead
earlier, at 0.8 of the lease behind the sending of its last good renewal.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from wsprism.adapters.redis.broker import RedisBroker
from wsprism.adapters.redis.connection import RedisConnection
from wsprism.adapters.redis.errors import RedisUnreachable
from wsprism.adapters.redis.protocol import Refused, Unknown
from wsprism.adapters.redis.scripts import call, script

__all__ = ["Lease", "LeaseNode"]

_RENEWED: Final = 0.3
_DEAD: Final = 0.8
_TICKS: Final = 20
"""In one lease."""

_SLICE: Final = 100
_BETWEEN_SLICES_S: Final = 0.005


class LeaseNode(Protocol):
    """Whose lease it is."""

    incarnation: int

    @property
    def brokers(self) -> Sequence[RedisBroker]: ...
    def fenced(self) -> None: ...
    def entered(self, broker: RedisBroker) -> None:
        """The lease holds for a tenant that came later."""
        ...

    def cleaned_up(self, entries: int) -> None:
        """After another node, whose lease was over."""
        ...

    def wants_lost(self, broker: RedisBroker) -> bool:
        """Whether its tenant wants to hear whose sessions are lost with their node."""
        ...

    def lost(self, broker: RedisBroker, words: Sequence[Sequence[Any]]) -> None:
        """Sessions of another node, whose lease was over."""
        ...

    def isolation(self, over: bool) -> None:
        """The node counts itself dead, or no longer."""
        ...

    def announce(self, desk: RedisConnection) -> None:
        """Say what it is, once each renewal."""
        ...

    def strange(self, what: str, answer: object) -> None: ...


class Lease:
    """``lease_ms`` by Redis's clock. ``open`` before everything else, ``close`` at the end."""

    def __init__(self, node: LeaseNode, lease_ms: int) -> None:
        self._node = node
        self._lease_ms = lease_ms
        self._lease_s = lease_ms / 1000
        self._good_at: float | None = None
        self._next_at = 0.0
        self._was_over = True
        self._desk: RedisConnection | None = None
        self._primary: bytes = b""
        self._primary_since = 0.0
        self._held: tuple[int, bytes] | None = None
        """As whom it was taken, and from which primary."""
        self._former: set[int] = set()
        """Who this node was before, and is to be cleaned up after."""
        self._reaping: set[tuple[bytes, bytes]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self.live_nodes = 1
        """Incarnations with a lease, as the last renewal saw them."""

    @property
    def over(self) -> bool:
        """Whether others may take this node for dead."""
        age_s = self.age_s
        return age_s is None or age_s > _DEAD * self._lease_s

    @property
    def age_s(self) -> float | None:
        """Since the sending of its last good renewal, by this node's own clock; None: it never had one."""
        return None if self._good_at is None else time.monotonic() - self._good_at

    def open(self) -> None:
        """Begin to watch."""
        self._tick()

    def close(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()

    async def hold(self, desk: RedisConnection, brokers: Sequence[RedisBroker]) -> bool:
        """Take it or go on with it, for every tenant. False: this incarnation is over. Raises RedisUnreachable."""
        sent_at = time.monotonic()
        incarnation = self._node.incarnation
        answers = await asyncio.gather(*[self._renew(desk, broker) for broker in brokers])
        for answer in answers:
            if answer == [b"FENCED"] or (self._held is not None and _is_lost(self._held, incarnation, answer)):
                self._former.add(incarnation)
                return False
            if not (isinstance(answer, list) and answer[0] == b"OK"):
                raise RedisUnreachable(f"the lease could not be taken: {answer}")
        for broker, answer in zip(brokers, answers, strict=True):
            _took(broker, incarnation, answer)
            self._held = incarnation, answer[3]
        self._good_at = sent_at
        return True

    def follow(self, desk: RedisConnection) -> None:
        """Renew it over this connection from now on."""
        self._desk = desk
        self._primary = b""
        self._next_at = time.monotonic() + _RENEWED * self._lease_s
        self._node.announce(desk)
        former, self._former = self._former, set()
        for broker in self._node.brokers:
            for one in former:
                self._clean_up(desk, broker, b"%d" % one, gone=True)
        self._look()

    def rest(self) -> None:
        """There is no connection."""
        self._desk = None
        self._reaping.clear()

    def enter(self, broker: RedisBroker) -> None:
        """Hold it for one tenant more."""
        desk = self._desk
        if desk is None:
            return
        incarnation = self._node.incarnation

        def answered(answer: Any) -> None:
            if desk is not self._desk or incarnation != self._node.incarnation:
                return
            if isinstance(answer, list) and answer[0] == b"OK":
                _took(broker, incarnation, answer)
                self._node.entered(broker)
            elif answer == [b"FENCED"]:
                self._node.fenced()
            elif not isinstance(answer, Unknown):
                self._node.strange("renew", answer)

        self._say_renew(desk, broker, answered)

    def leave(self, broker: RedisBroker) -> None:
        """Hold it no more for a tenant that was removed: what the node held of it is cleaned up now."""
        if self._desk is not None and broker.held_as:
            self._clean_up(self._desk, broker, b"%d" % broker.held_as, gone=True)

    async def give_up(self) -> None:
        """The node ends: what it holds is cleaned up by itself."""
        for broker in self._node.brokers:
            last = False
            while not last and self._desk is not None:
                answer = await self._reap(self._desk, broker, str(self._node.incarnation).encode(), gone=True)
                last = not (isinstance(answer, list) and answer[0] == b"OK") or bool(answer[2])

    # The clock

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._lease_s / _TICKS, self._tick)
        if self._desk is not None and time.monotonic() >= self._next_at:
            self._next_at = time.monotonic() + _RENEWED * self._lease_s
            self._renew_all(self._desk)
        self._look()

    def _look(self) -> None:
        over = self.over
        if over is not self._was_over:
            self._was_over = over
            self._node.isolation(over)

    def _renew_all(self, desk: RedisConnection) -> None:
        brokers = [one for one in self._node.brokers if one.held_as == self._node.incarnation]
        sent_at, left = time.monotonic(), len(brokers)
        self._node.announce(desk)
        if not brokers:
            self._good_at = sent_at

        def answered_for(broker: RedisBroker) -> Callable[[Any], object]:
            def answered(answer: Any) -> None:
                nonlocal left
                if desk is not self._desk or isinstance(answer, Unknown):
                    return
                match answer:
                    case [b"OK", _, int() as live, bytes() as primary, bytes() as dead, _, bytes() as ends_ms]:
                        self._next_at = min(self._next_at, time.monotonic() + int(ends_ms) / 1000)
                        left -= 1
                        if not left:
                            self._good_at = sent_at
                        self.live_nodes = live
                        self._saw(primary)
                        if dead and self._may_clean_up():
                            self._clean_up(desk, broker, dead)
                    case [b"FENCED"]:
                        self._node.fenced()
                    case _:
                        self._node.strange("renew", answer)

            return answered

        for broker in brokers:
            self._say_renew(desk, broker, answered_for(broker))
            call(desk, script("sweep"), broker.prefix, (_SLICE, broker.new_epoch()), _ignored)

    # Others

    def _saw(self, primary: bytes) -> None:
        if primary != self._primary:
            self._primary = primary
            self._primary_since = time.monotonic()

    def _may_clean_up(self) -> bool:
        return time.monotonic() - self._primary_since >= self._lease_s

    def _clean_up(self, desk: RedisConnection, broker: RedisBroker, dead: bytes, *, gone: bool = False) -> None:
        what = broker.prefix, dead
        if what in self._reaping:
            return
        self._reaping.add(what)

        def reap() -> None:
            if desk is self._desk and self._say_reap(desk, broker, dead, answered, gone=gone) is None:
                return
            self._reaping.discard(what)

        def answered(answer: Any) -> None:
            match answer:
                case [b"OK", int() as entries, int() as last, *lost]:
                    if not gone:
                        self._node.cleaned_up(entries)
                        self._node.lost(broker, lost)
                    if not last:
                        asyncio.get_running_loop().call_later(_BETWEEN_SLICES_S, reap)
                        return
                case Refused():
                    self._node.strange("reap", answer)
            self._reaping.discard(what)

        reap()

    # Calls

    def _say_renew(
        self, desk: RedisConnection, broker: RedisBroker, answered: Callable[[Any], object]
    ) -> Refused | None:
        enters = int(broker.held_as != self._node.incarnation)
        arguments = (self._node.incarnation, self._lease_ms, enters)
        return call(desk, script("renew"), broker.prefix, arguments, answered, urgent=True)

    def _say_reap(
        self, desk: RedisConnection, broker: RedisBroker, dead: bytes, answered: Callable[[Any], object], *, gone: bool
    ) -> Refused | None:
        told = not gone and self._node.wants_lost(broker)
        return call(desk, script("reap"), broker.prefix, (dead, _SLICE, int(gone), int(told)), answered)

    async def _renew(self, desk: RedisConnection, broker: RedisBroker) -> Any:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        refused = self._say_renew(desk, broker, lambda answer: _set(future, answer))
        return refused if refused is not None else await future

    async def _reap(self, desk: RedisConnection, broker: RedisBroker, dead: bytes, *, gone: bool) -> Any:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        refused = self._say_reap(desk, broker, dead, lambda answer: _set(future, answer), gone=gone)
        return refused if refused is not None else await future


def _is_lost(held: tuple[int, bytes], incarnation: int, answer: Any) -> bool:
    """Whether this incarnation has its lease from a primary that is no more."""
    return isinstance(answer, list) and answer[0] == b"OK" and held[0] == incarnation and held[1] != answer[3]


def _took(broker: RedisBroker, incarnation: int, answer: Sequence[Any]) -> None:
    if broker.held_as != incarnation:
        broker.held_as = incarnation
        broker.control_at = int(answer[5])


def _set(future: asyncio.Future[Any], answer: Any) -> None:
    if not future.done():
        future.set_result(answer)


def _ignored(_: object) -> None:
    """Nobody is told."""
