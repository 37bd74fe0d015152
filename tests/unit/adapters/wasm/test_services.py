"""Services of kind wasm in a tenant: what they are told, what comes of their answers, and what of their faults."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import pytest

from tests.guests import LOG, NOTHING, answering, guest
from tests.realtime_support import Peer, World
from wsprism.adapters.wasm.bounds import Bounds
from wsprism.adapters.wasm.guest import Terms
from wsprism.adapters.wasm.module import GuestModule
from wsprism.adapters.wasm.services import WasmExtService, WasmHotService
from wsprism.policy.decisions import Reason
from wsprism.protocol.envelope import MSGPACK
from wsprism.protocol.hot import encode_hot
from wsprism.realtime.counters import ServiceCounters
from wsprism.realtime.outbound.wire import wire_format
from wsprism.realtime.tenant.service_host import TenantServiceHost

ACK = 4
SAY_IT_BACK = """
  (memory.copy (i32.add (i32.const 8192) (i32.const 21)) (local.get $at) (local.get $size))
  (memory.copy (i32.const 8192) (i32.const 4096) (i32.const 21))
  (memory.copy (i32.add (i32.const 8213) (local.get $size)) (i32.const 4200) (i32.const 3))
  (i64.or (i64.const 35184372088832) (i64.extend_i32_u (i32.add (local.get $size) (i32.const 24))))
