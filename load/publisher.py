"""Sends one group's messages open loop: when they are due, whatever has come back.

Frames are built before the run; a sampled one is two parts around its time stamp, which is the INTENDED send time, so
that a generator or a server that falls behind shows in the latency.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from load.counting import PLACEHOLDER, plain_payload, sampled_payload, stamp
from load.peers.base import Member, Peer
from load.schedule import Schedule, Ticker, sample_every
from load.swarm import Connection, now_us

__all__ = ["Publisher", "Sender"]

_LEAST_PERIOD_US = 200
_BURST = 2000


class Sender:
    """A connection with its frames."""

    __slots__ = ("connection", "frame", "head", "tail")

    def __init__(self, connection: Connection, peer: Peer, member: Member, lane: str) -> None:
        self.connection = connection
        self.frame = peer.publish(member, plain_payload(), lane)
        self.head, self.tail = peer.publish(member, sampled_payload(), lane).split(PLACEHOLDER)


class Publisher:
    """Publishes ``rate_per_s`` messages a second, the senders taking turns in a shuffled order, from ``start_us``."""

    def __init__(self, senders: Sequence[Sender], rate_per_s: float, deliveries_per_s: float, start_us: int) -> None:
        self._senders = list(senders)
        random.Random(4).shuffle(self._senders)
        self._schedule = Schedule(rate_per_s, start_us)
        self._every = sample_every(deliveries_per_s, len(self._senders))
        self.sent = 0
        self.latest_us = 0
        """How late the latest message left, by the generator's own fault or for a full socket."""
        period = max(_LEAST_PERIOD_US, min(int(1e6 / rate_per_s), 10_000))
        self._ticker: Ticker | None = Ticker(asyncio.get_running_loop(), period, self._tick)

    def _tick(self) -> None:
        schedule, senders, every = self._schedule, self._senders, self._every
        now = now_us()
        due = schedule.due(now, _BURST)
        if not due:
            return
        self.latest_us = max(self.latest_us, now - schedule.intended_us(due.start))
        count = len(senders)
        for number in due:
            sender = senders[number % count]
            if number % every:
                sender.connection.send(sender.frame)
            else:
                sender.connection.send(sender.head + stamp(schedule.intended_us(number)) + sender.tail)
        self.sent += len(due)

    def close(self) -> None:
        """Send nothing more."""
        if self._ticker is not None:
            self._ticker.close()
            self._ticker = None
