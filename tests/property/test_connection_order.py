"""What a client's socket says stands in one order: messages, joins, leaves, its Close, a violation, its end.

A script is said in pieces with any number of turns between them; others in the rooms hear exactly what the same script
brings about when each step settles before the next.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.native import replace_constant
from tests.realtime_support import Peer, World
from wsprism.protocol.codes import CloseCode
from wsprism.protocol.websocket import CloseReceived, Ping, Violation
from wsprism.realtime.connection import core
from wsprism.realtime.connection.pending import MAX_HELD_BACK
from wsprism.realtime.connection.socket_events import LAST_WORDS_S
from wsprism.realtime.messages import CloseConnection, TransportLost
from wsprism.realtime.rules import TenantRules

ROOMS = ("r1", "r2", "r3")
MOST_ROOMS = 2
END = {
    "close": CloseReceived(1000, "bye"),
    "violation": Violation(CloseCode.PROTOCOL_ERROR, "odd"),
    "lost": TransportLost("gone"),
}

saying = st.one_of(
    st.tuples(st.just("join"), st.sampled_from(ROOMS)),
    st.tuples(st.just("leave"), st.none() | st.sampled_from(ROOMS)),
    st.tuples(st.just("chat"), st.none() | st.sampled_from(ROOMS)),
    st.tuples(st.just("ping"), st.none()),
)
turns = st.tuples(st.just("turns"), st.integers(1, 4))
ends = st.lists(st.sampled_from([*END]), max_size=2, unique=True)


class Model:
    """A client whose steps settle one by one: what others hear of it."""

    def __init__(self) -> None:
        self.rooms: list[str] = []
        self.heard: list[tuple[str, int]] = []

    def step(self, kind: str, room: str | None, number: int) -> None:
        named = room or (self.rooms[-1] if self.rooms else None)
        if kind == "join":
            if room in self.rooms or len(self.rooms) < MOST_ROOMS:
                self.rooms = [*(one for one in self.rooms if one != room), str(room)]
        elif named in self.rooms:
            if kind == "leave":
                self.rooms.remove(named)
            elif kind == "chat":
                self.heard.append((named, number))


def event(kind: str, room: str | None, number: int) -> object:
    if kind == "ping":
        return Ping(b"x")
    svc, name = ("chat", "send") if kind == "chat" else ("room", kind)
    message: dict[str, Any] = {"v": 1, "svc": svc, "type": name}
    if room is not None:
        message["room"] = room
    if kind == "chat":
        message["data"] = {"msg": str(number)}
    return json.dumps(message)


async def listener(world: World) -> Peer:
    peer = await world.connect("listener")
    for room in ROOMS:
        peer.join(room)
    peer.heard()
    return peer


def heard_by(peer: Peer) -> list[tuple[str, int]]:
    return [
        (one["room"], int(one["data"]["msg"])) for one in peer.heard() if isinstance(one, dict) and one["svc"] == "chat"
    ]


def run(script: list[tuple[str, Any]], closing: list[str], kicked_at: int | None) -> None:
    async def go() -> None:
        world = World(limits={"max_rooms_per_user": 0}, qos={"control_max_messages": 10_000})
        others = await listener(world)
        world.tenant.apply(limited(world))
        peer = await world.connect("speaker")
        connection, model = peer.session.connection, Model()
        said: list[object] = []
        for number, (kind, what) in enumerate(script):
            if number == kicked_at:
                connection.deliver(said)
                said = []
                peer.session.end()
                connection.tell_control(CloseConnection(4500, "told to"))
            if kind == "turns":
                connection.deliver(said)
                said = []
                for _ in range(what):
                    world.scheduler.run_once()
            else:
                said.append(event(kind, what, number))
                model.step(kind, what, number)
        connection.deliver([*said, *(END[one] for one in closing if one != "lost")])
        if "lost" in closing:
            peer.outlet.lost()
            connection.tell_control(END["lost"])
        world.settle()
        heard = heard_by(others)
        for room in ROOMS:  # each has one order; between them there is none
            there, meant = ([number for where, number in one if where == room] for one in (heard, model.heard))
            if kicked_at is None or kicked_at >= len(script):
                assert there == meant
            else:
                assert there == meant[: len(there)]
        if closing and kicked_at is None:
            assert not peer.session.connection.alive or peer.closed_with() is not None
        assert world.failures == []
        if "lost" not in closing:
            peer.vanish()
        world.scheduler.advance(LAST_WORDS_S)
        assert world.tenant.sessions == 1
        assert not connection.alive

    asyncio.run(go())


def limited(world: World) -> TenantRules:
    return replace(world.tenant.rules, limits=replace(world.tenant.rules.limits, max_rooms_per_user=MOST_ROOMS))


@pytest.mark.parametrize("heard_at_once", [64, 1])
@given(script=st.lists(saying | turns, max_size=40), closing=ends)
@settings(max_examples=examples(150), deadline=None)
def test_others_hear_what_was_said_before_the_end_whatever_the_turns(
    heard_at_once: int, script: list[tuple[str, Any]], closing: list[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if heard_at_once != core._HEARD_AT_ONCE:
            replace_constant(patch, core, "_HEARD_AT_ONCE", heard_at_once)
        run(script, closing, None)


@given(script=st.lists(saying | turns, max_size=40), closing=ends, kicked_at=st.integers(0, 40))
@settings(max_examples=examples(100), deadline=None)
def test_who_is_put_out_is_heard_up_to_that_moment_and_no_further(
    script: list[tuple[str, Any]], closing: list[str], kicked_at: int
) -> None:
    run(script, closing, kicked_at)


def test_rooms_have_an_order_each_and_none_between_them() -> None:
    run([("join", "r2"), ("join", "r1"), ("chat", "r1"), ("chat", "r2"), ("chat", "r1")], [], None)


def test_a_long_line_is_heard_in_its_order() -> None:
    run([("join", "r1"), *[("chat", None)] * (3 * MAX_HELD_BACK), ("leave", None), ("chat", "r1")], ["close"], None)
