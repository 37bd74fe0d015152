"""The sweep: pings, idle peers, expired tickets."""

from __future__ import annotations

import pytest

from tests.realtime_support import Peer, World
from wsprism.realtime.outbound.sweeper import Sweeper

PING = (9, b"")


class Room:
    """A world with a sweeper over its sockets; ``unix_now`` is the wall clock."""

    def __init__(self) -> None:
        self.world = World()
        self.sockets: list[Peer] = []
        self.unix_now = 1000.0
        self.sweeper = Sweeper(
            self.world.scheduler,
            lambda: self.sockets,
            lambda: self.unix_now,
            ping_interval_s=20,
            idle_timeout_s=60,
        )
        self.sweeper.start()

    async def connect(self, expires_at: float | None = None) -> Peer:
        peer = await self.world.connect(expires_at=expires_at)
        peer.frames()
        peer.heard_at = peer.pinged_at = self.world.scheduler.now()
        self.sockets.append(peer)
        return peer


async def test_a_quiet_peer_is_pinged_once_per_interval() -> None:
    room = Room()
    peer = await room.connect()
    room.world.scheduler.advance(19.5)
    assert peer.frames() == []
    room.world.scheduler.advance(1)
    assert peer.frames() == [PING]
    room.world.scheduler.advance(19)
    assert peer.frames() == []
    room.world.scheduler.advance(1)
    assert peer.frames() == [PING]


async def test_a_peer_that_says_nothing_is_closed_4001_at_the_idle_timeout() -> None:
    room = Room()
    peer = await room.connect()
    room.world.scheduler.advance(59.5)
    assert peer.closed_with() is None
    room.world.scheduler.advance(1)
    assert peer.closed_with() == (4001, "idle")


async def test_a_peer_that_is_heard_stays() -> None:
    room = Room()
    peer = await room.connect()
    for _ in range(5):
        room.world.scheduler.advance(50)
        peer.heard_at = room.world.scheduler.now()
    assert peer.closed_with() is None


async def test_only_the_idle_peer_is_closed() -> None:
    room = Room()
    silent, heard = await room.connect(), await room.connect()
    room.world.scheduler.advance(50)
    heard.heard_at = 50.0
    room.world.scheduler.advance(20)
    assert silent.closed_with() == (4001, "idle")
    assert heard.closed_with() is None


async def test_an_expired_ticket_closes_4003_within_a_second() -> None:
    room = Room()
    peer = await room.connect(expires_at=1005.0)
    endless = await room.connect()
    room.unix_now = 1004.9
    room.world.scheduler.advance(1)
    assert peer.closed_with() is None
    room.unix_now = 1005.0
    room.world.scheduler.advance(1)
    assert peer.closed_with() == (4003, "ticket expired")
    assert endless.closed_with() is None


async def test_a_refreshed_ticket_is_not_expired() -> None:
    room = Room()
    peer = await room.connect(expires_at=1005.0)
    peer.session.principal = type(peer.session.principal)("u", expires_at=2000.0)
    room.unix_now = 1500.0
    room.world.scheduler.advance(1)
    assert peer.closed_with() is None


async def test_a_peer_that_is_closing_is_closed_once() -> None:
    room = Room()
    peer = await room.connect(expires_at=1000.0)
    room.world.scheduler.advance(5)
    assert [opcode for opcode, _ in peer.frames()] == [8]


async def test_new_intervals_hold_from_the_next_sweep_on() -> None:
    room = Room()
    peer = await room.connect()
    room.sweeper.configure(2, 5)
    room.world.scheduler.advance(3)
    assert peer.frames() == [PING]
    room.world.scheduler.advance(3)
    assert peer.closed_with() == (4001, "idle")


@pytest.mark.parametrize("stops", [1, 2])
async def test_a_stopped_sweeper_leaves_no_timer(stops: int) -> None:
    room = Room()
    peer = await room.connect()
    timers = room.world.scheduler.timers
    for _ in range(stops):
        room.sweeper.stop()
    assert room.world.scheduler.timers == timers - 1
    room.world.scheduler.advance(100)
    assert peer.frames() == []


async def test_a_socket_whose_connection_has_ended_before_it_was_attached_is_dropped() -> None:
    room = Room()
    session = (await room.world.ask("u", "early")).session
    session.connection.stop()
    room.world.settle()
    zombie = Peer(room.world, session)
    room.sockets.append(zombie)
    room.world.scheduler.advance(1)
    assert zombie.transport.ended == "aborted"
