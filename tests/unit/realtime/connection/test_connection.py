"""A connection: what it lets its client do, every refusal, and how it ends."""

from __future__ import annotations

from typing import Any

import pytest

from tests.leftovers import leftovers
from tests.realtime_support import Peer, World
from wsprism.effects import Refuse, Reply
from wsprism.policy.decisions import Reason
from wsprism.ports import ServiceContext
from wsprism.protocol.codes import CloseCode, ErrorCode
from wsprism.protocol.envelope import MSGPACK, Envelope
from wsprism.protocol.websocket import CloseReceived, Ping, Pong, Violation
from wsprism.realtime.connection.actor import Connection
from wsprism.realtime.connection.state import NEXT, State
from wsprism.realtime.messages import CloseConnection
from wsprism.realtime.outbound.outlet import Outlet
from wsprism.realtime.outbound.wire import wire_format
from wsprism.realtime.session import Session


def ext(svc: str, type: str, **fields: Any) -> dict[str, Any]:
    return {"v": 1, "svc": svc, "type": type, **fields}


async def connect(world: World, user: str = "u", room: str | None = None, **options: Any) -> Peer:
    """A client that has heard what comes first."""
    peer = await world.connect(user, **options)
    if room is not None:
        peer.join(room)
    peer.heard()
    return peer


# States


def test_a_life_goes_forward_only_and_every_state_can_end() -> None:
    order = list(State)
    assert set(NEXT) == set(order)
    for state, following in NEXT.items():
        assert all(order.index(after) > order.index(state) for after in following)
    assert [state for state, following in NEXT.items() if not following] == [State.CLOSED]


async def test_the_first_message_tells_the_client_who_it_is() -> None:
    world = World()
    (authed,) = (await world.connect("ann", "phone")).heard()
    assert authed == {
        "v": 1,
        "svc": "sys",
        "type": "authed",
        "data": {"tenant": "t", "user": "ann", "sid": "phone", "expires_at": None},
        "trace_id": "f" * 32,
    }


async def test_nothing_is_heard_of_a_client_once_its_connection_is_closing() -> None:
    world = World()
    peer = await connect(world)
    peer.event(CloseConnection(4001, "idle"))
    peer.say(ext("sys", "ping"))
    peer.event(Ping(b"x"), CloseConnection(4500, "other"))
    assert [opcode for opcode, _ in peer.frames()] == [8]
    assert peer.closed_with() == (4001, "idle")


async def test_a_lost_socket_is_an_abnormal_closure_and_ends_the_session() -> None:
    world = World()
    peer = await connect(world, room="lobby")
    peer.vanish()
    assert world.tenant.counters.closed == {1006: 1}
    assert (world.tenant.sessions, world.tenant.rooms, world.failures) == (0, 0, [])


async def test_an_end_from_above_closes_1011_at_once() -> None:
    world = World()
    peer = await connect(world)
    peer.session.connection.stop()
    world.settle()
    assert peer.closed_with() == (1011, "internal error")
    assert world.tenant.sessions == 0


# Refusals on the ext lane


