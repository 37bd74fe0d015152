"""Every member of a room sees one order of ext messages, and every sender's messages in the order of their sending."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qos import Pacer
from tests.examples import examples
from tests.realtime_support import Holding, Peer, World
from wsprism.realtime.room import actor as room

MEMBERS = 5

steps = st.lists(
    st.tuples(
        st.integers(0, MEMBERS - 1),
        st.integers(1, 4),
        st.sampled_from(["none", "turn", "settle", "block", "drain", "rejoin", "wait"]),
    ),
    max_size=40,
)


def go_on(world: World, peer: Peer, then: str) -> None:
    """What happens behind a message: some time for the gateway, or for the peer's socket, or nothing."""
    if then == "turn":
        world.scheduler.run_once()
    elif then == "settle":
        world.settle()
    elif then == "wait":
        world.scheduler.advance(0.01)
    elif then == "block":
        peer.transport.fill()
    elif then == "drain":
        peer.transport.drain()


def chat(sender: int, number: int) -> str:
    return f'{{"v":1,"svc":"chat","type":"send","data":{{"msg":"{sender}.{number}"}}}}'


def texts(peer: Peer) -> list[str]:
    return [one["data"]["msg"] for one in peer.heard() if isinstance(one, dict) and one["type"] == "msg"]


@pytest.mark.parametrize(("fan_out_size", "pacer"), [(512, None), (2, None), (512, Holding()), (2, Holding())])
@given(script=steps)
@settings(max_examples=examples(80), deadline=None)
def test_all_members_see_one_order_whatever_interleaves(
    fan_out_size: int, pacer: Pacer | None, script: list[tuple[int, int, str]]
) -> None:
    async def run() -> None:
        world = World(pacer=pacer)
        peers = [await world.connect(f"u{number}") for number in range(MEMBERS)]
        for peer in peers:
            peer.join("r")
        sent = [0] * MEMBERS
        for sender, burst, then in script:
            peer = peers[sender]
            if then == "rejoin":
                peer.say('{"v":1,"svc":"room","type":"join","room":"r"}')
            peer.session.connection.deliver([chat(sender, sent[sender] + extra) for extra in range(burst)])
            sent[sender] += burst
            go_on(world, peer, then)
        for peer in peers:
            peer.transport.drain()
        world.scheduler.advance(0.1)
        heard = [texts(peer) for peer in peers]
        assert all(one == heard[0] for one in heard)
        for sender in range(MEMBERS):
            own = [text for text in heard[0] if text.startswith(f"{sender}.")]
            assert own == [f"{sender}.{number}" for number in range(sent[sender])]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "FAN_OUT_WORK", fan_out_size)
        patch.setattr(room, "_GATHERING_SIZE", 2)
        asyncio.run(run())


STAYING, MOVERS = 3, 3
moves = st.lists(
    st.tuples(
        st.integers(0, STAYING + MOVERS - 1),
        st.sampled_from(["say", "relay", "move", "move", "members"]),
        st.integers(1, 2),
        st.sampled_from(["none", "turn", "turn", "turn", "settle", "block", "drain", "wait"]),
    ),
    min_size=10,
    max_size=60,
)


def in_room(kind: str) -> str:
    return f'{{"v":1,"svc":"room","type":"{kind}","room":"r"}}'


def messages_in(heard: list[dict[str, Any] | bytes]) -> list[str]:
    return [one["data"]["msg"] for one in heard if isinstance(one, dict) and one["type"] == "msg"]


def check_stays(heard: list[dict[str, Any] | bytes], ext: list[str], inside: bool) -> None:
    """Nothing before ``joined`` and nothing after ``left``; in between all there was, without a gap."""
    stay: list[str] | None = None
    for one in heard:
        kind = one["type"] if isinstance(one, dict) else ""
        if kind == "joined":
            assert stay is None
            stay = []
        elif kind in ("left", "msg"):
            assert stay is not None, kind
            if kind == "msg":
                stay += messages_in([one])
                continue
            assert not stay or stay == ext[ext.index(stay[0]) :][: len(stay)]
            stay = None
    assert (stay is not None) == inside
    assert not stay or stay == ext[ext.index(stay[0]) :]


@pytest.mark.parametrize(("work", "pacer"), [(512, None), (2, None), (512, Holding()), (2, Holding())])
@given(script=moves)
@settings(max_examples=examples(100), deadline=None)
def test_whoever_relays_joins_leaves_or_asks_sees_its_own_part_of_one_order(
    work: int, pacer: Pacer | None, script: list[tuple[int, str, int, str]]
) -> None:
    """The first member only listens, and so hears everything; the last ones come and go."""

    async def run() -> None:
        world = World(pacer=pacer, qos={"hot_max_frames": 100_000})
        peers = [await world.connect(f"u{number}") for number in range(1 + STAYING + MOVERS)]
        speakers = peers[1:]
        for peer in peers:
            peer.join("r")
        inside = [True] * len(speakers)
        asked = [0] * len(speakers)
        serial = 0
        for number, action, times, then in script:
            peer = speakers[number]
            messages: list[str | bytes] = []
            for _ in range(times):
                serial += 1
                if action == "move" and number >= STAYING:
                    messages.append(in_room("leave" if inside[number] else "join"))
                    inside[number] = not inside[number]
                elif not inside[number]:
                    break
                elif action == "relay":
                    messages.append(b"\x02\x00\x00" + bytes([number]) + serial.to_bytes(4, "big"))
                elif action == "members":
                    messages.append(in_room("members"))
                    asked[number] += 1
                else:
                    messages.append(chat(number, serial))
            peer.session.connection.deliver(list(messages))
            go_on(world, peer, then)
        for peer in peers:
            peer.transport.drain()
        world.scheduler.advance(0.1)
        world.settle()
        assert not world.failures
        everything = peers[0].heard()
        ext = messages_in(everything)
        hot = [one for one in everything if isinstance(one, bytes)]
        for number, peer in enumerate(speakers):
            heard = peer.heard()
            kinds = [one["type"] for one in heard if isinstance(one, dict)]
            assert "error" not in kinds
            assert kinds.count("members") == asked[number]
            others = [one for one in hot if one[3] != number]
            own = [one for one in heard if isinstance(one, bytes)]
            if number < STAYING:
                assert messages_in(heard) == ext
                assert own == others
            else:
                assert own == [one for one in others if one in own]
                check_stays(heard, ext, inside[number])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "FAN_OUT_WORK", work)
        patch.setattr(room, "_GATHERING_SIZE", 2)
        asyncio.run(run())
