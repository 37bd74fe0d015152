"""Every member of a room sees one order of ext messages, and every sender's messages in the order of their sending."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qos import Pacer
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


def chat(sender: int, number: int) -> str:
    return f'{{"v":1,"svc":"chat","type":"send","data":{{"msg":"{sender}.{number}"}}}}'


def texts(peer: Peer) -> list[str]:
    return [one["data"]["msg"] for one in peer.heard() if isinstance(one, dict) and one["type"] == "msg"]


@pytest.mark.parametrize(("fan_out_size", "pacer"), [(512, None), (2, None), (512, Holding()), (2, Holding())])
@given(script=steps)
@settings(max_examples=80, deadline=None)
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