REFUSALS: list[tuple[str | dict[str, Any], ErrorCode, int | None, Reason]] = [
    ("{", ErrorCode.BAD_REQUEST, None, Reason.BAD_REQUEST),
    (ext("chat", "send", seq=3, odd=1), ErrorCode.BAD_REQUEST, 3, Reason.BAD_REQUEST),
    (ext("chat", "send", seq=3, data={"msg": 1}), ErrorCode.BAD_REQUEST, 3, Reason.BAD_REQUEST),
    ({"v": 2, "svc": "a", "type": "b", "seq": 3}, ErrorCode.UNSUPPORTED_VERSION, 3, Reason.UNSUPPORTED_VERSION),
    (ext("secret", "x", seq=3), ErrorCode.NOT_ALLOWED, 3, Reason.NOT_ALLOWED_EXT),
    (ext("sys", "authed", seq=3), ErrorCode.NOT_ALLOWED, 3, Reason.NOT_ALLOWED_EXT),
    (ext("chat", "shout", seq=3), ErrorCode.NOT_ALLOWED, 3, Reason.UNKNOWN_SERVICE),
    (ext("crash", "x", seq=3), ErrorCode.NOT_ALLOWED, 3, Reason.UNKNOWN_SERVICE),
    (ext("chat", "send", seq=3, data={"msg": "x"}), ErrorCode.NOT_ALLOWED, 3, Reason.NO_ACTIVE_ROOM),
    (ext("chat", "send", seq=3, room="r", data={"msg": "x"}), ErrorCode.NOT_ALLOWED, 3, Reason.NOT_MEMBER),
    (ext("room", "leave", seq=3), ErrorCode.NOT_ALLOWED, 3, Reason.NOT_MEMBER),
    (ext("room", "leave", seq=3, room="r"), ErrorCode.NOT_ALLOWED, 3, Reason.NOT_MEMBER),
    (ext("room", "members", seq=3, room="r"), ErrorCode.NOT_ALLOWED, 3, Reason.NOT_MEMBER),
    (ext("sys", "refresh", seq=3), ErrorCode.BAD_REQUEST, 3, Reason.BAD_REQUEST),
]


@pytest.mark.parametrize(("message", "code", "seq", "reason"), REFUSALS)
async def test_a_refused_message_is_answered_with_its_seq_and_counted(
    message: str | dict[str, Any], code: ErrorCode, seq: int | None, reason: Reason
) -> None:
    world = World()
    peer = await connect(world)
    peer.say(message)
    assert peer.errors() == [(code.value, seq)]
    assert {one: count for one, count in world.tenant.counters.decisions.items() if count} == {reason: 1}
    peer.join("lobby")
    assert peer.types() == ["joined"]


async def test_faults_in_a_row_close_4503_and_a_good_message_between_them_starts_anew() -> None:
    world = World(policy={"max_protocol_errors": 3})
    peer = await connect(world)
    peer.say("{", "{", ext("sys", "ping"), "{", "{")
    assert peer.closed_with() is None
    peer.say("{")
    assert peer.closed_with() == (4503, "too many protocol errors")


async def test_a_message_over_the_rate_limit_is_refused_and_one_after_a_pause_is_not() -> None:
    world = World(policy={"rate_limit_burst": 2, "rate_limit_rps": 1})
    peer = await connect(world)
    peer.say(*[ext("sys", "ping", seq=seq) for seq in range(3)], b"\x01\x00\x00")
    heard = [one for one in peer.heard() if isinstance(one, dict)]
    assert sorted((one["type"], one["seq"]) for one in heard) == [("error", 2), ("pong", 0), ("pong", 1)]
    counted = world.tenant.counters.decisions
    assert (counted[Reason.RATE_LIMITED_EXT], counted[Reason.RATE_LIMITED_HOT]) == (1, 1)
    world.scheduler.advance(1)
    peer.say(ext("sys", "ping"))
    assert peer.types() == ["pong"]


# Refusals on the hot lane


