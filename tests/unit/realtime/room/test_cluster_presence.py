"""Presence in rooms over nodes, against a model of the broker: everybody is seen from every node."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from tests.cluster_model import Cluster
from tests.cluster_model import MakeCluster as Make
from tests.native import replace_constant
from tests.realtime_support import Peer
from wsprism.policy.decisions import Denied
from wsprism.policy.room_rules import RoomTable
from wsprism.protocol.codes import ErrorCode
from wsprism.realtime.messages import InfoChanged, RulesChanged
from wsprism.realtime.room import roll_call, shared_attendance
from wsprism.realtime.room.waiting import JOINS_WAIT_S
from wsprism.realtime.tenant.presences import PresenceForBackend

BATCH_S = 0.5


@pytest.fixture
def make(make_cluster: Make) -> Make:
    def make(nodes: int = 2, registry: bool = True, **presence: Any) -> Cluster:
        rooms = [{"match": "r*", "presence": {"enabled": True, **presence}}]
        return make_cluster(nodes, registry=registry, rooms=rooms)

    return make


async def member(cluster: Cluster, node: int, user: str, sid: str = "1", **data: Any) -> Peer:
    """It has joined ``r``; the answer is still to be heard."""
    peer = await cluster.connect(node, user, sid)
    cluster.join(peer, "r", **data)
    return peer


def heard(peer: Peer, kind: str) -> list[dict[str, Any]]:
    return [one["data"] for one in peer.heard() if isinstance(one, dict) and one["type"] == kind]


def sids(users: dict[str, list[Any]]) -> set[tuple[str, str]]:
    return {(user, one["sid"]) for user, entries in users.items() for one in entries}


def tick(cluster: Cluster) -> None:
    cluster.scheduler.advance(BATCH_S)
    cluster.settle()
    cluster.scheduler.advance(BATCH_S)


async def listing(cluster: Cluster, node: int) -> Any:
    asked = asyncio.ensure_future(cluster.worlds[node].tenant.ref.ask(PresenceForBackend("r"), 1e9))
    for _ in range(3):
        await asyncio.sleep(0)
        cluster.settle()
    answer = await asked
    return answer if isinstance(answer, Denied) else msgspec.json.decode(msgspec.json.encode(answer))


async def test_a_member_sees_who_is_on_other_nodes_and_who_comes_changes_and_goes_there(make: Make) -> None:
    cluster = make()
    ann = await member(cluster, 0, "ann", presence=True, state={"x": 1})
    (joined,) = heard(ann, "joined")
    assert sids(joined["presence"]["users"]) == {("ann", "1")}
    bob = await member(cluster, 1, "bob", presence=True)
    (joined,) = heard(bob, "joined")
    assert sids(joined["presence"]["users"]) == {("ann", "1"), ("bob", "1")}
    assert joined["presence"]["users"]["ann"][0]["state"] == {"x": 1}
    assert (joined["presence"]["total_users"], joined["presence"]["total_sessions"]) == (2, 2)
    tick(cluster)
    (diff,) = heard(ann, "presence_diff")
    assert sids(diff["joined"]) == {("bob", "1")}
    assert heard(bob, "presence_diff") == [], "it knows itself already"
    bob.say({"v": 1, "svc": "room", "type": "state", "room": "r", "data": {"state": "typing"}})
    cluster.settle()
    tick(cluster)
    (diff,) = heard(ann, "presence_diff")
    assert diff["changed"]["bob"][0]["state"] == "typing"
    bob.say({"v": 1, "svc": "room", "type": "leave", "room": "r"})
    cluster.settle()
    tick(cluster)
    assert heard(ann, "presence_diff") == [{"joined": {}, "left": {"bob": ["1"]}, "changed": {}}]


async def test_a_listing_and_the_api_show_everybody_from_every_node(make: Make) -> None:
    cluster = make(3, max_listed=2)
    peers = [await member(cluster, node, f"u{node}") for node in range(3)]
    peers[0].heard()
    peers[0].say({"v": 1, "svc": "room", "type": "presence", "room": "r", "seq": 3})
    (shown,) = heard(peers[0], "presence")
    assert (shown["total_users"], shown["total_sessions"], shown["truncated"]) == (3, 3, True)
    for node in range(3):
        listed = await listing(cluster, node)
        assert (len(listed["users"]), listed["total_users"], listed["truncated"]) == (2, 3, True)
    for peer in peers[:2]:
        peer.vanish()
        cluster.settle()
    assert sids((await listing(cluster, 0))["users"]) == {("u2", "1")}, "nobody is there on this node"


async def test_a_picture_has_no_gap_and_no_overlap_while_words_are_on_their_way(make: Make) -> None:
    cluster = make()
    ann = await member(cluster, 0, "ann", presence=True)
    late = await cluster.connect(1, "late", "1")
    bob = await cluster.connect(1, "bob", "1")
    bob.say({"v": 1, "svc": "room", "type": "join", "room": "r"})
    late.say({"v": 1, "svc": "room", "type": "join", "room": "r", "data": {"presence": True}})
    cluster.settle()
    (joined,) = heard(late, "joined")
    assert sids(joined["presence"]["users"]) == {("ann", "1"), ("bob", "1"), ("late", "1")}
    tick(cluster)
    assert heard(late, "presence_diff") == []
    ann.heard()


async def test_while_redis_is_away_the_picture_stays_and_afterwards_it_is_the_truth(make: Make) -> None:
    cluster = make()
    ann, bob = await member(cluster, 0, "ann", presence=True), await member(cluster, 1, "bob", presence=True)
    tick(cluster)
    ann.heard()
    bob.heard()
    cluster.brokers[0].lose()
    cyd = await member(cluster, 1, "cyd")
    bob.say({"v": 1, "svc": "room", "type": "leave", "room": "r"})
    cluster.settle()
    tick(cluster)
    assert heard(ann, "presence_diff") == []
    ann.say({"v": 1, "svc": "room", "type": "state", "room": "r", "data": {"state": "alone"}})
    denied = await listing(cluster, 0)
    assert isinstance(denied, Denied)
    assert denied.code is ErrorCode.UNAVAILABLE
    ann.say({"v": 1, "svc": "room", "type": "presence", "room": "r", "seq": 7})
    cluster.scheduler.advance(JOINS_WAIT_S + 0.1)
    assert [one["data"]["code"] for one in ann.heard() if isinstance(one, dict) and one.get("seq") == 7] == [
        "UNAVAILABLE"
    ]
    cluster.brokers[0].come_again()
    cluster.settle()
    tick(cluster)
    (diff,) = heard(ann, "presence_diff")
    assert (sids(diff["joined"]), diff["left"]) == ({("cyd", "1")}, {"bob": ["1"]})
    listed = (await listing(cluster, 1))["users"]
    assert sids(listed) == {("ann", "1"), ("cyd", "1")}
    assert listed["ann"][0]["state"] == "alone"
    cyd.heard()


async def test_a_node_that_dies_takes_its_entries_along_and_one_that_lives_says_them_again(make: Make) -> None:
    cluster = make()
    ann = await member(cluster, 0, "ann", presence=True)
    bob = await member(cluster, 1, "bob", presence=True)
    tick(cluster)
    ann.heard()
    bob.heard()
    two = cluster.brokers[1]
    assert two.registry is not None
    two.lose()
    two.registry.reap()
    cluster.redis.reap_entries(two)
    cluster.settle()
    tick(cluster)
    assert heard(ann, "presence_diff") == [{"joined": {}, "left": {"bob": ["1"]}, "changed": {}}]
    two.come_again()
    two.registry.fence()
    cluster.settle()
    tick(cluster)
    (diff,) = heard(ann, "presence_diff")
    assert sids(diff["joined"]) == {("bob", "1")}
    assert heard(bob, "presence_diff") == [], "for itself it was never away"


async def test_who_lingers_and_comes_back_on_another_node_was_never_away(make: Make) -> None:
    cluster = make(linger_ms=5000)
    ann = await member(cluster, 0, "ann", presence=True)
    bob = await member(cluster, 1, "bob", state="here")
    tick(cluster)
    since = heard(ann, "presence_diff")[0]["joined"]["bob"][0]["since"]
    bob.vanish()
    cluster.settle()
    cluster.scheduler.advance(2.0)
    again = await member(cluster, 0, "bob", presence=True)
    (joined,) = heard(again, "joined")
    (entry,) = joined["presence"]["users"]["bob"]
    assert (entry["since"], entry["state"]) == (since, "here")
    for _ in range(8):
        tick(cluster)
    assert heard(ann, "presence_diff") == []
    assert sids((await listing(cluster, 1))["users"]) == {("ann", "1"), ("bob", "1")}


async def test_who_lingers_too_long_goes_though_nobody_is_left_on_its_node(make: Make) -> None:
    cluster = make(linger_ms=2000)
    ann = await member(cluster, 0, "ann", presence=True)
    bob = await member(cluster, 1, "bob")
    tick(cluster)
    ann.heard()
    bob.vanish()
    cluster.settle()
    cluster.scheduler.advance(1.0)
    assert sids((await listing(cluster, 0))["users"]) == {("ann", "1"), ("bob", "1")}
    for _ in range(3):
        tick(cluster)
    assert heard(ann, "presence_diff") == [{"joined": {}, "left": {"bob": ["1"]}, "changed": {}}]
    assert cluster.redis.present["r"].keys() == {("ann", "1")}
    assert not list(cluster.worlds[1].tenant.presences)


async def test_a_session_that_is_replaced_from_another_node_is_there_once(make: Make) -> None:
    cluster = make(3)
    ann = await member(cluster, 0, "ann", presence=True)
    old = await member(cluster, 1, "bob", state="old")
    tick(cluster)
    ann.heard()
    new = await member(cluster, 2, "bob", state="new")
    tick(cluster)
    assert old.closed_with() is not None
    (diff,) = heard(ann, "presence_diff")
    assert (diff["joined"], diff["left"], diff["changed"]["bob"][0]["state"]) == ({}, {}, "new")
    new.vanish()
    cluster.settle()
    tick(cluster)
    assert heard(ann, "presence_diff") == [{"joined": {}, "left": {"bob": ["1"]}, "changed": {}}]


async def test_another_info_is_seen_on_other_nodes(make: Make) -> None:
    cluster = make()
    ann, bob = await member(cluster, 0, "ann", presence=True), await member(cluster, 1, "bob")
    tick(cluster)
    ann.heard()
    bob.session.info = msgspec.Raw(b'{"name":"Bob"}')
    cluster.worlds[1].tenant.ref.tell_control(InfoChanged(bob.session))
    cluster.settle()
    tick(cluster)
    (diff,) = heard(ann, "presence_diff")
    assert diff["changed"]["bob"][0]["info"] == {"name": "Bob"}


async def test_a_crowd_is_listed_in_steps_and_what_comes_meanwhile_is_not_lost(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_constant(monkeypatch, roll_call, "_AT_ONCE", 2)
    cluster = make(max_diff_users=3)
    here = [await member(cluster, 0, f"u{n}", presence=not n) for n in range(7)]
    watching = await member(cluster, 1, "watching", presence=True)
    assert heard(watching, "joined")[0]["presence"]["total_users"] == 8
    tick(cluster)
    assert heard(here[0], "presence_diff")[-1] == {"totals": {"users": 8, "sessions": 8}, "truncated": True}
    cluster.brokers[0].lose()
    cluster.redis.flush_all()
    cluster.brokers[1].check_positions()
    cluster.settle()
    tick(cluster)
    assert heard(watching, "presence_diff") == [{"totals": {"users": 1, "sessions": 1}, "truncated": True}]
    cluster.brokers[0].come_again()
    cluster.settle()
    tick(cluster)
    assert heard(watching, "presence_diff") == [{"totals": {"users": 8, "sessions": 8}, "truncated": True}]


async def test_more_changes_than_can_wait_are_let_go_and_the_roll_is_called(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_constant(monkeypatch, shared_attendance, "MAX_WAITING", 3)
    cluster = make()
    ann = await member(cluster, 0, "ann", presence=True)
    ann.heard()
    for n in range(9):
        entry = msgspec.msgpack.encode(["another node", False, "1", "then", None, b'"here"'])
        cluster.brokers[1].put_entry("r", f"u{n}", "1", entry)
    while cluster.brokers[1].redis_does():
        pass
    while cluster.brokers[0].node_hears():
        """All of it before the room has its turn."""
    cluster.settle()
    tick(cluster)
    (diff,) = heard(ann, "presence_diff")
    assert diff["joined"].keys() == {f"u{n}" for n in range(9)}
    assert diff["joined"]["u0"] == [{"sid": "1", "since": "then", "state": "here"}]


async def test_what_another_version_has_put_is_not_seen(make: Make) -> None:
    cluster = make()
    ann = await member(cluster, 0, "ann", presence=True)
    ann.heard()
    cluster.brokers[1].put_entry("r", "strange", "1", b"\xc1")
    cluster.settle()
    tick(cluster)
    assert heard(ann, "presence_diff") == []
    assert sids((await listing(cluster, 1))["users"]) == {("ann", "1")}


async def test_presence_that_a_reload_takes_away_goes_everywhere_and_comes_again_with_the_next(make: Make) -> None:
    cluster = make()
    ann, bob = await member(cluster, 0, "ann", presence=True), await member(cluster, 1, "bob")
    tick(cluster)
    ann.heard()
    bob.heard()
    tenant = cluster.worlds[1].tenant
    before = tenant.rules
    tenant.apply(replace(before, rooms=RoomTable([])))
    tenant.ref.tell_control(RulesChanged())
    cluster.settle()
    tick(cluster)
    assert heard(ann, "presence_diff") == [{"joined": {}, "left": {"bob": ["1"]}, "changed": {}}]
    tenant.apply(before)
    tenant.ref.tell_control(RulesChanged())
    cluster.settle()
    tick(cluster)
    (diff,) = heard(ann, "presence_diff")
    assert sids(diff["joined"]) == {("bob", "1")}


async def test_the_figure_of_a_node_counts_its_own_sessions(make: Make) -> None:
    cluster = make()
    await member(cluster, 0, "ann")
    await member(cluster, 1, "bob")
    await member(cluster, 1, "cyd")
    assert [world.tenant.presence_entries for world in cluster.worlds] == [1, 2]
