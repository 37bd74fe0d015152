"""A crowd that speaks at once: a room's work is bounded in each turn, in all, and in memory."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from tests.native import is_native
from tests.realtime_support import Peer, World
from wsprism.realtime.room import actor as room
from wsprism.realtime.room import fan_out
from wsprism.realtime.room.actor import FAN_OUT_WORK
from wsprism.realtime.room.fan_out import FanOut
from wsprism.realtime.room.mixed_turn import MixedTurn
from wsprism.services import RelayService


async def crowd(world: World, count: int) -> list[Peer]:
    peers = [await world.connect(f"u{number}") for number in range(count)]
    for peer in peers:
        peer.session.connection.deliver(['{"v":1,"svc":"room","type":"join","room":"r"}'])
    world.settle()
    return peers


async def test_a_thousand_who_relay_at_once_hold_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(hot={1: RelayService()})
    peers = await crowd(world, 1000)
    steps: list[int] = []
    go_on = FanOut.go_on

    def counting(self: FanOut, budget: int) -> int:
        left = go_on(self, budget)
        steps.append(budget - left)
        return left

    if is_native(fan_out):
        pytest.skip("wsprism.realtime.room.fan_out was compiled: its methods cannot be replaced")
    monkeypatch.setattr(FanOut, "go_on", counting)
    for peer in peers:
        peer.session.connection.deliver([b"\x01\x00\x00" + b"x" * 20])
    begun = time.process_time()
    world.settle()
    assert time.process_time() - begun < 5
    assert max(steps) <= 2 * FAN_OUT_WORK
    lanes = world.tenant.counters.lanes
    assert lanes.offered[2] <= 1000 * 2 * world.tenant.rules.queue_limits.hot_max_frames


async def test_five_hundred_large_frames_at_once_are_not_copied_for_everybody() -> None:
    world = World(hot={1: RelayService()})
    peers = await crowd(world, 500)
    for peer in peers:
        peer.transport.fill()  # what is queued is shared; what is written is not
        peer.outlet.blocked = True
    for peer in peers:
        peer.session.connection.deliver([b"\x01\x00\x00" + b"x" * 4000])
    tracemalloc.start()
    world.settle()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 * 1024 * 1024


async def test_a_storm_of_joins_into_a_busy_room_costs_no_fan_out_each() -> None:
    world = World()
    peers = await crowd(world, 300)
    late = [await world.connect(f"late{number}") for number in range(200)]
    offers = world.tenant.counters.lanes.offered[1]
    for number, peer in enumerate(late):
        peers[number].session.connection.deliver(['{"v":1,"svc":"chat","type":"send","data":{"msg":"x"}}'])
        peer.session.connection.deliver(['{"v":1,"svc":"room","type":"join","room":"r"}'])
    world.settle()
    assert world.tenant.counters.lanes.offered[1] - offers <= 200 * 500 + 200
    for number, peer in enumerate(late):
        heard = [one["type"] for one in peer.heard() if isinstance(one, dict)]
        assert heard.count("joined") == 1, number
        assert heard[heard.index("joined") + 1 :] == ["msg"] * (len(heard) - heard.index("joined") - 1)


async def test_however_many_join_during_a_fan_out_no_turn_takes_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    if is_native(room):
        pytest.skip("wsprism.realtime.room.actor was compiled: its methods cannot be replaced")
    world = World()
    peers = await crowd(world, 600)
    late = [await world.connect(f"late{number}") for number in range(1500)]
    sizes: list[int] = []
    carry_out = room.Room._carry_out_others

    def counting(self: room.Room, turn: MixedTurn) -> None:
        sizes.append(len(turn.others))
        carry_out(self, turn)

    monkeypatch.setattr(room.Room, "_carry_out_others", counting)
    peers[0].session.connection.deliver(['{"v":1,"svc":"chat","type":"send","data":{"msg":"x"}}'])
    world.scheduler.run_once()
    for peer in late:
        peer.session.connection.deliver(['{"v":1,"svc":"room","type":"join","room":"r"}'])
    world.settle()
    assert sum(sizes) == 1500
    assert max(sizes) <= 64
    assert all(peer.types().count("joined") == 1 for peer in late)
