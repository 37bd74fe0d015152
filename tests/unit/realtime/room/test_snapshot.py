"""The newest hot frame of each key goes to whoever comes late, right behind ``sys.joined``."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.realtime_support import Peer, World
from wsprism.policy.decisions import Reason
from wsprism.protocol.frames import binary_frame
from wsprism.protocol.hot import encode_hot
from wsprism.realtime.messages import HotPublication, JoinRequest, LeaveRequest
from wsprism.realtime.room.publications import hot_publication


def world(conflate: str = "sender_opcode", history: bool = False, **snapshot: Any) -> World:
    kept: dict[str, Any] = {"history": {}} if history else {}
    return World(qos={"conflate": conflate}, rooms=[{"match": "r", "snapshot": snapshot, **kept}])


def send(peer: Peer, opcode: int, payload: bytes = b"") -> None:
    peer.say(encode_hot(1, opcode, payload))


async def member(w: World, user: str, room: str = "r") -> Peer:
    peer = await w.connect(user)
    peer.heard()
    peer.join(room)
    return peer


def told(peer: Peer) -> list[tuple[int, bytes]]:
    """Opcode and payload of each hot frame behind ``sys.joined``; nothing else may have come."""
    joined, *frames = peer.heard()
    assert isinstance(joined, dict)
    assert joined["type"] == "joined"
    assert all(isinstance(one, bytes) for one in frames)
    return [(one[1], one[3:]) for one in frames if isinstance(one, bytes)]


@pytest.mark.parametrize("history", [False, True])
async def test_a_joiner_gets_the_newest_of_each_key_the_longest_unchanged_first_then_live_traffic(
    history: bool,
) -> None:
    w = world(history=history)
    ann, bob = await member(w, "ann"), await member(w, "bob")
    send(ann, 1, b"a1")
    send(ann, 2, b"a2")
    send(bob, 1, b"b1")
    send(ann, 1, b"a1'")
    late = await member(w, "late")
    assert told(late) == [(2, b"a2"), (1, b"b1"), (1, b"a1'")]
    send(bob, 3, b"live")
    assert late.heard() == [encode_hot(1, 3, b"live")]


async def test_keys_by_sender_go_with_the_last_session_of_their_sender() -> None:
    w = world("sender")
    ann, again, bob = await member(w, "ann"), await member(w, "ann"), await member(w, "bob")
    send(ann, 1, b"ann")
    send(bob, 1, b"bob")
    ann.vanish()
    assert told(await member(w, "late")) == [(1, b"ann"), (1, b"bob")]
    again.vanish()
    assert told(await member(w, "later")) == [(1, b"bob")]


async def test_entities_outlive_their_sender_but_not_the_last_member() -> None:
    w = world("key:2", history=True)
    ann, bob = await member(w, "ann"), await member(w, "bob")
    send(ann, 1, b"e1-old")
    send(ann, 1, b"e1-new")
    send(ann, 1, b"x")
    ann.vanish()
    late = await member(w, "late")
    assert told(late) == [(1, b"e1-new")]
    bob.vanish()
    late.vanish()
    assert told(await member(w, "later")) == []


@pytest.mark.parametrize("history", [False, True])
async def test_who_joins_in_the_moment_in_which_the_last_member_leaves_finds_an_empty_snapshot(history: bool) -> None:
    w = world("key:1", history=history)
    ann, bob = await member(w, "ann"), await w.connect("bob")
    bob.heard()
    send(ann, 1, b"a")
    w.tenant.ref.tell_control(LeaveRequest(ann.session, "r", None))
    w.tenant.ref.tell_control(JoinRequest(bob.session, "r", None))
    w.settle()
    assert told(bob) == []


async def test_a_delete_opcode_takes_its_key_away_and_by_sender_and_opcode_all_of_the_sender() -> None:
    w = world("sender_opcode", delete_opcodes=[9])
    ann, bob = await member(w, "ann"), await member(w, "bob")
    for peer, opcode in ((ann, 1), (ann, 2), (bob, 1), (ann, 9)):
        send(peer, opcode)
    assert told(await member(w, "late")) == [(1, b"")]
    w = world("key:1", delete_opcodes=[9])
    ann = await member(w, "ann")
    for opcode, payload in ((1, b"x1"), (1, b"y1"), (9, b"x")):
        send(ann, opcode, payload)
    assert told(await member(w, "late")) == [(1, b"y1")]


async def test_the_longest_unchanged_key_goes_for_one_more() -> None:
    w = world(max_keys=2)
    ann = await member(w, "ann")
    for opcode in (1, 2, 1, 3):
        send(ann, opcode)
    assert told(await member(w, "late")) == [(1, b""), (3, b"")]


async def test_a_backends_frame_is_kept_under_its_service_and_opcode() -> None:
    w = world("sender")
    await member(w, "ann")
    for opcode, payload in ((1, b"old"), (2, b"two"), (1, b"new")):
        publication = hot_publication(encode_hot(1, opcode, payload), w.tenant.rules, "r")
        assert publication is not None
        w.tenant.registry.rooms["r"].inbox.publish(publication)
    w.settle()
    assert told(await member(w, "late")) == [(2, b"two"), (1, b"new")]


def say_at_once(w: World, *frames: tuple[Peer, int, bytes]) -> None:
    """All wait in the room's line before it has its turn."""
    inbox = w.tenant.registry.rooms["r"].inbox
    for peer, opcode, payload in frames:
        assert inbox.publish(HotPublication(binary_frame(encode_hot(1, opcode, payload)), None, peer.session))