HOT_REFUSALS = [
    (b"", ErrorCode.BAD_REQUEST, None, Reason.BAD_REQUEST_HOT),
    (b"\x01\x00", ErrorCode.BAD_REQUEST, None, Reason.BAD_REQUEST_HOT),
    (b"\x01\x00\x01\x00", ErrorCode.BAD_REQUEST, None, Reason.BAD_REQUEST_HOT),
    (b"\x01\x00\x04\x01a", ErrorCode.BAD_REQUEST, None, Reason.BAD_REQUEST_HOT),
    (b"\x03\x00\x01\x07\x00\x00\x00", ErrorCode.NOT_ALLOWED, 7, Reason.NOT_ALLOWED_HOT),
    (b"\x09\x00\x01\x07\x00\x00\x00", ErrorCode.NOT_ALLOWED, 7, Reason.UNKNOWN_SERVICE),
    (b"\x01\x00\x01\x07\x00\x00\x00", ErrorCode.NOT_ALLOWED, 7, Reason.NO_ACTIVE_ROOM),
]


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize(("frame", "code", "seq", "reason"), HOT_REFUSALS)
async def test_a_refused_hot_frame_is_counted_and_answered_unless_errors_are_silent(
    frame: bytes, code: ErrorCode, seq: int | None, reason: Reason, silent: bool
) -> None:
    mode = "silent" if silent else "sys_error"
    world = World(policy={"hot_allowlist": ["1:*", "9:*"], "hot_error_mode": mode})
    peer = await connect(world)
    peer.say(frame)
    assert peer.errors() == ([] if silent else [(code.value, seq)])
    assert {one: count for one, count in world.tenant.counters.decisions.items() if count} == {reason: 1}


async def test_without_a_room_a_hot_frame_may_come_back_to_its_sender_alone() -> None:
    world = World(policy={"hot_requires_active_room": False})
    peer, other = await connect(world), await connect(world)
    peer.say(b"\x01\x00\x02x")
    assert other.heard() == []
    heard = peer.heard()
    assert b"\x01\x00\x02x" in heard
    assert [one["type"] for one in heard if isinstance(one, dict)] == ["ack"]


async def test_a_hot_frame_goes_to_the_room_joined_last_that_was_not_left() -> None:
    world = World()
    peer = await connect(world, room="one")
    first, second = await connect(world, room="one"), await connect(world, room="two")
    peer.join("two")
    peer.say(b"\x02\x00\x00a")
    assert (first.heard(), second.heard()) == ([], [b"\x02\x00\x00a"])
    peer.say(ext("room", "leave"), b"\x02\x00\x00b")
    assert (first.heard(), second.heard()) == ([b"\x02\x00\x00b"], [])


# Tickets with less than all rights


async def test_a_read_only_ticket_hears_and_may_not_publish() -> None:
    world = World()
    reader, writer = await connect(world, room="lobby", read_only=True), await connect(world, room="lobby")
    reader.chat("x", seq=1)
    reader.say(b"\x01\x00\x01\x02\x00\x00\x00")
    assert reader.errors() == [("NOT_ALLOWED", 1), ("NOT_ALLOWED", 2)]
    assert world.tenant.counters.decisions[Reason.READ_ONLY] == 2
    writer.chat("hi")
    assert reader.types() == ["msg"]


async def test_a_ticket_with_room_patterns_joins_only_what_matches() -> None:
    world = World()
    peer = await connect(world, rooms=("match:*", "lobby"))
    for room in ("match:7", "lobby", "Lobby", "other"):
        peer.join(room)
    assert peer.types() == ["joined", "joined", "error", "error"]
    assert set(world.tenant.registry.rooms) == {"match:7", "lobby"}
    assert world.tenant.counters.decisions[Reason.NOT_ALLOWED_ROOM] == 2


# Held-back messages


async def test_messages_behind_a_join_wait_for_it_and_keep_their_order() -> None:
    world = World()
    peer = await connect(world)
    lines = [ext("chat", "send", data={"msg": str(number)}) for number in range(3)]
    peer.say(ext("room", "join", room="a"), lines[0], ext("room", "join", room="b"), lines[1], ext("room", "leave"))
    heard = [one for one in peer.heard() if isinstance(one, dict)]
    assert [(one["type"], one["room"]) for one in heard] == [
        ("joined", "a"),
        ("msg", "a"),
        ("joined", "b"),
        ("msg", "b"),
        ("left", "b"),
    ]


async def test_a_denied_join_lets_go_of_what_waited_for_it() -> None:
    world = World(limits={"max_rooms_per_user": 1})
    peer = await connect(world, room="one")
    peer.say(ext("room", "join", room="two", seq=1), ext("chat", "send", data={"msg": "in one"}))
    assert sorted(peer.types()) == ["error", "msg"]


