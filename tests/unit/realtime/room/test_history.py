"""A room with a history: offsets, recovery, publishing once, and what outlives members and crashes."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import Any

import pytest

from qos import Lane
from tests.realtime_support import Peer, World
from wsprism.policy.room_rules import RoomTable
from wsprism.protocol.envelope import JSON, MSGPACK
from wsprism.protocol.places import JoinData, Position
from wsprism.realtime.messages import ExtPublication, RoomJoin, RulesChanged
from wsprism.realtime.outbound.wire import wire_format
from wsprism.realtime.room.mixed_turn import MOST_OTHERS_AT_ONCE
from wsprism.realtime.session import Session
from wsprism.realtime.tenant.backend_messages import PublishForBackend
from wsprism.realtime.tenant.histories import HistoryRefusal, PublishedAt, PurgeForBackend

ACK = 4
CRASHES = ExtPublication("\ud800", "msg", b"1")
"""No frame can be made of half a character: it fails in the room, as nothing that is said does."""
ROOMS: list[dict[str, Any]] = [
    {"match": "chat:*", "history": {"max_messages": 10, "recover_max_messages": 8, "ttl_s": 60}},
]


def world(**settings: Any) -> World:
    return World(**{"rooms": ROOMS, **settings})


def join(peer: Peer, room: str = "chat:1", **data: Any) -> list[Any]:
    """Join, and what was heard then."""
    message: dict[str, Any] = {"v": 1, "svc": "room", "type": "join", "room": room}
    if data:
        message["data"] = data
    peer.say(message)
    return hear(peer)


def hear(peer: Peer) -> list[Any]:
    """What was heard since."""
    heard = list(peer.heard())
    for one in heard:
        if isinstance(one, dict) and one["type"] == "joined":
            del one["data"]["number"]  # test_room_numbers has it
    return heard


def offsets(heard: list[Any]) -> list[int]:
    return [one["offset"] for one in heard if isinstance(one, dict) and one["svc"] == "chat"]


async def test_publications_have_offsets_behind_the_room_and_acks_tell_them() -> None:
    w = world()
    ann = await w.connect("ann")
    hear(ann)
    (joined,) = join(ann)
    assert joined["data"] == {"epoch": joined["data"]["epoch"], "offset": 0}
    ann.chat("a", room="chat:1", seq=7, flags=ACK)
    message, ack = hear(ann)
    assert list(message) == ["v", "svc", "type", "room", "offset", "data"]
    assert message["offset"] == 1
    assert ack["data"] == {"offset": 1}
    assert list(ack) == ["v", "svc", "type", "seq", "data", "trace_id"]


async def test_what_is_kept_of_a_publication_is_data_and_holds_no_session() -> None:
    w = world()
    ann = await w.connect("ann")
    join(ann)
    ann.chat("a", room="chat:1", id="one")
    assert w.tenant.store is not None
    kept = w.tenant.store.page("chat:1", None, 10, reverse=False)
    assert len(kept) == 1
    held: list[Any] = [kept]
    seen: dict[int, object] = {}
    while held:
        one = held.pop()
        if id(one) in seen or isinstance(one, type):
            continue
        seen[id(one)] = one
        held += gc.get_referents(one)
    assert not [one for one in seen.values() if isinstance(one, Session | ExtPublication)]


async def test_a_plain_room_has_neither_offset_nor_epoch_and_since_says_nothing_there() -> None:
    w = world()
    ann = await w.connect("ann")
    hear(ann)
    (joined,) = join(ann, "plain")
    assert joined["data"] == {}
    ann.chat("a", room="plain", seq=7, flags=ACK, id="one")
    message, ack = hear(ann)
    assert "offset" not in message
    assert "data" not in ack
    bob = await w.connect("bob")
    hear(bob)
    (joined,) = join(bob, "plain", since={"epoch": "e", "offset": 3})
    assert joined["data"] == {"recovered": False}


@pytest.mark.parametrize("binary", [False, True])
async def test_who_was_away_gets_exactly_what_it_missed_and_goes_on(binary: bool) -> None:
    w = world()
    ann = await w.connect("ann")
    (joined,) = join(ann)[1:]
    epoch = joined["data"]["epoch"]
    for number in range(5):
        ann.chat(str(number), room="chat:1")
    bob = await w.connect("bob", wire=wire_format(MSGPACK if binary else JSON, deflated=False))
    hear(bob)
    heard = join(bob, since={"epoch": epoch, "offset": 2})
    assert heard[0]["data"] == {"epoch": epoch, "offset": 5, "recovered": True, "count": 3}
    assert offsets(heard[1:]) == [3, 4, 5]
    assert [one["data"]["msg"] for one in heard[1:]] == ["2", "3", "4"]
    ann.chat("5", room="chat:1")
    assert offsets(hear(bob)) == [6]


@pytest.mark.parametrize(
    ("offset", "other_epoch", "count"),
    [(12, False, 0), (4, False, 8), (3, False, None), (13, False, None), (12, True, None), (0, False, None)],
)
async def test_recovery_is_true_exactly_when_everything_is_kept_and_not_too_much(
    offset: int, other_epoch: bool, count: int | None
) -> None:
    w = world()
    ann = await w.connect("ann")
    epoch = join(ann)[1]["data"]["epoch"]
    for number in range(12):
        ann.chat(str(number), room="chat:1")
    bob = await w.connect("bob")
    hear(bob)
    joined, *rest = join(bob, since={"epoch": "other" if other_epoch else epoch, "offset": offset})
    assert joined["data"] == {"epoch": epoch, "offset": 12, "recovered": count is not None, "count": count or 0}
    assert offsets(rest) == list(range(offset + 1, 13))[: count or 0]


async def test_history_and_epoch_outlive_the_members_for_their_time() -> None:
    w = world()
    ann = await w.connect("ann")
    epoch = join(ann)[1]["data"]["epoch"]
    ann.chat("a", room="chat:1")
    ann.vanish()
    assert w.tenant.rooms == 0
    w.scheduler.advance(59.0)
    bob = await w.connect("bob")
    hear(bob)
    joined, message = join(bob, since={"epoch": epoch, "offset": 0})
    assert joined["data"]["recovered"] is True
    assert message["offset"] == 1
    bob.say({"v": 1, "svc": "room", "type": "leave", "room": "chat:1"})
    assert bob.types() == ["left"]
    w.scheduler.advance(61.0)
    (joined,) = join(bob, since={"epoch": epoch, "offset": 1})
    assert joined["data"]["epoch"] != epoch
    assert joined["data"] | {"epoch": ""} == {"epoch": "", "offset": 0, "recovered": False, "count": 0}


async def test_nothing_missed_is_recovered_however_long_ago() -> None:
    w = world()
    ann, bob = await w.connect("ann"), await w.connect("bob")
    epoch = join(ann)[1]["data"]["epoch"]
    ann.chat("a", room="chat:1")
    w.scheduler.advance(100_000.0)
    hear(bob)
    (joined,) = join(bob, since={"epoch": epoch, "offset": 1})
    assert joined["data"] == {"epoch": epoch, "offset": 1, "recovered": True, "count": 0}


async def test_a_second_publication_with_the_same_user_and_id_is_acknowledged_with_the_firsts_offset() -> None:
    w = world()
    ann, bob = await w.connect("ann"), await w.connect("bob")
    for one in (ann, bob):
        join(one)
    ann.chat("a", room="chat:1", id="x", seq=1, flags=ACK)
    bob.chat("b", room="chat:1", id="x", seq=1, flags=ACK)
    hear(ann)
    again = await w.connect("ann", "second")
    join(again)
    again.chat("a", room="chat:1", id="x", seq=2, flags=ACK)
    (ack,) = hear(again)
    assert (ack["type"], ack["seq"], ack["data"]) == ("ack", 2, {"offset": 1})
    assert offsets(hear(bob)) == [1, 2]
    assert hear(ann) == []
    for number in range(12):
        again.chat(str(number), room="chat:1")
    hear(again)
    again.chat("a", room="chat:1", id="x", seq=3, flags=ACK)
    assert offsets(hear(again)) == [15]


async def test_the_same_id_twice_in_one_turn_is_published_once() -> None:
    w = world()
    ann = await w.connect("ann")
    join(ann)
    message = {"v": 1, "svc": "chat", "type": "send", "room": "chat:1", "id": "x", "flags": ACK, "data": {"msg": "a"}}
    ann.say({**message, "seq": 1}, {**message, "seq": 2})
    heard = hear(ann)
    assert offsets(heard) == [1]
    assert sorted((one["seq"], one["data"]["offset"]) for one in heard if one["type"] == "ack") == [(1, 1), (2, 1)]


async def test_a_slow_reader_that_recovers_is_served_as_its_socket_takes_it_and_no_live_message_overtakes() -> None:
    w = world(rooms=[{"match": "*", "history": {"max_messages": 1000, "max_bytes": 10**7}}])
    ann, bob = await w.connect("ann"), await w.connect("bob")
    epoch = join(ann)[1]["data"]["epoch"]
    for _ in range(300):
        ann.chat("x" * 1000, room="chat:1")
    hear(bob)
    bob.transport.fill()
    heard = join(bob, since={"epoch": epoch, "offset": 0})
    for _ in range(50):
        ann.chat("live", room="chat:1")
        assert bob.outlet.queue.queued(Lane.RELIABLE)[1] < 40_000
        bob.transport.drain()
        w.settle()
        bob.transport.fill()
        heard += hear(bob)
    bob.transport.drain()
    w.settle()
    heard += hear(bob)
    assert heard[0]["data"]["count"] == 300
    assert offsets(heard) == list(range(1, 351))
    ann.chat("live", room="chat:1")
    assert offsets(hear(bob)) == [351]


async def test_a_reader_that_the_history_leaves_behind_is_closed_and_knows_it() -> None:
    w = world(rooms=[{"match": "*", "history": {"max_messages": 100}}])
    ann, bob = await w.connect("ann"), await w.connect("bob")
    epoch = join(ann)[1]["data"]["epoch"]
    for _ in range(100):
        ann.chat("x" * 1000, room="chat:1")
    hear(bob)
    bob.transport.fill()
    join(bob, since={"epoch": epoch, "offset": 0})
    for _ in range(100):
        ann.chat("live", room="chat:1")
    bob.transport.drain()
    w.settle()
    assert bob.closed_with() == (4000, "left behind by the room's history")
    assert w.tenant.counters.recoveries["left_behind"] == 1


async def test_an_eviction_is_told_to_the_members_and_offsets_begin_anew() -> None:
    w = world(limits={"max_history_rooms": 1})
    ann, bob = await w.connect("ann"), await w.connect("bob")
    epoch = join(ann)[1]["data"]["epoch"]
    ann.chat("a", room="chat:1")
    hear(ann)
    join(bob, "chat:2")
    (gap,) = hear(ann)
    assert (gap["svc"], gap["type"], gap["room"], gap["data"]["offset"]) == ("sys", "gap", "chat:1", 0)
    assert gap["data"]["epoch"] != epoch
    ann.chat("b", room="chat:1")
    assert offsets(hear(ann)) == [1]
    (other,) = hear(bob)
    assert other["type"] == "gap"
    (joined,) = join(bob, "chat:1", since={"epoch": gap["data"]["epoch"], "offset": 1})
    assert joined["data"]["recovered"] is True


async def test_who_leaves_while_it_recovers_gets_everything_before_left() -> None:
    w = world(rooms=[{"match": "*", "history": {"max_messages": 1000, "max_bytes": 10**7}}])
    ann, bob = await w.connect("ann"), await w.connect("bob")
    epoch = join(ann)[1]["data"]["epoch"]
    for _ in range(200):
        ann.chat("x" * 1000, room="chat:1")
    hear(bob)
    bob.transport.fill()
    heard = join(bob, since={"epoch": epoch, "offset": 0})
    bob.say({"v": 1, "svc": "room", "type": "leave", "room": "chat:1"})
    ann.chat("after", room="chat:1")
    bob.transport.drain()
    w.settle()
    heard += hear(bob)
    assert offsets(heard) == list(range(1, 201))
    assert heard[-1]["type"] == "left"


async def test_a_crash_keeps_history_and_epoch_unless_something_may_be_lost() -> None:
    w = world()
    ann = await w.connect("ann")
    epoch = join(ann)[1]["data"]["epoch"]
    ann.chat("a", room="chat:1")
    w.tenant.registry.rooms["chat:1"].ref.tell_control(object())
    w.settle()
    w.scheduler.advance(1.0)
    hear(ann)
    ann.chat("b", room="chat:1")
    assert offsets(hear(ann)) == [2]
    bob = await w.connect("bob")
    hear(bob)
    assert join(bob, since={"epoch": epoch, "offset": 1})[0]["data"]["recovered"] is True


async def test_a_publication_that_a_crash_may_have_lost_ends_the_epoch() -> None:
    w = world()
    ann = await w.connect("ann")
    epoch = join(ann)[1]["data"]["epoch"]
    ann.chat("a", room="chat:1")
    hear(ann)
    w.tenant.registry.rooms["chat:1"].ref.tell(CRASHES)
    w.settle()
    w.scheduler.advance(1.0)
    heard = hear(ann)
    assert [one["type"] for one in heard] == ["error", "gap"]
    assert heard[1]["data"]["epoch"] != epoch
    ann.chat("b", room="chat:1")
    assert offsets(hear(ann)) == [1]


async def test_join_data_is_strict_and_names_what_is_wrong() -> None:
    w = world()
    ann = await w.connect("ann")
    hear(ann)
    (error,) = join(ann, sinse={})
    assert error["data"]["code"] == "BAD_REQUEST"
    assert "sinse" in error["data"]["msg"]
    (error,) = join(ann, since={"epoch": "e", "offset": -1})
    assert "data.since.offset" in error["data"]["msg"]


async def test_a_page_of_the_history() -> None:
    w = world()
    ann = await w.connect("ann")
    epoch = join(ann)[1]["data"]["epoch"]
    for number in range(12):
        ann.chat(str(number), room="chat:1")
    hear(ann)

    def page(**data: Any) -> Any:
        ann.say({"v": 1, "svc": "room", "type": "history", "room": "chat:1", "seq": 5, "data": data})
        (answer,) = hear(ann)
        return answer["data"]

    whole = page()
    assert (whole["epoch"], whole["offset"], whole["more"]) == (epoch, 12, False)
    assert [one["offset"] for one in whole["items"]] == list(range(3, 13))
    first = whole["items"][0]
    assert list(first) == ["offset", "time", "svc", "type", "data"]
    assert first["time"].endswith("Z")
    assert first["data"] == {"from": "ann", "msg": "2"}
    some = page(limit=3, reverse=True)
    assert ([one["offset"] for one in some["items"]], some["more"]) == ([12, 11, 10], True)
    some = page(since={"epoch": epoch, "offset": 10}, reverse=True, limit=2)
    assert [one["offset"] for one in some["items"]] == [9, 8]
    some = page(since={"epoch": epoch, "offset": 1})
    assert [one["offset"] for one in some["items"]] == list(range(3, 13))
    error = page(since={"epoch": "other", "offset": 1})
    assert (error["code"], error["msg"]) == ("NOT_ALLOWED", "epoch changed")


async def test_a_join_within_a_turn_gets_what_it_missed_and_the_turn_once() -> None:
    w = world()
    ann, bob = await w.connect("ann"), await w.connect("bob")
    epoch = join(ann)[1]["data"]["epoch"]
    for number in range(3):
        ann.chat(str(number), room="chat:1")
    hear(bob)
    entry = w.tenant.registry.rooms["chat:1"]
    w.tenant.registry.join(bob.session, "chat:1")
    entry.inbox.publish(ExtPublication("chat", "msg", b'"before"'))
    entry.ref.tell_control(RoomJoin(bob.session, None, wants=JoinData(since=Position(epoch, 1))))
    entry.inbox.publish(ExtPublication("chat", "msg", b'"behind"'))
    w.settle()
    joined, *rest = hear(bob)
    assert joined["data"]["count"] == 2
    assert offsets(rest) == [2, 3, 4, 5]
    ann.chat("live", room="chat:1")
    assert offsets(hear(bob)) == [6]


async def test_what_is_published_while_nobody_is_there_is_kept_for_whoever_comes() -> None:
    w = world()
    publications = (ExtPublication("chat", "msg", b'"a"', id="x"), ExtPublication("chat", "msg", b'"b"'))
    assert await w.call(PublishForBackend("chat:1", publications)) == PublishedAt(0, 2)
    again = (ExtPublication("chat", "msg", b'"a"', id="x"),)
    assert await w.call(PublishForBackend("chat:1", again)) == PublishedAt(0, 1)
    ann = await w.connect("ann")
    hear(ann)
    (joined,) = join(ann)
    assert joined["data"]["offset"] == 2
    assert await w.call(PublishForBackend("chat:1", (ExtPublication("chat", "msg", b'"c"'),))) == PublishedAt(1, 3)
    assert offsets(hear(ann)) == [3]
    assert await w.call(PublishForBackend("plain", again)) == 0


async def test_a_purge_is_told_and_begins_anew() -> None:
    w = world()
    ann = await w.connect("ann")
    epoch = join(ann)[1]["data"]["epoch"]
    ann.chat("a", room="chat:1")
    hear(ann)
    place = await w.call(PurgeForBackend("chat:1"))
    (gap,) = hear(ann)
    assert gap["data"] == {"epoch": place.epoch, "offset": 0}
    assert place.epoch != epoch
    assert await w.call(PurgeForBackend("plain")) == HistoryRefusal(epoch_changed=False)


async def test_a_history_that_a_reload_takes_away_is_forgotten() -> None:
    w = world()
    ann = await w.connect("ann")
    epoch = join(ann)[1]["data"]["epoch"]
    ann.chat("a", room="chat:1")
    w.tenant.apply(replace(w.tenant.rules, rooms=RoomTable()))
    w.tenant.ref.tell_control(RulesChanged())
    w.settle()
    assert len(w.tenant.store or ()) == 0
    hear(ann)
    ann.chat("b", room="chat:1")
    (message,) = hear(ann)
    assert "offset" not in message
    w.tenant.apply(world().tenant.rules)
    bob = await w.connect("bob")
    hear(bob)
    joined, *_ = join(bob, since={"epoch": epoch, "offset": 1})
    assert joined["data"]["recovered"] is False


async def test_a_storm_of_joins_is_done_in_steps_of_bounded_work() -> None:
    w = world(rooms=[{"match": "*", "history": {}}])
    ann = await w.connect("ann")
    epoch = join(ann)[1]["data"]["epoch"]
    for number in range(20):
        ann.chat(str(number), room="chat:1")
    entry = w.tenant.registry.rooms["chat:1"]
    peers = [await w.connect(f"u{number}") for number in range(300)]
    for peer in peers:
        hear(peer)
        w.tenant.registry.join(peer.session, "chat:1")
        entry.ref.tell_control(RoomJoin(peer.session, None, wants=JoinData(since=Position(epoch, 5))))
    steps = []
    before = len(entry.roster)
    while w.scheduler.run_once():
        steps.append(len(entry.roster) - before)
        before = len(entry.roster)
    assert len(entry.roster) == 301
    assert max(steps) <= 2 * MOST_OTHERS_AT_ONCE
    for peer in peers:
        assert offsets(hear(peer)[1:]) == list(range(6, 21))
    assert w.tenant.counters.recoveries["recovered"] == 300
    assert w.tenant.counters.replayed_messages == 300 * 15


MSGPACK_WIRE, DEFLATED = wire_format(MSGPACK, deflated=False), wire_format(JSON, deflated=True)


def kept(w: World) -> list[tuple[int, set[str]]]:
    """Bytes of each publication, and the forms beside plain JSON in which it is kept."""
    store = w.tenant.store
    assert store is not None
    items = [one.kept for one in store.page("chat:1", None, 500, reverse=False)]
    sizes = [len(one.json) + sum(len(data) for data in (one.others or {}).values()) for one in items]
    assert store.size_bytes == sum(sizes)
    forms = [{f"{wire.codec.name}{'+deflate' * wire.deflated}" for wire in one.others or ()} for one in items]
    return list(zip(sizes, forms, strict=True))


async def test_a_history_counts_every_form_that_it_keeps() -> None:
    w = world()
    ann = await w.connect("ann")
    join(ann)
    ann.chat("a" * 100, room="chat:1")
    bob = await w.connect("bob", wire=MSGPACK_WIRE)
    join(bob)
    ann.chat("a" * 100, room="chat:1")
    ann.chat("a" * 100, room="chat:1")
    (json_only, none), (both, msgpack), _ = kept(w)
    assert (none, msgpack) == (set(), {"msgpack"})
    assert both > 1.8 * json_only
    cyd = await w.connect("cyd", wire=DEFLATED)
    join(cyd)
    ann.chat("a" * 100, room="chat:1")
    assert kept(w)[-1][1] == {"msgpack", "json+deflate"}


async def test_a_rooms_bound_in_bytes_holds_for_all_forms_together() -> None:
    rooms = [{"match": "chat:*", "history": {"max_bytes": 4096}}]
    w = world(rooms=rooms)
    ann = await w.connect("ann")
    join(ann)
    for wire in (MSGPACK_WIRE, DEFLATED, wire_format(MSGPACK, deflated=True)):
        join(await w.connect("bob", wire=wire))
    for number in range(50):
        ann.chat(f"{number} {w.scheduler.now()}" * 20, room="chat:1")
    found = kept(w)
    assert 0 < len(found) < 20
    assert sum(size for size, _ in found) <= 4096


async def test_a_form_that_nobody_had_is_shared_by_all_who_recover_in_it_and_kept_no_longer() -> None:
    w = world()
    ann = await w.connect("ann")
    (joined,) = join(ann)[-1:]
    epoch = joined["data"]["epoch"]
    for number in range(5):
        ann.chat(str(number), room="chat:1")
    before = kept(w)
    readers = [await w.connect(f"u{number}", wire=MSGPACK_WIRE) for number in range(3)]
    history = w.tenant.registry.rooms["chat:1"].history
    assert history is not None
    for reader in readers:
        hear(reader)
        reader.transport.fill()
        join(reader, since={"epoch": epoch, "offset": 0})
    made = []
    for reader in readers:
        reader.transport.drain()
        w.settle()
        assert offsets(hear(reader)) == [1, 2, 3, 4, 5]
        made += [block for block, _ in history._blocks.values()]
    assert len(made) == 3
    assert made[0] is made[1] is made[2]
    assert kept(w) == before
    w.scheduler.advance(5.0)
    assert not history._blocks
    late = await w.connect("late", wire=MSGPACK_WIRE)
    join(late, since={"epoch": epoch, "offset": 0})
    assert history._blocks
    w.scheduler.advance(5.0)
    assert not history._blocks
