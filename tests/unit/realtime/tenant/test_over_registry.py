"""Sessions and memberships that are counted over all nodes: limits, kicks, revocations, and a node taken for dead."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import msgspec
import pytest
from msgspec import structs

from tests.cluster_model import Cluster
from tests.cluster_model import MakeCluster as Make
from tests.realtime_support import Peer
from wsprism.policy.decisions import Denied, Reason
from wsprism.policy.revocation import Revocable
from wsprism.protocol.codes import CloseCode
from wsprism.realtime.messages import LiftRevocation, Revoke
from wsprism.realtime.tenant.about import MOST_BYTES, about, about_from, about_session
from wsprism.realtime.tenant.backend_messages import JoinForBackend, Who


@pytest.fixture
def make(make_cluster: Make) -> Make:
    return partial(make_cluster, registry=True)


def counted(cluster: Cluster) -> tuple[int, int]:
    """Sessions and memberships of the registry."""
    return len(cluster.redis.sessions), sum(map(len, cluster.redis.members.values()))


async def test_the_tenants_sessions_are_bounded_over_all_nodes_and_leave_their_place(make: Make) -> None:
    cluster = make(limits={"max_sessions_total": 2})
    ann = await cluster.connect(0, "ann")
    await cluster.connect(1, "bob")
    full = await cluster.open(1, "cora")
    assert isinstance(full, Denied)
    assert full.reason is Reason.TENANT_FULL
    ann.vanish()
    cluster.settle()
    await cluster.connect(1, "cora")
    assert counted(cluster) == (2, 0)


async def test_a_users_oldest_session_gives_way_on_whatever_node_it_is(make: Make) -> None:
    policy = {"sessions": {"max_sessions_per_user": 1, "on_exceed": "kick_oldest"}}
    cluster = make(policy=policy)
    old = await cluster.member(0, "ann", "a")
    await cluster.connect(1, "ann")
    assert old.closed_with() == (CloseCode.KICKED, "kicked_oldest")
    assert counted(cluster) == (1, 0)
    assert cluster.worlds[0].connections() == 0


async def test_the_same_sid_is_replaced_on_another_node_and_on_the_same(make: Make) -> None:
    cluster = make()
    first = await cluster.connect(0, "ann", "s")
    second = await cluster.connect(1, "ann", "s")
    assert first.closed_with() == (CloseCode.KICKED, "replaced")
    await cluster.connect(1, "ann", "s")
    assert second.closed_with() == (CloseCode.KICKED, "replaced")
    assert counted(cluster) == (1, 0)


async def test_a_session_that_was_replaced_while_its_node_could_not_hear_ends_when_it_can(make: Make) -> None:
    cluster = make()
    first = await cluster.member(0, "ann", "a")
    cluster.brokers[0].lose()
    second = await cluster.connect(1, "ann", first.session.sid)
    assert first.closed_with() is None
    cluster.brokers[0].come_again()
    cluster.settle()
    assert (first.closed_with(), second.closed_with()) == ((CloseCode.KICKED, "replaced"), None)
    assert counted(cluster) == (1, 0)


async def test_an_opening_whose_session_was_replaced_before_it_was_answered_ends_as_it_begins(make: Make) -> None:
    cluster = make()
    opening = asyncio.ensure_future(cluster.worlds[0].ask("ann", "s"))
    for _ in range(3):
        await asyncio.sleep(0)
        cluster.scheduler.run_until_idle()
    cluster.brokers[0].lose(executed=1)
    await cluster.connect(1, "ann", "s")
    cluster.brokers[0].come_again()
    cluster.settle()
    answer = await opening
    assert not isinstance(answer, Denied)
    assert cluster.worlds[0].attach(answer.session).closed_with() == (CloseCode.KICKED, "replaced")
    assert counted(cluster) == (1, 0)


async def test_the_backend_is_told_that_a_newer_session_took_its_place_on_another_node(make: Make) -> None:
    cluster = make(policy={"sessions": {"max_sessions_per_user": 1, "on_exceed": "kick_oldest"}})
    first = await cluster.connect(0, "ann", "s")
    second = await cluster.connect(1, "ann", "s")
    await cluster.connect(0, "ann", "t")
    assert (first.session.superseded, second.session.superseded) == (True, False)


async def test_one_session_too_many_is_told_so_where_it_is_not_to_replace_another(make: Make) -> None:
    cluster = make(policy={"sessions": {"max_sessions_per_user": 1, "on_exceed": "deny"}})
    await cluster.connect(0, "ann")
    refused = await cluster.open(1, "ann")
    assert isinstance(refused, Peer)
    assert refused.closed_with() == (CloseCode.TOO_MANY_SESSIONS, "too many sessions")
    assert counted(cluster) == (1, 0)


async def test_a_room_is_full_over_all_nodes(make: Make) -> None:
    cluster = make(limits={"max_users_per_room": 1, "max_rooms_per_user": 1})
    ann = await cluster.member(0, "ann", "a")
    bob = await cluster.member(1, "bob", "a")
    assert bob.errors() == [("RESOURCE_EXHAUSTED", None)]
    again = await cluster.member(1, "ann", "a")
    assert again.types() == ["joined"], "a user counts once"
    cluster.join(again, "b")
    assert again.errors() == [("RESOURCE_EXHAUSTED", None)]
    for peer in (ann, again):
        peer.say({"v": 1, "svc": "room", "type": "leave", "room": "a"})
    cluster.settle()
    cluster.join(bob, "a")
    assert bob.types() == ["joined"]
    assert counted(cluster) == (3, 1)


async def test_what_is_said_behind_a_join_waits_for_the_registry(make: Make) -> None:
    cluster = make()
    ann = await cluster.connect(0, "ann")
    ann.say(
        {"v": 1, "svc": "room", "type": "join", "room": "a"},
        {"v": 1, "svc": "chat", "type": "send", "room": "a", "data": {"msg": "hi"}},
    )
    cluster.settle()
    assert ann.types() == ["joined", "msg"]


async def test_a_session_that_ends_while_it_joins_leaves_nothing_behind(make: Make) -> None:
    cluster = make()
    ann = await cluster.connect(0, "ann")
    ann.say({"v": 1, "svc": "room", "type": "join", "room": "a"})
    ann.vanish()
    cluster.settle()
    cluster.scheduler.advance(5.0)
    cluster.settle()
    assert counted(cluster) == (0, 0)
    assert not cluster.worlds[0].tenant.registry.rooms


async def test_ends_while_the_registry_is_away_are_made_up_for(make: Make) -> None:
    cluster = make()
    ann = await cluster.member(0, "ann", "a")
    cluster.brokers[0].lose()
    cluster.settle()
    ann.vanish()
    cluster.settle()
    assert counted(cluster) == (1, 1)
    refused = await cluster.open(0, "bob")
    assert isinstance(refused, Denied)
    assert refused.reason is Reason.BROKER_AWAY
    cluster.brokers[0].come_again()
    cluster.settle()
    assert counted(cluster) == (0, 0)


async def test_a_revoked_user_is_out_on_every_node_and_comes_in_on_none(make: Make) -> None:
    cluster = make()
    peers = [await cluster.connect(node, "ann") for node in (0, 1)]
    assert await cluster.ask(1, Revoke(Revocable.USER, "ann", 1e9)) == 2
    assert [peer.closed_with() for peer in peers] == [(CloseCode.TICKET, "ticket revoked")] * 2
    for node in (0, 1):
        refused = await cluster.open(node, "ann")
        assert isinstance(refused, Denied)
        assert refused.reason is Reason.REVOKED
    assert await cluster.ask(0, LiftRevocation(Revocable.USER, "ann")) == 1
    await cluster.connect(1, "ann")


async def test_a_node_that_was_taken_for_dead_counts_its_sessions_anew_and_ends_what_no_longer_fits(make: Make) -> None:
    cluster = make(limits={"max_sessions_total": 2, "max_users_per_room": 1})
    ann, bob = await cluster.member(0, "ann", "a"), await cluster.member(0, "bob", "b")
    cluster.redis.registries[0].reap()
    await cluster.member(1, "cora", "a")
    cluster.redis.registries[0].fence()
    cluster.settle()
    ends = [peer.closed_with() for peer in (ann, bob)]
    assert ends.count(None) == 1, "one place was left"
    assert counted(cluster)[0] == 2
    assert [len(cluster.redis.members[room]) for room in ("a", "b")] == [1, 0]
    assert "left" in ann.types()


@pytest.mark.parametrize(
    ("most", "sid", "reason"), [(0, "s", "replaced"), (1, "t", "kicked_oldest")], ids=["same sid", "one too many"]
)
async def test_a_session_that_is_counted_anew_gives_way_to_a_newer_one(
    make: Make, most: int, sid: str, reason: str
) -> None:
    policy = {"sessions": {"max_sessions_per_user": most, "on_exceed": "kick_oldest"}}
    cluster = make(policy=policy)
    old = await cluster.connect(0, "ann", "s")
    cluster.brokers[0].lose()
    cluster.redis.registries[0].reap()
    new = await cluster.connect(1, "ann", sid)
    cluster.brokers[0].come_again()
    cluster.redis.registries[0].fence()
    cluster.settle()
    assert (old.closed_with(), new.closed_with()) == ((CloseCode.KICKED, reason), None)
    assert counted(cluster) == (1, 0)
    # And the newer one replaces it where it comes second.
    for node in (0, 1):
        cluster.redis.registries[node].reap()
        cluster.redis.registries[node].fence()
    cluster.settle()
    assert new.closed_with() is None
    assert counted(cluster) == (1, 0)


async def test_a_session_that_is_counted_anew_is_known_by_the_number_that_it_had(make: Make) -> None:
    cluster = make()
    ann = await cluster.connect(0, "ann")
    key = ann.session.key
    cluster.redis.registries[0].reap()
    cluster.redis.registries[0].fence()
    cluster.settle()
    assert [one for one, _ in cluster.redis.sessions.values()] == [key]
    assert ann.session.key == key
    assert key is not None
    assert key.generation == ann.session.generation


async def test_many_sessions_are_counted_anew_some_at_a_time_and_once_each(make: Make) -> None:
    cluster = make()
    for n in range(250):
        await cluster.connect(0, f"u{n}")
    registry = cluster.redis.registries[0]
    registry.reap()
    registry.fence()
    cluster.settle()
    some = counted(cluster)[0]
    assert 0 < some < 250
    registry.reap()
    registry.fence()  # once more, in the middle of it
    cluster.settle()
    generations = [key.generation for key, _ in cluster.redis.sessions.values()]
    for _ in range(5):
        cluster.scheduler.advance(0.03)
        cluster.settle()
    assert counted(cluster)[0] == 250
    assert (
        sorted(generations) == sorted(key.generation for key, _ in cluster.redis.sessions.values())[: len(generations)]
    )


async def test_a_room_that_filled_meanwhile_is_left(make: Make) -> None:
    cluster = make(limits={"max_users_per_room": 1})
    ann = await cluster.member(0, "ann", "a")
    ann.heard()
    registry = cluster.redis.registries[0]
    registry.reap()
    await cluster.member(1, "cora", "a")
    registry.fence()
    cluster.settle()
    assert ann.types() == ["left"]
    assert ann.closed_with() is None


async def test_the_backends_join_is_counted_too(make: Make) -> None:
    cluster = make(limits={"max_users_per_room": 1})
    ann, bob = await cluster.connect(0, "ann"), await cluster.connect(1, "bob")
    assert await cluster.ask(0, JoinForBackend("a", Who("ann"), active=True)) == 1
    assert ann.types() == ["joined"]
    denied = await cluster.ask(1, JoinForBackend("a", Who("bob"), active=True))
    assert isinstance(denied, Denied)
    assert denied.reason is Reason.ROOM_FULL
    assert bob.heard() == []


async def test_room_members_counts_over_all_nodes_and_is_refused_while_redis_is_away(make: Make) -> None:
    cluster = make()
    ann = await cluster.member(0, "ann", "a")
    for user in ("ann", "bob"):
        await cluster.member(1, user, "a")
    ann.heard()
    question: dict[str, Any] = {"v": 1, "svc": "room", "type": "members", "room": "a", "seq": 3}
    ann.say(question)
    cluster.settle()
    (answer,) = ann.heard()
    assert isinstance(answer, dict)
    assert (answer["type"], answer["seq"], answer["data"]) == ("members", 3, {"users": 2, "sessions": 3})
    cluster.brokers[0].lose()
    ann.say(question)
    cluster.settle()
    assert ann.errors() == [("UNAVAILABLE", 3)]


async def test_what_lists_say_of_a_session_follows_its_refresh(make: Make) -> None:
    cluster = make()
    ann = await cluster.connect(0, "ann")
    assert ann.session.key is not None
    before = cluster.redis.abouts[ann.session.key]
    assert about_from(before).address == "::1"
    ann.session.principal = structs.replace(ann.session.principal, metadata={"level": 1})
    ann.say({"v": 1, "svc": "sys", "type": "refresh", "data": {"ticket": "refresh:ann"}})
    for _ in range(3):
        await asyncio.sleep(0)
        cluster.settle()
    assert ann.types() == ["refreshed"]
    assert cluster.redis.abouts[ann.session.key] == about_session(ann.session, None)


def test_what_is_too_much_to_be_told_to_other_nodes_is_left_out() -> None:
    said = about_from(about("n1", "::1", {"a": 1}, msgspec.Raw(b'{"b": 2}')))
    assert (said.node, said.address, said.metadata, said.info) == ("n1", "::1", {"a": 1}, {"b": 2})
    much = about("n1", "::1", {"a": "x" * MOST_BYTES}, None)
    assert len(much) < 100
    assert (about_from(much).node, about_from(much).metadata) == ("n1", {})
    assert about_from(b"\xff").node is None
