"""Nodes on a Redis whose network stalls, delays and cuts, that is killed and fails over: what is promised all the same.

``WSPRISM_CHAOS_SECONDS`` is how long the random one goes on; it prints its seed.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from load.proxy import Proxy
from tests.redis_nodes import asked, node, operator, until, until_answered
from tests.redis_server import RedisServer, running_redis
from wsprism.adapters.redis.broker import RedisBroker
from wsprism.adapters.redis.node import RedisNode
from wsprism.policy.history import HistoryBounds
from wsprism.ports import Batch, Draft, Ordered, Unavailable, Window

BOUNDS = HistoryBounds(max_messages=100_000, max_bytes=100_000_000, ttl_s=600.0, recover_max_messages=100_000)
SECONDS = float(os.environ.get("WSPRISM_CHAOS_SECONDS", "5"))


class Ear:
    """A listener that checks that what it is told has no hole between ``subscribed`` and ``lost``."""

    def __init__(self, broker: RedisBroker, room: str, log: dict[tuple[str, str, int], bytes]) -> None:
        self.room = room
        self.live = False
        self.lost_times = 0
        self.last: tuple[str, int] | None = None
        self._log = log
        self.subscription = broker.subscribe(room, BOUNDS, self)

    def subscribed(self) -> None:
        assert not self.live
        self.live = True
        self.last = None

    def lost(self) -> None:
        self.live = False
        self.lost_times += 1

    def hot(self, frames: Sequence[bytes]) -> None:
        """Nobody sends any."""

    def present(self, user: str, sid: str, entry: bytes | None) -> None:
        """Nobody is."""

    def ordered(self, batch: Batch) -> None:
        assert self.live
        if self.last is not None:
            epoch, offset = self.last
            assert batch.first == (offset + 1 if batch.epoch == epoch else 1), (self.last, batch)
        for offset, payload in enumerate(batch.payloads, batch.first):
            assert self._log.setdefault((self.room, batch.epoch, offset), payload) == payload
        self.last = batch.epoch, batch.first + len(batch.payloads) - 1


@asynccontextmanager
async def through_proxy(server: RedisServer, name: str, **options: Any) -> AsyncIterator[tuple[RedisNode, Proxy]]:
    async with Proxy(server.port) as proxy, node(f"redis://127.0.0.1:{proxy.port}", name, **options) as one:
        yield one, proxy


def publish(broker: RedisBroker, *payloads: bytes, room: str = "a") -> asyncio.Future[Any]:
    return asked(broker.publish, room, [Draft(one) for one in payloads], BOUNDS)


async def read(broker: RedisBroker, room: str = "a") -> Window:
    """Once the broker is there, if it is on its way back."""
    found: list[Window] = []

    async def ask() -> object:
        answer = await asked(broker.read, room, None, BOUNDS)
        found.extend([answer] if isinstance(answer, Window) else [])
        return answer

    await until_answered(ask, lambda answer: isinstance(answer, Window), within_s=60)
    return found[0]


async def test_a_network_that_swallows_everything_is_a_loss_and_what_was_swallowed_is_in_the_log_once() -> None:
    with running_redis() as server:
        async with through_proxy(server, "one", answer_s=2.0) as (one, proxy):
            broker = one.broker("acme")
            await publish(broker, b"0")
            proxy.stall()
            swallowed = [publish(broker, b"%d" % n, room=f"r{n}") for n in range(20)]
            await until(lambda: one.away)
            assert not any(one.done() for one in swallowed)
            proxy.flow()
            async with asyncio.timeout(60):
                assert [(await one).offsets for one in swallowed] == [[1]] * 20
            for n in range(20):
                assert [item.payload for item in (await read(broker, f"r{n}")).items] == [b"%d" % n]


async def test_answers_that_never_arrive_are_asked_for_again() -> None:
    with running_redis() as server:
        async with through_proxy(server, "one") as (one, proxy):
            broker = one.broker("acme")
            await publish(broker, b"0")
            proxy.keep_answers()
            turns = [publish(broker, b"a"), publish(broker, b"b", room="b")]
            async with operator(server) as other:
                await until_answered(lambda: other.ask("XLEN", "test:{acme}:h:b"), lambda entries: entries == 1)
                proxy.cut()
                proxy.keep_answers(False)
                async with asyncio.timeout(60):
                    assert [(await one).offsets for one in turns] == [[2], [1]]
                assert await other.ask("XLEN", "test:{acme}:h:a") == 2
                assert await other.ask("XLEN", "test:{acme}:h:b") == 1


async def test_a_slow_network_only_delays() -> None:
    with running_redis() as server:
        async with through_proxy(server, "one") as (one, proxy):
            proxy.delay_s = 0.1
            broker = one.broker("acme")
            log: dict[tuple[str, str, int], bytes] = {}
            ear = Ear(broker, "a", log)
            answers = await asyncio.gather(*(publish(broker, b"%d" % n) for n in range(5)))
            assert [one.offsets[0] for one in answers] == [1, 2, 3, 4, 5]
            assert one.figures.lost == 0
            assert ear.lost_times == 0


async def test_a_node_that_does_not_read_is_dropped_by_redis_and_knows_it() -> None:
    with running_redis("--client-output-buffer-limit", "pubsub 256kb 0 0") as server:
        async with node(server.url, "slow", answer_s=5.0) as slow, node(server.url, "one") as one:
            log: dict[tuple[str, str, int], bytes] = {}
            ear = Ear(slow.broker("acme"), "a", log)
            await until(lambda: ear.live)
            assert slow._line is not None
            transport = slow._line._transport
            assert transport is not None
            transport.pause_reading()
            for _ in range(60):
                await publish(one.broker("acme"), bytes(50_000))
            if not transport.is_closing():  # a PING meanwhile has found out already
                transport.resume_reading()
            await until(lambda: ear.lost_times >= 1 and ear.live)
            await publish(one.broker("acme"), b"last")
            await until(lambda: ear.last is not None and ear.last[1] == 61)


@pytest.mark.parametrize("survives", [False, True])
async def test_a_failover_by_sentinel_is_a_new_epoch_unless_it_survives(survives: bool, tmp_path: Path) -> None:
    with running_redis() as primary, running_redis("--replicaof", "127.0.0.1", str(primary.port)) as replica:
        file = tmp_path / "sentinel.conf"
        file.write_text(
            f"sentinel monitor mine 127.0.0.1 {primary.port} 1\nsentinel down-after-milliseconds mine 500\n"
            "sentinel failover-timeout mine 2000\n"
        )
        with running_redis(sentinel=file) as sentinel:
            async with operator(primary) as other:
                await until_answered(lambda: other.ask("INFO", "replication"), lambda told: b"state=online" in told)
            url = f"sentinel://127.0.0.1:{sentinel.port}/mine"
            async with node(url, "one", epoch_survives_failover=survives) as one:
                broker = one.broker("acme")
                log: dict[tuple[str, str, int], bytes] = {}
                ear = Ear(broker, "a", log)
                await until(lambda: ear.live)
                before = [await publish(broker, b"%d" % n) for n in range(10)]
                async with operator(primary) as other:
                    assert await other.ask("WAIT", 1, 20_000) >= 1
                await _knows_replica(sentinel)
                primary.kill()
                await until(lambda: one.figures.connected == 2, within_s=90)
                after = await publish(broker, b"after")
                assert isinstance(after, Ordered)
                if survives:
                    assert (after.epoch, after.first) == (before[-1].epoch, 11)
                else:
                    assert after.first == 1
                    assert after.epoch != before[-1].epoch
                assert replica.port


async def _knows_replica(sentinel: RedisServer) -> None:
    """Until the sentinel has seen the replica, it cannot fail over to it."""
    reader, writer = await asyncio.open_unix_connection(sentinel.path)
    try:
        async with asyncio.timeout(60):
            while True:
                writer.write(b"SENTINEL REPLICAS mine\r\n")
                if b"master-link-status" in await reader.read(65536):
                    return
                await asyncio.sleep(0.1)
    finally:
        writer.transport.abort()


@pytest.mark.alone
@pytest.mark.any_python
async def test_whatever_happens_the_log_has_once_what_was_acknowledged_and_nobody_misses_it_in_silence() -> None:
    seed = int(os.environ.get("WSPRISM_CHAOS_SEED", "0")) or random.randrange(1, 10**9)
    print(f"WSPRISM_CHAOS_SEED={seed}")
    chance = random.Random(seed)
    rooms = ["a", "b", "c"]
    said: dict[bytes, tuple[str, asyncio.Future[Any]]] = {}
    log: dict[tuple[str, str, int], bytes] = {}
    purges: list[asyncio.Future[Any]] = []
    with running_redis() as server:
        async with AsyncExitStack() as stack:
            nodes: list[tuple[RedisNode, Proxy]] = [
                await stack.enter_async_context(through_proxy(server, f"n{n}", answer_s=0.5)) for n in range(3)
            ]
            other = await stack.enter_async_context(operator(server))
            ears = [Ear(one.broker("acme"), room, log) for one, _ in nodes[:2] for room in rooms]
            until_s = time.monotonic() + SECONDS
            while time.monotonic() < until_s:
                for _ in range(chance.randrange(1, 30)):
                    one, _ = chance.choice(nodes)
                    room = chance.choice(rooms)
                    payload = b"%d" % len(said)
                    said[payload] = room, publish(one.broker("acme"), payload, room=room)
                await _mischief(chance, nodes, other, rooms, purges)
                await asyncio.sleep(chance.choice([0, 0.001, 0.05]))
            for _, proxy in nodes:
                proxy.flow()
                proxy.keep_answers(False)
            await asyncio.wait_for(asyncio.gather(*(done for _, done in said.values()), *purges), 60)
            await until(lambda: all(ear.live for ear in ears) and not any(one.away for one, _ in nodes), within_s=60)
            windows = {room: await read(nodes[2][0].broker("acme"), room) for room in rooms}
            kept = {
                (room, window.epoch, item.offset): item.payload
                for room, window in windows.items()
                for item in window.items
            }
            for one, _ in nodes:
                assert one.broker("acme").waiting_bytes == 0

    for place, payload in kept.items():
        assert log.setdefault(place, payload) == payload
    times = Counter(log.values())
    outcomes: Counter[str] = Counter()
    for payload, (room, done) in said.items():
        answer = done.result()
        if isinstance(answer, Ordered):
            outcomes["acknowledged"] += 1
            place = room, answer.epoch, answer.offsets[0]
            assert log.setdefault(place, payload) == payload
            assert times[payload] <= 1
            assert answer.epoch != windows[room].epoch or kept[place] == payload
        else:
            outcomes["refused"] += 1
            assert isinstance(answer, Unavailable)
            assert times[payload] == 0, payload
    for window in windows.values():
        assert [item.offset for item in window.items] == list(range(1, window.top + 1))
    assert outcomes["acknowledged"] > 100
    print(dict(outcomes), "lost:", sum(one.figures.lost for one, _ in nodes), "epochs:", len({e for _, e, _ in log}))


async def _mischief(
    chance: random.Random,
    nodes: list[tuple[RedisNode, Proxy]],
    other: Any,
    rooms: list[str],
    purges: list[asyncio.Future[Any]],
) -> None:
    one, proxy = chance.choice(nodes)
    match chance.randrange(60):
        case 0:
            proxy.cut()
        case 1:
            proxy.keep_answers()
            await asyncio.sleep(0.02)
            proxy.cut()
            proxy.keep_answers(False)
        case 2:
            proxy.stall()
            asyncio.get_running_loop().call_later(chance.uniform(0.1, 1.2), proxy.flow)
        case 3:
            await other.ask("SCRIPT", "FLUSH")
        case 4:
            await other.ask("CLIENT", "KILL", "TYPE", chance.choice(["pubsub", "normal"]))
        case 5:
            purges.append(asked(one.broker("acme").purge, chance.choice(rooms), BOUNDS))
        case 6:
            await other.ask("DEL", f"test:{{acme}}:m:{chance.choice(rooms)}")
        case 7:
            one.broker("acme").subscriptions.look()