async def test_reading_stops_while_too_much_is_held_back_and_goes_on_afterwards() -> None:
    world = World()
    peer = await connect(world)
    peer.session.connection.deliver(['{"v":1,"svc":"room","type":"join","room":"a"}'])
    for _ in range(300):
        peer.session.connection.deliver(['{"v":1,"svc":"sys","type":"ping"}'])
    assert not peer.transport.reading
    world.settle()
    assert peer.transport.reading
    assert peer.types() == ["joined"] + ["pong"] * 300


# MessagePack


async def test_a_msgpack_clients_binary_frames_are_told_apart_by_their_first_byte() -> None:
    world = World()
    peer = await connect(world, wire=wire_format(MSGPACK, deflated=False))
    peer.join("lobby")
    peer.say(b"\x01\x00\x00hot", ext("chat", "send", data={"msg": "ext"}, room="lobby"))
    heard = peer.heard()
    assert [one if isinstance(one, bytes) else one["type"] for one in heard] == ["joined", b"\x01\x00\x00hot", "msg"]
    counters = world.tenant.counters
    assert (counters.messages_in_ext, counters.messages_in_hot) == (2, 1)


async def test_text_from_a_msgpack_client_is_a_bad_request() -> None:
    world = World()
    peer = await connect(world, wire=wire_format(MSGPACK, deflated=False))
    peer.say('{"v":1,"svc":"sys","type":"ping"}')
    assert peer.errors() == [("BAD_REQUEST", None)]


# sys.ping, pings and pongs


async def test_sys_ping_is_answered_with_its_data_and_seq() -> None:
    world = World()
    peer = await connect(world)
    peer.say(ext("sys", "ping", seq=5, data={"t": [1, None]}))
    assert peer.heard() == [ext("sys", "pong", seq=5, data={"t": [1, None]}, trace_id="f" * 32)]


async def test_a_ping_frame_is_answered_with_a_pong_of_its_payload_and_a_pong_with_nothing() -> None:
    world = World()
    peer = await connect(world)
    peer.event(Ping(b"abc"), Pong(b"abc"))
    assert peer.frames() == [(0xA, b"abc")]


# Ends


@pytest.mark.parametrize("code", [1000, 1001, None])
async def test_a_clients_close_is_echoed_and_the_socket_closed(code: int | None) -> None:
    world = World()
    peer = await connect(world)
    peer.event(CloseReceived(code, "bye"))
    assert peer.closed_with() == (code, "")
    assert peer.transport.ended == "closed"
    peer.vanish()
    assert world.tenant.counters.closed == {code or 1005: 1}


@pytest.mark.parametrize("code", [3000, 4000, 4999])
async def test_a_close_code_of_the_clients_own_is_echoed_and_never_becomes_a_label(code: int) -> None:
    world = World()
    peer = await connect(world)
    peer.event(CloseReceived(code, "bye"))
    assert peer.closed_with() == (code, "")
    peer.vanish()
    assert world.tenant.counters.closed == {1005: 1}


async def test_the_clients_answer_to_our_close_closes_the_socket() -> None:
    world = World()
    peer = await connect(world)
    peer.event(CloseConnection(4001, "idle"))
    assert peer.transport.ended is None
    peer.event(CloseReceived(4001, ""))
    assert peer.transport.ended == "closed"
    assert [opcode for opcode, _ in peer.frames()] == [8]


async def test_a_violation_closes_with_its_code_and_does_not_linger() -> None:
    world = World()
    peer = await connect(world)
    peer.event(Violation(CloseCode.TOO_BIG, "message too large"))
    assert peer.closed_with() == (1009, "message too large")
    world.scheduler.advance(0.4)
    assert peer.transport.ended == "aborted"