@pytest.mark.parametrize("history", [False, True])
async def test_a_snapshot_outlives_a_crash_of_its_room(history: bool) -> None:
    w = world(history=history)
    ann, bob = await member(w, "ann"), await member(w, "bob")
    send(ann, 1, b"old")
    send(bob, 1, b"bob")
    send(ann, 1, b"new")
    w.tenant.registry.rooms["r"].ref.tell("what a room does not take")
    w.scheduler.advance(2)
    assert len(w.failures) == 1
    assert told(await member(w, "late")) == [(1, b"bob"), (1, b"new")]
    bob.vanish()
    send(ann, 2, b"more")
    assert told(await member(w, "later")) == [(1, b"new"), (2, b"more")]


async def test_what_is_shed_under_pressure_is_not_missing_for_whoever_comes_late() -> None:
    w = World(
        qos={"conflate": "key:1", "hot_max_frames": 4}, rooms=[{"match": "r", "snapshot": {"delete_opcodes": [9]}}]
    )
    ann = await member(w, "ann")
    once = [(ann, 1, key) for key in (b"a", b"b", b"c", b"d")]
    say_at_once(w, *once, (ann, 9, b"b"), *[(ann, 1, b"z%d" % number) for number in range(20)])
    w.settle()
    assert w.tenant.counters.decisions[Reason.ROOM_HOT_SHED] == 21
    assert told(await member(w, "late")) == [(1, b"a"), (1, b"c"), (1, b"d"), (1, b"z19")]


@pytest.mark.parametrize("frames", [3, 20])
async def test_what_nobody_hears_is_not_told_to_whoever_comes_late_either(frames: int) -> None:
    w = World(qos={"conflate": "sender", "hot_max_frames": 4}, rooms=[{"match": "r", "snapshot": {}}])
    ann, again = await member(w, "ann"), await member(w, "ann")
    send(again, 1, b"before")
    say_at_once(w, *[(ann, 1, b"%d" % number) for number in range(frames)])
    ann.session.put_out(w.tenant.registry.rooms["r"].ref)
    w.settle()
    assert told(await member(w, "late")) == [(1, b"before")]


