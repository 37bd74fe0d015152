"""Values that a room's members share, over nodes, against a model of the broker: one for all, and true after a loss."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from tests.cluster_model import Cluster
from tests.cluster_model import MakeCluster as Make
from tests.realtime_support import Peer
from wsprism.policy.decisions import Reason
from wsprism.realtime.messages import RulesChanged
from wsprism.realtime.room.waiting import JOINS_WAIT_S
from wsprism.services import StateService

ACK = 4
HISTORY = [{"match": "*", "history": {"max_messages": 50, "recover_max_messages": 40}}]
PLAIN_AND_KEPT = pytest.mark.parametrize("rooms", [[], HISTORY], ids=["plain", "history"])


@pytest.fixture
def make(make_cluster: Make) -> Make:
    def make(nodes: int = 2, **settings: Any) -> Cluster:
        board = {"kind": "state", "max_keys": 3, **settings.pop("board", {})}
        return make_cluster(
            nodes,
            ext={"board": StateService()},
            policy={"ext_allowlist": ["room:*", "chat:*", "board:*"]},
            services={"ext": {"board": board}},
            **settings,
        )

    return make


def say(peer: Peer, kind: str, seq: int | None = None, flags: int = 0, **data: Any) -> None:
    message: dict[str, Any] = {"v": 1, "svc": "board", "type": kind, "room": "r", "flags": flags}
    peer.say(message | ({"data": data} if data else {}) | ({} if seq is None else {"seq": seq}))


def heard(peer: Peer) -> list[Any]:
    """Changes as version, key and value; a state as version and values; the others by type, errors by code."""
    found: list[Any] = []
    for one in peer.heard():
        assert isinstance(one, dict)
        data = one.get("data") or {}
        if one["type"] == "changed":
            found.append((data["version"], data["key"], data.get("value", "deleted")))
        elif one["type"] == "state":
            found.append((data["version"], {key: entry["value"] for key, entry in data["entries"].items()}))
        else:
            found.append(data["code"] if one["type"] == "error" else one["type"])
    return found


async def members(cluster: Cluster) -> tuple[Peer, Peer]:
    ann, bob = await cluster.member(0, "ann", "r"), await cluster.member(1, "bob", "r")
    assert heard(ann) == heard(bob) == ["joined"], "nothing was ever set"
    return ann, bob


@PLAIN_AND_KEPT
async def test_all_nodes_have_one_order_of_versions_and_whoever_comes_is_told_the_whole(make: Make, rooms: Any) -> None:
    cluster = make(rooms=rooms)
    ann, bob = await members(cluster)
    say(ann, "set", 1, ACK, key="a", value=[1])
    say(bob, "set", 2, ACK, key="b", value=2)
    assert heard(ann) == heard(bob) == [], "nobody is told before it has happened"
    cluster.settle()
    told = heard(ann), heard(bob)
    changes = [[one for one in each if one != "ack"] for each in told]
    assert changes[0] == changes[1]
    assert [one[0] for one in changes[0]] == [1, 2]
    assert [each.count("ack") for each in told] == [1, 1]
    say(bob, "delete", key="a")
    cluster.settle()
    assert heard(ann) == heard(bob) == [(3, "a", "deleted")]
    for node, user in enumerate(("carl", "dora")):
        assert heard(await cluster.member(node, user, "r")) == ["joined", (3, {"b": 2})]
    cluster.add_node()
    assert heard(await cluster.member(2, "eve", "r")) == ["joined", (3, {"b": 2})]


async def test_a_change_is_as_it_is_in_one_process(make: Make) -> None:
    cluster = make()
    ann, bob = await members(cluster)
    ann.say({"v": 1, "svc": "board", "type": "set", "data": {"key": "k", "value": {"x": "é"}}})
    cluster.settle()
    data = {"version": 1, "key": "k", "value": {"x": "é"}, "from": "ann"}
    assert bob.heard() == [{"v": 1, "svc": "board", "type": "changed", "room": "r", "data": data}]


async def test_of_two_nodes_that_change_one_version_one_does(make: Make) -> None:
    cluster = make()
    ann, bob = await members(cluster)
    say(ann, "set", 1, ACK, key="k", value="ann", if_version=0)
    say(bob, "set", 1, ACK, key="k", value="bob", if_version=0)
    cluster.settle()
    told = heard(ann), heard(bob)
    value = next(one[2] for one in told[0] if isinstance(one, tuple))
    winner, loser = told if value == "ann" else (told[1], told[0])
    assert sorted(map(str, winner)) == sorted(map(str, ["ack", (1, "k", value)]))
    assert sorted(map(str, loser)) == sorted(map(str, ["NOT_ALLOWED", (1, "k", value)]))
    assert sum(world.tenant.counters.decisions[Reason.VALUE_CHANGED] for world in cluster.worlds) == 1


async def test_bounds_hold_over_all_nodes(make: Make) -> None:
    cluster = make(board={"max_bytes": 1024})
    ann, bob = await members(cluster)
    for number, peer in enumerate((ann, bob, ann, bob)):
        say(peer, "set", key=f"{number}", value=1)
        cluster.settle()
    assert heard(ann)[-1] == (3, "2", 1)
    assert heard(bob)[-1] == "RESOURCE_EXHAUSTED"
    say(bob, "set", key="0", value="x" * 1024)
    cluster.settle()
    assert heard(bob) == ["RESOURCE_EXHAUSTED"]
    assert cluster.worlds[1].tenant.counters.decisions[Reason.VALUES_FULL] == 2
    say(bob, "delete", 9, ACK, key="nothing")
    cluster.settle()
    assert heard(bob) == ["ack"]
    assert heard(ann) == []


async def test_whoever_asks_is_told_what_it_has_set_before(make: Make) -> None:
    cluster = make()
    ann, bob = await members(cluster)
    say(ann, "set", key="a", value=1)
    say(ann, "get", 5)
    say(ann, "set", key="b", value=2)
    say(ann, "get", 6, key="b")
    cluster.settle()
    told = [one for one in ann.heard() if isinstance(one, dict) and one["type"] == "state"]
    assert [(one["seq"], one["data"]["version"], list(one["data"]["entries"])) for one in told] == [
        (5, 1, ["a"]),
        (6, 2, ["b"]),
    ]
    say(bob, "get", 7)
    cluster.settle()
    assert heard(bob)[-1] == (2, {"a": 1, "b": 2})
    stranger = await cluster.connect(1, "stranger")
    say(stranger, "get")
    cluster.settle()
    assert heard(stranger) == ["NOT_ALLOWED"]


async def test_messages_and_changes_of_one_sender_keep_their_order(make: Make) -> None:
    cluster = make()
    ann, bob = await members(cluster)
    for number in range(3):
        ann.chat(f"{number}", room="r")
        say(ann, "set", key="k", value=number)
    cluster.settle()
    assert heard(bob) == ["msg", (1, "k", 0), "msg", (2, "k", 1), "msg", (3, "k", 2)]


@PLAIN_AND_KEPT
@pytest.mark.parametrize("executed", [0, 1])
async def test_a_change_whose_answer_was_lost_happens_once(make: Make, rooms: Any, executed: int) -> None:
    cluster = make(rooms=rooms)
    ann, bob = await members(cluster)
    say(ann, "set", 1, ACK, key="k", value=1)
    cluster.scheduler.run_until_idle()
    cluster.brokers[0].lose(executed)
    cluster.settle()
    assert heard(ann) == [], "neither acknowledged nor refused while that is not known"
    say(ann, "set", 2, key="k", value=2)
    say(ann, "get", 3)
    cluster.scheduler.advance(JOINS_WAIT_S + 1)
    cluster.settle()
    assert heard(ann) == ["UNAVAILABLE", "UNAVAILABLE"]
    cluster.brokers[0].come_again()
    cluster.settle()
    told = [one for one in heard(ann) if one != "gap"]
    assert told.count("ack") == 1
    assert set(map(str, told)) <= {"ack", str((1, "k", 1)), str((1, {"k": 1}))}
    assert len(told) >= 2, "and it is told, as a change or with the whole"
    assert heard(bob) == [(1, "k", 1)]
    assert cluster.redis.values.of("r", "board").version == 1


@PLAIN_AND_KEPT
async def test_after_a_loss_members_know_all_that_was_changed_meanwhile(make: Make, rooms: Any) -> None:
    cluster = make(rooms=rooms)
    ann, bob = await members(cluster)
    cluster.brokers[1].lose()
    for number in range(3):
        say(ann, "set", key="k", value=number)
        cluster.settle()
    cluster.brokers[1].come_again()
    cluster.settle()
    changes = [(number + 1, "k", number) for number in range(3)]
    assert heard(ann) == changes
    assert heard(bob) == (changes if rooms else ["gap", (3, {"k": 2})]), "each change, or the whole behind the gap"
    say(bob, "set", key="k", value=3)
    cluster.settle()
    assert heard(ann) == heard(bob) == [(4, "k", 3)]


@PLAIN_AND_KEPT
async def test_when_redis_has_forgotten_everything_members_are_told_the_whole_that_is_true(
    make: Make, rooms: Any
) -> None:
    cluster = make(rooms=rooms)
    ann, bob = await members(cluster)
    say(ann, "set", key="a", value=1)
    say(ann, "set", key="b", value=1)
    cluster.settle()
    heard(ann), heard(bob)
    cluster.redis.flush_all()
    say(bob, "set", key="a", value=2)
    cluster.settle()
    for peer in (ann, bob):
        assert heard(peer) == ["gap", (1, {"a": 2})]
    assert heard(await cluster.member(0, "carl", "r")) == ["joined", (1, {"a": 2})]
    cluster.redis.flush_all()
    for broker in cluster.brokers:
        broker.check_positions()
    cluster.settle()
    for peer in (ann, bob):
        assert heard(peer) == ["gap", (0, {})]


async def test_a_lost_push_is_found_by_the_next_version(make: Make) -> None:
    """Redis would have to lose its own keys for that: an order without a jump, and versions with one."""
    cluster = make()
    ann, bob = await members(cluster)
    say(ann, "set", key="a", value=1)
    cluster.settle()
    cluster.redis.values.drop("r")
    say(ann, "set", key="b", value=2)
    cluster.settle()
    for peer in (ann, bob):
        assert heard(peer) == [(1, "a", 1), (1, "b", 2), (1, {"b": 2})]


async def test_whoever_joins_waits_until_the_values_are_known_and_hears_no_change_that_they_lack(make: Make) -> None:
    cluster = make()
    ann = await cluster.member(0, "ann", "r")
    say(ann, "set", key="k", value=1)
    cluster.settle()
    bob = await cluster.connect(1, "bob")
    bob.say({"v": 1, "svc": "room", "type": "join", "room": "r"})
    for _ in range(40):
        say(ann, "set", key="k", value=2)
        cluster.scheduler.run_until_idle()
        for broker in cluster.brokers:
            broker.redis_does()
        for broker in cluster.brokers:
            broker.node_hears()
        ann.heard()
    cluster.settle()
    joined, state, *changes = heard(bob)
    assert joined == "joined"
    known = state[0]
    for version, _, _ in changes:
        if version > known:
            assert version == known + 1
            known = version
    assert known == 41


async def test_while_redis_is_away_nothing_is_changed_or_told(make: Make) -> None:
    cluster = make()
    ann, bob = await members(cluster)
    cluster.brokers[0].lose()
    asked: list[tuple[str, dict[str, Any]]] = [("set", {"key": "k", "value": 1}), ("delete", {"key": "k"}), ("get", {})]
    for number, (kind, data) in enumerate(asked):
        say(ann, kind, number, **data)
    cluster.settle()
    assert heard(ann) == ["UNAVAILABLE"] * 3
    assert heard(bob) == []
    assert cluster.redis.values.of("r", "board").version == 0


@PLAIN_AND_KEPT
async def test_values_are_gone_with_the_last_member_of_all_nodes(make: Make, rooms: Any) -> None:
    cluster = make(rooms=rooms)
    ann, bob = await members(cluster)
    say(ann, "set", key="k", value=1)
    cluster.settle()
    for peer, is_last in ((ann, False), (bob, True)):
        peer.say({"v": 1, "svc": "room", "type": "leave", "room": "r"})
        cluster.settle()
        assert cluster.redis.values.keys == (0 if is_last else 1)
    assert [world.tenant.values.keys for world in cluster.worlds] == [0, 0]
    heard(ann)
    cluster.join(ann, "r")
    assert heard(ann) == ["joined"]
    say(ann, "set", key="k", value=1)
    cluster.settle()
    assert heard(ann) == [(1, "k", 1)]


async def test_whoever_is_put_out_changes_nothing_that_waits(make: Make) -> None:
    cluster = make()
    ann, bob = await members(cluster)
    say(ann, "set", key="k", value=1)
    say(ann, "set", 2, ACK, key="k", value=2)
    cluster.scheduler.run_until_idle()
    ann.session.put_out(cluster.worlds[0].tenant.registry.rooms["r"].ref)
    cluster.settle()
    assert heard(bob) == [(1, "k", 1)]


async def test_values_outlive_a_crash_of_their_room(make: Make) -> None:
    cluster = make()
    ann, _ = await members(cluster)
    say(ann, "set", key="k", value=1)
    cluster.settle()
    heard(ann)
    world = cluster.worlds[0]
    world.tenant.registry.rooms["r"].ref.tell_control(object())
    cluster.scheduler.advance(1.0)
    cluster.settle()
    assert len(world.failures) == 1
    world.failures.clear()
    heard(ann)
    assert heard(await cluster.member(0, "carl", "r")) == ["joined", (1, {"k": 1})]
    say(ann, "set", key="k", value=2)
    cluster.settle()
    assert heard(ann)[-1] == (2, "k", 2)


async def test_a_room_of_one_node_has_its_values_there(make: Make) -> None:
    cluster = make(rooms=[{"match": "*", "scope": "node"}])
    ann, bob = await members(cluster)
    say(ann, "set", key="k", value=1)
    assert heard(ann) == [(1, "k", 1)], "without Redis"
    cluster.settle()
    assert heard(bob) == []
    assert cluster.redis.values.keys == 0


def without_the_service(tenant: Any, cluster: Cluster, ann: Peer, bob: Peer) -> Any:
    """The node of ``bob`` loses the service by a reload; ``ann``, on another one, changes a value. The rules before."""
    before = tenant.rules
    tenant.apply(replace(before, values={}))
    tenant.ref.tell_control(RulesChanged())
    say(ann, "set", key="k", value=1)
    cluster.settle()
    assert heard(bob) == [(1, "k", 1)]
    return before


async def test_a_service_that_comes_with_a_reload_is_known_with_the_rooms_next_turn(make: Make) -> None:
    cluster = make()
    ann, bob = await members(cluster)
    tenant = cluster.worlds[1].tenant
    before = without_the_service(tenant, cluster, ann, bob)
    assert tenant.values.keys == 0
    cluster.scheduler.advance(JOINS_WAIT_S + 1)
    carl = await cluster.connect(1, "carl")
    cluster.brokers[1].lose()
    cluster.settle()
    cluster.join(carl, "r")
    assert heard(carl) == [], "it waits for what has only just been lost"
    cluster.brokers[1].come_again()
    cluster.settle()
    assert heard(carl) == ["joined"]
    heard(bob)
    tenant.apply(before)
    tenant.ref.tell_control(RulesChanged())
    ann.chat("x", room="r")
    cluster.settle()
    assert heard(bob) == ["msg", (1, {"k": 1})]
    cluster.scheduler.advance(JOINS_WAIT_S + 1)
    assert heard(await cluster.member(1, "dora", "r")) == ["joined", (1, {"k": 1})]


async def test_members_go_on_from_what_redis_has_when_a_service_comes_back(make: Make) -> None:
    """They hear other nodes' changes while their own has no such service."""
    cluster = make()
    ann, bob = await members(cluster)
    tenant = cluster.worlds[1].tenant
    before = without_the_service(tenant, cluster, ann, bob)
    cluster.redis.flush_all()
    tenant.apply(before)
    tenant.ref.tell_control(RulesChanged())
    bob.chat("x", room="r")
    for _ in range(2):
        cluster.settle()
        cluster.scheduler.advance(3.0)
        cluster.brokers[1].check_positions()
    cluster.settle()
    assert heard(bob)[-1] == (0, {})


class _Told:
    """What a node tells its backend."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def tells(self, event: str, room: str | None = None) -> bool:  # noqa: ARG002
        return event == "publication"

    def tell(self, event: str, about: Any, fields: Any) -> None:  # noqa: ARG002
        self.told.append(msgspec.json.decode(msgspec.json.encode(fields["message"]["data"])))


async def test_the_backend_is_told_of_a_change_once_with_its_version(make: Make) -> None:
    cluster = make()
    ann, _ = await members(cluster)
    backends = [_Told(), _Told()]
    for world, backend in zip(cluster.worlds, backends, strict=True):
        world.tenant.backend = backend  # type: ignore[assignment]
    say(ann, "set", key="k", value=1)
    say(ann, "set", key="k", value=2, if_version=0)
    say(ann, "delete", key="k")
    cluster.settle()
    assert [one.told for one in backends] == [
        [
            {"version": 1, "key": "k", "value": 1, "from": "ann"},
            {"version": 2, "key": "k", "deleted": True, "from": "ann"},
        ],
        [],
    ]
    inbox = cluster.worlds[0].tenant.registry.rooms["r"].inbox
    assert (inbox.waiting, inbox.waiting_bytes) == (0, 0)
    for world in cluster.worlds:
        world.tenant.backend = None