async def test_a_slow_consumer_is_closed_4000_and_its_queue_discarded() -> None:
    world = World(qos={"reliable_max_messages": 8})
    peer = await connect(world)
    peer.transport.fill()
    peer.event(Ping(b"fills it"))
    peer.say(*[ext("sys", "ping")] * 9)
    assert peer.closed_with() == (4000, "slow consumer")
    assert world.tenant.counters.slow_disconnects == 1
    assert list(world.tenant.counters.lanes.queued) == [0, 0, 0]


async def test_a_stalled_transport_is_closed_4000() -> None:
    world = World()
    peer = await connect(world)
    peer.transport.fill(100)
    peer.event(Ping(b"x"))
    world.scheduler.advance(3.5)
    assert world.stalled == [peer.outlet]
    assert peer.closed_with() == (4000, "no progress")
    assert peer.transport.ended == "aborted"


# Services


class Odd:
    """A service that replies, refuses, or fails."""

    types = frozenset({"reply", "refuse", "fail", "nothing"})

    def handle(self, context: ServiceContext, envelope: Envelope) -> Reply | Refuse | None:
        if envelope.type == "reply":
            who = [context.tenant, context.user, context.sid, context.active_room, context.metadata]
            return Reply(who, "answer")
        if envelope.type == "refuse":
            return Refuse(ErrorCode.TIMEOUT, "too late")
        if envelope.type == "fail":
            raise RuntimeError("secret detail")
        return None


async def test_a_service_replies_refuses_or_says_nothing() -> None:
    world = World(ext={"crash": Odd()})
    peer = await connect(world, "ann", room="lobby", sid="s", metadata={"plan": "gold"})
    peer.say(ext("crash", "reply", seq=1))
    assert peer.heard() == [ext("crash", "answer", seq=1, data=["t", "ann", "s", "lobby", {"plan": "gold"}])]
    peer.say(ext("crash", "refuse", seq=2))
    assert peer.errors() == [("TIMEOUT", 2)]
    peer.say(ext("crash", "nothing", seq=3))
    assert peer.heard() == []


async def test_a_crash_ends_one_connection_alone_and_tells_no_detail() -> None:
    world = World(ext={"crash": Odd()})
    victim, other = await connect(world, "ann", room="lobby"), await connect(world, "bob", room="lobby")
    victim.say(ext("crash", "fail"))
    assert b"secret" not in victim.transport.written
    assert victim.types_until_close() == ["error"]
    assert victim.closed_with() == (1011, "internal error")
    assert [str(error) for error in world.failures] == ["secret detail"]
    other.chat("still")
    assert other.types() == ["msg"]
    assert (world.tenant.sessions, other.closed_with()) == (1, None)
    assert world.tenant.counters.closed == {1011: 1}


async def test_a_tickets_rooms_hold_for_publishing_without_membership_too() -> None:
    world = World(policy={"publish_requires_membership": False})
    listener = await connect(world, "bob")
    for room in ("match:1", "lobby"):
        listener.join(room)
    listener.types()
    peer = await connect(world, "ann", rooms=("match:*",))
    peer.chat("hi", room="match:1")
    peer.chat("hi", room="lobby")
    assert peer.errors() == [("NOT_ALLOWED", None)]
    assert world.tenant.counters.decisions[Reason.NOT_ALLOWED_ROOM] == 1
    assert [one["room"] for one in listener.heard() if isinstance(one, dict)] == ["match:1"]


async def test_a_connection_that_has_ended_leaves_nothing_that_only_the_collector_would_find() -> None:
    """It looks at everything seldom: what a wave of clients leaves would stand in the memory of the next one."""
    world = World()
    with leftovers() as left:
        for number in range(10):
            peer = await connect(world, f"u{number}", "lobby")
            peer.vanish()
            world.settle()
        del peer
        world.scheduler.advance(60)  # who asked for its session had a deadline, which holds the answer
    for kind in (Session, Outlet, Connection):
        assert left[kind] <= 1, "the last one may still be in the hands of this test's task"
