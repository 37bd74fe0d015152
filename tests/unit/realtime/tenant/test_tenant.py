"""A tenant: session policies, limits, publishing without membership."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.realtime_support import World
from wsprism.policy.decisions import Denied, Reason
from wsprism.policy.revocation import Revocable, Revocations
from wsprism.protocol.codes import ErrorCode
from wsprism.realtime.messages import ExtPublication, PublishToRoom, Revoke, TransportLost


def sessions(most: int, on_exceed: str) -> dict[str, Any]:
    return {"sessions": {"max_sessions_per_user": most, "on_exceed": on_exceed}}


async def test_a_session_in_many_rooms_leaves_them_in_slices_and_its_place_is_free_at_once() -> None:
    world = World()
    peer = await world.connect("ann")
    for first in range(0, 1000, 100):
        peer.say(*[f'{{"v":1,"svc":"room","type":"join","room":"r{first + number}"}}' for number in range(100)])
    assert world.tenant.rooms == 1000
    peer.outlet.lost()
    peer.session.connection.deliver([TransportLost("gone")])
    turns = 0
    while world.tenant.rooms:
        before = world.tenant.rooms
        assert world.scheduler.run_once()
        assert before - world.tenant.rooms <= 128
        turns += 1
        assert world.tenant.sessions == 0 or turns == 1
    world.settle()
    assert world.tenant.registry.rooms_of_user("ann") == 0
    assert world.system.statistics().actors == 2


# Session policies


async def test_deny_tells_one_session_too_many_and_closes_it_4501() -> None:
    world = World(policy=sessions(1, "deny"))
    first = await world.connect("ann")
    second = await world.connect("ann")
    assert second.types_until_close() == ["error"]
    assert second.closed_with() == (4501, "too many sessions")
    assert first.closed_with() is None
    assert world.tenant.sessions == 1
    assert world.tenant.counters.decisions[Reason.TOO_MANY_SESSIONS] == 1


async def test_a_denied_session_is_not_authed_and_may_do_nothing() -> None:
    world = World(policy=sessions(1, "deny"))
    await world.connect("ann")
    denied = await world.connect("ann")
    denied.join("lobby")
    denied.chat("hi")
    assert [opcode for opcode, _ in denied.frames()] == [1, 8]
    assert world.tenant.rooms == 0


async def test_kick_oldest_tells_the_oldest_and_closes_it_4500() -> None:
    world = World(policy=sessions(2, "kick_oldest"))
    first, second, third = [await world.connect("ann", sid) for sid in ("a", "b", "c")]
    assert first.closed_with() == (4500, "kicked_oldest")
    assert first.types_until_close() == ["authed", "kicked"]
    assert (second.closed_with(), third.closed_with()) == (None, None)
    assert world.tenant.counters.kicked == {"kicked_oldest": 1}


async def test_another_users_sessions_are_not_touched() -> None:
    world = World(policy=sessions(1, "kick_oldest"))
    ann = await world.connect("ann", "same")
    bob = await world.connect("bob", "same")
    assert (ann.closed_with(), bob.closed_with()) == (None, None)
    assert world.tenant.sessions == 2


@pytest.mark.parametrize("on_exceed", ["deny", "kick_oldest"])
async def test_the_same_sid_of_the_same_user_replaces_the_older_session(on_exceed: str) -> None:
    world = World(policy=sessions(1, on_exceed))
    old = await world.connect("ann", "phone")
    new = await world.connect("ann", "phone")
    assert old.closed_with() == (4500, "replaced")
    assert new.types() == ["authed"]
    assert world.tenant.sessions == 1
    assert world.tenant.counters.kicked == {"replaced": 1}


async def test_a_session_without_a_sid_gets_one_of_its_own() -> None:
    world = World()
    first, second = await world.connect("ann"), await world.connect("ann")
    assert first.session.sid
    assert first.session.sid != second.session.sid


async def test_a_kick_frees_the_place_at_once() -> None:
    world = World(limits={"max_sessions_total": 1}, policy=sessions(1, "kick_oldest"))
    await world.connect("ann")
    new = await world.connect("ann")
    assert new.types() == ["authed"]
    assert world.tenant.sessions == 1


async def test_a_kick_frees_the_places_in_its_rooms_at_once() -> None:
    world = World(limits={"max_users_per_room": 1, "max_rooms_total": 1}, policy=sessions(1, "kick_oldest"))
    old = await world.connect("ann")
    old.join("lobby")
    await world.connect("ann")
    assert world.tenant.rooms == 0
    bob = await world.connect("bob")
    bob.join("lobby")
    assert bob.types() == ["authed", "joined"]


async def test_a_kicked_sessions_late_end_does_not_remove_the_new_one() -> None:
    world = World(policy=sessions(1, "kick_oldest"))
    old = await world.connect("ann", "phone")
    new = await world.connect("ann", "phone")
    new.join("lobby")
    old.vanish()
    assert world.tenant.sessions == 1
    assert list(world.tenant.registry) == [new.session]
    new.heard()
    new.chat("still here")
    assert new.types() == ["msg"]


async def test_a_session_that_is_kicked_before_its_socket_is_there_is_told_and_closed() -> None:
    world = World(policy=sessions(1, "kick_oldest"))
    early = (await world.ask("ann")).session
    await world.connect("ann")
    kicked = world.attach(early)
    assert kicked.types_until_close() == ["kicked"]
    assert kicked.closed_with() == (4500, "kicked_oldest")
    assert world.failures == []


# Limits


async def test_a_full_tenant_denies_before_anything_is_made() -> None:
    world = World(limits={"max_sessions_total": 1})
    await world.connect("ann")
    actors = world.system.statistics().actors
    assert await world.ask("bob") == Denied(Reason.TENANT_FULL, ErrorCode.RESOURCE_EXHAUSTED)
    assert world.system.statistics().actors == actors
    assert world.tenant.counters.decisions[Reason.TENANT_FULL] == 1


async def test_a_full_tenant_kicks_nobody_for_a_session_that_it_then_denies() -> None:
    world = World(limits={"max_sessions_total": 2}, policy=sessions(3, "kick_oldest"))
    peers = [await world.connect("ann"), await world.connect("ann")]
    assert isinstance(await world.ask("ann"), Denied)
    assert [peer.closed_with() for peer in peers] == [None, None]


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"max_rooms_total": 1}, Reason.TOO_MANY_ROOMS),
        ({"max_rooms_per_user": 1}, Reason.TOO_MANY_ROOMS_PER_USER),
    ],
)
async def test_a_join_over_a_limit_on_rooms_is_refused_with_its_seq(limits: dict[str, int], reason: Reason) -> None:
    world = World(limits=limits)
    peer = await world.connect()
    peer.join("one")
    peer.heard()
    peer.say({"v": 1, "svc": "room", "type": "join", "room": "two", "seq": 5})
    assert peer.errors() == [("RESOURCE_EXHAUSTED", 5)]
    assert world.tenant.counters.decisions[reason] == 1
    assert world.tenant.rooms == 1


async def test_a_full_room_takes_another_session_of_a_user_who_is_in_it_and_nobody_else() -> None:
    world = World(limits={"max_users_per_room": 1})
    ann, again, bob = [await world.connect(user) for user in ("ann", "ann", "bob")]
    for peer in (ann, again, bob):
        peer.join("lobby")
    assert again.types() == ["authed", "joined"]
    assert bob.types() == ["authed", "error"]
    assert world.tenant.counters.decisions[Reason.ROOM_FULL] == 1


async def test_the_end_of_the_last_member_ends_its_room() -> None:
    world = World()
    ann, bob = await world.connect("ann"), await world.connect("bob")
    ann.join("lobby")
    bob.join("lobby")
    ann.vanish()
    assert world.tenant.rooms == 1
    before = world.system.statistics().actors
    bob.vanish()
    assert (world.tenant.rooms, world.tenant.sessions) == (0, 0)
    assert world.system.statistics().actors == before - 2


# Publishing without membership


def open_world() -> World:
    return World(policy={"publish_requires_membership": False})


async def test_a_tenant_may_let_those_publish_who_are_not_members() -> None:
    world = open_world()
    member, stranger = await world.connect("ann"), await world.connect("bob")
    member.join("lobby")
    member.heard()
    stranger.heard()
    stranger.chat("hi", room="lobby", seq=4, flags=4)
    assert [one["data"] for one in member.heard() if isinstance(one, dict)] == [{"from": "bob", "msg": "hi"}]
    assert stranger.types() == ["ack"]


async def test_a_publication_into_a_room_that_is_not_there_is_acknowledged_and_makes_no_room() -> None:
    world = open_world()
    peer = await world.connect()
    peer.heard()
    peer.chat("hi", room="nobody", seq=4, flags=4)
    peer.chat("hi", room="nobody", seq=5)
    assert [(one["type"], one["seq"]) for one in peer.heard() if isinstance(one, dict)] == [("ack", 4)]
    assert world.tenant.rooms == 0


async def test_a_stranger_is_told_when_the_room_is_overloaded() -> None:
    world = open_world()
    member, stranger = await world.connect("ann"), await world.connect("bob")
    member.join("lobby")
    member.heard()
    stranger.heard()
    fill_mailbox_of(world, "lobby")
    world.tenant.ref.deliver(
        [PublishToRoom("lobby", ExtPublication("chat", "msg", b"1", sender=stranger.session, seq=9))]
    )
    world.settle()
    assert stranger.errors() == [("RESOURCE_EXHAUSTED", 9)]
    assert world.tenant.counters.decisions[Reason.MAILBOX_FULL] == 1


def fill_mailbox_of(world: World, room: str) -> None:
    ref = world.tenant.registry.rooms[room].ref
    while ref.tell(ExtPublication("chat", "msg", b"0")):
        pass


# Revocation


async def revoke(world: World, what: Revocable, name: str, until_s: float = 100.0) -> Any:
    answer = asyncio.ensure_future(world.tenant.ref.ask(Revoke(what, name, until_s), 5.0))
    await asyncio.sleep(0)
    world.settle()
    return await answer


@pytest.mark.parametrize(
    ("what", "name"), [(Revocable.USER, "ann"), (Revocable.SID, "tab"), (Revocable.TOKEN_ID, "jti")]
)
async def test_a_revoked_session_is_closed_4502_and_not_let_in_again_until_the_time(what: Revocable, name: str) -> None:
    world = World()
    ann = await world.connect("ann", "tab", token_id="jti")
    bob = await world.connect("bob", "phone", token_id="other")
    for peer in (ann, bob):
        peer.join("lobby")
    assert await revoke(world, what, name) == 1
    assert ann.closed_with() == (4502, "ticket revoked")
    assert bob.closed_with() is None
    assert world.tenant.sessions == 1
    refused = await world.ask("ann", "tab", token_id="jti")
    assert refused == Denied(Reason.REVOKED, ErrorCode.AUTH_FAILED)
    assert world.tenant.counters.decisions[Reason.REVOKED] == 1
    world.scheduler.advance(100.0)
    await world.connect("ann", "tab", token_id="jti")


async def test_revoking_a_sid_means_every_users_session_of_that_name() -> None:
    world = World()
    ann = await world.connect("ann", "tab")
    bob = await world.connect("bob", "tab")
    assert await revoke(world, Revocable.SID, "tab") == 2
    assert (ann.closed_with(), bob.closed_with()) == ((4502, "ticket revoked"),) * 2
    await world.connect("ann", "another")


async def test_a_revocation_that_cannot_be_remembered_does_nothing() -> None:
    world = World()
    world.tenant.revocations = Revocations(max_entries=0)
    ann = await world.connect("ann")
    assert await revoke(world, Revocable.USER, "ann") == Denied(Reason.REVOCATIONS_FULL, ErrorCode.RESOURCE_EXHAUSTED)
    assert ann.closed_with() is None


async def test_a_revocation_outlives_a_crash_of_the_tenant() -> None:
    world = World()
    await revoke(world, Revocable.USER, "ann")
    world.tenant.ref.tell(object())
    world.settle()
    assert [type(error) for error in world.failures] == [KeyError]
    assert isinstance(await world.ask("ann"), Denied)
