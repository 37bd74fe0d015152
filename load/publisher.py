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
from load.shapes import Group
from load.swarm import Connection, now_us

__all__ = ["Publisher", "Sender"]

_LEAST_PERIOD_US = 200
_AT_ONCE = 2000


class Sender:
    """A connection with its frames: ``frame`` is a whole burst, ``head`` and ``tail`` one around a stamp."""

    __slots__ = ("connection", "frame", "head", "tail")

    def __init__(self, connection: Connection, peer: Peer, member: Member, lane: str, burst: int = 1) -> None:
        self.connection = connection
        plain = peer.publish(member, plain_payload(), lane)
        self.frame = plain * burst
        self.head, tail = peer.publish(member, sampled_payload(), lane).split(PLACEHOLDER)
        self.tail = tail + plain * (burst - 1)


class Publisher:
    """Publishes at the group's rate times ``factor`` from ``start_us``, the senders taking turns in shuffled order."""

    def __init__(self, senders: Sequence[Sender], group: Group, factor: float, start_us: int) -> None:
        self._senders = list(senders)
        random.Random(4).shuffle(self._senders)
        self._burst = group.burst
        writes_per_s = group.rate_per_s * factor / group.burst
        self._schedule = Schedule(writes_per_s, start_us)
        self._every = sample_every(writes_per_s * group.members, len(self._senders))
        self.sent = 0
        self.latest_us = 0
        """How late the latest message left, by the generator's own fault or for a full socket."""
        period = max(_LEAST_PERIOD_US, min(int(1e6 / writes_per_s), 10_000))
        self._ticker: Ticker | None = Ticker(asyncio.get_running_loop(), period, self._tick)

    def _tick(self) -> None:
        schedule, senders, every = self._schedule, self._senders, self._every
        now = now_us()
        due = schedule.due(now, _AT_ONCE)
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
        self.sent += len(due) * self._burst

    def close(self) -> None:
        """Send nothing more."""
        if self._ticker is not None:
            self._ticker.close()
            self._ticker = None
