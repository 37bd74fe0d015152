"""Values that a room's members share: told in the room's order, whole to who comes, gone with the last member."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.realtime_support import Peer, World
from wsprism.policy.decisions import Reason
from wsprism.ports import ExtService
from wsprism.protocol.envelope import JSON, MSGPACK
from wsprism.realtime.messages import RulesChanged
from wsprism.realtime.outbound.wire import wire_format
from wsprism.services import RelayExtService, StateService

ACK = 4


def world(**settings: Any) -> World:
    policy = {"ext_allowlist": ["room:*", "chat:*", "board:*", "fx:*"]}
    services = {"ext": {"board": {"kind": "state", "max_keys": 2, **settings.pop("board", {})}}}
    ext: dict[str, ExtService] = {"board": StateService(), "fx": RelayExtService("fx")}
    return World(ext=ext, policy=policy, services=services, **settings)


async def member(w: World, user: str, room: str = "r", **options: Any) -> tuple[Peer, list[Any]]:
    peer = await w.connect(user, **options)
    peer.heard()
    peer.join(room)
    joined, *told = peer.heard()
    assert isinstance(joined, dict)
    assert joined["type"] == "joined"
    return peer, told


def ask(peer: Peer, kind: str, seq: int | None = None, flags: int = 0, **data: Any) -> list[Any]:
    message: dict[str, Any] = {"v": 1, "svc": "board", "type": kind, "flags": flags, "data": data}
    peer.say(message if seq is None else message | {"seq": seq})
    return peer.heard()


def changed(**data: Any) -> dict[str, Any]:
    return {"v": 1, "svc": "board", "type": "changed", "room": "r", "data": data}


def state(version: int, entries: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "v": 1,
        "svc": "board",
        "type": "state",
        **fields,
        "room": "r",
        "data": {"version": version, "entries": entries},
    }


async def test_every_member_hears_each_change_and_who_comes_the_whole() -> None:
    w = world()
    ann, told = await member(w, "ann")
    bob, _ = await member(w, "bob")
    assert told == []
    assert ask(ann, "set", key="score", value=[1, 0]) == [
        changed(version=1, key="score", value=[1, 0], **{"from": "ann"})
    ]
    assert ask(bob, "delete", key="score")[-1] == changed(version=2, key="score", deleted=True, **{"from": "bob"})
    assert len(ask(bob, "set", key="turn", value="bob")) == 1
    late, told = await member(w, "late")
    assert told == [state(3, {"turn": {"value": "bob", "version": 3, "from": "bob"}})]
    packed, told = await member(w, "packed", wire=wire_format(MSGPACK, deflated=False))
    assert told == [state(3, {"turn": {"value": "bob", "version": 3, "from": "bob"}})]
    assert ask(packed, "get", seq=7) == [state(3, {"turn": {"value": "bob", "version": 3, "from": "bob"}}, seq=7)]
    assert ask(late, "get", seq=8, key="score") == [state(3, {}, seq=8)]


async def test_a_change_by_version_happens_once() -> None:
    w = world()
    ann, _ = await member(w, "ann")
    bob, _ = await member(w, "bob")
    for peer in (ann, bob):
        peer.session.connection.deliver(
            ['{"v":1,"svc":"board","type":"set","seq":1,"data":{"key":"k","value":1,"if_version":0}}']
        )
    w.settle()
    assert ann.heard() == [changed(version=1, key="k", value=1, **{"from": "ann"})]
    heard: list[Any] = bob.heard()
    refused, *_ = [one for one in heard if one["type"] == "error"]
    assert (refused["data"]["code"], refused["data"]["msg"]) == ("NOT_ALLOWED", "the key has version 1")
    assert ask(bob, "set", key="x", value=1, if_version=1)[0]["data"]["msg"] == "the key is not set"
    assert w.tenant.counters.decisions[Reason.VALUE_CHANGED] == 2


async def test_bounds_are_told_and_nothing_is_changed() -> None:
    w = world(board={"max_bytes": 1024})
    ann, _ = await member(w, "ann")
    ask(ann, "set", key="a", value=1)
    ask(ann, "set", key="b", value=1)
    assert ask(ann, "set", key="c", value=1)[0]["data"]["code"] == "RESOURCE_EXHAUSTED"
    assert ask(ann, "set", key="b", value="x" * 1024)[0]["data"]["code"] == "RESOURCE_EXHAUSTED"
    assert w.tenant.values.of("r", "board").version == 2
    assert w.tenant.counters.decisions[Reason.VALUES_FULL] == 2


async def test_an_acknowledgement_comes_behind_the_change() -> None:
    w = world()
    ann, _ = await member(w, "ann")
    assert [one["type"] for one in ask(ann, "set", seq=1, flags=ACK, key="k", value=1)] == ["changed", "ack"]
    assert [one["type"] for one in ask(ann, "delete", seq=2, flags=ACK, key="nothing")] == ["ack"]


async def test_only_members_have_a_part_in_it_and_only_who_may_publish_changes_it() -> None:
    w = world()
    ann, _ = await member(w, "ann")
    ask(ann, "set", key="k", value=1)
    stranger = await w.connect("stranger")
    stranger.heard()
    for kind, data in (("set", {"key": "k", "value": 2}), ("delete", {"key": "k"}), ("get", {})):
        stranger.say({"v": 1, "svc": "board", "type": kind, "room": "r", "data": data})
        assert stranger.errors() == [("NOT_ALLOWED", None)]
    reader, _ = await member(w, "reader", read_only=True)
    assert ask(reader, "set", key="k", value=2)[0]["data"]["code"] == "NOT_ALLOWED"
    assert ask(reader, "get")[0]["data"]["version"] == 1


@pytest.mark.parametrize("rooms", [[], [{"match": "r", "history": {}}]], ids=["plain", "history"])
async def test_values_are_gone_with_the_last_member(rooms: list[Any]) -> None:
    w = world(rooms=rooms)
    ann, _ = await member(w, "ann")
    ask(ann, "set", key="k", value=1)
    assert (w.tenant.values.keys, w.tenant.values.size_bytes > 0) == (1, True)
    ann.say({"v": 1, "svc": "room", "type": "leave", "room": "r"})
    assert (w.tenant.values.keys, w.tenant.values.size_bytes) == (0, 0)
    _, told = await member(w, "bob")
    assert told == []


async def test_values_outlive_a_crash_of_their_room() -> None:
    w = world()
    ann, _ = await member(w, "ann")
    ask(ann, "set", key="k", value=1)
    w.tenant.registry.rooms["r"].ref.tell_control(object())
    w.scheduler.advance(1.0)
    w.settle()
    assert w.failures
    ann.heard()
    assert ask(ann, "get")[0]["data"]["entries"]["k"]["value"] == 1


async def test_relay_tells_everybody_or_everybody_else() -> None:
    w = world()
    ann, _ = await member(w, "ann")
    bob, _ = await member(w, "bob")
    again, _ = await member(w, "ann", wire=wire_format(JSON, deflated=False))
    for exclude_self in (False, True):
        ann.say({"v": 1, "svc": "fx", "type": "wave", "data": {"data": [1], "exclude_self": exclude_self}})
        wave = {"v": 1, "svc": "fx", "type": "wave", "room": "r", "data": {"from": "ann", "data": [1]}}
        assert ann.heard() == ([] if exclude_self else [wave])
        assert bob.heard() == again.heard() == [wave]
    ann.say({"v": 1, "svc": "fx", "type": "wave", "flags": 4, "seq": 1, "data": {"data": 1, "exclude_self": True}})
    assert ann.types() == ["ack"]


@pytest.mark.parametrize("turn_between", [False, True])
async def test_members_know_no_more_what_a_reload_has_taken_away(turn_between: bool) -> None:
    """Else they would leave out the changes of a service that comes back: versions begin with 1 again."""
    w = world()
    ann, _ = await member(w, "ann")
    bob, _ = await member(w, "bob", wire=wire_format(MSGPACK, deflated=False))
    ask(ann, "set", key="a", value=1)
    ask(ann, "set", key="b", value=2)
    before = w.tenant.rules
    for peer in (ann, bob):
        peer.heard()
    for values in ({}, before.values):
        w.tenant.apply(replace(before, values=values))
        w.tenant.ref.tell_control(RulesChanged())
        w.settle()
        if turn_between:
            ann.chat("x")
    ann.say({"v": 1, "svc": "board", "type": "set", "data": {"key": "a", "value": 3}})
    for peer in (ann, bob):
        told = [one for one in peer.heard() if isinstance(one, dict) and one["svc"] == "board"]
        assert [(one["type"], one["data"]["version"]) for one in told] == [
            ("state", 0 if turn_between else 1),
            ("changed", 1),
        ]
    late, told = await member(w, "late")
    assert told == [state(1, {"a": {"value": 3, "version": 1, "from": "ann"}})]
    assert ask(late, "delete", key="a") == [changed(version=2, key="a", deleted=True, **{"from": "late"})]
