"""A room: one order for all, relays, acks, joining and leaving, crashes, wire formats."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from actors.holdings import Timer
from qos import Frame, Lane
from tests.leftovers import leftovers
from tests.native import replace_constant
from tests.realtime_support import Holding, Peer, World
from wsprism.effects import Publish
from wsprism.policy.decisions import Reason
from wsprism.ports import ServiceContext
from wsprism.protocol.envelope import JSON, MSGPACK, Envelope
from wsprism.realtime.messages import ExtPublication, HotPublication
from wsprism.realtime.outbound.wire import WireFormat, wire_format
from wsprism.realtime.room import actor as room
from wsprism.realtime.room import inbox, line
from wsprism.realtime.room.attendance import Attendance
from wsprism.realtime.room.blocks import frame_of
from wsprism.realtime.room.fan_out import FanOut
from wsprism.realtime.room.presence import RoomPresence
from wsprism.realtime.room.turn import Turn
from wsprism.realtime.tenant import rooms
from wsprism.services import EchoService, RelayService

LOBBY = "lobby"
CRASHES = ExtPublication("\ud800", "msg", b"1")
"""Breaks a promise of the code: no publication that comes from anybody does."""


class Bad:
    """Publishes what no codec can encode: a fault of the service."""

    types = frozenset({"send"})

    def handle(self, context: ServiceContext, envelope: Envelope) -> Publish:  # noqa: ARG002 (the port's signature)
        return Publish(LOBBY, "crash", "msg", object())


async def members(world: World, *users: str, wire: WireFormat | None = None) -> list[Peer]:
    peers = [await world.connect(user, wire=wire) for user in users]
    for peer in peers:
        peer.join(LOBBY)
    for peer in peers:
        peer.heard()
    return peers


def send(text: str, **fields: Any) -> str:
    return JSON.encode({"v": 1, "svc": "chat", "type": "send", "room": LOBBY, "data": {"msg": text}, **fields}).decode()


def command(type: str, **fields: Any) -> str:
    return JSON.encode({"v": 1, "svc": "room", "type": type, "room": LOBBY, **fields}).decode()


def told(peer: Peer) -> list[Any]:
    """Texts of publications, bytes of hot frames and types of everything else, as they were heard."""
    return [
        one if isinstance(one, bytes) else one["data"]["msg"] if one["type"] == "msg" else one["type"]
        for one in peer.heard()
    ]


def deliver(peer: Peer, *messages: str | bytes) -> None:
    """Say without letting anything settle."""
    peer.session.connection.deliver(list(messages))


# Order


async def test_all_members_see_the_same_order_senders_included() -> None:
    world = World()
    peers = await members(world, "ann", "bob", "cid")
    for number in range(20):
        deliver(peers[number % 3], send(f"m{number}"))
        if number % 7 == 0:
            world.scheduler.run_once()
    world.settle()
    heard = [told(peer) for peer in peers]
    assert sorted(heard[0]) == sorted(f"m{number}" for number in range(20))
    assert heard[0] == heard[1] == heard[2]


async def test_ext_and_hot_messages_of_one_turn_keep_their_order() -> None:
    world = World()
    ann, bob = await members(world, "ann", "bob")
    deliver(ann, send("1"), b"\x01\x00\x00h1", send("2"), b"\x01\x00\x00h2")
    world.settle()
    expected = ["1", b"\x01\x00\x00h1", "2", b"\x01\x00\x00h2"]
    assert told(ann) == told(bob) == expected


async def test_one_turn_leaves_in_one_write_per_member() -> None:
    world = World()
    ann, bob = await members(world, "ann", "bob")
    writes = bob.transport.writes
    deliver(ann, *[send(str(number)) for number in range(10)])
    world.settle()
    assert bob.transport.writes == writes + 1


# Fan-out of a large room in slices


@pytest.fixture
def slices_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    replace_constant(monkeypatch, room, "FAN_OUT_WORK", 2)


@pytest.mark.usefixtures("slices_of_two")
async def test_others_have_their_turn_between_the_slices_of_a_large_rooms_fan_out() -> None:
    world = World()
    crowd = await members(world, *[f"u{number}" for number in range(7)])
    pair = [await world.connect(user) for user in ("ann", "bob")]
    for peer in pair:
        peer.join("pair")
        peer.heard()
    deliver(crowd[0], send("large"))
    world.scheduler.run_once()
    world.scheduler.run_once()
    deliver(pair[0], '{"v":1,"svc":"chat","type":"send","data":{"msg":"small"}}')
    world.scheduler.run_once()
    assert told(pair[1]) == ["small"]
    assert told(crowd[-1]) == []
    world.settle()
    assert [told(peer) for peer in crowd] == [["large"]] * 7


@pytest.mark.usefixtures("slices_of_two")
async def test_what_is_published_during_a_fan_out_comes_behind_it() -> None:
    world = World()
    crowd = await members(world, *[f"u{number}" for number in range(5)])
    for number in range(4):
        deliver(crowd[number], send(f"m{number}", seq=number, flags=4))
        world.scheduler.run_once()
    world.settle()
    heard = [[one for one in told(peer) if one != "ack"] for peer in crowd]
    assert heard == [["m0", "m1", "m2", "m3"]] * 5


@pytest.mark.usefixtures("slices_of_two")
async def test_who_joins_or_leaves_during_a_fan_out_is_in_no_doubt() -> None:
    world = World()
    crowd = await members(world, *[f"u{number}" for number in range(20)])
    late = await world.connect("late")
    late.heard()
    deliver(crowd[0], send("before"))
    world.scheduler.run_once()
    deliver(late, command("join"))
    deliver(crowd[19], command("leave"))
    world.settle()
    assert told(late) == ["joined"]
    assert told(crowd[19]) == ["before", "left"]
    deliver(crowd[0], send("after"))
    world.settle()
    assert told(late) == ["after"]
    assert [told(peer) for peer in crowd[:19]] == [["before", "after"]] * 19
    assert told(crowd[19]) == []


@pytest.mark.usefixtures("slices_of_two")
async def test_too_much_that_waits_for_a_fan_out_is_refused_to_its_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    replace_constant(monkeypatch, inbox, "MAX_WAITING", 3)
    world = World()
    crowd = await members(world, *[f"u{number}" for number in range(9)])
    deliver(crowd[0], send("0"))
    world.scheduler.run_once()
    deliver(crowd[0], *[send(str(number), seq=number) for number in range(1, 6)])
    world.settle()
    assert told(crowd[8]) == ["0", "1", "2", "3"]
    assert told(crowd[0]) == ["0", "error", "error", "1", "2", "3"]
    deliver(crowd[0], send("again"))
    world.settle()
    assert told(crowd[8]) == ["again"]


async def test_what_waits_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    replace_constant(monkeypatch, inbox, "MAX_WAITING_BYTES", 100)
    world = World()
    ann, bob = await members(world, "ann", "bob")
    deliver(ann, send("x" * 200), send("small", seq=7))
    world.settle()
    assert told(bob) == ["x" * 200]
    assert told(ann) == ["error", "x" * 200]


async def test_of_more_hot_frames_than_anybody_would_get_the_oldest_are_shed() -> None:
    world = World(qos={"hot_max_frames": 4}, hot={1: EchoService()})
    ann, bob = await members(world, "ann", "bob")
    deliver(ann, *[b"\x01\x00\x00" + bytes([number]) for number in range(20)], send("kept"))
    world.settle()
    heard = told(bob)
    assert heard == [*[b"\x01\x00\x00" + bytes([number]) for number in range(16, 20)], "kept"]
    assert world.tenant.counters.decisions[Reason.ROOM_HOT_SHED] == 16


async def test_who_is_left_out_shares_every_block_but_the_one_with_its_own_frame() -> None:
    world = World(hot={1: RelayService()}, qos={"hot_max_frames": 100_000})
    peers = await members(world, *[f"u{number}" for number in range(40)])
    for number, peer in enumerate(peers):
        deliver(peer, b"\x01\x00\x00" + bytes([number]) * 1000)
    world.settle()
    for number, peer in enumerate(peers):
        expected = [b"\x01\x00\x00" + bytes([other]) * 1000 for other in range(40) if other != number]
        assert told(peer) == expected


async def test_joins_leaves_and_questions_have_their_places_among_the_messages_of_one_turn() -> None:
    world = World()
    ann, bob = await members(world, "ann", "bob")
    cid = await world.connect("cid")
    cid.heard()
    deliver(ann, send("1"))
    deliver(cid, command("join"))
    world.scheduler.run_once()
    deliver(ann, send("2"))
    deliver(bob, command("members"), command("leave"))
    world.scheduler.run_once()
    deliver(ann, send("3"))
    world.settle()
    assert [one for one in told(ann) if one != "members"] == ["1", "2", "3"]
    heard = told(cid)
    assert heard[0] == "joined"
    assert heard[1:] == [one for one in ("1", "2", "3") if one in heard]
    assert heard[-1] == "3"
    left = told(bob)
    assert left[-1] == "left"
    assert left[-2] == "members"


# Gathering while writes are held


@pytest.fixture
def gathers(monkeypatch: pytest.MonkeyPatch) -> None:
    replace_constant(monkeypatch, room, "_GATHERING_SIZE", 3)


async def held(world: World, *users: str) -> list[Peer]:
    """Members whose joining has been written."""
    peers = [await world.connect(user) for user in users]
    for peer in peers:
        peer.join(LOBBY)
    world.scheduler.advance(0.05)
    for peer in peers:
        peer.heard()
    return peers


@pytest.mark.usefixtures("gathers")
async def test_while_writes_are_held_a_large_room_gathers_and_offers_once() -> None:
    world = World(pacer=Holding())
    ann, bob, cid = await held(world, "ann", "bob", "cid")
    offered = world.tenant.counters.lanes.offered[Lane.RELIABLE]
    deliver(ann, send("1"))
    world.settle()
    assert world.tenant.counters.lanes.offered[Lane.RELIABLE] == offered + 3  # nothing was held yet
    for number in range(2, 5):
        deliver(bob, send(str(number)))
        world.settle()
    assert world.tenant.counters.lanes.offered[Lane.RELIABLE] == offered + 3
    writes = cid.transport.writes
    world.scheduler.advance(0.01)
    assert [told(peer) for peer in (ann, bob, cid)] == [["1", "2", "3", "4"]] * 3
    assert cid.transport.writes == writes + 1


@pytest.mark.usefixtures("gathers")
async def test_who_leaves_while_a_room_gathers_gets_what_was_published_before() -> None:
    world = World(pacer=Holding())
    ann, bob, cid = await held(world, "ann", "bob", "cid")
    deliver(ann, send("1"))
    world.settle()
    deliver(ann, send("2"))
    deliver(bob, command("leave"))
    world.settle()
    deliver(ann, send("3"))
    world.scheduler.advance(0.05)
    assert told(bob) == ["1", "2", "left"]
    assert told(ann) == told(cid) == ["1", "2", "3"]


@pytest.mark.usefixtures("gathers")
async def test_a_room_does_not_gather_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    replace_constant(monkeypatch, room, "_MOST_GATHERED", 2)
    world = World(pacer=Holding())
    ann, *_ = await held(world, "ann", "bob", "cid")
    offered = world.tenant.counters.lanes.offered[Lane.RELIABLE]
    for number in range(3):
        deliver(ann, send(str(number)))
        world.settle()
    assert world.tenant.counters.lanes.offered[Lane.RELIABLE] == offered + 9


async def test_a_small_room_does_not_gather() -> None:
    world = World(pacer=Holding())
    ann, _ = await held(world, "ann", "bob")
    offered = world.tenant.counters.lanes.offered[Lane.RELIABLE]
    for number in range(3):
        deliver(ann, send(str(number)))
        world.settle()
    assert world.tenant.counters.lanes.offered[Lane.RELIABLE] == offered + 6


# Hot services


async def test_a_relay_goes_to_all_but_its_sender_and_an_echo_to_all() -> None:
    world = World()
    ann, again, bob = await members(world, "ann", "ann", "bob")
    ann.say(b"\x02\x07\x00relay")
    assert [told(peer) for peer in (ann, again, bob)] == [[], [b"\x02\x07\x00relay"], [b"\x02\x07\x00relay"]]
    ann.say(b"\x01\x07\x00echo")
    assert [told(peer) for peer in (ann, again, bob)] == [[b"\x01\x07\x00echo"]] * 3


async def test_a_relaying_sender_still_gets_everything_else_of_the_turn() -> None:
    world = World()
    ann, bob = await members(world, "ann", "bob")
    deliver(ann, b"\x02\x00\x00own", send("text"), b"\x01\x00\x00echoed")
    deliver(bob, b"\x02\x00\x00of bob", send("of bob"))
    world.settle()
    assert told(ann) == ["text", b"\x01\x00\x00echoed", b"\x02\x00\x00of bob", "of bob"]
    assert told(bob) == [b"\x02\x00\x00own", "text", b"\x01\x00\x00echoed", "of bob"]


# Acks


async def test_an_ack_comes_after_the_message_and_once() -> None:
    world = World()
    ann, bob = await members(world, "ann", "bob")
    ann.say(send("1", seq=7, flags=4), send("2", seq=8))
    heard = [one for one in ann.heard() if isinstance(one, dict)]
    assert [(one["type"], one.get("seq")) for one in heard] == [("msg", None), ("msg", None), ("ack", 7)]
    assert told(bob) == ["1", "2"]


async def test_a_hot_frame_is_acknowledged_with_its_seq() -> None:
    world = World()
    ann, bob = await members(world, "ann", "bob")
    ann.say(b"\x02\x00\x03\x05\x00\x00\x00x")
    (ack,) = ann.heard()
    assert isinstance(ack, dict)
    assert (ack["type"], ack["seq"]) == ("ack", 5)
    assert len(bob.heard()) == 1


# Joining and leaving


async def test_nothing_of_a_room_is_heard_before_joined_and_all_after_it() -> None:
    world = World()
    (ann,) = await members(world, "ann")
    bob = await world.connect("bob")
    bob.heard()
    deliver(ann, send("before"))
    deliver(bob, command("join"))
    for number in range(6):
        deliver(ann, send(f"m{number}"))
        world.scheduler.run_once()
    world.settle()
    heard = told(bob)
    assert heard[0] == "joined"
    texts = told(ann)
    assert heard[1:] == texts[len(texts) - len(heard) + 1 :]
    assert heard[-1] == "m5"


async def test_nothing_of_a_room_is_heard_after_left_and_all_before_it() -> None:
    world = World()
    ann, bob = await members(world, "ann", "bob")
    deliver(ann, send("before"))
    deliver(bob, send("own"), command("leave"))
    for number in range(6):
        deliver(ann, send(f"m{number}"))
        world.scheduler.run_once()
    world.settle()
    heard = told(bob)
    assert heard[-1] == "left"
    texts = told(ann)
    assert heard[:-1] == texts[: len(heard) - 1]
    assert heard[:2] == ["before", "own"]


async def test_a_second_join_is_confirmed_and_doubles_nothing() -> None:
    world = World()
    ann, bob = await members(world, "ann", "bob")
    bob.join(LOBBY)
    assert bob.types() == ["joined"]
    ann.say(send("once"))
    assert told(bob) == ["once"]
    bob.say(command("members"))
    assert [one["data"] for one in bob.heard() if isinstance(one, dict)] == [{"users": 2, "sessions": 2}]


async def test_members_counts_users_and_sessions() -> None:
    world = World()
    ann, *_ = await members(world, "ann", "ann", "bob")
    ann.say(command("members", seq=3))
    (answer,) = ann.heard()
    assert isinstance(answer, dict)
    assert answer["data"] == {"users": 2, "sessions": 3}
    assert (answer["svc"], answer["type"], answer["seq"], answer["room"]) == ("room", "members", 3, LOBBY)


async def test_a_room_that_was_left_by_all_begins_anew() -> None:
    world = World()
    (ann,) = await members(world, "ann")
    ann.say(command("leave"), command("join"), send("again"))
    assert told(ann) == ["left", "joined", "again"]
    assert world.tenant.rooms == 1


# Crashes


async def test_what_a_service_publishes_and_json_cannot_say_is_refused_to_the_sender_alone() -> None:
    world = World(ext={"crash": Bad()})
    ann, bob = await members(world, "ann", "bob")
    ann.say({"v": 1, "svc": "crash", "type": "send", "seq": 4}, send("still"))
    assert told(ann) == ["error", "still"]
    assert told(bob) == ["still"]
    assert not world.failures


class Says:
    """Publishes ``data``."""

    types = frozenset({"send"})

    def __init__(self, data: object) -> None:
        self._data = data

    def handle(self, context: ServiceContext, envelope: Envelope) -> Publish:  # noqa: ARG002 (the port's signature)
        return Publish(LOBBY, "crash", "msg", self._data)


def nested(levels: int) -> object:
    data: object = 0
    for _ in range(levels):
        data = [data]
    return data


@pytest.mark.parametrize(
    "data", [2**70, {"deep": [-(2**64)]}, nested(100), nested(900), msgspec.Raw(b"%d" % 2**70), msgspec.Raw(b"1e999")]
)
async def test_what_a_service_publishes_and_messagepack_cannot_say_is_refused_to_the_sender_alone(data: object) -> None:
    world = World(ext={"crash": Says(data)})
    ann, bob = await members(world, "ann", "bob")
    (cid,) = await members(world, "cid", wire=wire_format(MSGPACK, deflated=False))
    ann.say({"v": 1, "svc": "crash", "type": "send", "seq": 4}, send("still"))
    assert told(ann) == ["error", "still"]
    assert told(bob) == told(cid) == ["still"]
    assert not world.failures


async def test_a_fan_out_carries_no_more_bytes_than_one_step_should_encode(monkeypatch: pytest.MonkeyPatch) -> None:
    replace_constant(monkeypatch, line, "_MOST_BYTES_AT_ONCE", 1000)
    carried: list[int] = []

    def counting(groups: Any, *rest: Any) -> Any:
        carried.append(sum(len(block.frames) for block in groups[0][1]))
        return FanOut(groups, *rest)

    world = World()
    ann, bob = await members(world, "ann", "bob")
    replace_constant(monkeypatch, room, "FanOut", counting)
    deliver(ann, *[send(str(number) * 400) for number in range(7)])
    world.settle()
    assert told(bob) == [str(number) * 400 for number in range(7)]
    assert max(carried) <= 2


async def test_a_crashed_room_goes_on_with_its_members_who_are_told() -> None:
    world = World()
    ann, bob = await members(world, "ann", "bob")
    world.tenant.registry.rooms[LOBBY].ref.tell(CRASHES)
    world.settle()
    for peer in (ann, bob):
        assert peer.errors() == [("INTERNAL", None)]
        assert peer.closed_with() is None
    assert len(world.failures) == 1
    bob.say(send("still"))
    assert told(ann) == told(bob) == ["still"]
    bob.say(command("leave"))
    assert told(bob) == ["left"]


async def test_joins_and_leaves_behind_a_publication_that_crashes_the_room_are_not_lost() -> None:
    world = World()
    ann, bob = await members(world, "ann", "bob")
    cid = await world.connect("cid")
    cid.heard()
    deliver(cid, command("join"))
    deliver(bob, command("leave"))
    world.tenant.registry.rooms[LOBBY].ref.tell(CRASHES)
    world.settle()
    assert len(world.failures) == 1
    assert "joined" in told(cid)
    assert told(bob)[-1] == "left"
    ann.say(send("to whom"))
    assert told(cid)[-1] == "to whom"
    assert told(bob) == []
    cid.say(send("heard again"))
    assert told(ann)[-1] == "heard again"


async def test_a_room_that_is_closed_behind_a_publication_that_crashes_it_ends() -> None:
    world = World()
    (ann,) = await members(world, "ann")
    before = world.system.statistics().actors
    deliver(ann, command("leave"))
    world.tenant.registry.rooms[LOBBY].ref.tell(CRASHES)
    ann.vanish()
    assert len(world.failures) == 1
    assert world.tenant.rooms == 0
    assert world.system.statistics().actors == before - 2


# Wire formats


async def test_msgpack_and_json_members_share_the_order() -> None:
    world = World()
    ann, bob = await members(world, "ann", "bob")
    (cid,) = await members(world, "cid", wire=wire_format(MSGPACK, deflated=False))
    for peer in (ann, bob):
        peer.heard()
    deliver(ann, send("1"))
    cid.say({"v": 1, "svc": "chat", "type": "send", "data": {"msg": "2"}}, b"\x01\x00\x00hot")
    bob.say(send("3"))
    expected = ["1", "2", b"\x01\x00\x00hot", "3"]
    assert told(ann) == told(bob) == told(cid) == expected


async def test_a_publication_is_encoded_once_per_format_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[tuple[str, object]] = []
    make = frame_of

    def counting(publication: Any, wire: WireFormat, room: str | None) -> Frame:
        encoded.append((wire.codec.name, json.loads(publication.data)["msg"]))
        return make(publication, wire, room)

    world = World()
    ann, *_ = await members(world, "ann", "bob", "cid")
    await members(world, "dan", "eve", wire=wire_format(MSGPACK, deflated=False))
    replace_constant(monkeypatch, room, "frame_of", counting)
    ann.say(send("1"), send("2"))
    assert sorted(encoded) == [("json", "1"), ("json", "2"), ("msgpack", "1"), ("msgpack", "2")]


# A slow member


async def test_a_slow_member_is_closed_4000_and_the_others_miss_nothing() -> None:
    world = World(qos={"reliable_max_messages": 3})
    ann, bob = await members(world, "ann", "bob")
    bob.say({"v": 1, "svc": "sys", "type": "ping"})
    bob.transport.fill()
    for number in range(6):
        ann.say(send(str(number)))
    assert told(ann) == [str(number) for number in range(6)]
    assert bob.closed_with() == (4000, "slow consumer")
    assert world.tenant.counters.slow_disconnects == 1


async def test_a_full_mailbox_sheds_its_oldest_hot_frame_and_refuses_an_ext_message_to_its_sender(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replace_constant(monkeypatch, rooms, "_MAILBOX", replace(rooms._MAILBOX, capacity=64))
    world = World()
    ann, bob = await members(world, "ann", "bob")
    room = world.tenant.registry.rooms[LOBBY].ref
    room.tell(HotPublication(b"\x82\x01A", None))
    while room.tell(ExtPublication("chat", "msg", b'{"msg":"x"}')) and room.pending < 64:
        pass
    assert room.tell(HotPublication(b"\x82\x01B", None))
    deliver(ann, send("refused", seq=2))
    world.settle()
    errors = [one for one in ann.heard() if isinstance(one, dict) and one["type"] == "error"]
    assert [(one["data"]["code"], one["seq"]) for one in errors] == [("RESOURCE_EXHAUSTED", 2)]
    heard = bob.heard()
    assert b"A" not in heard
    assert b"B" in heard
    assert world.tenant.counters.lanes.queued[Lane.RELIABLE] == 0


async def test_a_turn_larger_than_a_block_reaches_everybody_in_order() -> None:
    world = World()
    ann, bob = await members(world, "ann", "bob")
    texts = [str(number) * 500 for number in range(60)]
    deliver(ann, *(send(text) for text in texts))
    world.settle()
    assert told(ann) == texts
    assert told(bob) == texts


async def test_a_room_that_has_closed_leaves_nothing_that_only_the_collector_would_find() -> None:
    """It looks at everything seldom, and a gateway of matches opens and closes rooms all day."""
    world = World(rooms=[{"match": "present:*", "presence": {"enabled": True}}])
    peer = await world.connect()
    with leftovers() as left:
        for number in range(10):
            for name in (f"plain:{number}", f"present:{number}"):
                peer.join(name)
                peer.say({"v": 1, "svc": "chat", "type": "send", "room": name, "data": {"msg": "x"}})
                world.settle()
                peer.say({"v": 1, "svc": "room", "type": "leave", "room": name})
                world.settle()
            peer.heard()
        world.scheduler.advance(60)
    for kind in (room.Room, Turn, Attendance, RoomPresence, Timer):
        assert left[kind] <= 1, "the last one may still be in the hands of this test"