@pytest.mark.parametrize(("conflate", "left"), [("sender", []), ("sender_opcode", []), ("key:1", [(2, b"two")])])
async def test_a_delete_opcode_takes_away_what_its_own_sender_said_and_nobody_elses(
    conflate: str, left: list[tuple[int, bytes]]
) -> None:
    w = world(conflate, delete_opcodes=[9])
    ann, bob = await member(w, "ann"), await member(w, "bob")
    send(bob, 1, b"bob")
    send(ann, 1, b"one")
    send(ann, 2, b"two")
    send(ann, 9, b"one")
    assert told(await member(w, "late")) == [(1, b"bob"), *left]
    send(ann, 9, b"never said")
    send(ann, 1, b"again")
    assert told(await member(w, "later"))[-1] == (1, b"again")


async def test_a_backends_delete_takes_away_the_backends_frames_alone() -> None:
    w = world("sender", delete_opcodes=[9])
    ann = await member(w, "ann")
    send(ann, 1, b"ann")
    for opcode in (1, 2, 9):
        publication = hot_publication(encode_hot(1, opcode, b"backend"), w.tenant.rules, "r")
        assert publication is not None
        w.tenant.registry.rooms["r"].inbox.publish(publication)
    w.settle()
    assert told(await member(w, "late")) == [(1, b"ann")]


async def test_what_a_user_says_between_its_two_sessions_ends_goes_with_the_second() -> None:
    w = world("sender_opcode")
    await member(w, "anchor")
    ann, again = await member(w, "ann"), await member(w, "ann")
    send(again, 1, b"one")
    again.vanish()
    send(ann, 2, b"two")
    ann.say(encode_hot(1, 3, b"three"), {"v": 1, "svc": "room", "type": "leave", "room": "r"})
    assert told(await member(w, "late")) == []
    ann.join("r")
    assert told(await member(w, "later")) == []


async def test_a_room_without_a_snapshot_keeps_nothing() -> None:
    w = world()
    ann = await member(w, "ann", "other")
    send(ann, 1)
    assert told(await member(w, "late", "other")) == []


LEAVES = -1


class Model:
    """What a late joiner must be told, naively: everything that was said, read from its end."""

    def __init__(self) -> None:
        self.said: list[tuple[str, int, bytes]] = []

    def told(self, max_keys: int, deletes: int) -> list[tuple[int, bytes]]:
        kept: list[tuple[tuple[str, int], bytes]] = []
        for user, opcode, payload in self.said:
            if opcode in (deletes, LEAVES):
                kept = [one for one in kept if one[0][0] != user]
            else:
                kept = [one for one in kept if one[0] != (user, opcode)] + [((user, opcode), payload)]
            kept = kept[-max_keys:]
        return [(key[1], payload) for key, payload in kept]


@given(st.integers(0, 2**32), st.integers(1, 6))
async def test_at_any_moment_a_joiner_is_told_what_a_naive_model_says(seed: int, max_keys: int) -> None:
    random = Random(seed)
    w = world("sender_opcode", max_keys=max_keys, delete_opcodes=[9])
    model = Model()
    anchor = await member(w, "anchor")
    peers = {user: await member(w, user) for user in ("ann", "bob", "cyd")}
    for number in range(40):
        user = random.choice(list(peers))
        peer = peers[user]
        roll = random.random()
        if roll < 0.1:
            peer.say({"v": 1, "svc": "room", "type": "leave", "room": "r"})
            model.said.append((user, LEAVES, b""))
            peer.join("r")
        elif roll < 0.2:
            late = await member(w, f"late{number}")
            assert told(late) == model.told(max_keys, 9)
            late.say({"v": 1, "svc": "room", "type": "leave", "room": "r"})
        else:
            opcode, payload = random.choice([1, 2, 9]), bytes([number])
            if random.random() < 0.2:
                frame = HotPublication(binary_frame(encode_hot(1, opcode, payload)), None, peer.session)
                w.tenant.registry.rooms["r"].inbox.publish(frame)
                w.settle()
            else:
                send(peer, opcode, payload)
            model.said.append((user, opcode, payload))
    assert anchor.session.rooms