"""
"""Replies with the message that it was given."""
PIECES = '(data (i32.const 4096) "{\\22effects\\22:[{\\22reply\\22:") (data (i32.const 4200) "}]}")'


def terms(content: bytes, bounds: Bounds | None = None, to: str = "others", options: bytes = b"{}") -> Terms:
    return Terms(GuestModule(content), bounds or Bounds(), options, to)


def world_with(
    content: bytes, *, lane: str = "ext", bounds: Bounds | None = None, to: str = "others", **settings: Any
) -> World:
    policy = {"ext_allowlist": ["room:*", "rules:*"], "hot_allowlist": ["1:*", "2:*", "3:*"]}
    service: Any
    if lane == "ext":
        service = WasmExtService("rules", terms(content, bounds))
        world = World(ext={"rules": service}, policy=policy, **settings)
    else:
        service = WasmHotService("3", terms(content, bounds, to))
        world = World(hot={3: service}, policy=policy, **settings)
    service.start(TenantServiceHost(world.tenant, world.scheduler))
    return world


async def member(world: World, user: str = "ann", room: str = "r", **options: Any) -> Peer:
    peer = await world.connect(user, **options)
    peer.join(room)
    peer.heard()
    return peer


def ask(peer: Peer, kind: str = "x", **fields: Any) -> list[Any]:
    peer.say({"v": 1, "svc": "rules", "type": kind, **fields})
    return peer.heard()


def counts_of(world: World, lane: str = "ext", name: str = "rules") -> ServiceCounters:
    return world.tenant.counters.services[lane, name]


@pytest.mark.parametrize("binary", [False, True], ids=["json", "msgpack"])
async def test_a_guest_is_told_who_says_what_where_and_when(binary: bool) -> None:
    world = world_with(guest(SAY_IT_BACK, more=PIECES))
    world.scheduler.advance(5.25)
    wire = wire_format(MSGPACK, deflated=False) if binary else None
    ann = await member(world, wire=wire)
    [reply] = ask(ann, "move", seq=7, data={"x": [1, None, "ä"]})
    assert (reply["svc"], reply["type"], reply["seq"]) == ("rules", "move", 7)
    session = {"user": "ann", "sid": ann.session.sid, "generation": ann.session.generation}
    assert reply["data"] == {
        "tenant": "t",
        "session": session,
        "type": "move",
        "now_ms": 5250,
        "room": "r",
        "seq": 7,
        "data": {"x": [1, None, "ä"]},
    }
    if not binary:
        ann.say('{"v":1,"svc":"rules","type":"spaced","data": { "x" : [ 1 , "a b" ] } }')
        assert b'"data":{"x":[1,"a b"]}}' in ann.transport.written
        ann.heard()
    stranger = await world.connect("bob", wire=wire)
    stranger.heard()
    [reply] = ask(stranger, "look")
    assert set(reply["data"]) == {"tenant", "session", "type", "now_ms"}
    [reply] = ask(stranger, "look", room="elsewhere", data=None)
    assert (reply["data"]["room"], reply["data"]["data"]) == ("elsewhere", None)


async def test_its_effects_are_carried_out_in_their_order_and_acknowledged() -> None:
    effects = [{"publish": {"type": "moved", "data": {"x": 1}}}, {"reply": {"ok": True}}]
    world = world_with(answering(msgspec.json.encode({"effects": effects})))
    ann, bob = await member(world, "ann"), await member(world, "bob")
    heard = ask(ann, "move", seq=1, flags=ACK)
    assert sorted(one["type"] for one in heard) == ["ack", "move", "moved"]
    [moved] = bob.heard()
    assert moved == {"v": 1, "svc": "rules", "type": "moved", "room": "r", "data": {"x": 1}}
    counts = counts_of(world)
    assert (counts.calls, counts.effects, counts.memory_bytes) == (1, 2, 65_536)
    assert counts.fuel > 0


async def test_no_effects_are_a_yes() -> None:
    world = world_with(guest(NOTHING))
    ann = await member(world)
    assert ask(ann) == []
    assert [one["type"] for one in ask(ann, flags=ACK, seq=2)] == ["ack"]


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (guest("unreachable"), "trap"),
        (guest("(loop (br 0)) i64.const 0"), "fuel"),
        (answering("{"), "answer"),
        (guest(alloc="i32.const 0"), "memory"),
    ],
)
async def test_a_fault_is_told_in_one_word_and_counted_by_its_cause(
    content: bytes, cause: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = world_with(content)
    ann = await member(world)
    [error] = ask(ann, seq=3)
    assert (error["data"], error["seq"]) == ({"code": "INTERNAL", "msg": "the service failed"}, 3)
    assert dict(counts_of(world).faults) == {cause: 1}
    assert world.tenant.counters.decisions[Reason.SERVICE_FAULT] == 1
    [record] = [one for one in caplog.records if one.message == "a service failed"]
    assert (record.__dict__["cause"], record.__dict__["service"]) == (cause, "rules")


async def test_after_a_fault_it_begins_anew() -> None:
    """It counts its messages in its memory, and fails at the third."""
    body = """
      (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
      (if (i32.eq (i32.load (i32.const 0)) (i32.const 3)) (then unreachable))
      (i32.store8 (i32.const 4117) (i32.add (i32.const 48) (i32.load (i32.const 0))))
      i64.const 17592186044441
    """
    answer = '(data (i32.const 4096) "{\\22effects\\22:[{\\22reply\\22:0}]}")'
    world = world_with(guest(body, more=answer))
    ann = await member(world)
    said = [one["data"] for _ in range(6) for one in ask(ann)]
    failed = {"code": "INTERNAL", "msg": "the service failed"}
    assert said == [1, 2, failed, 1, 2, failed]


async def test_ten_faults_within_a_minute_suspend_it_and_then_one_message_decides() -> None:
    world = world_with(guest("unreachable"))
    ann = await member(world)
    codes = [one["data"]["code"] for _ in range(12) for one in ask(ann)]
    assert codes == ["INTERNAL"] * 10 + ["UNAVAILABLE"] * 2
    assert counts_of(world).suspended
    for pause_s in (1, 2, 4):
        world.scheduler.advance(pause_s - 0.1)
        assert ask(ann)[0]["data"]["code"] == "UNAVAILABLE"
        world.scheduler.advance(0.2)
        assert [ask(ann)[0]["data"]["code"] for _ in range(2)] == ["INTERNAL", "UNAVAILABLE"]


async def test_faults_that_come_seldom_suspend_nothing() -> None:
    world = world_with(guest("unreachable"))
    ann = await member(world)
    for _ in range(25):
        assert ask(ann)[0]["data"]["code"] == "INTERNAL"
        world.scheduler.advance(7)


def looping(body: str, turns: int) -> str:
    return f"""(local $left i32) (local.set $left (i32.const {turns}))
      (loop {body} (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))"""


NAMES_A_FUNCTION = {"more": "(func $g) (elem declare func $g)"}
FUEL = Bounds(fuel=10_000_000)


@pytest.mark.parametrize("lane", ["ext", "hot"])
async def test_who_computes_for_much_longer_than_its_fuel_says_is_at_fault(lane: str) -> None:
    """To name a function is one instruction, and takes as long as a hundred."""
    body = looping("(drop (ref.func $g))", 1_600_000)
    handle = {"handle": f"{body} i64.const 0"} if lane == "ext" else {"hot": f"{body} i64.const -1"}
    world = world_with(guest(**handle, **NAMES_A_FUNCTION), lane=lane, bounds=FUEL)
    name = "rules" if lane == "ext" else "3"
    ann = await member(world)
    for _ in range(3):
        ask(ann) if lane == "ext" else ann.say(FRAME)
    counts = counts_of(world, lane, name)
    assert (counts.calls, counts.slow, dict(counts.faults)) == (3, 1, {"time": 2}), (
        "the first one it is only watched for"
    )


async def test_who_takes_as_long_as_its_fuel_says_may() -> None:
    world = world_with(guest(looping("", 2_200_000) + "i64.const 0"), bounds=Bounds(fuel=20_000_000))
    ann = await member(world)
    for _ in range(3):
        assert ask(ann) == []
    assert counts_of(world).fuel > 3 * 10_000_000


async def test_others_go_on_while_one_loops_for_ever() -> None:
    world = world_with(guest("(loop (br 0)) i64.const 0"))
    ann, bob = await member(world, "ann"), await member(world, "bob")
    for _ in range(30):
        ask(ann)
    bob.say({"v": 1, "svc": "sys", "type": "ping"})
    assert bob.types() == ["pong"]
    assert counts_of(world).calls == 10


async def test_a_service_says_so_many_lines_a_second(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    handle = "(call $log (i32.const 2) (i32.const 4096) (i32.const 5)) i64.const 0"
    world = world_with(guest(handle, imports=LOG, more='(data (i32.const 4096) "hello")'))
    ann = await member(world)
    for _ in range(50):
        ask(ann)
    said = [one for one in caplog.records if one.message == "a service says"]
    assert 10 <= len(said) < 20
    assert (said[0].levelname, said[0].__dict__["line"], said[0].__dict__["tenant"]) == ("WARNING", "hello", "t")


FRAME = encode_hot(3, 7, b"abc")
REWRITES = """
  (memory.copy (i32.const 4096) (local.get $at) (local.get $size))
  (i32.store8 (i32.const 4099) (i32.const 65))
  (i64.or (i64.const 17592186044416) (i64.extend_i32_u (local.get $size)))
"""


@pytest.mark.parametrize(
    ("verdict", "heard"),
    [
        ("i64.const -1", [FRAME]),
        ("i64.const 0", []),
        (REWRITES, [encode_hot(3, 7, b"Abc")]),
        ("unreachable", []),
        ("(loop (br 0)) i64.const 0", []),
        (f"i64.const {(4096 << 32) | 1}", []),
        (f"i64.const {1 << 50}", []),
    ],
)
async def test_a_hot_guest_passes_drops_or_rewrites_and_never_fails_open(verdict: str, heard: list[bytes]) -> None:
    world = world_with(guest(hot=verdict), lane="hot")
    ann, bob = await member(world, "ann"), await member(world, "bob")
    ann.say(FRAME)
    assert (ann.heard(), bob.heard()) == ([], heard)
    assert counts_of(world, "hot", "3").calls == 1


@pytest.mark.parametrize(("to", "expected"), [("all", (1, 1)), ("others", (0, 1)), ("nobody", (0, 0))])
async def test_who_gets_a_frame(to: str, expected: tuple[int, int]) -> None:
    world = world_with(guest(hot="i64.const -1"), lane="hot", to=to)
    ann, bob = await member(world, "ann"), await member(world, "bob")
    ann.say(FRAME)
    assert (len(ann.heard()), len(bob.heard())) == expected


async def test_a_suspended_hot_guest_drops_every_frame() -> None:
    world = world_with(guest(hot="unreachable"), lane="hot", to="all")
    ann = await member(world)
    for _ in range(20):
        ann.say(FRAME)
    assert ann.heard() == []
    assert (counts_of(world, "hot", "3").calls, counts_of(world, "hot", "3").suspended) == (10, True)


async def test_what_is_no_data_is_the_clients_fault() -> None:
    world = world_with(guest(NOTHING))
    ann = await member(world)
    ann.say('{"v":1,"svc":"rules","type":"x","data":18446744073709551616}')
    assert ann.errors() == [("BAD_REQUEST", None)]
    assert counts_of(world).calls == 0


async def test_an_instance_is_given_back_when_its_service_stops() -> None:
    service = WasmExtService("rules", terms(guest(NOTHING)))
    world = World(ext={"rules": service}, policy={"ext_allowlist": ["rules:*"]})
    service.start(TenantServiceHost(world.tenant, world.scheduler))
    ann = await world.connect("ann")
    ann.heard()
    assert ask(ann) == []
    assert counts_of(world).memory_bytes
    service.stop(at_once=True)
    assert counts_of(world).memory_bytes == 0
    assert ask(ann)[0]["data"]["code"] == "UNAVAILABLE"


def test_terms_are_the_same_by_what_they_say() -> None:
    one = guest(NOTHING)
    assert terms(one) == terms(one)
    assert hash(terms(one)) == hash(terms(one))
    for other in (
        terms(guest("i64.const 1")),
        terms(one, Bounds(fuel=5)),
        terms(one, to="all"),
        terms(one, options=b"1"),
    ):
        assert terms(one) != other
