"""A tenant's crashes stay that tenant's, a room's that room's, however many there are."""

from __future__ import annotations

from tests.realtime_support import Nobody, Peer, World
from wsprism.realtime.messages import AddTenants
from wsprism.realtime.rules import TenantContext

CRASHES = 50


def crash(world: World, tenant: TenantContext) -> None:
    tenant.ref.tell(object())
    world.settle()


async def test_a_tenant_that_crashes_and_crashes_is_restarted_ever_later_and_its_siblings_never_hear_of_it() -> None:
    world = World()
    ill = TenantContext("ill", world.tenant.rules, Nobody(), world.scheduler.now, unix_now=world.scheduler.now)
    world.gateway.tell(AddTenants([ill]))
    world.settle()
    peer = await world.connect()
    peer.join("lobby")
    began_at = world.scheduler.now()
    for _ in range(CRASHES):
        crash(world, ill)
        assert ill.ref.alive
        assert world.gateway.alive
        world.scheduler.advance(0.5)
    assert peer.closed_with() is None
    peer.heard()
    peer.chat("still here")
    assert peer.types() == ["msg"]
    assert len(world.failures) < (world.scheduler.now() - began_at) * 2 / 3, (
        "restarts do not follow every crash at once"
    )
    assert world.system.statistics().escalations == 0
    world.scheduler.advance(600)
    ill.ref.tell("a crash after a while is a first one again")
    world.settle()
    healthy, world.tenant = world.tenant, ill
    assert (await world.connect()).types() == ["authed"]
    world.tenant = healthy


async def test_a_room_that_crashes_and_crashes_fails_neither_its_tenant_nor_another_room() -> None:
    world = World()
    ann, bob = await world.connect("ann"), await world.connect("bob")
    ann.join("ill")
    bob.join("well")
    for _ in range(CRASHES):
        world.tenant.registry.rooms["ill"].ref.tell(object())
        world.scheduler.advance(0.05)
    assert world.tenant.ref.alive
    assert (ann.closed_with(), bob.closed_with()) == (None, None)
    bob.heard()
    bob.chat("well")
    assert bob.types() == ["msg"]
    world.scheduler.advance(60)
    ann.heard()
    ann.chat("and again")
    assert ann.types() == ["msg"], "its members stayed"


async def test_members_of_a_room_that_waits_for_its_restart_may_leave_it_and_vanish() -> None:
    world = World()
    peers = [await world.connect(f"u{number}") for number in range(4)]
    for peer in peers:
        peer.join("ill")
    ref = world.tenant.registry.rooms["ill"].ref
    for _ in range(4):
        ref.tell(object())
        world.settle()
    leave(peers[0])
    peers[1].vanish()
    for peer in peers[2:]:
        leave(peer)
    assert world.tenant.rooms == 0
    world.scheduler.advance(10)
    assert not ref.alive
    assert peers[0].types()[-1] == "left"
    peers[0].join("ill")
    assert peers[0].types() == ["joined"]


def leave(peer: Peer) -> None:
    peer.say({"v": 1, "svc": "room", "type": "leave", "room": "ill"})
