"""New rules in a live tenant: what its connections take over, and its removal."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.realtime_support import Peer, World
from wsprism.protocol.codes import ErrorCode
from wsprism.realtime.messages import AddTenants, RemoveTenant, RulesChanged
from wsprism.realtime.rules import TenantContext, compile_rules
from wsprism.settings import TenantSettings

CHAT = {"v": 1, "svc": "chat", "type": "send", "data": {"msg": "x"}}


def apply(world: World, **settings: Any) -> None:
    """Put other settings in force, merged over those of ``World``."""
    policy = {"ext_allowlist": ["room:*", "chat:*"], "hot_allowlist": ["1:*"], "rate_limit_burst": 10**6}
    policy |= {"sessions": {"max_sessions_per_user": 0}} | settings.pop("policy", {})
    model = TenantSettings.model_validate({"id": "t", "policy": policy, **settings})
    world.tenant.apply(compile_rules(model, world.services))
    world.tenant.ref.tell_control(RulesChanged())
    world.settle()


async def member(world: World, user: str = "u") -> Peer:
    peer = await world.connect(user)
    peer.join("lobby")
    peer.heard()
    return peer


async def test_a_live_connection_takes_the_new_rate_without_a_burst_for_free() -> None:
    world = World()
    peer = await member(world)
    apply(world, policy={"rate_limit_rps": 1, "rate_limit_burst": 2})
    for _ in range(3):
        peer.say(CHAT)
    assert peer.types() == ["msg", "msg", "error"]
    apply(world, policy={"rate_limit_rps": 100, "rate_limit_burst": 100})
    peer.say(CHAT)
    assert peer.errors() == [("RATE_LIMITED", None)]
    world.scheduler.advance(0.01)
    peer.say(CHAT)
    assert peer.types() == ["msg"]


async def test_a_live_connection_follows_a_change_of_whose_bucket_is_charged() -> None:
    world = World()
    ann, bob = await member(world, "ann"), await member(world, "bob")
    apply(world, policy={"rate_limit_rps": 1, "rate_limit_burst": 1, "rate_limit_scope": "tenant"})
    ann.say(CHAT)
    bob.say(CHAT)
    assert (ann.types(), bob.types()) == (["msg"], ["msg", "error"])
    apply(world, policy={"rate_limit_rps": 1, "rate_limit_burst": 1, "rate_limit_scope": "connection"})
    bob.say(CHAT)
    assert bob.types() == ["msg"]


async def test_a_live_connection_takes_other_bounds_of_its_queue_and_of_messages() -> None:
    world = World()
    peer = await member(world)
    apply(world, qos={"reliable_max_messages": 2}, limits={"max_frame_bytes": 77})
    assert peer.transport.max_message_bytes == 77
    peer.transport.fill()
    for _ in range(5):
        peer.say(CHAT)
    world.settle()
    assert peer.outlet.closing.name != "NO"
    assert world.tenant.counters.slow_disconnects == 1


async def test_hot_frames_that_wait_for_a_tick_that_is_no_more_leave_at_once() -> None:
    world = World(qos={"hot_flush_ms": 1000})
    peer = await member(world)
    frame = bytes.fromhex("010000aa")
    peer.say(frame)
    assert peer.heard() == []
    apply(world, qos={"hot_flush_ms": 0})
    assert peer.heard() == [frame]
    peer.say(frame)
    assert peer.heard() == [frame]


async def test_hot_frames_wait_for_a_tick_that_is_new() -> None:
    world = World()
    peer = await member(world)
    apply(world, qos={"hot_flush_ms": 50})
    frame = bytes.fromhex("010000aa")
    peer.say(frame)
    peer.say(frame)
    assert peer.heard() == []
    world.scheduler.advance(0.05)
    assert peer.heard() == [frame, frame]


async def test_lowered_limits_let_sessions_and_rooms_be_and_refuse_new_ones() -> None:
    world = World()
    ann, bob = await member(world, "ann"), await member(world, "bob")
    apply(world, limits={"max_users_per_room": 1, "max_rooms_total": 1, "max_sessions_total": 3})
    ann.say(CHAT)
    assert bob.types() == ann.types() == ["msg"]
    eve = await world.connect("eve")
    eve.heard()
    eve.join("lobby")
    assert eve.errors() == [(ErrorCode.RESOURCE_EXHAUSTED.value, None)]
    assert type(await world.ask("dan")).__name__ == "Denied"


# Removal


async def test_a_removed_tenants_sessions_are_closed_4504_after_what_is_queued_and_it_stops() -> None:
    world = World()
    ann, bob = await member(world, "ann"), await member(world, "bob")
    bob.transport.fill()
    ann.say(CHAT)
    world.tenant.removed = True
    world.tenant.ref.tell_control(RemoveTenant())
    world.settle()
    assert ann.closed_with() == (4504, "tenant removed")
    ann.vanish()
    assert world.tenant.ref.alive
    bob.transport.drain()
    world.settle()
    assert bob.types_until_close() == ["msg"]
    bob.vanish()
    assert not world.tenant.ref.alive
    assert world.system.statistics().actors == 1, "only the gateway is left"
    assert world.failures == []


async def test_a_removed_tenant_without_sessions_stops_at_once() -> None:
    world = World()
    world.tenant.removed = True
    world.tenant.ref.tell_control(RemoveTenant())
    world.settle()
    assert not world.tenant.ref.alive


async def test_a_removed_tenant_that_crashes_does_not_come_back_to_life() -> None:
    world = World()
    await member(world)
    world.tenant.removed = True
    world.tenant.ref.tell_control(object())
    world.settle()
    world.scheduler.advance(60)
    assert not world.tenant.ref.alive


async def test_a_tenant_of_the_same_id_is_added_while_the_removed_one_still_closes() -> None:
    world = World()
    old = await member(world)
    world.tenant.removed = True
    world.tenant.ref.tell_control(RemoveTenant())
    new = TenantContext("t", world.tenant.rules, world.tenant.authenticator, world.scheduler.now)
    added = asyncio.ensure_future(world.gateway.ask(AddTenants([new]), 5.0))
    await asyncio.sleep(0)
    world.settle()
    await added
    assert new.ref.alive
    assert new.ref is not world.tenant.ref
    assert old.closed_with() == (4504, "tenant removed")
    assert world.failures == []
