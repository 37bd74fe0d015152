"""What is published into a room over nodes and waits for the broker."""

from __future__ import annotations

from tests.cluster_model import MakeCluster
from wsprism.realtime.messages import ExtPublication
from wsprism.realtime.room.outbox import Outbox


async def test_who_waits_until_it_is_empty_is_told_when_all_that_waits_is_of_somebody_put_out(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster()
    ann = await cluster.member(0, "ann", "a")
    tenant = cluster.worlds[0].tenant
    room = tenant.registry.rooms["a"].ref
    outbox = Outbox("a", tenant, cluster.brokers[0])
    outbox.add(ExtPublication("chat", "msg", b"{}", ann.session))
    ann.session.put_out(room)
    told: list[bool] = []
    outbox.when_empty = lambda: told.append(outbox.busy)
    outbox.send(room)
    cluster.settle()
    assert told == [False]
    assert not cluster.redis.log
