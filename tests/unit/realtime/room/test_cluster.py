"""Rooms over nodes, against a model of the broker: one order for all, and whatever was lost is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from tests.cluster_model import MakeCluster as Make
from tests.realtime_support import Peer
from wsprism.effects import Publish, Reply
from wsprism.policy.decisions import Denied, Reason
from wsprism.policy.room_rules import RoomRules, RoomTable
from wsprism.ports import Draft
from wsprism.protocol.codes import ErrorCode
from wsprism.protocol.hot import encode_hot
from wsprism.realtime.connection.values import _acknowledge
from wsprism.realtime.messages import Answered, ExtPublication, Origin, PublicationList
from wsprism.realtime.room.hot_exchange import HOT_TICK_S
from wsprism.realtime.room.waiting import JOINS_WAIT_S
from wsprism.realtime.sampling import Sampler
from wsprism.realtime.tenant.backend_messages import PublishForBackend, PublishToRooms
from wsprism.realtime.tenant.histories import HistoryForBackend, HistoryRefusal, PublishedAt, PurgeForBackend

ACK = 4
HISTORY = [{"match": "r*", "history": {"max_messages": 5, "recover_max_messages": 4}}]


@pytest.fixture
def make(make_cluster: Make) -> Make:
    return make_cluster


def chats(peer: Peer) -> list[tuple[Any, int | None]]:
    """Text and offset of each chat message, and the type of what else was heard."""
    return [
        (one["data"]["msg"], one.get("offset")) if one["svc"] == "chat" else (one["type"], None)
        for one in peer.heard()
        if isinstance(one, dict)
    ]


def texts(peer: Peer) -> list[Any]:
    return [text for text, _ in chats(peer)]


async def test_members_on_all_nodes_hear_one_order_and_their_acks_come_once(make: Make) -> None:
    cluster = make()
    ann, bob = await cluster.member(0, "ann", "a"), await cluster.member(1, "bob", "a")
    ann.heard(), bob.heard()
    ann.chat("from ann", room="a", seq=1, flags=ACK)
    bob.chat("from bob", room="a", seq=7, flags=ACK)
    assert ann.heard() == bob.heard() == [], "nobody is told before it is ordered"
    cluster.settle()
    heard = texts(ann), texts(bob)
    assert [one for one in heard[0] if one != "ack"] == [one for one in heard[1] if one != "ack"]
    assert sorted(heard[0]) == ["ack", "from ann", "from bob"]
    assert [log[2] for log in cluster.redis.log] == [1, 2]


async def test_an_ack_may_come_before_the_batch_and_shows_no_offset_in_a_plain_room(make: Make) -> None:
    cluster = make()
    ann = await cluster.member(0, "ann", "a")
    joined = cast(dict[str, Any], ann.heard()[-1])
    assert set(joined["data"]) == {"number"}
    ann.chat("one", room="a", seq=1, flags=ACK)
    broker = cluster.brokers[0]
    assert broker.redis_does()
    broker._to_node.rotate(1)  # the answer overtakes the push
    cluster.settle()
    ack, chat = ann.heard()
    assert isinstance(ack, dict)
    assert isinstance(chat, dict)
    assert (ack["type"], ack["seq"], ack.get("data")) == ("ack", 1, None)
    assert "offset" not in chat


async def test_offsets_and_recovery_are_the_same_on_every_node(make: Make) -> None:
    cluster = make(rooms=HISTORY)
    ann = await cluster.member(0, "ann", "r")
    place = cast(dict[str, Any], ann.heard()[-1])["data"]
    assert (place["epoch"], place["offset"]) == ("epoch-1", 0)
    for text in "abc":
        ann.chat(text, room="r", seq=1, flags=ACK)
        cluster.settle()
    assert sorted(chats(ann), key=str) == [("a", 1), *[("ack", None)] * 3, ("b", 2), ("c", 3)]
    cora = await cluster.connect(1, "cora")
    cluster.join(cora, "r", since={"epoch": "epoch-1", "offset": 1})
    first, *rest = [one for one in cora.heard() if isinstance(one, dict)]
    assert first["data"] | {"number": 0} == {
        "number": 0, "epoch": "epoch-1", "offset": 3, "recovered": True, "count": 2,
    }  # fmt: skip
    assert [(one["data"]["msg"], one["offset"]) for one in rest] == [("b", 2), ("c", 3)]


async def test_who_saw_more_on_another_node_waits_until_the_room_has_it_here(make: Make) -> None:
    cluster = make(rooms=HISTORY)
    ann, bob = await cluster.member(0, "ann", "r"), await cluster.member(1, "bob", "r")
    ann.heard(), bob.heard()
    cora = await cluster.connect(1, "cora")
    ann.chat("early", room="r")
    cluster.settle(but=[cluster.brokers[1]])
    assert chats(ann) == [("early", 1)]
    cora.say({"v": 1, "svc": "room", "type": "join", "room": "r", "data": {"since": {"epoch": "epoch-1", "offset": 1}}})
    assert cora.heard() == []
    cluster.settle()
    (joined,) = cora.heard()
    assert isinstance(joined, dict)
    assert (joined["data"]["offset"], joined["data"]["recovered"], joined["data"]["count"]) == (1, True, 0)
    assert chats(bob) == [("early", 1)]


async def test_a_lost_connection_is_filled_without_a_word(make: Make) -> None:
    cluster = make(rooms=HISTORY)
    ann, bob = await cluster.member(0, "ann", "r"), await cluster.member(1, "bob", "r")
    ann.heard(), bob.heard()
    cluster.brokers[1].lose()
    for text in "abc":
        ann.chat(text, room="r")
        cluster.settle()
    assert bob.heard() == []
    cluster.brokers[1].come_again()
    cluster.settle()
    assert chats(bob) == chats(ann) == [("a", 1), ("b", 2), ("c", 3)]
    assert cluster.worlds[1].tenant.counters.broker.filled == 1


async def test_pushes_that_never_came_are_noticed_by_the_next_one_and_by_a_look(make: Make) -> None:
    cluster = make(rooms=HISTORY)
    ann, bob = await cluster.member(0, "ann", "r"), await cluster.member(1, "bob", "r")
    ann.heard(), bob.heard()
    ann.chat("a", room="r")
    cluster.settle(but=[cluster.brokers[1]])
    assert cluster.brokers[1].lose_pushes() == 1
    ann.chat("b", room="r")
    cluster.settle()
    assert chats(bob) == [("a", 1), ("b", 2)]
    ann.chat("c", room="r")
    cluster.settle(but=[cluster.brokers[1]])
    assert cluster.brokers[1].lose_pushes() == 1
    cluster.brokers[1].check_positions()
    cluster.settle()
    assert chats(bob) == [("c", 3)]


async def test_what_cannot_be_filled_is_told_as_a_gap_with_the_place_where_it_goes_on(make: Make) -> None:
    cluster = make(rooms=HISTORY)
    ann, bob = await cluster.member(0, "ann", "r"), await cluster.member(1, "bob", "r")
    bob.heard()
    cluster.brokers[1].lose()
    for number in range(6):
        ann.chat(str(number), room="r")
        cluster.settle()
    cluster.brokers[1].come_again()
    cluster.settle()
    ann.chat("next", room="r")
    cluster.settle()
    gap, following = bob.heard()
    assert isinstance(gap, dict)
    assert isinstance(following, dict)
    assert gap == {"v": 1, "svc": "sys", "type": "gap", "room": "r", "data": {"epoch": "epoch-1", "offset": 6}}
    assert following["offset"] == 7
    cora = await cluster.member(1, "cora", "r", since={"epoch": "epoch-1", "offset": 3})
    assert cast(dict[str, Any], cora.heard()[0])["data"]["count"] == 4


async def test_a_gap_in_a_plain_room_has_no_data(make: Make) -> None:
    cluster = make()
    ann, bob = await cluster.member(0, "ann", "a"), await cluster.member(1, "bob", "a")
    bob.heard()
    cluster.brokers[1].lose()
    ann.chat("lost", room="a")
    cluster.settle()
    cluster.brokers[1].come_again()
    cluster.settle()
    assert bob.heard() == [{"v": 1, "svc": "sys", "type": "gap", "room": "a"}]
    cluster.brokers[1].lose()
    cluster.brokers[1].come_again()
    cluster.settle()
    assert bob.heard() == [], "nothing was missed"


async def test_another_epoch_is_told_and_recovery_says_no(make: Make) -> None:
    cluster = make(rooms=HISTORY)
    ann, bob = await cluster.member(0, "ann", "r"), await cluster.member(1, "bob", "r")
    ann.heard(), bob.heard()
    ann.chat("a", room="r")
    cluster.settle()
    cluster.redis.flush_all()
    ann.chat("b", room="r")
    cluster.settle()
    for peer in (ann, bob):
        heard = [one for one in peer.heard() if isinstance(one, dict)]
        assert heard[-1]["data"] == {"epoch": "epoch-2", "offset": 1}
    bob.chat("c", room="r")
    cluster.settle()
    assert chats(ann) == chats(bob) == [("c", 2)]
    cora = await cluster.member(0, "cora", "r", since={"epoch": "epoch-1", "offset": 1})
    assert cast(dict[str, Any], cora.heard()[0])["data"]["recovered"] is False


async def test_while_the_broker_is_away_joins_wait_and_are_then_refused_and_publications_at_once(make: Make) -> None:
    cluster = make(rooms=HISTORY)
    ann = await cluster.member(0, "ann", "r")
    ann.heard()
    cluster.brokers[0].lose()
    cluster.settle()
    ann.chat("no", room="r", seq=3, flags=ACK)
    cluster.settle()
    assert ann.errors() == [("UNAVAILABLE", 3)]
    bob = await cluster.connect(0, "bob")
    cluster.join(bob, "r")
    assert bob.heard() == []
    cluster.scheduler.advance(JOINS_WAIT_S)
    assert bob.errors() == [("UNAVAILABLE", None)]
    assert cluster.worlds[0].tenant.registry.rooms_of_user("bob") == 0
    cora = await cluster.connect(0, "cora")
    cluster.join(cora, "r")
    assert cora.errors() == [("UNAVAILABLE", None)], "nobody waits any more"
    cluster.brokers[0].come_again()
    cluster.settle()
    cluster.join(cora, "r")
    assert cora.types() == ["joined"]
    ann.chat("yes", room="r")
    cluster.settle()
    assert texts(ann) == texts(cora) == ["yes"]


@pytest.mark.parametrize("member", [True, False])
async def test_what_a_backend_answers_is_acknowledged_with_its_offset_once_and_refused_while_the_broker_is_away(
    make: Make, member: bool
) -> None:
    cluster = make(rooms=HISTORY)
    bob = await cluster.member(1, "bob", "r")
    ann = await (cluster.member(0, "ann", "r") if member else cluster.connect(0, "ann"))
    ann.heard(), bob.heard()

    def answered(id: str) -> list[Any]:
        origin = Origin("game", "move", 7, ACK, None, id=id)
        ann.event(Answered(ann.session, origin, [Publish("r", None, "moved", 1), Reply(1)]))
        cluster.settle()
        return [(one["type"], one.get("data")) for one in ann.heard() if isinstance(one, dict)]

    assert ("ack", {"offset": 1}) in answered("one")
    assert answered("two")[-1] == ("ack", {"offset": 2})
    assert answered("one") == [("move", 1), ("ack", {"offset": 1})]
    assert bob.types() == ["moved", "moved"]
    cluster.brokers[0].lose()
    cluster.settle()
    assert "ack" not in [kind for kind, _ in answered("three")]
    assert bob.types() == []


async def test_a_shared_value_that_cannot_be_ordered_is_refused(make: Make) -> None:
    cluster = make(1)
    ann = await cluster.member(0, "ann", "a")
    ann.heard()
    _acknowledge(ann.session, 3, None, away=True)
    cluster.settle()
    assert ann.errors() == [("UNAVAILABLE", 3)]


async def test_a_join_of_a_room_that_cannot_be_reached_leaves_nothing_behind(make: Make) -> None:
    cluster = make(1)
    cluster.brokers[0].lose()
    ann = await cluster.connect(0, "ann")
    cluster.join(ann, "a")
    cluster.scheduler.advance(JOINS_WAIT_S)
    cluster.settle()
    assert ann.errors() == [("UNAVAILABLE", None)]
    registry = cluster.worlds[0].tenant.registry
    assert not registry.rooms
    assert not registry.emptied
    assert not cluster.brokers[0].listening
    ann.chat("nowhere", room="a")
    assert ann.errors() == [("NOT_ALLOWED", None)]


async def test_leaves_and_hot_frames_do_not_wait_for_the_broker(make: Make) -> None:
    cluster = make(1)
    ann, bob = await cluster.member(0, "ann", "a"), await cluster.member(0, "bob", "a")
    ann.heard(), bob.heard()
    cluster.brokers[0].lose()
    ann.say(encode_hot(2, 1, b"here"))
    assert bob.heard() == [encode_hot(2, 1, b"here")]
    bob.say({"v": 1, "svc": "room", "type": "leave", "room": "a"})
    assert bob.types() == ["left"]


@pytest.mark.parametrize("executed", [0, 1])
async def test_an_unknown_outcome_is_found_out_and_nothing_is_in_the_log_twice(make: Make, executed: int) -> None:
    cluster = make(rooms=HISTORY)
    ann, bob = await cluster.member(0, "ann", "r"), await cluster.member(1, "bob", "r")
    ann.heard(), bob.heard()
    ann.chat("a", room="r", seq=1, flags=ACK)
    ann.chat("b", room="r", seq=2, flags=ACK)
    cluster.brokers[0].lose(executed)
    cluster.settle()
    assert ann.heard() == [], "neither ack nor refusal until it is known"
    cluster.brokers[0].come_again()
    cluster.settle()
    assert [one for one in texts(ann) if one != "ack"] == texts(bob) == ["a", "b"]
    assert [one[2] for one in cluster.redis.log] == [1, 2]


async def test_who_waits_behind_an_unknown_outcome_is_refused_in_time(make: Make) -> None:
    cluster = make(1)
    ann = await cluster.member(0, "ann", "a")
    ann.heard()
    ann.chat("a", room="a", seq=1, flags=ACK)
    ann.chat("b", room="a", seq=2, flags=ACK)
    cluster.brokers[0].lose()
    cluster.settle()
    cluster.scheduler.advance(JOINS_WAIT_S)
    assert ann.errors() == [("UNAVAILABLE", 2)]
    cluster.brokers[0].come_again()
    cluster.settle()
    assert sorted(texts(ann)) == ["a", "ack"]


async def test_the_same_id_from_two_nodes_is_published_once(make: Make) -> None:
    cluster = make(rooms=HISTORY)
    ann, again = await cluster.member(0, "ann", "r"), await cluster.member(1, "ann", "r")
    ann.heard(), again.heard()
    for peer in (ann, again):
        peer.chat("once", room="r", id="x", seq=5, flags=ACK)
        cluster.settle()
    for peer in (ann, again):
        heard = [one for one in peer.heard() if isinstance(one, dict)]
        assert [one["data"]["offset"] for one in heard if one["type"] == "ack"] == [1]
        assert [one["offset"] for one in heard if one["type"] != "ack"] == [1]


async def test_a_crash_of_the_room_ends_no_epoch_and_is_told(make: Make) -> None:
    cluster = make(rooms=HISTORY)
    ann = await cluster.member(0, "ann", "r")
    ann.chat("a", room="r")
    cluster.settle()
    ann.heard()
    room = cluster.worlds[0].tenant.registry.rooms["r"].ref
    room.tell(object())
    cluster.settle()
    assert [type(one) for one in cluster.worlds[0].failures] == [TypeError]
    cluster.worlds[0].failures.clear()
    heard = [one for one in ann.heard() if isinstance(one, dict)]
    assert [one["type"] for one in heard] == ["error", "gap"]
    assert heard[1]["data"] == {"epoch": "epoch-1", "offset": 1}
    ann.chat("b", room="r", seq=1, flags=ACK)
    cluster.settle()
    assert sorted(chats(ann), key=str) == [("ack", None), ("b", 2)]


async def test_hot_frames_reach_other_nodes_once_a_tick_and_only_the_newest_of_each_key(make: Make) -> None:
    cluster = make(qos={"conflate": "sender_opcode"}, policy={"hot_room_numbers": True})
    ann, bob = await cluster.member(0, "ann", "a"), await cluster.member(1, "bob", "a")
    near = await cluster.member(0, "near", "a")
    for peer in (ann, bob, near):
        peer.heard()
    for number in range(3):
        ann.say(encode_hot(2, 1, b"old%d" % number))
    assert len(near.heard()) == 3
    cluster.scheduler.advance(HOT_TICK_S)
    cluster.settle()
    number = cluster.worlds[1].tenant.registry.rooms["a"].number
    assert bob.heard() == [encode_hot(2, 1, b"old2", room=number)]
    assert ann.heard() == []


async def test_who_is_put_out_is_not_heard_and_what_another_node_says_beside_it_is(make: Make) -> None:
    cluster = make()
    ann, bob = await cluster.member(0, "ann", "a"), await cluster.member(1, "bob", "a")
    near = await cluster.member(0, "near", "a")
    ann.heard(), near.heard()
    bob.say(encode_hot(2, 1, b"far"))
    cluster.scheduler.advance(HOT_TICK_S)
    cluster.settle(but=[cluster.brokers[0]])
    ann.session.connection.deliver([encode_hot(2, 1, b"mute")])
    assert cluster.brokers[0].node_hears()
    ann.session.put_out(cluster.worlds[0].tenant.registry.rooms["a"].ref)
    cluster.settle()
    assert near.heard() == [encode_hot(2, 1, b"far")]
    assert not cluster.worlds[0].failures


async def test_a_hot_frame_that_is_sampled_reaches_other_nodes_once(make: Make) -> None:
    cluster = make(sampler=Sampler(chance=lambda: 0.0))
    ann, bob = await cluster.member(0, "ann", "a"), await cluster.member(1, "bob", "a")
    ann.heard(), bob.heard()
    ann.say(encode_hot(2, 1, b"once"))
    cluster.scheduler.advance(HOT_TICK_S)
    cluster.settle()
    assert len(bob.heard()) == 1


async def test_a_room_of_one_node_costs_no_broker_call(make: Make) -> None:
    cluster = make()
    for world in cluster.worlds:
        world.tenant.rules = replace(world.tenant.rules, rooms=RoomTable([("m*", RoomRules(node_only=True))]))
    ann, bob = await cluster.member(0, "ann", "m"), await cluster.member(1, "bob", "m")
    ann.heard(), bob.heard()
    ann.chat("here", room="m")
    ann.say(encode_hot(2, 1, b"hot"))
    cluster.scheduler.advance(1.0)
    cluster.settle()
    assert texts(ann) == ["here"]
    assert bob.heard() == []
    assert not cluster.redis.rooms
    assert not cluster.brokers[0].listening


async def test_the_backend_publishes_from_any_node_and_is_answered_with_the_offset(make: Make) -> None:
    cluster = make(rooms=HISTORY)
    ann = await cluster.member(0, "ann", "r")
    ann.heard()
    ask = PublishForBackend("r", (ExtPublication("chat", "message", b'{"msg":"hi"}'),))
    assert await cluster.ask(1, ask) == PublishedAt(0, 1)
    assert chats(ann) == [("hi", 1)]
    assert await cluster.ask(0, ask) == PublishedAt(1, 2)
    several = PublishToRooms({"r": ask.publications, "plain": ask.publications}, {})
    assert await cluster.ask(1, several) == 2
    assert chats(ann) == [("hi", 2), ("hi", 3)]
    cluster.brokers[1].lose()
    refused = await cluster.ask(1, ask)
    assert isinstance(refused, Denied)
    assert (refused.reason, refused.code) == (Reason.BROKER_AWAY, ErrorCode.UNAVAILABLE)


async def test_the_backend_reads_and_purges_histories_from_any_node(make: Make) -> None:
    cluster = make(rooms=HISTORY)
    ann = await cluster.member(0, "ann", "r")
    for text in "abc":
        ann.chat(text, room="r")
        cluster.settle()
    ann.heard()
    page = await cluster.ask(1, HistoryForBackend("r", "epoch-1", 1, 1, reverse=False))
    assert (page["offset"], [one["offset"] for one in page["items"]], page["more"]) == (3, [2], True)
    page = await cluster.ask(1, HistoryForBackend("r", None, None, 2, reverse=True))
    assert [one["offset"] for one in page["items"]] == [3, 2]
    assert await cluster.ask(1, HistoryForBackend("r", "other", 1, 1, reverse=False)) == HistoryRefusal(True)
    place = await cluster.ask(1, PurgeForBackend("r"))
    assert (place.epoch, place.offset) == ("epoch-2", 0)
    (gap,) = ann.heard()
    assert isinstance(gap, dict)
    assert gap["data"] == {"epoch": "epoch-2", "offset": 0}


async def test_a_room_that_falls_behind_lets_go_and_reads_again(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsprism.realtime.room.cluster.MAX_WAITING", 2)
    cluster = make(rooms=HISTORY)
    ann, bob = await cluster.member(0, "ann", "r"), await cluster.member(1, "bob", "r")
    ann.heard(), bob.heard()
    for text in "abcd":
        ann.chat(text, room="r")
        cluster.settle(but=[cluster.brokers[1]])
    while cluster.brokers[1].node_hears():
        pass  # all of it in one turn
    cluster.settle()
    assert texts(bob) == ["a", "b", "c", "d"]


async def test_a_payload_that_cannot_be_read_is_a_gap(make: Make) -> None:
    cluster = make(rooms=HISTORY)
    ann = await cluster.member(0, "ann", "r")
    ann.heard()
    bounds = cluster.worlds[0].tenant.rules.rooms.of("r").history
    cluster.redis.publish("r", [Draft(b"\xc1 of another version")], bounds)
    cluster.settle()
    (gap,) = ann.heard()
    assert isinstance(gap, dict)
    assert gap["data"] == {"epoch": "epoch-1", "offset": 1}
    ann.chat("b", room="r")
    cluster.settle()
    assert chats(ann) == [("b", 2)]


async def test_a_publication_of_somebody_who_left_is_still_ordered_and_a_room_ends_behind_it(make: Make) -> None:
    cluster = make(1, rooms=HISTORY)
    ann = await cluster.member(0, "ann", "r")
    ann.heard()
    ann.chat("last", room="r", seq=1, flags=ACK)
    ann.say({"v": 1, "svc": "room", "type": "leave", "room": "r"})
    assert cluster.worlds[0].tenant.registry.emptied, "it waits for the broker"
    cluster.settle()
    assert sorted(ann.types()) == ["ack", "left"]
    assert [one[2] for one in cluster.redis.log] == [1]
    assert not cluster.worlds[0].tenant.registry.emptied
    assert not cluster.brokers[0].listening
    cluster.join(ann, "r", since={"epoch": "epoch-1", "offset": 0})
    assert cast(dict[str, Any], ann.heard()[0])["data"]["count"] == 1


async def test_several_publications_of_one_call_stand_together(make: Make) -> None:
    cluster = make(1)
    ann = await cluster.member(0, "ann", "a")
    ann.heard()
    many = tuple(ExtPublication("chat", "message", b'{"msg":%d}' % number) for number in range(600))
    cluster.worlds[0].tenant.registry.rooms["a"].inbox.publish_all(many)
    cluster.settle()
    assert texts(ann) == list(range(600))
    assert PublicationList(many).publications == many
