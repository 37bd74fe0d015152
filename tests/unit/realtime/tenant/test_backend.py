"""What a tenant does for its backend: publications in the room's order, members within the limits, work in slices."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from tests.realtime_support import Peer, World
from wsprism.effects import Effect, Publish, Send
from wsprism.policy.decisions import Denied, Reason
from wsprism.protocol.envelope import JSON, MSGPACK
from wsprism.protocol.frames import binary_frame
from wsprism.realtime.messages import (
    Answered,
    Exclusion,
    ExtPublication,
    HotPublication,
    JoinRequest,
    Origin,
    PublicationList,
)
from wsprism.realtime.outbound.wire import wire_format
from wsprism.realtime.room.actor import FAN_OUT_WORK
from wsprism.realtime.room.inbox import MAX_WAITING
from wsprism.realtime.slices import SLICE_ITEMS
from wsprism.realtime.tenant.backend_messages import (
    AmbiguousSid,
    DisconnectForBackend,
    JoinForBackend,
    PublishForBackend,
    PublishToRooms,
    RemoveForBackend,
    SendForBackend,
    Who,
)

HOT = HotPublication(binary_frame(b"\x01\x02\x00x"), None)


def ext(data: Any) -> ExtPublication:
    return ExtPublication("news", "item", JSON.encode(data))


def heard_data(peer: Peer) -> list[Any]:
    return [one["data"] if isinstance(one, dict) else one for one in peer.heard()]


async def lobby(world: World, *users: str) -> list[Peer]:
    peers = [await world.connect(user) for user in users]
    for peer in peers:
        peer.join("lobby")
    for peer in peers:
        peer.heard()
    return peers


# What it answers when whom it answers has gone


@pytest.mark.parametrize("number", [b"%d" % 2**70, b"1e999"])
async def test_an_answer_that_not_every_client_could_be_told_costs_nobody_anything(number: bytes) -> None:
    world = World()
    ann, bob = await lobby(world, "ann", "bob")
    cid = await world.connect("cid", wire=wire_format(MSGPACK, deflated=False))
    cid.join("lobby")
    cid.heard()
    bob.vanish()
    data = msgspec.Raw(number)
    effects: list[Effect] = [
        Publish("lobby", None, "item", data),
        Send("cid", None, None, "item", data),
        Publish("lobby", None, "item", 7),
    ]
    world.tenant.ref.tell(Answered(bob.session, Origin("news", "ask", None, 0, "lobby"), effects))
    world.settle()
    assert not world.failures
    assert heard_data(ann) == heard_data(cid) == [7]


# Publishing


async def test_a_list_is_published_in_order_in_both_lanes() -> None:
    world = World()
    peers = await lobby(world, "ann", "bob")
    assert await world.call(PublishForBackend("lobby", (ext(1), HOT, ext(2)))) == 2
    for peer in peers:
        assert heard_data(peer) == [1, b"\x01\x02\x00x", 2]


async def test_a_publication_looks_like_any_other_of_the_room() -> None:
    world = World()
    (ann,) = await lobby(world, "ann")
    await world.call(PublishForBackend("lobby", (ext({"n": 1}),)))
    assert ann.heard() == [{"v": 1, "svc": "news", "type": "item", "room": "lobby", "data": {"n": 1}}]


async def test_nobody_hears_what_is_published_into_an_empty_room() -> None:
    world = World()
    assert await world.call(PublishForBackend("nobody", (ext(1),))) == 0
    assert world.tenant.rooms == 0


async def test_a_list_stands_in_the_rooms_one_order_with_nothing_in_between() -> None:
    world = World()
    peers = await lobby(world, "ann", "bob")
    room = world.tenant.registry.rooms["lobby"].ref
    room.tell(ext("before"))
    answer = await world.call(PublishForBackend("lobby", (ext(1), ext(2))))
    room.tell(ext("after"))
    world.settle()
    assert answer == 2
    for peer in peers:
        assert heard_data(peer) == ["before", 1, 2, "after"]


async def test_a_list_keeps_together_while_a_large_room_is_told_in_slices() -> None:
    world = World()
    peers = await lobby(world, *[f"u{number}" for number in range(FAN_OUT_WORK + 5)])
    room = world.tenant.registry.rooms["lobby"].ref
    asked = []
    for number in range(5):
        room.tell(ext(f"client:{number}"))
        message = PublishForBackend("lobby", (ext(f"api:{number}:a"), ext(f"api:{number}:b")))
        asked.append(asyncio.ensure_future(world.tenant.ref.ask(message, 5.0)))
        await asyncio.sleep(0)
        world.scheduler.run_once()
    world.settle()
    assert {await one for one in asked} == {len(peers)}
    heard = [heard_data(peer) for peer in peers]
    assert all(one == heard[0] for one in heard)
    assert len(heard[0]) == 15
    for number in range(5):
        at = heard[0].index(f"api:{number}:a")
        assert heard[0][at + 1] == f"api:{number}:b"


async def test_a_full_room_takes_nothing_of_a_list() -> None:
    world = World(qos={"reliable_max_messages": 10**6, "reliable_max_bytes": 10**9})
    (ann,) = await lobby(world, "ann")
    room = world.tenant.registry.rooms["lobby"].ref
    while room.tell(ext("flood")):
        pass
    asked = asyncio.ensure_future(world.tenant.ref.ask(PublishForBackend("lobby", (ext(1), ext(2))), 5.0))
    await asyncio.sleep(0)
    world.tenant.ref.deliver([])  # before the room has a turn
    world.settle()
    denied = await asked
    assert isinstance(denied, Denied)
    assert (denied.reason, denied.retry_after_s) == (Reason.MAILBOX_FULL, 1)
    assert world.tenant.counters.decisions[Reason.MAILBOX_FULL] == 1
    assert set(heard_data(ann)) == {"flood"}


# Sending


async def test_a_broadcast_reaches_every_session_in_its_own_encoding_and_no_room() -> None:
    world = World()
    ann = await world.connect("ann")
    bob = await world.connect("bob", wire=wire_format(MSGPACK, deflated=False))
    ann.heard()
    bob.heard()
    assert await world.call(SendForBackend(None, (ext(1), HOT))) == 2
    for peer in (ann, bob):
        assert peer.heard() == [{"v": 1, "svc": "news", "type": "item", "data": 1}, b"\x01\x02\x00x"]


async def test_a_user_is_sent_to_on_all_sessions_and_nobody_else() -> None:
    world = World()
    first, second, bob = [await world.connect(user) for user in ("ann", "ann", "bob")]
    for peer in (first, second, bob):
        peer.heard()
    assert await world.call(SendForBackend("ann", (ext(1),))) == 2
    assert await world.call(SendForBackend("nobody", (ext(1),))) == 0
    assert (heard_data(first), heard_data(second), heard_data(bob)) == ([1], [1], [])


async def test_nothing_is_sent_before_authed() -> None:
    world = World()
    early = (await world.ask("ann")).session
    assert await world.call(SendForBackend(None, (ext(1),))) == 0
    assert await world.call(JoinForBackend("lobby", Who("ann"))) == 0
    assert world.attach(early).types() == ["authed"]


async def test_broadcasts_are_done_in_slices_and_reach_everybody_in_one_order() -> None:
    world = World()
    peers = [await world.connect(f"u{number}") for number in range(SLICE_ITEMS + 3)]
    for peer in peers:
        peer.heard()
    asked = [asyncio.ensure_future(world.tenant.ref.ask(SendForBackend(None, (ext(one),)), 5.0)) for one in (1, 2)]
    await asyncio.sleep(0)
    world.scheduler.run_once()
    world.tenant.ref.deliver([])
    peers[0].vanish()  # shifts every later place by one
    world.settle()
    assert await asked[0] == SLICE_ITEMS + 3
    assert await asked[1] in (SLICE_ITEMS + 2, SLICE_ITEMS + 3)
    for peer in peers[1:]:
        assert heard_data(peer) == [1, 2]


# Members


async def test_all_sessions_of_a_user_are_joined_and_told() -> None:
    world = World()
    first, second = await world.connect("ann"), await world.connect("ann")
    for peer in (first, second):
        peer.heard()
    assert await world.call(JoinForBackend("lobby", Who("ann"))) == 2
    for peer in (first, second):
        assert [(one["type"], one["room"]) for one in peer.heard() if isinstance(one, dict)] == [("joined", "lobby")]
    first.chat("hi")  # the active room
    assert second.types() == ["msg"]


async def test_the_sessions_are_chosen_by_user_and_sid() -> None:
    world = World()
    phone, laptop = await world.connect("ann", "phone"), await world.connect("ann", "laptop")
    assert await world.call(JoinForBackend("one", Who(sid="phone"))) == 1
    assert await world.call(JoinForBackend("two", Who("ann", "laptop"))) == 1
    assert await world.call(JoinForBackend("three", Who("bob", "laptop"))) == 0
    assert (list(phone.session.rooms), list(laptop.session.rooms)) == (["one"], ["two"])


async def test_a_sid_that_two_users_chose_names_nobody() -> None:
    world = World()
    await world.connect("ann", "same")
    await world.connect("mallory", "same")
    who = Who(sid="same")
    assert await world.call(JoinForBackend("lobby", who)) == AmbiguousSid()
    assert await world.call(RemoveForBackend("lobby", who)) == AmbiguousSid()
    assert await world.call(DisconnectForBackend(who, None, 4500, "")) == AmbiguousSid()
    assert (world.tenant.sessions, world.tenant.rooms) == (2, 0)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"max_rooms_total": 1}, Reason.TOO_MANY_ROOMS),
        ({"max_rooms_per_user": 1}, Reason.TOO_MANY_ROOMS_PER_USER),
    ],
)
async def test_a_join_over_a_limit_joins_nobody(limits: dict[str, int], reason: Reason) -> None:
    world = World(limits=limits)
    ann = await world.connect("ann")
    ann.join("one")
    ann.heard()
    denied = await world.call(JoinForBackend("two", Who("ann")))
    assert isinstance(denied, Denied)
    assert denied.reason is reason
    assert ann.heard() == []
    assert world.tenant.counters.decisions[reason] == 1


async def test_a_removed_member_is_told_and_hears_nothing_more() -> None:
    world = World()
    ann, bob = await lobby(world, "ann", "bob")
    assert await world.call(RemoveForBackend("lobby", Who("ann"))) == 1
    assert await world.call(RemoveForBackend("lobby", Who("ann"))) == 0
    bob.chat("hi")
    assert ann.types() == ["left"]
    ann.chat("hi", room="lobby")
    assert ann.errors() == [("NOT_ALLOWED", None)]
    assert world.tenant.registry.rooms_of_user("ann") == 0


async def test_a_client_that_leaves_what_it_was_just_removed_from_is_answered_and_goes_on() -> None:
    world = World()
    (ann,) = await lobby(world, "ann")
    world.tenant.ref.tell(RemoveForBackend("lobby", Who("ann")))
    ann.say({"v": 1, "svc": "room", "type": "leave", "room": "lobby", "seq": 1}, '{"v":1,"svc":"sys","type":"ping"}')
    heard = [(one["type"], one.get("seq")) for one in ann.heard() if isinstance(one, dict)]
    assert sorted(heard, key=str) == [("error", 1), ("left", None), ("pong", None)]


async def test_a_join_by_the_backend_does_not_answer_for_a_leave_that_is_under_way() -> None:
    world = World()
    (ann,) = await lobby(world, "ann")
    world.tenant.ref.tell(JoinForBackend("lobby", Who("ann")))
    ann.say(
        {"v": 1, "svc": "room", "type": "leave", "room": "lobby"},
        {"v": 1, "svc": "chat", "type": "send", "room": "lobby", "data": {"msg": "after my leave"}},
    )
    assert sorted(ann.types()) == ["error", "joined", "left"]


async def test_a_client_may_join_again_what_the_backend_joined_it_to() -> None:
    world = World()
    ann = await world.connect("ann")
    await world.call(JoinForBackend("lobby", Who("ann")))
    world.tenant.ref.tell(JoinRequest(ann.session, "lobby", 3))
    world.settle()
    assert ann.types() == ["authed", "joined", "joined"]
    assert len(world.tenant.registry.rooms["lobby"].sessions) == 1


# Disconnecting


async def test_a_user_is_disconnected_with_code_and_reason_and_its_places_are_free_at_once() -> None:
    world = World()
    ann, bob = await lobby(world, "ann", "bob")
    assert await world.call(DisconnectForBackend(Who("ann"), None, 4700, "banned")) == 1
    assert ann.types_until_close() == ["kicked"]
    assert ann.closed_with() == (4700, "banned")
    assert bob.closed_with() is None
    assert world.tenant.sessions == 1
    ann.vanish()
    assert world.tenant.counters.closed == {4500: 1}
    assert world.tenant.counters.kicked == {"backend": 1}


async def test_who_may_come_back_is_closed_without_being_called_kicked() -> None:
    world = World()
    ann = await world.connect("ann")
    ann.heard()
    await world.call(DisconnectForBackend(Who("ann"), None, 4100, "moved"))
    assert ann.types_until_close() == []
    assert ann.closed_with() == (4100, "moved")


async def test_a_large_room_is_disconnected_in_slices() -> None:
    world = World()
    size = SLICE_ITEMS * 2 + 1
    peers = await lobby(world, *[f"u{number}" for number in range(size)])
    stranger = await world.connect("stranger")
    assert await world.call(DisconnectForBackend(None, "lobby", 4500, "closing time")) == size
    assert {peer.closed_with() for peer in peers} == {(4500, "closing time")}
    assert stranger.closed_with() is None
    assert (world.tenant.sessions, world.tenant.rooms) == (1, 0)


async def test_a_room_that_is_not_there_disconnects_nobody() -> None:
    assert await World().call(DisconnectForBackend(None, "nobody", 4500, "")) == 0


async def test_a_list_of_publications_survives_a_full_turn_of_leaves() -> None:
    world = World()
    peers = await lobby(world, "ann", "bob", "cem")
    for peer in peers[:2]:
        world.tenant.ref.tell(RemoveForBackend("lobby", Who(peer.session.user)))
    world.settle()
    world.tenant.registry.rooms["lobby"].ref.tell(PublicationList((ext(1),)))
    world.settle()
    assert [peer.types() for peer in peers] == [["left"], ["left"], ["item"]]


# Exclusion, and several rooms


async def test_an_exclusion_holds_for_who_joins_in_the_same_turn_and_keeps_the_order() -> None:
    world = World()
    ann, bob = await lobby(world, "ann", "bob")
    late = await world.connect("bob", "late")
    room = world.tenant.registry.rooms["lobby"].ref
    without_bob = ExtPublication("news", "item", JSON.encode(2), exclude=Exclusion("bob", None))
    world.tenant.ref.tell(JoinRequest(late.session, "lobby", None))
    room.tell(ext(1))
    room.tell(without_bob)
    room.tell(ext(3))
    world.settle()
    assert heard_data(ann) == [1, 2, 3]
    assert heard_data(bob) == [1, 3]
    assert 2 not in [one.get("data") for one in late.heard() if isinstance(one, dict)]


async def test_one_room_that_is_overloaded_keeps_a_publication_from_all() -> None:
    world = World()
    (ann,) = await lobby(world, "ann")
    ann.join("other")
    ann.heard()
    world.tenant.registry.rooms["other"].inbox.waiting = MAX_WAITING
    rooms = {"lobby": (ext(1),), "other": (ext(1),)}
    answer = await world.call(PublishToRooms(rooms, {}))
    assert isinstance(answer, Denied)
    assert answer.reason is Reason.MAILBOX_FULL
    assert ann.heard() == []
