"""What a backend asks of any node: done to sessions wherever they are, counted over all, mute from the answer on."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any

import pytest

from tests.cluster_model import MakeCluster as Make
from tests.realtime_support import Peer
from wsprism.policy.decisions import Denied, Reason
from wsprism.policy.revocation import Revocable
from wsprism.protocol.frames import binary_frame
from wsprism.realtime.messages import Exclusion, ExtPublication, HotPublication, Revoke
from wsprism.realtime.tenant.backend_messages import (
    AmbiguousSid,
    DisconnectForBackend,
    JoinForBackend,
    PublishForBackend,
    PublishToRooms,
    RemoveForBackend,
    SendForBackend,
    Who,
)
from wsprism.realtime.tenant.histories import PublishedAt
from wsprism.realtime.tenant.node_questions import add_up, question_from, question_of

NODE_ROOMS = [{"match": "node:*", "scope": "node"}]


@pytest.fixture
def make(make_cluster: Make) -> Make:
    return partial(make_cluster, registry=True)


def ext(data: Any = 1, **fields: Any) -> ExtPublication:
    return ExtPublication("news", "item", json.dumps(data).encode(), **fields)


def hot(opcode: int = 1) -> HotPublication:
    return HotPublication(binary_frame(bytes((2, opcode, 0)) + b"x"), None)


def data_heard(peer: Peer) -> list[Any]:
    return [one["data"] if isinstance(one, dict) else one for one in peer.heard()]


def close_of(*, user: str | None = None, sid: str | None = None, room: str | None = None) -> DisconnectForBackend:
    return DisconnectForBackend(Who(user, sid) if room is None else None, room, 4100, "because")


async def test_a_user_is_disconnected_wherever_its_sessions_are(make: Make) -> None:
    cluster = make()
    phone, tab = await cluster.connect(0, "ann", "phone"), await cluster.connect(1, "ann", "tab")
    bob = await cluster.connect(1, "bob")
    assert await cluster.ask(0, close_of(user="ann", sid="tab")) == 1
    assert tab.closed_with() == (4100, "because")
    assert phone.closed_with() is None
    assert await cluster.ask(1, close_of(user="ann")) == 1
    assert phone.closed_with() == (4100, "because")
    assert await cluster.ask(1, close_of(user="ann")) == 0
    assert bob.closed_with() is None
    assert [world.tenant.counters.kicked["backend"] for world in cluster.worlds] == [1, 1]


async def test_a_room_is_disconnected_on_every_node_however_many_are_in_it(make: Make) -> None:
    cluster = make()
    peers = [await cluster.member(n % 2, f"u{n}", "a") for n in range(450)]
    other = await cluster.member(0, "other", "b")
    assert await cluster.ask(0, close_of(room="a")) == 450
    assert {peer.closed_with() for peer in peers} == {(4100, "because")}
    assert other.closed_with() is None


async def test_a_sid_that_users_of_two_nodes_have_names_nobody(make: Make) -> None:
    cluster = make()
    ann = await cluster.connect(0, "ann", "s")
    assert await cluster.ask(1, JoinForBackend("a", Who(sid="s"))) == 1
    bob = await cluster.connect(1, "bob", "s")
    for question in (close_of(sid="s"), JoinForBackend("a", Who(sid="s")), RemoveForBackend("a", Who(sid="s"))):
        assert isinstance(await cluster.ask(0, question), AmbiguousSid)
    assert await cluster.ask(0, close_of(sid="nobody's")) == 0
    assert ann.closed_with() is bob.closed_with() is None


async def test_a_user_is_joined_and_removed_wherever_its_sessions_are(make: Make) -> None:
    cluster = make()
    peers = [await cluster.connect(node, "ann") for node in (0, 1)]
    assert await cluster.ask(0, JoinForBackend("a", Who("ann"), active=True)) == 2
    assert [peer.types() for peer in peers] == [["joined"], ["joined"]]
    assert await cluster.ask(1, RemoveForBackend("a", Who("ann"))) == 2
    assert [peer.types() for peer in peers] == [["left"], ["left"]]
    assert await cluster.ask(1, RemoveForBackend("a", Who("ann"))) == 0
    assert not cluster.redis.members["a"]


async def test_a_join_from_another_node_holds_the_limits(make: Make) -> None:
    cluster = make(limits={"max_users_per_room": 1})
    await cluster.member(0, "ann", "a")
    bob = await cluster.connect(1, "bob")
    denied = await cluster.ask(0, JoinForBackend("a", Who("bob")))
    assert isinstance(denied, Denied)
    assert denied.reason is Reason.ROOM_FULL
    assert bob.heard() == []
    assert await cluster.ask(0, JoinForBackend("a", Who("nobody"))) == 0


async def test_what_is_sent_and_broadcast_reaches_sessions_of_every_node_but_the_excluded(make: Make) -> None:
    cluster = make()
    ann, tab, bob = [await cluster.connect(node, *who) for node, who in ((0, ("ann",)), (1, ("ann", "t")), (1, ("b",)))]
    assert await cluster.ask(1, SendForBackend("ann", (ext("hi"), hot()))) == 2
    assert await cluster.ask(0, SendForBackend(None, (ext("all", exclude=Exclusion("ann", "t")),))) == 3
    assert data_heard(ann) == ["hi", b"\x02\x01\x00x", "all"]
    assert data_heard(tab) == ["hi", b"\x02\x01\x00x"]
    assert data_heard(bob) == ["all"]
    assert await cluster.ask(0, SendForBackend("ann", (ext("only"),), "t")) == 1
    assert data_heard(tab) == ["only"]


async def test_what_a_service_sends_to_a_user_reaches_it_on_another_node(make: Make) -> None:
    cluster = make()
    ann = await cluster.connect(1, "ann")
    for publication in (ext("hi"), hot()):
        cluster.worlds[0].tenant.ref.tell(SendForBackend("ann", (publication,)))
    cluster.settle()
    assert sorted(map(str, data_heard(ann))) == sorted(["hi", str(b"\x02\x01\x00x")])


async def test_while_redis_is_away_a_service_reaches_its_own_nodes_sessions_and_a_backend_is_refused(
    make: Make,
) -> None:
    cluster = make()
    ann = await cluster.connect(0, "ann")
    cluster.brokers[0].lose()
    cluster.settle()
    for publication in (ext("hi"), hot()):
        cluster.worlds[0].tenant.ref.tell(SendForBackend("ann", (publication,)))
    cluster.settle()
    assert sorted(map(str, data_heard(ann))) == sorted(["hi", str(b"\x02\x01\x00x")])
    for question in (
        SendForBackend(None, (ext(),)),
        close_of(user="ann"),
        close_of(room="a"),
        close_of(sid="s"),
        JoinForBackend("a", Who("ann")),
        RemoveForBackend("a", Who("ann")),
        PublishForBackend("a", (ext(),)),
        PublishToRooms({"a": (ext(),)}, {}),
    ):
        denied = await cluster.ask(0, question)
        assert isinstance(denied, Denied), question
        assert denied.reason is Reason.BROKER_AWAY
    assert ann.closed_with() is None
    assert ann.heard() == []
    cluster.brokers[0].come_again()
    cluster.settle()


async def test_publications_are_counted_over_all_nodes(make: Make) -> None:
    cluster = make(rooms=[{"match": "kept", "history": {"max_messages": 5}}])
    peers = [await cluster.member(node, f"u{node}", room) for node in (0, 1) for room in ("a", "kept")]
    assert await cluster.ask(0, PublishForBackend("a", (ext(),))) == PublishedAt(2, None)
    assert await cluster.ask(0, PublishForBackend("kept", (ext(), ext()))) == PublishedAt(2, 2)
    assert await cluster.ask(0, PublishForBackend("a", (hot(),))) == PublishedAt(2, None)
    members: dict[str, int] = {}
    assert await cluster.ask(1, PublishToRooms({"a": (ext(),), "kept": (ext(),), "c": (ext(),)}, members)) == 3
    assert members == {"a": 2, "kept": 2, "c": 0}
    assert all(peer.heard() for peer in peers)


async def test_a_room_of_one_node_is_the_business_of_every_node_that_has_one(make: Make) -> None:
    cluster = make(rooms=NODE_ROOMS)
    peers = [await cluster.member(node, f"u{node}", "node:1") for node in (0, 1)]
    other = await cluster.connect(0, "ann")
    assert [peer.types() for peer in peers] == [["joined"], ["joined"]]
    assert await cluster.ask(0, PublishForBackend("node:1", (ext("x"),))) == PublishedAt(2, None)
    members: dict[str, int] = {}
    assert await cluster.ask(0, PublishToRooms({"node:1": (ext("y"),), "a": (ext("z"),)}, members)) == 2
    assert members == {"node:1": 2, "a": 0}
    members.clear()
    assert await cluster.ask(0, PublishToRooms({"node:1": (ext("only"),)}, members)) == 1
    assert members == {"node:1": 2}
    assert [data_heard(peer) for peer in peers] == [["x", "y", "only"]] * 2
    assert await cluster.ask(1, JoinForBackend("node:1", Who("ann"))) == 1
    assert await cluster.ask(1, RemoveForBackend("node:1", Who("u0"))) == 1
    assert peers[0].types()[-1] == "left"
    assert await cluster.ask(1, close_of(room="node:1")) == 2
    assert [peer.closed_with() for peer in (*peers, other)] == [None, (4100, "because"), (4100, "because")]


@pytest.mark.parametrize(
    "question",
    [
        DisconnectForBackend(Who("bob"), None, 4100, "because"),
        RemoveForBackend("a", Who("bob")),
        Revoke(Revocable.USER, "bob", 4e9, ""),
    ],
)
async def test_nothing_of_whoever_is_put_out_is_published_behind_the_answer(make: Make, question: object) -> None:
    cluster = make()
    await cluster.member(0, "ann", "a")
    bob = await cluster.member(1, "bob", "a")
    deaf = [cluster.brokers[1]]
    message: dict[str, Any] = {"v": 1, "svc": "chat", "type": "send", "room": "a"}
    for number in range(3):
        bob.say(message | {"data": {"msg": f"{number}"}})
        cluster.scheduler.run_until_idle()
    answer = asyncio.ensure_future(cluster.worlds[0].tenant.ref.ask(question, 5.0))
    await asyncio.sleep(0)
    cluster.settle(but=deaf)
    assert not answer.done(), "its node has not heard it"
    bob.say(message | {"data": {"msg": "between"}})
    cluster.settle()
    assert await answer == 1
    log = [payload for *_, payload in cluster.redis.log]
    bob.say(message | {"data": {"msg": "late"}})
    cluster.settle()
    assert [payload for *_, payload in cluster.redis.log] == log
    assert b"late" not in b"".join(log)


async def test_what_waits_behind_a_turn_that_is_with_the_broker_is_not_published_behind_the_answer(make: Make) -> None:
    cluster = make()
    await cluster.member(0, "ann", "a")
    bob = await cluster.member(1, "bob", "a")
    message: dict[str, Any] = {"v": 1, "svc": "chat", "type": "send", "room": "a"}
    node = cluster.brokers[1]
    publish, held = node.publish, list[Any]()
    node.publish = lambda *arguments: held.append(arguments)  # type: ignore[method-assign]
    for number in range(3):
        bob.say(message | {"data": {"msg": f"{number}"}})
        cluster.scheduler.run_until_idle()
    answer = asyncio.ensure_future(cluster.worlds[0].tenant.ref.ask(RemoveForBackend("a", Who("bob")), 5.0))
    await asyncio.sleep(0)
    cluster.settle()
    assert await answer == 1
    assert "left" in bob.types()
    node.publish = publish  # type: ignore[method-assign]
    for arguments in held:
        publish(*arguments)
    cluster.settle()
    said = b"".join(payload for *_, payload in cluster.redis.log)
    assert [number for number in range(3) if b'"msg":"%d"' % number in said] == [0]


async def test_a_node_that_has_missed_what_all_were_told_looks_who_is_out(make: Make) -> None:
    cluster = make(rooms=NODE_ROOMS)
    bob, ann = await cluster.member(1, "bob", "a"), await cluster.member(1, "ann", "a")
    for peer in (bob, ann):
        cluster.join(peer, "node:1")
        cluster.join(peer, "b")
        peer.heard()
    assert bob.session.key is not None
    cluster.redis.members["a"].discard(bob.session.key)
    listener = cluster.redis.registries[1].listener
    assert listener is not None
    listener.unsure()
    cluster.settle()
    assert (bob.types(), ann.types()) == (["left"], [])
    assert list(bob.session.rooms) == ["node:1", "b"]


async def test_hot_frames_of_whoever_was_put_out_go_to_no_other_node(make: Make) -> None:
    cluster = make()
    ann, bob = await cluster.member(0, "ann", "a"), await cluster.member(1, "bob", "a")
    ann.heard()
    room = cluster.worlds[1].tenant.registry.rooms["a"].ref
    for is_out, heard in ((False, 1), (True, 0)):
        bob.session.connection.deliver([bytes((2, 1, 0)) + b"hi"])
        cluster.scheduler.run_until_idle()
        if is_out:
            bob.session.put_out(room)
        cluster.scheduler.advance(0.1)
        cluster.settle()
        assert len(ann.heard()) == heard


def test_a_question_that_this_version_cannot_read_is_nothing_and_an_answer_counts_nothing(make: Make) -> None:
    rules = make().worlds[0].tenant.rules
    for body in (b"\xc1", b"\x91\xa3new", question_of(SendForBackend("u", (ext(),)))[:-3]):
        assert question_from(body, rules) is None
    assert add_up([b"\xc1", b"", b"\x93\x01\x80\x93\xa3new\xa3XYZ\xc0"]) == (0, {})
