"""What a connection's socket says while something is awaited: one order, bounded in time and work."""

from __future__ import annotations

import json
from typing import Any

from tests.realtime_support import Peer, World
from wsprism.protocol.codes import CloseCode
from wsprism.protocol.websocket import CloseReceived, Ping, Violation
from wsprism.realtime.connection.pending import Pending
from wsprism.realtime.connection.socket_events import LAST_WORDS_S
from wsprism.realtime.decision import Decision
from wsprism.realtime.messages import CloseConnection, TransportLost


def chat(text: str) -> str:
    return json.dumps({"v": 1, "svc": "chat", "type": "send", "data": {"msg": text}})


def actor(peer: Peer) -> Any:
    connection: Any = peer.session.connection
    return connection._actor


def texts(peer: Peer) -> list[str]:
    return [one["data"]["msg"] for one in peer.heard() if isinstance(one, dict) and one["type"] == "msg"]


async def two_in_a_room(world: World) -> tuple[Peer, Peer]:
    peers = await world.connect("ann"), await world.connect("bob")
    for peer in peers:
        peer.join("lobby")
        peer.heard()
    peers[1].heard()
    return peers


async def test_what_holds_nothing_back_is_awaited_beside_the_messages() -> None:
    world = World()
    ann, bob = await two_in_a_room(world)
    actor(ann).expect(Decision(holds_back=False))
    ann.say(chat("at once"))
    assert texts(bob) == ["at once"]


async def test_several_that_are_awaited_hold_the_line_until_the_last_of_them_is_known() -> None:
    world = World()
    ann, bob = await two_in_a_room(world)
    first, second, beside = Decision(), Decision(), Decision(holds_back=False)
    for one in (first, beside, second):
        actor(ann).expect(one)
    ann.say(chat("1"))
    actor(ann).settle(second, granted=True)
    actor(ann).settle(second, granted=True)
    actor(ann).settle(Decision(), granted=True)
    world.settle()
    assert texts(bob) == []
    actor(ann).settle(first, granted=True)
    world.settle()
    assert texts(bob) == ["1"]
    actor(ann).settle(beside, granted=True)
    assert actor(ann).pending is None


async def test_a_socket_that_is_gone_leaves_time_for_what_was_said_before() -> None:
    world = World()
    ann, bob = await two_in_a_room(world)
    decision = Decision()
    actor(ann).expect(decision)
    ann.event(chat("last words"), TransportLost("gone"))
    assert world.tenant.sessions == 2
    world.scheduler.advance(LAST_WORDS_S / 2)
    actor(ann).settle(decision, granted=True)
    world.settle()
    assert (texts(bob), world.tenant.sessions) == (["last words"], 1)


async def test_that_time_is_bounded_and_a_close_before_the_end_is_still_told() -> None:
    world = World()
    ann, bob = await two_in_a_room(world)
    actor(ann).expect(Decision())
    ann.event(chat("too late"), CloseReceived(1000, "bye"), TransportLost("gone"))
    world.scheduler.advance(LAST_WORDS_S)
    assert (texts(bob), world.tenant.sessions) == ([], 1)
    assert world.tenant.counters.closed == {1000: 1}
    assert world.failures == []


async def test_a_socket_that_has_said_nothing_behind_the_question_ends_at_once() -> None:
    world = World()
    ann, _ = await two_in_a_room(world)
    actor(ann).expect(Decision())
    ann.event(CloseReceived(1000, "bye"), TransportLost("gone"))
    assert (world.tenant.sessions, world.tenant.counters.closed) == (1, {1000: 1})


async def test_an_end_from_outside_waits_for_nothing_and_lets_nothing_be_heard() -> None:
    world = World()
    ann, bob = await two_in_a_room(world)
    actor(ann).expect(Decision())
    ann.event(chat("unheard"), CloseReceived(1000, "bye"))
    ann.event(CloseConnection(4001, "idle"))
    assert ann.closed_with() == (4001, "idle")
    assert ann.transport.ended == "closed"
    assert texts(bob) == []


async def test_a_ping_is_answered_though_messages_wait() -> None:
    world = World()
    ann, _ = await two_in_a_room(world)
    actor(ann).expect(Decision())
    ann.event(chat("1"), Ping(b"alive"))
    assert ann.frames() == [(0xA, b"alive")]


async def test_a_flood_of_pings_closes_behind_the_messages_before_it() -> None:
    world = World()
    ann, bob = await two_in_a_room(world)
    decision = Decision()
    actor(ann).expect(decision)
    ann.event(chat("before"), *[Ping(b"x")] * 400, chat("after"))
    assert len(actor(ann).pending.line) == 3
    actor(ann).settle(decision, granted=True)
    world.settle()
    assert texts(bob) == ["before"]
    assert ann.closed_with() == (4002, "too many control frames")


async def test_a_violation_waits_for_its_turn() -> None:
    world = World()
    ann, bob = await two_in_a_room(world)
    decision = Decision()
    actor(ann).expect(decision)
    ann.event(chat("before"), Violation(CloseCode.TOO_BIG, "too large"))
    assert ann.closed_with() is None
    actor(ann).settle(decision, granted=True)
    world.settle()
    assert (texts(bob), ann.closed_with()) == (["before"], (1009, "too large"))


async def test_a_long_line_is_heard_some_at_a_time_and_what_comes_meanwhile_stands_behind_it() -> None:
    world = World()
    ann, bob = await two_in_a_room(world)
    decision = Decision()
    actor(ann).expect(decision)
    ann.event(*[chat(str(number)) for number in range(150)])
    actor(ann).settle(decision, granted=True)
    assert len(actor(ann).pending.line) == 150 - 64
    actor(ann).receive(chat("150"))
    assert len(actor(ann).pending.line) == 150 - 64 + 1
    world.settle()
    assert texts(bob) == [str(number) for number in range(151)]
    assert actor(ann).pending is None


async def test_reading_goes_on_after_a_close_so_that_the_peers_own_is_heard() -> None:
    world = World()
    ann, _ = await two_in_a_room(world)
    actor(ann).expect(Decision())
    ann.event(*["x" * 200] * 400)
    assert not ann.transport.reading
    ann.event(CloseConnection(4001, "idle"))
    assert ann.transport.reading


def test_an_account_of_the_line_is_kept() -> None:
    pending = Pending()
    assert pending.idle
    pending.hold_back("é")
    pending.hold_back(CloseReceived(None, ""))
    assert (pending.line_bytes, pending.messages, pending.ends, pending.idle) == (2, 1, True, False)
    assert [pending.next(), pending.next()] == ["é", CloseReceived(None, "")]
    assert (pending.line_bytes, pending.messages, pending.idle) == (0, 0, True)
