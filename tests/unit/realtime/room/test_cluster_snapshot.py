"""Snapshots of rooms over nodes: who comes late gets what members of other nodes have said."""

from __future__ import annotations

from functools import partial

import pytest

from tests.cluster_model import Cluster
from tests.cluster_model import MakeCluster as Make
from tests.realtime_support import Peer
from wsprism.protocol.hot import encode_hot
from wsprism.realtime.room.hot_exchange import HOT_TICK_S


@pytest.fixture
def make(make_cluster: Make) -> Make:
    rooms = [{"match": "r", "snapshot": {}}]
    return partial(make_cluster, registry=True, qos={"conflate": "sender_opcode"}, rooms=rooms)


def send(peer: Peer, opcode: int, payload: bytes) -> None:
    peer.say(encode_hot(1, opcode, payload))


def tick(cluster: Cluster) -> None:
    cluster.scheduler.advance(HOT_TICK_S)
    cluster.settle()


async def snapshot(cluster: Cluster, node: int, user: str) -> list[bytes]:
    """What somebody who joins on this node is given, and leaves again."""
    peer = await cluster.member(node, user, "r")
    frames = [one[3:] for one in peer.heard() if isinstance(one, bytes)]
    peer.say({"v": 1, "svc": "room", "type": "leave", "room": "r"})
    tick(cluster)
    return frames


async def test_who_comes_late_gets_what_was_said_on_other_nodes(make: Make) -> None:
    cluster = make()
    ann, _ = await cluster.member(0, "ann", "r"), await cluster.member(1, "bob", "r")
    send(ann, 1, b"old")
    send(ann, 2, b"a2")
    tick(cluster)
    send(ann, 1, b"a1")
    tick(cluster)
    assert await snapshot(cluster, 1, "late") == [b"a2", b"a1"]


@pytest.mark.parametrize("last", [False, True])
async def test_what_somebody_said_goes_everywhere_with_its_last_session_also_where_a_room_ends(
    make: Make, last: bool
) -> None:
    cluster = make(3)
    ann, bob = await cluster.member(0, "ann", "r"), await cluster.member(1, "bob", "r")
    if not last:
        await cluster.member(0, "stays", "r")
    send(ann, 1, b"ann")
    send(bob, 1, b"bob")
    tick(cluster)
    send(ann, 2, b"good-bye")
    bob.heard()
    ann.say({"v": 1, "svc": "room", "type": "leave", "room": "r"})
    cluster.settle()
    tick(cluster)
    assert [one[3:] for one in bob.heard() if isinstance(one, bytes)] == [b"good-bye"]
    assert await snapshot(cluster, 1, "late") == [b"bob"]


async def test_who_comes_again_within_a_tick_is_kept(make: Make) -> None:
    cluster = make()
    ann, _ = await cluster.member(0, "ann", "r"), await cluster.member(1, "bob", "r")
    await cluster.member(0, "stays", "r")
    send(ann, 1, b"before")
    ann.say({"v": 1, "svc": "room", "type": "leave", "room": "r"})
    cluster.join(ann, "r")
    send(ann, 2, b"after")
    tick(cluster)
    assert await snapshot(cluster, 1, "late") == [b"after"]


async def test_what_a_user_said_here_stays_when_it_leaves_elsewhere(make: Make) -> None:
    cluster = make()
    here, there = await cluster.member(0, "ann", "r"), await cluster.member(1, "ann", "r")
    send(here, 1, b"here")
    tick(cluster)
    there.say({"v": 1, "svc": "room", "type": "leave", "room": "r"})
    cluster.settle()
    tick(cluster)
    assert await snapshot(cluster, 0, "late") == [b"here"]
