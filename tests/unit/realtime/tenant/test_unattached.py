"""A session whose socket never comes does not stay; every other is left alone."""

from __future__ import annotations

from tests.realtime_support import World
from wsprism.realtime.messages import TransportLost


async def test_a_session_whose_socket_never_comes_is_gone_after_ten_seconds() -> None:
    world = World()
    timers = world.scheduler.timers
    abandoned = (await world.ask("ann")).session
    world.scheduler.advance(5.0)
    peer = await world.connect("bob")
    later = (await world.ask("cat")).session
    world.scheduler.advance(5.0)
    assert not abandoned.connection.alive
    assert peer.session.connection.alive
    assert later.connection.alive
    assert world.tenant.sessions == 2
    world.scheduler.advance(5.0)
    assert not later.connection.alive
    assert world.tenant.sessions == 1
    assert peer.types() == ["authed"]
    peer.vanish()
    world.scheduler.advance(60.0)
    assert world.scheduler.timers == timers


async def test_every_session_has_a_greater_generation_than_the_one_before() -> None:
    world = World()
    generations = [(await world.connect("ann", "tab")).session.generation for _ in range(3)]
    assert 0 < generations[0] < generations[1] < generations[2]


async def test_a_client_that_fills_its_mailbox_and_vanishes_does_not_stay() -> None:
    world = World()
    peer = await world.connect()
    connection = peer.session.connection
    while connection.tell(b"\x01\x01\x00x"):
        pass
    peer.outlet.lost()
    assert connection.deliver_control(TransportLost("gone"))
    world.settle()
    assert not connection.alive
    assert world.tenant.sessions == 0
